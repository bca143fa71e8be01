//! Settlements that a block holds and these rows did not make: read by position, and adopted (ADR
//! 14).
//!
//! Owns the rules by which one is believed: those of the bridge's own contract and policy as far as
//! a mined transaction shows them. Trusts the node for what is in blocks. A commitment counts only
//! in a leaf that the output's key commits to, a request only at its own address and with what goes
//! to its own destination. What is no request's is counted, and told to none.

mod books;
mod previous;
mod read;
mod strange;
mod whose;

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction};
use grail_flow::{BlockRef, Deposit, RequestEvent, SettlementEvent, SettlementId};
use grail_store::{AdoptedSettlement, SettlementItem};
use grail_types::{Epoch, RequestId};

pub(crate) use previous::{Made, deposit_of};
pub(super) use read::{Move, Place, read};
pub(super) use strange::Strange;

use crate::step::Step;

/// A settlement as read from its block.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    epoch: Epoch,
    nft_input: OutPoint,
    fee: Amount,
    paid: Vec<Paid>,
}

/// One deposit and what it was paid for.
#[derive(Clone, Debug)]
struct Paid {
    item: SettlementItem,
    deposit: Deposit,
    /// Where it lay.
    script: ScriptBuf,
    /// The block that holds the deposit, and its transaction.
    made: Made,
}

/// Puts a settlement into the rows and tells its requests. What it conflicts with in the
/// rows can never be mined after it, and ends first.
pub(super) async fn take(
    step: &mut Step<'_>,
    settled: &Settled,
    transaction: &Transaction,
    place: Place,
) -> anyhow::Result<SettlementId> {
    super::tell_spender(step, &settled.nft_input, SettlementEvent::ConflictFound).await?;
    let now = step.now();
    let mut items = Vec::with_capacity(settled.paid.len());
    for paid in &settled.paid {
        let item = paid.item;
        if let Some(rival) = step.tx.settlement_using(&item.deposit).await? {
            step.tell_settlement(rival, SettlementEvent::ConflictFound)
                .await?;
        }
        step.tx.put_transaction(&paid.made.transaction).await?;
        // A commitment can be anybody's: a request's own deposits are those at its address.
        let request = step.tx.request(&item.request).await?;
        if request.is_some_and(|request| request.deposit_script == paid.script) {
            record(step, &item.request, paid.deposit, paid.made.block).await?;
        }
        items.push(item);
    }
    let new = AdoptedSettlement {
        epoch: settled.epoch,
        transaction,
        nft_input: settled.nft_input,
        nft_vout: 0,
        fee: settled.fee,
        items: &items,
        now,
    };
    let id = step.tx.adopt_settlement(&new).await?;
    step.note_adopted(id).await?;
    for item in step.tx.known_items(id).await? {
        let included = RequestEvent::Included {
            settlement: id,
            deposit: item.deposit,
        };
        step.tell_request(item.request, included).await?;
    }
    let height = match place {
        Place::Mempool => None,
        Place::Block(block) => {
            step.tell_settlement(id, SettlementEvent::Mined { block })
                .await?;
            Some(block.height)
        }
    };
    tracing::warn!(
        settlement = id.0,
        txid = %transaction.compute_txid(),
        height,
        requests = items.len(),
        "a settlement that is not in the rows was adopted"
    );
    Ok(id)
}

/// A deposit of a request that has a row, and none of its own yet.
pub(crate) async fn record(
    step: &mut Step<'_>,
    request: &RequestId,
    deposit: Deposit,
    block: BlockRef,
) -> anyhow::Result<()> {
    let now = step.now();
    let outpoint = deposit.outpoint;
    if step.tx.deposit(&outpoint).await?.is_some() {
        return Ok(());
    }
    let _ = step.tx.record_deposit(request, &deposit, now).await?;
    step.tx
        .set_deposit_block(&outpoint, Some(block), now)
        .await?;
    let confirmed = RequestEvent::DepositConfirmed {
        deposit,
        height: block.height,
    };
    step.tell_request(*request, confirmed).await?;
    Ok(())
}
