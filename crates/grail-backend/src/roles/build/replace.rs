//! Replacing what waits for a block by one settlement that pays more (ADR 17): what waits, by the
//! rows and the node; who goes over; the draft that stands by.
//!
//! What it costs and whether it is worth it, [`grail_flow::replacement`] says.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use anyhow::Context;
use bitcoin::{Amount, FeeRate, OutPoint, Transaction, Txid};
use grail_chain::{ChainError, MempoolKin, RejectReason, Verdict, View};
use grail_flow::{
    Alarm, AlarmCode, AlarmSubject, RequestState, SettlementEvent, SettlementStage,
    replacement::{
        Bid, Bundle, Decision, Lane, Market, Planned, WaitReason, Waiting, cause, decide,
    },
};
use grail_store::{
    NewSettlement, QueueCursor, Reader, Replaces, Request, Settlement, SettlementItem, StoreError,
    Tried,
};
use grail_txbuild::{PlanError, SettlementPlan};

use super::{
    Built, Materials, Price, Tip, ToPropose, chain_nft, encode_draft, fee_rate, former, items_of,
    note_former, tip_at,
};
use crate::{
    backend::Backend,
    roles::{lane, publish::common_tip},
    rosters::Rosters,
    step::Step,
    sweep,
};

/// Ready requests that a replacement takes along at most: more than one settlement holds.
const ALONG_MAX: u32 = 200;

/// Looks whether what waits for a block is to be replaced, and drafts what replaces it. `now` in
/// unix seconds. None when the lane is free to be built on.
pub async fn look(backend: &Backend, rosters: &Rosters, now: u64) -> anyhow::Result<Option<Built>> {
    let mut reader = backend.store.read().await?;
    let nft = chain_nft(backend, &mut reader).await?;
    let holders = lane::holders(&mut reader, nft).await?;
    let stands_by = reader.replacement_of(&nft).await?;
    if let Some(stands_by) = &stands_by
        && stands_by.state.stage() != SettlementStage::Signed
    {
        return Ok(Some(Built::Nothing));
    }
    if holders.is_empty() && stands_by.is_none() {
        return Ok(None);
    }
    // What is not signed yet may still be called off, or ends by its deadline.
    if holders
        .iter()
        .any(|holder| holder.state.stage().is_unsigned())
    {
        return Ok(None);
    }
    let Some(tip) = common_tip(backend).await? else {
        return Ok(None);
    };
    let tried = reader.replacements_tried(&nft).await?;
    let is_refused = match &stands_by {
        None => false,
        Some(_) if tried.newest_height >= Some(tip.height) => return Ok(Some(Built::Nothing)),
        Some(stands_by) => is_refused(backend, &mut reader, stands_by).await?,
    };
    if stands_by.is_some() && !is_refused {
        return Ok(Some(Built::Nothing));
    }
    // Those that it was to replace may be gone by now, and it alone is in the way.
    let Some(oldest) = holders.first().cloned() else {
        let_go(backend, stands_by.as_ref()).await?;
        return Ok(None);
    };
    let seen = See {
        nft,
        oldest,
        stands_by,
        holders: holders.clone(),
        tried,
        height: tip.height,
    };
    let rivals = reader.signed_rivals(&nft).await?;
    let waiting = waiting(backend, &mut reader, &holders, (tip.height, now)).await?;
    drop(reader);
    let (Some(market), Some(strangers)) = (
        market(backend, tip.height).await?,
        strangers(backend, &holders).await?,
    ) else {
        return Ok(None);
    };
    let view = Lane {
        waiting: &waiting,
        is_dropped: strangers.is_oldest_gone,
        strangers: strangers.of_others,
        rivals: &rivals,
        begun: seen.tried.count,
        begun_at: seen.tried.newest_height,
    };
    let outcome = match decide(&view, &market, backend.params()) {
        Decision::Keep => Ok(None),
        Decision::Wait(reason) => Err(reason),
        Decision::Replace(_) if strangers.is_nft_spent => Err(WaitReason::Foreign),
        Decision::Replace(bid) => try_to_replace(backend, rosters, &seen, &bid).await?,
    };
    if let Ok(Some(built)) = outcome {
        return Ok(Some(built));
    }
    let_go(backend, seen.stands_by.as_ref()).await?;
    if let (Err(reason), Some(cause)) = (outcome, cause(&view, &market)) {
        let settlement = seen.oldest.id;
        let alarm = Alarm::LaneOutbid {
            settlement,
            cause,
            reason,
        };
        tell(backend, &alarm).await?;
    }
    Ok(None)
}

/// Once in a block, since plans take time and would come to the same: none when it was tried.
async fn try_to_replace(
    backend: &Backend,
    rosters: &Rosters,
    seen: &See,
    bid: &Bid,
) -> anyhow::Result<Result<Option<Built>, WaitReason>> {
    if backend.unreplaceable_at.load(Relaxed) == seen.height {
        return Ok(Ok(None));
    }
    let outcome = replace(backend, rosters, seen, bid).await?;
    if outcome.is_err() {
        backend.unreplaceable_at.store(seen.height, Relaxed);
    }
    Ok(outcome.map(Some))
}

/// What waits, as it was read.
struct See {
    nft: OutPoint,
    oldest: Settlement,
    holders: Vec<Settlement>,
    /// A signed one that the node does not take.
    stands_by: Option<Settlement>,
    tried: Tried,
    height: u32,
}

impl See {
    /// Whether rows still say so.
    async fn is_current(&self, backend: &Backend, step: &mut Step<'_>) -> anyhow::Result<bool> {
        let states = |rows: &[Settlement]| -> Vec<_> {
            rows.iter().map(|row| (row.id, row.state)).collect()
        };
        let holders = lane::holders(&mut step.tx, self.nft).await?;
        let stands_by = step.tx.replacement_of(&self.nft).await?;
        Ok(chain_nft(backend, &mut step.tx).await? == self.nft
            && states(&holders) == states(&self.holders)
            && stands_by.map(|row| row.id) == self.stands_by.as_ref().map(|row| row.id))
    }
}

/// Ends the one that stands by and that the node does not take, so that the lane goes on. It is
/// signed, so a block may hold it all the same: then it comes back.
async fn let_go(backend: &Backend, stands_by: Option<&Settlement>) -> Result<(), StoreError> {
    if let Some(stands_by) = stands_by {
        let mut step = Step::begin(backend).await?;
        step.tell_settlement(stands_by.id, SettlementEvent::Replaced)
            .await?;
        step.commit().await?;
    }
    Ok(())
}

/// Whether the node refuses a signed settlement for what it would replace, or for its fee. It was
/// planned to be enough: somebody has added to the others meanwhile.
async fn is_refused(
    backend: &Backend,
    reader: &mut Reader,
    settlement: &Settlement,
) -> anyhow::Result<bool> {
    let signed = reader.signed_transaction(settlement.id).await?;
    let signed = signed.context("a signed settlement without its transaction")?;
    let tested = backend
        .node
        .call(move |chain| chain.test_mempool_accept(&[signed]))
        .await?;
    let verdict = tested.into_iter().next().map(|tested| tested.verdict);
    Ok(matches!(
        verdict,
        Some(Verdict::Rejected {
            reason: RejectReason::Conflict | RejectReason::FeeTooLow,
            ..
        })
    ))
}

async fn market(backend: &Backend, tip_height: u32) -> anyhow::Result<Option<Market>> {
    let Some(target) = fee_rate(backend).await? else {
        return Ok(None);
    };
    let floor: FeeRate = backend
        .node
        .call(|chain| chain.mempool_min_fee_rate())
        .await?;
    Ok(Some(Market {
        target,
        floor,
        tip_height,
    }))
}

/// Signed settlements as they wait, as of a tip's height and a time, unix seconds.
pub(super) async fn waiting(
    backend: &Backend,
    reader: &mut Reader,
    holders: &[Settlement],
    (height, now): (u32, u64),
) -> anyhow::Result<Vec<Waiting>> {
    let mut waiting = Vec::with_capacity(holders.len());
    for holder in holders {
        let is_late = sweep::any_late(backend.params(), reader, holder.id, height).await?;
        let (fee, vsize) = holder.fee.zip(holder.vsize).context("signed without fee")?;
        waiting.push(Waiting {
            bundle: Bundle { fee, vsize },
            age: now.saturating_sub(holder.stage_since),
            is_late,
        });
    }
    Ok(waiting)
}

/// What others have built on those that wait.
pub(super) struct Strangers {
    pub(super) of_others: Bundle,
    /// The oldest is not in the node's mempool.
    is_oldest_gone: bool,
    /// Something spends the newest NFT that is no settlement of the rows.
    is_nft_spent: bool,
}

/// None when the lane moved while the node was asked.
pub(super) async fn strangers(
    backend: &Backend,
    holders: &[Settlement],
) -> anyhow::Result<Option<Strangers>> {
    let txids: Vec<Txid> = holders.iter().filter_map(|holder| holder.txid).collect();
    let newest = holders.last().and_then(|holder| holder.nft_output);
    let (kin, nft) = backend
        .node
        .call(move |chain| {
            let kin: Result<Vec<_>, _> = txids.iter().map(|txid| chain.mempool_kin(txid)).collect();
            let nft = newest.map(|nft| chain.tx_out(&nft, View::WithMempool));
            Ok::<_, ChainError>((kin?, nft.transpose()?.flatten()))
        })
        .await?;
    let is_newest_there = kin.last().is_some_and(Option::is_some);
    let present = holders.iter().zip(&kin).filter(|(_, kin)| kin.is_some());
    let ours = present
        .filter_map(|(holder, _)| holder.fee.zip(holder.vsize))
        .map(|(fee, vsize)| Bundle { fee, vsize })
        .fold(Bundle::default(), Bundle::with);
    let all = kin.first().copied().flatten().map_or(ours, descendants);
    let of_others = Bundle {
        fee: all.fee.checked_sub(ours.fee).unwrap_or(Amount::ZERO),
        vsize: all.vsize.saturating_sub(ours.vsize),
    };
    Ok(Some(Strangers {
        of_others,
        is_oldest_gone: kin.first().is_some_and(Option::is_none),
        is_nft_spent: is_newest_there && nft.is_none(),
    }))
}

const fn descendants(kin: MempoolKin) -> Bundle {
    Bundle {
        fee: kin.descendants_fee,
        vsize: kin.descendants_vsize,
    }
}

/// Drafts the replacement; or why there is none.
async fn replace(
    backend: &Backend,
    rosters: &Rosters,
    seen: &See,
    bid: &Bid,
) -> anyhow::Result<Result<Built, WaitReason>> {
    let mut reader = backend.store.read().await?;
    let weight_max = backend.params().settlement_weight_max;
    let at = (seen.nft, weight_max);
    let Some(mut tip) = tip_at(backend, rosters, &mut reader, at).await? else {
        return Ok(Err(WaitReason::Foreign));
    };
    let Some(mut over) = goes_over(backend, &mut reader, seen).await? else {
        return Ok(Err(WaitReason::Foreign));
    };
    // What nobody is served by is planned anew.
    over.retain(|it| !it.terms.kind.is_sponsor());
    // Deposits of a former roster go over by themselves or not at all: beside others they would
    // have these wait for its signers. Those that are left out are planned anew.
    tip.former = former::holder_of_all(&over, rosters).cloned();
    // One of those who were taken along may have spoiled the one before.
    if !seen.tried.has_failed && tip.former.is_none() {
        let from = QueueCursor::default();
        let epoch = tip.roster.epoch();
        let (mut ready, _) = reader.queue(epoch, bid.rate, from, ALONG_MAX).await?;
        over.append(&mut ready);
    }
    let holder = tip.former.as_ref().unwrap_or(&tip.roster);
    over.retain(|it| it.roster == *holder);
    let (plan, previous) = match plan(backend, &tip, (over, reader), bid).await? {
        Ok(planned) => planned,
        Err(reason) => return Ok(Err(reason)),
    };
    let draft = encode_draft(backend, &tip, ToPropose::settlement(&plan)?, &previous)?;
    let items = items_of(&plan);
    let mut step = Step::begin(backend).await?;
    if !seen.is_current(backend, &mut step).await?
        || !are_free(&mut step, &seen.holders, &items).await?
    {
        return Ok(Ok(Built::Outdated));
    }
    if let Some(refused) = &seen.stands_by {
        step.tell_settlement(refused.id, SettlementEvent::Replaced)
            .await?;
    }
    let new = NewSettlement {
        epoch: tip.roster.epoch(),
        nft_input: seen.nft,
        draft: &draft,
        items: &items,
        now: step.now(),
    };
    let replaces = Replaces {
        settlement: seen.oldest.id,
        height: seen.height,
    };
    let id = step.tx.create_replacement(&new, replaces).await?;
    note_former(&mut step, id, &tip).await?;
    step.enqueue_proving(id).await?;
    step.commit().await?;
    tracing::warn!(
        settlement = id.0,
        replaces = seen.oldest.id.0,
        count = seen.holders.len(),
        cause = bid.cause.name(),
        requests = items.len(),
        fee_sat = plan.fee.to_sat(),
        "replacement drafted"
    );
    Ok(Ok(Built::Draft))
}

/// Requests of those that wait, in order, without those that are too close to their reclaim. None
/// when not all are known: what pays the others cannot be made again.
async fn goes_over(
    backend: &Backend,
    reader: &mut Reader,
    seen: &See,
) -> anyhow::Result<Option<Vec<Request>>> {
    let mut over = Vec::new();
    for holder in &seen.holders {
        let known = reader.known_items(holder.id).await?;
        if known.len() < reader.settlement_items(holder.id).await?.len() {
            return Ok(None);
        }
        for item in known {
            let ends = sweep::ends(backend.params(), reader, &item).await?;
            if ends.is_none_or(|ends| seen.height >= ends.sweep_end) {
                continue;
            }
            let request = reader.request(&item.request).await?;
            let settling = RequestState::Settling {
                deposit: item.deposit,
                settlement: holder.id,
            };
            over.extend(request.filter(|request| request.state == settling));
        }
    }
    Ok(Some(over))
}

type Plan = (SettlementPlan, BTreeMap<Txid, Transaction>);

/// Plans at rising rates until nodes would take it, away from the threads that serve everybody.
async fn plan(
    backend: &Backend,
    tip: &Tip,
    (over, mut reader): (Vec<Request>, Reader),
    bid: &Bid,
) -> anyhow::Result<Result<Plan, WaitReason>> {
    let (materials, previous) = Materials::gather(backend, &mut reader, tip, over).await?;
    drop(reader);
    let prover_fee = materials.prover_fee.as_ref();
    let for_prover = prover_fee.map_or(Amount::ZERO, |output| output.value);
    let bid = *bid;
    let planned = tokio::task::spawn_blocking(move || {
        let at_rate = |fee_rate| {
            // What it spends is in a block.
            let deficit = Amount::ZERO;
            match materials.plan(Price { fee_rate, deficit }) {
                Ok(plan) => Ok(Some(plan)),
                Err(PlanError::Nothing { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        bid.settle(at_rate, |plan| Planned {
            fee: plan.fee.checked_sub(for_prover).unwrap_or(Amount::ZERO),
            weight: plan.weight,
        })
    })
    .await??;
    Ok(planned.map(|plan| (plan, previous)))
}

/// Whether all that are to be paid are those who wait, or ready.
async fn are_free(
    step: &mut Step<'_>,
    holders: &[Settlement],
    items: &[SettlementItem],
) -> Result<bool, StoreError> {
    for item in items {
        let deposit = item.deposit;
        let is_free = match step.tx.request(&item.request).await?.map(|row| row.state) {
            Some(RequestState::Ready { deposit: own }) => own == deposit,
            Some(RequestState::Settling {
                deposit: own,
                settlement,
            }) => own == deposit && holders.iter().any(|holder| holder.id == settlement),
            Some(
                RequestState::AwaitingDeposit {}
                | RequestState::Unconfirmed { .. }
                | RequestState::Paid { .. }
                | RequestState::Reclaimable { .. }
                | RequestState::Reclaimed { .. }
                | RequestState::Taken { .. }
                | RequestState::Expired {},
            )
            | None => false,
        };
        if !is_free {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells a person, once: while the alarm is open nothing new is known.
async fn tell(backend: &Backend, alarm: &Alarm) -> Result<(), StoreError> {
    let mut step = Step::begin(backend).await?;
    let subject = AlarmSubject::Bridge;
    let open = step.tx.open_alarm(AlarmCode::LaneOutbid, &subject).await?;
    if open.is_none() {
        step.raise(alarm).await?;
        step.commit().await?;
    }
    Ok(())
}
