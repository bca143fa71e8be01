//! Requests made again from receipts: what the chain cannot say of them, their users can.
//!
//! A receipt is forgeable, for it commits to nothing but itself. So it makes a request only where
//! the chain shows a deposit of it: spent by a settlement that was adopted, or unspent in a block.
//! What is known is never changed. The caller has compared the receipt with this bridge and its
//! rosters ([`grail_api::Receipt::check_for`]).

use bitcoin::{OutPoint, Script, Transaction};
use grail_api::CheckedReceipt;
use grail_chain::{ChainError, View};
use grail_charms::PrevTx;
use grail_flow::{
    BlockRef, Deposit, RequestEvent, SettlementId, SettlementState, deposit_deadline_height,
    sweep_end_height,
};
use grail_store::{Created, NewEvent, NewRequest, SettlementItem, StoreError, Subject};
use grail_types::RequestId;

use crate::{
    backend::Backend,
    roles::scan::{adopt, deposits::deposit_at},
    step::Step,
};

/// Name of the event that tells of a request made again.
const RESTORED: &str = "restored";

/// Why a receipt makes no request.
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// No settlement has spent a deposit of it, and no unspent one was shown.
    #[error(
        "expected a deposit at the receipt's address, spent by a settlement or unspent in a block"
    )]
    NoDeposit,
    /// Rows and node are at different blocks, or between two: soon they are not.
    #[error("the chain is being read; try again")]
    Moving,
    /// The node does not answer.
    #[error(transparent)]
    Node(#[from] ChainError),
    /// Of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else.
    #[error(transparent)]
    Other(anyhow::Error),
}

impl From<anyhow::Error> for NotRestored {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<ChainError>() {
            Ok(error) => Self::Node(error),
            Err(error) => Self::Other(error),
        }
    }
}

/// A deposit that the chain shows.
struct Shown {
    transaction: Transaction,
    deposit: Deposit,
    block: BlockRef,
    /// The settlement that has spent it, and what it pays.
    settled: Option<(SettlementId, SettlementItem)>,
}

/// Makes the request of a receipt again. `deposit` is where its deposit is said to be.
///
/// # Errors
/// [`NotRestored`]; nothing has changed then.
pub async fn restore(
    backend: &Backend,
    receipt: &CheckedReceipt,
    deposit: Option<OutPoint>,
) -> Result<Created, NotRestored> {
    let id = receipt.request();
    let mut reader = backend.store.read().await?;
    if let Some(known) = reader.request(&id).await? {
        return Ok(Created::Existing(known));
    }
    let last = reader.last_block().await?.ok_or(NotRestored::Moving)?;
    drop(reader);
    let mut shown = settled(backend, receipt).await?;
    if shown.is_empty()
        && let Some(deposit) = deposit
    {
        shown.extend(unspent(backend, deposit, receipt.script_pubkey(), last).await?);
    }
    let Some(newest) = shown.iter().map(|shown| shown.block.height).max() else {
        return Err(NotRestored::NoDeposit);
    };
    let mut step = Step::begin(backend).await?;
    // What was shown was true of these blocks.
    if step.tx.last_block().await? != Some(last) {
        return Err(NotRestored::Moving);
    }
    let new = NewRequest {
        terms: receipt.terms(),
        roster: receipt.roster(),
        deposit_script: receipt.script_pubkey(),
        // Whether it came in time is not known any more; the margin before the reclaim decides. A
        // new request's own, so that a reorg does not make it late.
        deadline_height: deposit_deadline_height(backend.params(), newest.max(last.height)),
        idempotency: None,
        now: step.now(),
    };
    if let Some(known) = step.tx.request(&id).await? {
        return Ok(Created::Existing(known));
    }
    step.tx.create_request(&new).await?;
    let body = serde_json::json!({ "to": grail_flow::RequestState::start().name() });
    let event = NewEvent {
        subject: Subject::Request(id),
        kind: RESTORED,
        body: &body,
        now: step.now(),
    };
    step.tx.append_event(&event).await?;
    for shown in &shown {
        // One in a block that is still to be read is found there.
        if shown.block.height <= last.height {
            take(&mut step, receipt, shown).await?;
        }
    }
    let request = step.tx.request(&id).await?;
    let request = request.ok_or(StoreError::NotFound { what: "request" })?;
    step.commit().await?;
    let state = request.state.name();
    tracing::info!(request = %id, state, "request made again from its receipt");
    Ok(Created::New(request))
}

/// Deposits of it that adopted settlements have spent, and that lie at its address: a commitment
/// alone can be anybody's.
async fn settled(backend: &Backend, receipt: &CheckedReceipt) -> Result<Vec<Shown>, NotRestored> {
    let mut reader = backend.store.read().await?;
    let items = reader.unclaimed_items(&receipt.request()).await?;
    let mut spent = Vec::with_capacity(items.len());
    for (id, item) in items {
        let settlement = reader.settlement(id).await?;
        let transaction = reader.unsigned_transaction(id).await?;
        if let (Some(settlement), Some(transaction)) = (settlement, transaction) {
            spent.push((settlement, transaction, item));
        }
    }
    drop(reader);
    let mut shown = Vec::with_capacity(spent.len());
    for (settlement, transaction, item) in spent {
        // One that a reorg took out of its block has spent nothing for now.
        let block = settlement.block.ok_or(NotRestored::Moving)?;
        let made = adopt::deposit_of(backend, &transaction, block, item.deposit).await?;
        let settled = Some((settlement.id, item));
        let (outpoint, script) = (item.deposit, receipt.script_pubkey());
        shown.extend(Shown::of(
            backend,
            made.transaction,
            made.block,
            outpoint,
            script,
            settled,
        ));
    }
    Ok(shown)
}

/// An output at the address that the node has unspent in a block, seen from where rows are.
async fn unspent(
    backend: &Backend,
    outpoint: OutPoint,
    script: &Script,
    last: BlockRef,
) -> Result<Option<Shown>, NotRestored> {
    let found = backend
        .node
        .call(move |chain| {
            // What the node has spent in blocks that were read here is no deposit, so it must not
            // be behind them, nor on another branch.
            if chain.block_hash(last.height)? != Some(last.hash) {
                return Err(NotRestored::Moving);
            }
            let tip = chain.tip()?;
            let Some(status) = chain.tx_out(&outpoint, View::Confirmed)? else {
                return Ok(None);
            };
            if status.best_block != tip.hash {
                return Err(NotRestored::Moving);
            }
            let Some(above) = status.confirmations.checked_sub(1) else {
                return Ok(None);
            };
            let height = tip.height.checked_sub(above).ok_or(NotRestored::Moving)?;
            let hash = chain.block_hash(height)?.ok_or(NotRestored::Moving)?;
            let transaction = chain.tx_in_block(&outpoint.txid, &hash)?;
            let transaction = transaction.ok_or(NotRestored::Moving)?;
            Ok(Some((transaction, BlockRef { height, hash })))
        })
        .await?;
    Ok(found.and_then(|(transaction, block)| {
        Shown::of(backend, transaction, block, outpoint, script, None)
    }))
}

impl Shown {
    /// None when the output is not at the address.
    fn of(
        backend: &Backend,
        transaction: Transaction,
        block: BlockRef,
        outpoint: OutPoint,
        script: &Script,
        settled: Option<(SettlementId, SettlementItem)>,
    ) -> Option<Self> {
        let read = PrevTx::read_committed(&transaction, backend.mock());
        let is_at_address = read.output(outpoint.vout)?.script_pubkey.as_script() == script;
        let deposit = deposit_at(backend, &read, outpoint.vout)?;
        (is_at_address && read.txid() == outpoint.txid).then_some(Self {
            transaction,
            deposit,
            block,
            settled,
        })
    }
}

/// Records a deposit and what became of it, as if it had been seen in its block.
async fn take(step: &mut Step<'_>, receipt: &CheckedReceipt, shown: &Shown) -> anyhow::Result<()> {
    let id = receipt.request();
    step.tx.put_transaction(&shown.transaction).await?;
    adopt::record(step, &id, shown.deposit, shown.block).await?;
    let deposit = shown.deposit.outpoint;
    let Some((settlement, item)) = shown.settled else {
        return end_sweep(step, receipt, shown).await;
    };
    step.tx.claim_item(settlement, &item).await?;
    let included = RequestEvent::Included {
        settlement,
        deposit,
    };
    step.tell_request(id, included).await?;
    let row = step.tx.settlement(settlement).await?;
    if row.is_some_and(|row| matches!(row.state, SettlementState::Final { .. })) {
        let confirmed = RequestEvent::SettlementConfirmed {
            settlement,
            deposit,
        };
        step.tell_request(id, confirmed).await?;
    }
    Ok(())
}

/// Too close to its reclaim it is no longer settled, as the next block would say.
async fn end_sweep(
    step: &mut Step<'_>,
    receipt: &CheckedReceipt,
    shown: &Shown,
) -> anyhow::Result<()> {
    let id: RequestId = receipt.request();
    let delay = receipt.terms().reclaim_delay;
    let (height, origin) = (shown.block.height, shown.deposit.origin);
    let end = sweep_end_height(step.params(), height, delay, origin);
    if step.tip_height() >= end {
        let deposit = shown.deposit.outpoint;
        step.tell_request(id, RequestEvent::TooCloseToReclaim { deposit })
            .await?;
    }
    Ok(())
}
