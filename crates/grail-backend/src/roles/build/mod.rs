//! Role *build*: ready requests to a settlement draft.

pub(crate) mod fee_cap;
pub(crate) mod former;
mod merge;
mod parents;
pub mod replace;
mod rest;
mod room;
mod rotation;
mod sponsored;
mod turns;

use anyhow::{Context, ensure};
use bitcoin::{
    Amount, FeeRate, OutPoint, Transaction, TxOut, Txid, Weight,
    secp256k1::{All, Secp256k1},
};
use grail_bridge_contract::RosterState;
use grail_chain::View;
use grail_charms::{PrevTx, roster_state};
use grail_flow::{
    Alarm, DepositCharms, RequestEvent, RequestState, SettlementId, SettlementStage, confirmations,
    confirmations_needed,
};
use grail_spell::{NormalizedSpell, nft_app};
use grail_store::{NewSettlement, Reader, Request, SettlementItem, StoreError};
use grail_txbuild::{
    Coin, Deposit, LeftOut, LeftOutReason, PlanError, SettlementPlan, SettlementRequest,
};
use grail_types::{BoundExceeded, BoundedVec, Bridge, Epoch, Governance, Network, Params, Roster};
use grail_wire::{Action, Proposal, ShownRoster};
use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use crate::{
    alarm, backend::Backend, clock, draft::Draft, roles::lane, rosters::Rosters, rotations,
    step::Step,
};
pub(crate) use parents::deficit;
use turns::Turns;

/// Blocks within which a settlement should be mined.
const FEE_TARGET_BLOCKS: u16 = 6;
/// Longest sleep without a hint.
const BUILD_POLL: Duration = Duration::from_secs(1);
/// Rows of settlements that wait for a block, read at a time: more than nodes relay in one chain.
const WAITING_MAX: u32 = 1_000;
/// Pause after an empty plan or a settlement that was refused: the reason is still there.
const HOLD_SECONDS: u64 = 15;

/// Runs the role until something fails that a restart may heal.
pub async fn run(backend: &Backend) -> anyhow::Result<()> {
    let mut hold_until = 0;
    loop {
        if clock::now() >= hold_until {
            match build_once(backend).await? {
                Built::Draft | Built::Outdated => continue,
                Built::Nothing => {}
                Built::Hold => hold_until = clock::now().saturating_add(HOLD_SECONDS),
            }
        }
        let _ = tokio::time::timeout(BUILD_POLL, backend.hints.build.notified()).await;
    }
}

/// Outcome of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    /// A draft was created.
    Draft,
    /// What a plan was made from changed meanwhile: look again.
    Outdated,
    /// Nothing to do, or not yet.
    Nothing,
    /// Something is in the way that will not go away at once.
    Hold,
}

/// The newest unspent roster NFT with all that a settlement needs of it.
struct Tip {
    /// The largest settlement that nodes relay on top of those that wait for a block.
    weight_max: Weight,
    roster: Roster,
    /// The former roster whose deposits are settled, if it is not those of `roster`.
    former: Option<Roster>,
    governance: Governance,
    nft: Coin,
    /// Blocks that the NFT's coin has: none while it is in no block.
    nft_confirmations: u32,
    state: RosterState,
    vault: Option<Coin>,
    transaction: Transaction,
}

/// What a settlement has to pay.
#[derive(Clone, Copy)]
struct Price {
    fee_rate: FeeRate,
    /// What those under it pay too little by.
    deficit: Amount,
}

/// Looks once whether a settlement can be built, or what waits be replaced, and drafts it.
pub async fn build_once(backend: &Backend) -> anyhow::Result<Built> {
    build_at(backend, clock::now()).await
}

/// The same as of a time, unix seconds: what waits has waited until then.
pub async fn build_at(backend: &Backend, now: u64) -> anyhow::Result<Built> {
    let mut reader = backend.store.read().await?;
    // While something is that cannot be, nothing new is begun; nor while a person asks for that.
    if reader.open_alarms().await?.stop > 0 || reader.pause().await?.is_some() {
        return Ok(Built::Hold);
    }
    let rosters = backend.rosters(&mut reader).await?;
    let newest = rosters.newest();
    let (expected, got) = (newest.params_hash(), backend.protocol().hash());
    if got != expected {
        if rotations::protocol_of(backend, &mut reader, expected)
            .await?
            .is_some()
        {
            backend.stop_for_other_parameters();
            return Ok(Built::Hold);
        }
        drop(reader);
        let alarm = Alarm::ParamsUnknown { expected, got };
        let mut tx = backend.store.begin().await?;
        let now = tx.now(clock::now());
        alarm::raise(&mut tx, &alarm, now).await?;
        tx.commit().await?;
        return Ok(Built::Hold);
    }
    // Whoever waits for a block comes before whoever waits for a settlement.
    if let Some(built) = replace::look(backend, &rosters, now).await? {
        return Ok(built);
    }
    if let Some(built) = rotation::look(backend, &rosters, now).await? {
        return Ok(built);
    }
    if let Some(built) = merge::look(backend, &rosters, now).await? {
        return Ok(built);
    }
    // Deposits of a former roster have settlements of their own: should its signers fall silent, it
    // is these alone that come to nothing.
    let mut holders = former::due(backend, &rosters, &mut reader, now).await?;
    holders.push(newest.roster());
    if reader.is_newest_settlement_former().await? {
        // Turn and turn about.
        holders.rotate_right(1);
    }
    drop(reader);
    let mut outcome = Built::Nothing;
    for holder in holders {
        match settle(backend, &rosters, holder).await? {
            built @ (Built::Draft | Built::Outdated) => return Ok(built),
            Built::Hold => outcome = Built::Hold,
            Built::Nothing => {}
        }
    }
    Ok(outcome)
}

/// Drafts a settlement of deposits that are `holder`'s: of the newest roster, or of a former one.
async fn settle(backend: &Backend, rosters: &Rosters, holder: &Roster) -> anyhow::Result<Built> {
    let mut reader = backend.store.read().await?;
    let epoch = holder.epoch();
    if !reader.is_anybody_ready(epoch).await? {
        return Ok(Built::Nothing);
    }
    // What was refused for a limit passes with blocks, and would be refused again before.
    let height = reader.last_block().await?.map_or(0, |block| block.height);
    if backend.limited_at.load(Relaxed) == height {
        return Ok(Built::Hold);
    }
    // Settlements spend each other's outputs, and nodes relay only so long a chain without a block.
    let unconfirmed = reader.unconfirmed_settlement_count().await?;
    if unconfirmed >= u64::from(backend.params().settlements_unconfirmed_max) {
        return Ok(Built::Nothing);
    }
    let Some(mut tip) = tip(backend, rosters, &mut reader).await? else {
        return Ok(Built::Nothing);
    };
    tip.former = (epoch < tip.roster.epoch()).then(|| holder.clone());
    drop(reader);
    let Some(fee_rate) = fee_rate(backend).await? else {
        tracing::warn!("no fee rate to be had: no settlement");
        return Ok(Built::Hold);
    };
    // Whom today's rate shuts out stands in nobody's way; and those who have waited for lower fees
    // for as long as they do are told.
    let anybody_waits = fee_cap::note_shut_out(backend, epoch, fee_rate).await?;
    let mut turns = Turns::new(backend, holder, fee_rate);
    let mut batch = turns.first().await?;
    if !is_due(backend, &batch) {
        let nobody = batch.is_empty() && anybody_waits;
        return Ok(if nobody { Built::Hold } else { Built::Nothing });
    }
    let deficit = parents::deficit(backend, fee_rate).await?;
    let price = Price { fee_rate, deficit };
    // What cannot be planned must not stand in the way of what can: those after it get their turn
    // in the same look.
    while !batch.is_empty() {
        if tip.former.is_some() && former::give_back(backend, &batch).await? > 0 {
            return Ok(Built::Outdated);
        }
        let (planned, previous) = plan(backend, &tip, batch.clone(), price).await?;
        let left_out = match planned {
            Ok(plan) => {
                fee_cap::note(backend, &plan.left_out).await?;
                if waits_for_a_block(tip.nft_confirmations, &plan.left_out) {
                    return Ok(Built::Hold);
                }
                return draft(backend, &tip, &plan, &previous).await;
            }
            Err(PlanError::Nothing { left_out }) => left_out,
            Err(error) => return Err(error.into()),
        };
        for left in &left_out {
            tracing::warn!(request = %left.request, reason = left.reason.code(), "left out");
        }
        fee_cap::note(backend, &left_out).await?;
        // The contract keeps vault and supply equal, so this is no matter of waiting.
        let short: Vec<_> = left_out
            .iter()
            .filter(|left| left.reason == LeftOutReason::VaultShort)
            .map(|left| left.request)
            .collect();
        if !short.is_empty() {
            let alarm = Alarm::VaultShort { requests: short };
            let mut tx = backend.store.begin().await?;
            let now = tx.now(clock::now());
            alarm::raise(&mut tx, &alarm, now).await?;
            tx.commit().await?;
            return Ok(Built::Hold);
        }
        batch = turns.next(&batch, &left_out).await?;
    }
    Ok(Built::Hold)
}

/// Whether to go on only once a block holds the NFT's coin. The outflow falls with the age of a
/// coin in a block, and a chain of unconfirmed ones has none: whoever waits for it to fall would
/// wait for ever behind such a chain.
fn waits_for_a_block(nft_confirmations: u32, left_out: &[LeftOut]) -> bool {
    let is_limited = |left: &LeftOut| left.reason == LeftOutReason::OutflowLimit;
    nft_confirmations == 0 && left_out.iter().any(is_limited)
}

/// Plans a settlement of a batch, away from the threads that serve everybody: signed weights and
/// spells of hundreds of requests are counted in many milliseconds.
async fn plan(
    backend: &Backend,
    tip: &Tip,
    batch: Vec<Request>,
    price: Price,
) -> anyhow::Result<(
    Result<SettlementPlan, PlanError>,
    BTreeMap<Txid, Transaction>,
)> {
    let mut reader = backend.store.read().await?;
    let (materials, previous) = Materials::gather(backend, &mut reader, tip, batch).await?;
    drop(reader);
    let planned = tokio::task::spawn_blocking(move || materials.plan(price)).await?;
    Ok((planned, previous))
}

/// All that a plan is made of but its price. Owned, so that it can go to another thread.
struct Materials {
    bridge: Bridge,
    params: Params,
    roster: Roster,
    former: Option<Roster>,
    governance: Governance,
    state: RosterState,
    nft: Coin,
    nft_confirmations: u32,
    vault: Option<Coin>,
    deposits: Vec<Deposit>,
    weight_max: Weight,
    proof_bytes: usize,
    prover_fee: Option<TxOut>,
    secp: Secp256k1<All>,
}

impl Materials {
    /// For a settlement of these requests on the tip, with the transactions that it spends from.
    async fn gather(
        backend: &Backend,
        reader: &mut Reader,
        tip: &Tip,
        requests: Vec<Request>,
    ) -> anyhow::Result<(Self, BTreeMap<Txid, Transaction>)> {
        let (deposits, mut previous) = deposits(backend, reader, requests).await?;
        previous.insert(tip.transaction.compute_txid(), tip.transaction.clone());
        let materials = Self {
            bridge: *backend.bridge(),
            params: backend.params().clone(),
            roster: tip.roster.clone(),
            former: tip.former.clone(),
            governance: tip.governance.clone(),
            state: tip.state.clone(),
            nft: tip.nft.clone(),
            nft_confirmations: tip.nft_confirmations,
            vault: tip.vault.clone(),
            deposits,
            weight_max: tip.weight_max,
            proof_bytes: backend.prover.proof_bytes(),
            prover_fee: backend.prover.fee_output_max(),
            secp: backend.secp.clone(),
        };
        Ok((materials, previous))
    }

    fn plan(&self, price: Price) -> Result<SettlementPlan, PlanError> {
        let request = SettlementRequest {
            bridge: &self.bridge,
            params: &self.params,
            roster: &self.roster,
            former: self.former.as_ref(),
            governance: &self.governance,
            state: &self.state,
            nft: self.nft.clone(),
            nft_confirmations: self.nft_confirmations,
            vault: self.vault.clone(),
            deposits: self.deposits.clone(),
            fee_rate: price.fee_rate,
            deficit: price.deficit,
            proof_bytes: self.proof_bytes,
            prover_fee: self.prover_fee.clone(),
        };
        request.plan_within(&self.secp, self.weight_max)
    }
}

/// Requests wait for company: the oldest long enough, or as many as fit.
fn is_due(backend: &Backend, ready: &[Request]) -> bool {
    let full = usize::from(backend.params().roster_inputs_max).saturating_sub(2);
    let patience_ends = ready
        .iter()
        .map(|request| request.updated_at)
        .min()
        .unwrap_or(u64::MAX);
    ready.len() >= full
        || patience_ends.saturating_add(backend.config.batch_seconds) <= clock::now()
}

/// The NFT's output to build on: the chain's, moved on by the settlements of these rows that
/// descend from it without a gap. None while one of them is on its way, since only what is
/// published can be built on.
async fn nft_to_build_on(
    backend: &Backend,
    reader: &mut Reader,
) -> anyhow::Result<Option<OutPoint>> {
    let nft = chain_nft(backend, reader).await?;
    // What stands by is to take the place of all that it could be built on.
    if reader.replacement_of(&nft).await?.is_some() {
        return Ok(None);
    }
    let holders = lane::holders(reader, nft).await?;
    ensure!(
        holders.len() < lane::HOLDERS_MAX,
        "more than {} settlements in the rows descend from the chain's NFT",
        lane::HOLDERS_MAX
    );
    if !holders
        .iter()
        .all(|holder| holder.state.stage().is_published())
    {
        return Ok(None);
    }
    let newest = holders.last().map_or(Some(nft), |holder| holder.nft_output);
    Ok(newest)
}

/// The newest output of the NFT that is published: what the network has, wherever the settlements
/// stand that are on their way there.
pub(crate) async fn published_nft(
    backend: &Backend,
    reader: &mut Reader,
) -> Result<OutPoint, StoreError> {
    let nft = chain_nft(backend, reader).await?;
    let holders = lane::holders(reader, nft).await?;
    let published = holders.iter().map_while(|holder| {
        let is_published = holder.state.stage().is_published();
        holder.nft_output.filter(|_| is_published)
    });
    Ok(published.last().unwrap_or(nft))
}

/// The NFT's unspent output by the chain. In no block yet: then the deployment is on its way.
async fn chain_nft(backend: &Backend, reader: &mut Reader) -> Result<OutPoint, StoreError> {
    let chain = reader.vault_totals().await?.nft;
    Ok(chain.unwrap_or_else(|| backend.deployment_nft()))
}

/// The NFT to build on, with all that a settlement needs of it. None also when the node does not
/// know it as unspent: it is ahead of the rows, and what was built now would be paid for in vain,
/// or it has yet to see what is published.
async fn tip(
    backend: &Backend,
    rosters: &Rosters,
    reader: &mut Reader,
) -> anyhow::Result<Option<Tip>> {
    let Some(nft) = nft_to_build_on(backend, reader).await? else {
        return Ok(None);
    };
    let unspent = backend
        .node
        .call(move |chain| chain.tx_out(&nft, View::WithMempool))
        .await?;
    if unspent.is_none() {
        return Ok(None);
    }
    let waiting = waiting(reader, nft.txid).await?;
    let left = backend.node.call(move |chain| room::left(chain, &waiting));
    let Some(weight_max) = left.await? else {
        return Ok(None);
    };
    tip_at(backend, rosters, reader, (nft, weight_max)).await
}

/// This output of the NFT, with all that a settlement needs of it; none when it is not of the
/// newest epoch.
async fn tip_at(
    backend: &Backend,
    rosters: &Rosters,
    reader: &mut Reader,
    (nft, weight_max): (OutPoint, Weight),
) -> anyhow::Result<Option<Tip>> {
    let transaction = reader
        .transaction(&nft.txid)
        .await?
        .context("the NFT's transaction is not stored")?;
    let read = PrevTx::read_committed(&transaction, backend.mock());
    let state = roster_state(&read.charms_at(nft.vout), &nft_app(&backend.bridge().app))?
        .context("the NFT's output does not carry the NFT")?;
    let newest = rosters.newest();
    if Epoch(state.epoch) != newest.epoch() {
        return Ok(None);
    }
    let coin = |vout: u32| {
        let output = read.output(vout)?.clone();
        Some(Coin {
            outpoint: OutPoint::new(nft.txid, vout),
            output,
        })
    };
    let nft_coin = coin(nft.vout).context("the NFT's output does not exist")?;
    // A settlement's own vault output comes after the NFT's, if it has one. Stray coins at the
    // vault are left alone.
    let vault = coin(1).filter(|coin| {
        coin.output.script_pubkey == newest.vault().script_pubkey && read.charms_at(1).is_empty()
    });
    // What only waits in the mempool has no age.
    let in_block = backend
        .node
        .call(move |chain| chain.tx_out(&nft, View::Confirmed))
        .await?;
    Ok(Some(Tip {
        weight_max,
        roster: newest.roster().clone(),
        former: None,
        governance: newest.governance().clone(),
        nft: nft_coin,
        nft_confirmations: in_block.map_or(0, |status| status.confirmations),
        state,
        vault,
        transaction,
    }))
}

/// The settlements that are published and in no block, oldest first, up to the one to build on.
async fn waiting(reader: &mut Reader, newest: Txid) -> anyhow::Result<Vec<Txid>> {
    let published = reader
        .settlements_in_state(SettlementStage::Broadcast, 0, WAITING_MAX)
        .await?;
    let mut waiting: Vec<Txid> = published.iter().filter_map(|row| row.txid).collect();
    // Adopted rows may have come in another order.
    if let Some(index) = waiting.iter().position(|txid| *txid == newest) {
        let newest = waiting.remove(index);
        waiting.push(newest);
    }
    Ok(waiting)
}

/// The node's estimate, never below what its mempool takes. Regtest has no fee market to estimate,
/// so there the lowest rate stands in; anywhere else no estimate means no settlement, for users
/// would pay for a guess.
pub(crate) async fn fee_rate(backend: &Backend) -> anyhow::Result<Option<FeeRate>> {
    let (estimate, floor) = backend
        .node
        .call(|chain| {
            Ok::<_, grail_chain::ChainError>((
                chain.estimate_fee_rate(FEE_TARGET_BLOCKS)?,
                chain.mempool_min_fee_rate()?,
            ))
        })
        .await?;
    Ok(clamped(
        backend.bridge().network,
        backend.params(),
        estimate,
        floor,
    ))
}

fn clamped(
    network: Network,
    params: &Params,
    estimate: Option<FeeRate>,
    floor: FeeRate,
) -> Option<FeeRate> {
    let estimate = match (estimate, network) {
        (Some(rate), _) => Some(rate),
        (None, Network::Regtest) => Some(params.fee_rate_min),
        (None, _) => None,
    };
    estimate.map(|rate| {
        rate.max(floor)
            .clamp(params.fee_rate_min, params.fee_rate_max)
    })
}

/// The deposits of ready requests. One without the confirmations that it needs by now (a row of
/// before coinbases were told apart) is passed over: a settlement with it could not be mined.
async fn deposits(
    backend: &Backend,
    reader: &mut Reader,
    ready: Vec<Request>,
) -> anyhow::Result<(Vec<Deposit>, BTreeMap<Txid, Transaction>)> {
    let tip_height = reader.last_block().await?.map_or(0, |block| block.height);
    let mut deposits = Vec::with_capacity(ready.len());
    let mut previous = BTreeMap::new();
    for request in ready {
        let outpoint = request
            .state
            .deposit()
            .context("a ready request without a deposit")?;
        let row = reader
            .deposit(&outpoint)
            .await?
            .context("a ready request whose deposit is not stored")?;
        let confirmed = row
            .block
            .map_or(0, |block| confirmations(tip_height, block.height));
        if confirmed < confirmations_needed(backend.params(), row.deposit.origin) {
            continue;
        }
        let transaction = reader
            .transaction(&outpoint.txid)
            .await?
            .context("a deposit whose transaction is not stored")?;
        let vout = usize::try_from(outpoint.vout)?;
        let output = transaction
            .output
            .get(vout)
            .context("a deposit that does not exist")?
            .clone();
        ensure!(
            output.script_pubkey == request.deposit_script,
            "a deposit at another script"
        );
        deposits.push(Deposit {
            terms: request.terms,
            coin: Coin { outpoint, output },
            token: match row.deposit.charms {
                DepositCharms::ZkBtc(amount) => amount.to_sat(),
                DepositCharms::None | DepositCharms::Other => 0,
            },
            previous_bytes: transaction.base_size(),
        });
        previous.insert(outpoint.txid, transaction);
    }
    Ok((deposits, previous))
}

async fn draft(
    backend: &Backend,
    tip: &Tip,
    plan: &SettlementPlan,
    previous: &BTreeMap<Txid, Transaction>,
) -> anyhow::Result<Built> {
    let draft = encode_draft(backend, tip, ToPropose::settlement(plan)?, previous)?;
    let items = items_of(plan);
    let mut step = Step::begin(backend).await?;
    let Some(id) = put_into_lane(backend, &mut step, tip, &draft, &items).await? else {
        return Ok(Built::Outdated);
    };
    step.commit().await?;
    tracing::info!(
        settlement = id.0,
        requests = items.len(),
        fee_sat = plan.fee.to_sat(),
        surcharge_sat = plan.surcharge.to_sat(),
        "settlement drafted"
    );
    Ok(Built::Draft)
}

/// Makes a draft of the tip a settlement to be proven, and tells those whose deposits it spends.
/// `None`, and nothing is written, where what it was planned from is not so any more.
async fn put_into_lane(
    backend: &Backend,
    step: &mut Step<'_>,
    tip: &Tip,
    draft: &[u8],
    items: &[SettlementItem],
) -> anyhow::Result<Option<SettlementId>> {
    if !is_current(backend, step, tip, items).await? {
        return Ok(None);
    }
    let new = NewSettlement {
        epoch: tip.roster.epoch(),
        nft_input: tip.nft.outpoint,
        draft,
        items,
        now: step.now(),
    };
    let id = step.tx.create_settlement(&new).await?;
    note_former(step, id, tip).await?;
    for item in items {
        let included = RequestEvent::Included {
            settlement: id,
            deposit: item.deposit,
        };
        step.tell_request(item.request, included).await?;
    }
    step.enqueue_proving(id).await?;
    Ok(Some(id))
}

/// Notes whose answers a settlement needs beside those of the roster of now.
async fn note_former(step: &mut Step<'_>, id: SettlementId, tip: &Tip) -> Result<(), StoreError> {
    match &tip.former {
        Some(former) => step.tx.note_former_settlement(id, former.epoch()).await,
        None => Ok(()),
    }
}

/// What a plan has that is to be proven and asked for.
struct ToPropose<'a> {
    transaction: &'a Transaction,
    spell: &'a NormalizedSpell,
    action: Action,
}

impl<'a> ToPropose<'a> {
    fn settlement(plan: &'a SettlementPlan) -> Result<Self, BoundExceeded> {
        let requests = BoundedVec::new(plan.requests.clone())?;
        let former = plan.former.clone().map(ShownRoster);
        Ok(Self {
            transaction: &plan.transaction,
            spell: &plan.spell,
            action: Action::Settlement(grail_wire::SettlementRequest { requests, former }),
        })
    }
}

/// What is to be proven, as rows keep it.
fn encode_draft(
    backend: &Backend,
    tip: &Tip,
    planned: ToPropose<'_>,
    previous: &BTreeMap<Txid, Transaction>,
) -> anyhow::Result<Vec<u8>> {
    let needed: std::collections::BTreeSet<_> = planned
        .transaction
        .input
        .iter()
        .map(|input| input.previous_output.txid)
        .collect();
    let proposal = Proposal::new(
        tip.roster.epoch(),
        backend.params().clone(),
        tip.governance.clone(),
        planned.transaction.clone(),
        needed.iter().filter_map(|txid| previous.get(txid)),
        planned.action,
    )?;
    let draft = Draft {
        proposal,
        spell: planned.spell.clone(),
    };
    Ok(draft.encode()?)
}

fn items_of(plan: &SettlementPlan) -> Vec<SettlementItem> {
    let items = plan.items.iter().map(|item| SettlementItem {
        request: item.request,
        deposit: item.deposit,
        amount_out: item.amount_out,
        fee_share: item.fee_share,
    });
    items.collect()
}

/// Whether what the plan was made from is still so. Between reading and this step blocks may have
/// come or gone.
async fn is_current(
    backend: &Backend,
    step: &mut Step<'_>,
    tip: &Tip,
    items: &[SettlementItem],
) -> anyhow::Result<bool> {
    if step.tx.pause().await?.is_some() {
        return Ok(false);
    }
    if nft_to_build_on(backend, &mut step.tx).await? != Some(tip.nft.outpoint) {
        return Ok(false);
    }
    for item in items {
        let ready = RequestState::Ready {
            deposit: item.deposit,
        };
        let request = step.tx.request(&item.request).await?;
        if request.is_none_or(|request| request.state != ready) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_types::{ImagesHash, RequestId};

    use super::*;

    fn params(network: Network) -> Params {
        Params::preset(network, ImagesHash([1; 32]))
    }

    #[test]
    fn who_waits_for_the_outflow_is_not_kept_waiting_by_unconfirmed_ones() {
        let left = |reason| LeftOut {
            request: RequestId([1; 32]),
            reason,
        };
        let limited = [
            left(LeftOutReason::BatchFull),
            left(LeftOutReason::OutflowLimit),
        ];
        assert!(waits_for_a_block(0, &limited));
        assert!(!waits_for_a_block(1, &limited));
        assert!(!waits_for_a_block(0, &limited[..1]));
        assert!(!waits_for_a_block(0, &[]));
    }

    #[test]
    fn without_an_estimate_there_is_no_fee_rate_but_on_regtest() {
        let floor = FeeRate::from_sat_per_kwu(250);
        for network in Network::ALL {
            let params = params(network);
            let expected = (network == Network::Regtest).then_some(params.fee_rate_min);
            assert_eq!(
                clamped(network, &params, None, floor),
                expected,
                "{network}"
            );
        }
    }

    #[test]
    fn the_fee_rate_is_the_estimate_within_floor_and_clamp() {
        let network = Network::Mainnet;
        let params = params(network);
        let rate = FeeRate::from_sat_per_kwu;
        let (least, most) = (params.fee_rate_min, params.fee_rate_max);
        for (estimate, floor, expected) in [
            (rate(5_000), rate(250), rate(5_000)),
            // What the mempool takes counts when it is more.
            (rate(5_000), rate(5_001), rate(5_001)),
            (rate(0), rate(0), least),
            (least, rate(0), least),
            (most, rate(250), most),
            (rate(most.to_sat_per_kwu() + 1), rate(250), most),
            (rate(5_000), FeeRate::MAX, most),
        ] {
            let got = clamped(network, &params, Some(estimate), floor);
            assert_eq!(got, Some(expected));
        }
    }
}
