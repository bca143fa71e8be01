//! Deposits that operators spent in a transaction which breaks the bridge's rules.
//!
//! Owns what becomes of them: nothing is planned with them any more, whoever acknowledges the
//! alarm, and they are shown as what they are. A reorg gives them back.

use anyhow::Context;
use bitcoin::{
    Transaction, TxIn, Txid,
    secp256k1::{Secp256k1, Verification},
};
use grail_flow::{Alarm, BlockRef, ReclaimCode, RequestEvent, SettlementEvent};
use grail_script::{DepositTree, InternalKey};
use grail_store::{DepositRow, DepositState, Reclaim, Request};
use grail_types::RequestId;

use super::{adopt::Strange, known::Known, tell_spender};
use crate::step::Step;

/// The first user's deposit that is spent by a transaction which serves nobody. Its shape may be
/// that of a step which sponsors pay for: whatever else it spends goes to the miners.
pub(super) async fn unserved(
    step: &mut Step<'_>,
    transaction: &Transaction,
    known: &Known,
) -> anyhow::Result<Option<Strange>> {
    let is_users = |_: &TxIn, request: &Request| !request.terms.kind.is_sponsor();
    let taken = first_spent(step, transaction, known, is_users).await?;
    Ok(taken.map(|(input_index, request)| Strange::ServesNobody {
        input_index,
        request,
    }))
}

/// The first deposit of the rows that operators spent, by the leaf of its quorum, in a transaction
/// that leaves the NFT where it is. Their rules let them sign none.
pub(super) async fn without_nft<C: Verification>(
    secp: &Secp256k1<C>,
    step: &mut Step<'_>,
    transaction: &Transaction,
    known: &Known,
) -> anyhow::Result<Option<Strange>> {
    let is_by_quorum = |input: &TxIn, request: &Request| {
        let leaf = input.witness.taproot_leaf_script();
        let quorum = || DepositTree::new(secp, InternalKey::Nums, &request.terms, &request.roster);
        leaf.is_some_and(|leaf| leaf.script == quorum().leaf.script())
    };
    let taken = first_spent(step, transaction, known, is_by_quorum).await?;
    Ok(taken.map(|(input_index, request)| Strange::WithoutNft {
        input_index,
        request,
    }))
}

/// The first input that spends a deposit of the rows for which this is so, and whose it is.
async fn first_spent(
    step: &mut Step<'_>,
    transaction: &Transaction,
    known: &Known,
    is_it: impl Fn(&TxIn, &Request) -> bool,
) -> anyhow::Result<Option<(usize, RequestId)>> {
    for (input_index, input) in transaction.input.iter().enumerate() {
        let spent = &input.previous_output;
        if !known.may_hold(spent) {
            continue;
        }
        let Some(row) = step.tx.deposit(spent).await? else {
            continue;
        };
        let request = step.tx.request(&row.request).await?;
        let request = request.context("a deposit without its request")?;
        if is_it(input, &request) {
            return Ok(Some((input_index, request.id)));
        }
    }
    Ok(None)
}

/// Tells of a mined transaction that breaks a rule of the bridge, and takes note of what it spends.
pub(super) async fn note_breach(
    step: &mut Step<'_>,
    (txid, transaction): (Txid, &Transaction),
    strange: &Strange,
    known: &Known,
    at: BlockRef,
) -> anyhow::Result<()> {
    let reason = strange.to_string();
    let alarm = Alarm::ForeignSettlement {
        txid,
        block: at,
        reason,
    };
    step.raise(&alarm).await?;
    note(step, (txid, transaction), known, at).await
}

/// Takes note of all that a mined transaction spends: its deposits are taken, and whatever was to
/// spend the same can never be.
pub(super) async fn note(
    step: &mut Step<'_>,
    (txid, transaction): (Txid, &Transaction),
    known: &Known,
    at: BlockRef,
) -> anyhow::Result<()> {
    let conflict = SettlementEvent::ConflictFound;
    for input in &transaction.input {
        let spent = input.previous_output;
        // First, so that what comes free of a settlement is not ready for a moment.
        if known.may_hold(&spent)
            && let Some(row) = step.tx.deposit(&spent).await?
        {
            take(step, &row, Reclaim { txid, block: at }).await?;
        }
        tell_spender(step, &spent, conflict).await?;
        let live = step.tx.settlement_using(&spent).await?;
        let stands_by = step.tx.replacement_using(&spent).await?;
        for settlement in live.into_iter().chain(stands_by) {
            step.tell_settlement(settlement, conflict).await?;
        }
    }
    Ok(())
}

async fn take(step: &mut Step<'_>, row: &DepositRow, by: Reclaim) -> anyhow::Result<()> {
    let (deposit, now) = (row.deposit.outpoint, step.now());
    step.tx.set_deposit_reclaim(&deposit, Some(by), now).await?;
    if is_own(step, row).await? {
        let event = RequestEvent::DepositTaken { deposit };
        step.tell_request(row.request, event).await?;
    } else {
        step.tx
            .set_deposit_state(&deposit, DepositState::Taken, row.code, now)
            .await?;
    }
    Ok(())
}

/// A reorg took away the block that spent a deposit: its request is told if it goes by it, else the
/// deposit is one beside the request's own, as before.
pub(super) async fn give_back(
    step: &mut Step<'_>,
    row: &DepositRow,
    event: RequestEvent,
) -> anyhow::Result<()> {
    if is_own(step, row).await? {
        step.tell_request(row.request, event).await?;
    } else {
        let (deposit, now) = (row.deposit.outpoint, step.now());
        let code = row.code.unwrap_or(ReclaimCode::DuplicateDeposit);
        step.tx
            .set_deposit_state(&deposit, DepositState::Reclaimable, Some(code), now)
            .await?;
    }
    Ok(())
}

/// Whether a deposit is the one that its request goes by.
async fn is_own(step: &mut Step<'_>, row: &DepositRow) -> anyhow::Result<bool> {
    let request = step
        .tx
        .request(&row.request)
        .await?
        .context("a deposit without its request")?;
    Ok(request.state.deposit() == Some(row.deposit.outpoint))
}
