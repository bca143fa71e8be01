//! Role *publish*: hands signed settlements to the network. Doing so again is harmless (I6).

use anyhow::{Context, anyhow};
use bitcoin::Transaction;
use grail_chain::{SendError, View};
use grail_flow::{
    Alarm, BlockRef, SettlementEvent, SettlementId, SettlementStage, SettlementState,
};
use grail_store::{Reader, StoreError};

use crate::{
    backend::Backend,
    step::Step,
    sweep,
    work::{JobError, JobOutcome, nothing_to_do, settlement_at},
};

/// Publishes a settlement, or finds out why it cannot be.
pub async fn publish(backend: &Backend, id: SettlementId) -> JobOutcome<'_> {
    let mut reader = backend.store.read().await?;
    // Also one that was published before: the mempool may have lost it.
    let signed = [SettlementStage::Signed, SettlementStage::Broadcast];
    if settlement_at(&mut reader, id, &signed).await?.is_none() {
        return nothing_to_do(backend).await;
    }
    let transaction = reader
        .signed_transaction(id)
        .await?
        .context("the settlement is not signed")?;
    let tip_height = reader.last_block().await?.map_or(0, |block| block.height);
    let params = backend.params();
    if sweep::any_reclaimable(params, &mut reader, id, tip_height).await? {
        return nothing_to_do(backend).await;
    }
    drop(reader);
    let sent = transaction.clone();
    let outcome = backend.node.call(move |chain| chain.send(&sent)).await;
    let mut step = Step::begin(backend).await?;
    match outcome {
        Ok(_) | Err(SendError::AlreadyInMempool | SendError::AlreadyConfirmed) => {
            step.take_place(id, SettlementEvent::NodeAccepted).await?;
            Ok(step)
        }
        // The one verdict about the transaction itself: no other node, and no block, makes it
        // valid.
        Err(SendError::ScriptInvalid { reason }) => {
            let alarm = Alarm::SettlementRejected {
                settlement: id,
                words: reason,
            };
            step.raise(&alarm).await?;
            step.tell_settlement(id, SettlementEvent::NodeRejected)
                .await?;
            Ok(step)
        }
        Err(SendError::MissingInputs { reason }) => {
            drop(step);
            find_the_missing(backend, id, &transaction)
                .await?
                .ok_or_else(|| JobError::Retry(anyhow!(reason)))
        }
        Err(SendError::Rejected { code, reason }) => {
            // It is signed, so other nodes may have it mined: it is not given up for words that
            // nobody here understands.
            let alarm = Alarm::UnknownRejection {
                settlement: id,
                words: format!("{reason} (code {code})"),
            };
            step.raise(&alarm).await?;
            Err(JobError::RetryWith(Box::new(step), anyhow!("{alarm}")))
        }
        Err(error @ SendError::FeeTooLow { .. }) => {
            drop(step);
            with_its_child(backend, id, (transaction, tip_height), error).await
        }
        Err(
            error @ (SendError::Conflict { .. } | SendError::TooEarly { .. } | SendError::Chain(_)),
        ) => Err(JobError::Retry(error.into())),
    }
}

/// Publishes a settlement that pays too little alone together with the one that builds on it
/// (ADR 25). `alone`: what the node said to it. Whatever it says to both but yes, is no verdict on
/// either: each of them gets its own when it is handed over alone.
async fn with_its_child(
    backend: &Backend,
    id: SettlementId,
    (parent, tip_height): (Transaction, u32),
    alone: SendError,
) -> JobOutcome<'_> {
    let mut reader = backend.store.read().await?;
    let Some(child) = signed_child(backend, &mut reader, id, tip_height).await? else {
        return Err(JobError::Retry(alone.into()));
    };
    let signed = reader.signed_transaction(child).await?;
    let signed = signed.context("a signed settlement without its transaction")?;
    drop(reader);
    let sent = backend
        .node
        .call(move |chain| chain.send_package(&parent, &signed))
        .await;
    match sent {
        Ok(_) => {
            let mut step = Step::begin(backend).await?;
            step.take_place(id, SettlementEvent::NodeAccepted).await?;
            // It is there already, as its own job will find.
            step.enqueue_publish(child).await?;
            Ok(step)
        }
        Err(SendError::Rejected { code, reason }) => {
            let alarm = Alarm::UnknownRejection {
                settlement: id,
                words: format!("with its child: {reason} (code {code})"),
            };
            let mut step = Step::begin(backend).await?;
            step.raise(&alarm).await?;
            Err(JobError::RetryWith(Box::new(step), anyhow!("{alarm}")))
        }
        Err(_) => Err(JobError::Retry(alone.into())),
    }
}

/// The settlement that builds on this one, if it may be handed to the network.
async fn signed_child(
    backend: &Backend,
    reader: &mut Reader,
    parent: SettlementId,
    tip_height: u32,
) -> Result<Option<SettlementId>, StoreError> {
    let row = reader.settlement(parent).await?;
    let Some(nft) = row.and_then(|row| row.nft_output) else {
        return Ok(None);
    };
    let child = reader.settlement_spending_nft(&nft).await?;
    let published = |state| {
        matches!(
            state,
            SettlementState::Signed {} | SettlementState::Broadcast {}
        )
    };
    let Some(child) = child.filter(|child| published(child.state)) else {
        return Ok(None);
    };
    // Its users' reclaims are not to be outbid by what is fed to mempools, by no way.
    let params = backend.params();
    let is_reclaimable = sweep::any_reclaimable(params, reader, child.id, tip_height).await?;
    Ok((!is_reclaimable).then_some(child.id))
}

/// Which input is missing, and whether it can come back. Unknown is not invalid: only a spend in
/// the chain ends a settlement, and only a node that has seen what the rows have can tell.
pub async fn find_the_missing<'a>(
    backend: &'a Backend,
    id: SettlementId,
    transaction: &Transaction,
) -> Result<Option<Step<'a>>, JobError<'a>> {
    let seen_before = common_tip(backend).await?;
    // Whatever comes of it, what can come back is handed to the node again: blocks that come faster
    // than they are read must not keep a deposit away.
    let verdict = look_for_the_missing(backend, transaction).await?;
    if verdict != Missing::ForGood || seen_before.is_none() {
        return Ok(None);
    }
    // A block that came meanwhile may have changed every answer.
    if common_tip(backend).await? == seen_before {
        return conflict(backend, id).await.map(Some);
    }
    Ok(None)
}

/// What became of a settlement's inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// One of them is spent, or can never be made.
    ForGood,
    /// Whatever is missing may come back.
    ForNow,
}

/// The newest block, if node and rows have the same. One that has not seen the rows' newest block
/// takes what that made for missing; rows that have not seen the node's learn from it first.
pub async fn common_tip(backend: &Backend) -> anyhow::Result<Option<BlockRef>> {
    let taken = backend.store.read().await?.last_block().await?;
    let tip = backend.node.call(|chain| chain.tip()).await?;
    Ok(taken.filter(|taken| *taken == tip))
}

async fn look_for_the_missing(
    backend: &Backend,
    transaction: &Transaction,
) -> anyhow::Result<Missing> {
    for input in &transaction.input {
        let outpoint = input.previous_output;
        let unspent = backend
            .node
            .call(move |chain| chain.tx_out(&outpoint, View::WithMempool))
            .await?;
        if unspent.is_some() {
            continue;
        }
        let mut reader = backend.store.read().await?;
        if let Some(parent) = reader.settlement_by_txid(&outpoint.txid).await?
            && matches!(
                parent.state,
                SettlementState::Signed {} | SettlementState::Broadcast {}
            )
        {
            drop(reader);
            // The settlement that this one builds on is not there yet: it goes first.
            let mut step = Step::begin(backend).await?;
            step.enqueue_publish(parent.id).await?;
            step.commit().await?;
            return Ok(Missing::ForNow);
        }
        let row = reader.deposit(&outpoint).await?;
        let parent = reader.transaction(&outpoint.txid).await?;
        // Neither a deposit nor a settlement's: the NFT and the vault of the deployment or of a
        // rotation, which a reorg can take out of its block.
        let is_mined = match row {
            Some(row) => row.block.is_some(),
            None => reader.vault_output_block(&outpoint).await?.is_some(),
        };
        drop(reader);
        if is_mined {
            // Its transaction is in the chain and the output is not: something else spent it. If
            // that is only in the mempool, the node says conflict and not missing.
            let confirmed = backend
                .node
                .call(move |chain| chain.tx_out(&outpoint, View::Confirmed))
                .await?;
            if confirmed.is_none() {
                return Ok(Missing::ForGood);
            }
            continue;
        }
        let Some(parent) = parent else { continue };
        // A coinbase goes with its block, and no node relays it. Should the block come back with a
        // settlement that spends it, the chain revives that.
        if parent.is_coinbase() {
            return Ok(Missing::ForGood);
        }
        match backend.node.call(move |chain| chain.send(&parent)).await {
            Ok(_) | Err(SendError::AlreadyInMempool | SendError::AlreadyConfirmed) => {
                return Ok(Missing::ForNow);
            }
            // The deposit's own inputs are spent by something else, or unknown to the node. Should
            // it be mined after all, the chain revives the settlement.
            Err(SendError::MissingInputs { .. }) => return Ok(Missing::ForGood),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Missing::ForNow)
}

async fn conflict(backend: &Backend, id: SettlementId) -> JobOutcome<'_> {
    let mut step = Step::begin(backend).await?;
    step.tell_settlement(id, SettlementEvent::ConflictFound)
        .await?;
    Ok(step)
}
