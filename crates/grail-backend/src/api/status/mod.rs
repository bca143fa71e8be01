//! Whether a request made now would be served: the one place that decides it, for new requests,
//! for `/v1/status`, and for whoever asks before paying.
//!
//! Owns the limits of time beyond which waiting is no longer usual. Trusts rows and the node. Never
//! tells the inside: counts, heights and times, no names and no texts of errors; and what whoever
//! pauses the bridge writes for its users.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Json, extract::State};
use bitcoin::{FeeRate, XOnlyPublicKey};
use grail_api::{BridgeStatus, ServingState, StatusCode, StatusReason};
use grail_flow::{SettlementStage, confirmations};
use grail_store::{OpenAlarms, Reader, VaultTotals};
use grail_types::{Params, Roster};

use super::{
    Api,
    answer::Answer,
    node_view::NodeView,
    outflow::{Leaving, leaving},
};
use crate::{
    backend::Backend,
    clock, operators,
    roles::{lane, last_resort},
    rosters::NotIssuing,
};

/// Blocks behind the node that are nothing to worry about.
const LAG_BLOCKS_USUAL: u32 = 2;
/// Blocks that we may be behind the node and still hand out addresses: further back a deposit and
/// its deadline would be misjudged.
const LAG_BLOCKS_MAX: u32 = 6;
/// Evidence counts for so long: everybody is challenged every ten minutes, and may miss one.
const HEARD_SECONDS: u64 = 25 * 60;
/// Longest usual wait for a proof.
const PROOF_SECONDS_USUAL: u64 = 10 * 60;
/// Wait after which something is broken.
const PROOF_SECONDS_MAX: u64 = 60 * 60;
/// Proofs may take so many times what the last ones took, if that is longer.
const PROOF_TIMES_USUAL: u64 = 3;
const PROOF_TIMES_MAX: u64 = 10;
/// What asking a quorum and sending takes, about.
const SIGNING_SECONDS: u64 = 10;
/// What a block takes, about.
const BLOCK_SECONDS: u64 = 600;

pub(super) async fn status(State(api): State<Arc<Api>>) -> Answer<Json<BridgeStatus>> {
    let status = api.bridge_status().await?;
    Ok(Json((*status).clone()))
}

impl Api {
    /// The bridge's status, fresh enough. That it is paused is not taken from memory: it may be
    /// over.
    pub(super) async fn bridge_status(&self) -> Answer<Arc<BridgeStatus>> {
        let known = self.status.get(look(self)).await;
        match &known {
            Ok(status) if status.state != ServingState::Paused && !self.is_paused().await? => known,
            _ => self.status.look_again(look(self)).await,
        }
    }

    /// Whether it is paused by hand, which holds from the moment that somebody asks for it.
    async fn is_paused(&self) -> Answer<bool> {
        let mut reader = self.backend.store.read().await?;
        Ok(reader.pause().await?.is_some())
    }
}

/// What is known of the bridge.
#[derive(Clone)]
struct Facts {
    now: u64,
    node: Result<NodeView, &'static str>,
    height: u32,
    /// Why it is paused by hand.
    paused: Option<String>,
    alarms: OpenAlarms,
    totals: VaultTotals,
    /// Blocks since the NFT's coin was made.
    nft_age: u32,
    issuing: Result<(), NotIssuing>,
    epoch: u64,
    operators: u16,
    operators_heard: u16,
    threshold: u16,
    ready: (u64, Option<u64>),
    unconfirmed: u64,
    /// For how long the oldest settlement has stood at each stage, seconds.
    lane: BTreeMap<SettlementStage, u64>,
    proof_waiting_since: Option<u64>,
    /// What a proof takes, seconds.
    proof_seconds: u64,
    /// What may leave; none while that cannot be said.
    leaving: Option<Leaving>,
}

async fn look(api: &Api) -> Answer<Arc<BridgeStatus>> {
    let backend = &api.backend;
    let node = api.node.view(backend).await;
    let now = clock::now();
    let ages = lane::ages(backend, now).await?;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let roster = rosters.newest().roster();
    let block = reader.last_block().await?;
    let height = block.map_or(backend.deployment.start_height, |block| block.height);
    let issuing = rosters.issuing(
        reader.nft_epoch().await?,
        backend.protocol().hash(),
        // What was read, not what the node has: only that is known to hold the rotation.
        height,
        backend.params().settlement_confirmations,
    );
    let heard = heard(backend, &mut reader, roster, now).await?;
    let estimate = reader.proof_estimate_ms(backend.prover.kind()).await?;
    let facts = Facts {
        now,
        node,
        height,
        paused: (reader.pause().await?).map(|pause| pause.reason.unwrap_or_default()),
        alarms: reader.open_alarms().await?,
        totals: reader.vault_totals().await?,
        nft_age: (reader.nft_block().await?).map_or(0, |made| confirmations(height, made.height)),
        issuing: issuing.map(|_| ()),
        epoch: roster.epoch().0,
        operators: count(roster.signers().len()),
        operators_heard: count(heard.len()),
        threshold: roster.threshold().0,
        ready: reader.ready_backlog().await?,
        unconfirmed: reader.unconfirmed_settlement_count().await?,
        lane: ages,
        proof_waiting_since: reader.proof_waiting_since().await?,
        proof_seconds: estimate.unwrap_or(0) / 1_000,
        leaving: leaving(backend, &mut reader).await?,
    };
    Ok(Arc::new(
        facts.status(backend.params(), backend.config.batch_seconds),
    ))
}

fn count(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Signers of a roster whose newest evidence, shown to us, to another process or to the deployment,
/// is young.
async fn heard(
    backend: &Backend,
    reader: &mut Reader,
    roster: &Roster,
    now: u64,
) -> Answer<BTreeSet<XOnlyPublicKey>> {
    let is_young = |attested_at: u64| now.saturating_sub(attested_at) <= HEARD_SECONDS;
    let known = backend.operators.known();
    let records = known.iter().chain(&backend.deployment.signers);
    let young = records.filter(|record| is_young(record.attested_at));
    let mut heard: BTreeSet<_> = young.map(|record| record.public_key).collect();
    heard.retain(|signer| roster.signers().contains(signer));
    for signer in roster.signers() {
        if !heard.contains(signer)
            && let Some(record) = operators::recorded(reader, signer).await?
            && is_young(record.attested_at)
        {
            heard.insert(*signer);
        }
    }
    Ok(heard)
}

impl Facts {
    fn status(&self, params: &Params, batch_seconds: u64) -> BridgeStatus {
        let mut reasons = self.reasons(params);
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.code.state()));
        let (state, retry_after) = BridgeStatus::state_of(&reasons);
        let node = self.node.as_ref().ok();
        let (ready_requests, ready_since) = self.ready;
        let expected = self.expected_wait(params).saturating_add(batch_seconds);
        BridgeStatus {
            state,
            reasons,
            expected_wait_seconds: Some(expected).filter(|_| state != ServingState::Paused),
            retry_after,
            ready_requests,
            oldest_ready_seconds: ready_since.map(|since| self.now.saturating_sub(since)),
            unconfirmed_settlements: self.unconfirmed,
            epoch: self.epoch,
            operators_heard: self.operators_heard,
            operators: self.operators,
            threshold: self.threshold,
            height: self.height,
            node_height: node.map(|view| view.tip.height),
            deposit_confirmations: params.deposit_confirmations,
            settlement_confirmations: params.settlement_confirmations,
            fee_rate_sat_per_kvb: node
                .and_then(|view| view.fee_rate)
                .map(|rate| FeeRate::to_sat_per_kwu(rate).saturating_mul(4)),
            outflow: self.leaving.as_ref().map(Leaving::shown),
        }
    }

    fn reasons(&self, params: &Params) -> Vec<StatusReason> {
        let mut reasons = Vec::new();
        let mut say = |code, detail: String| reasons.push(StatusReason::new(code, detail));
        if let Some(reason) = &self.paused {
            say(StatusCode::PausedByHand, reason.clone());
        }
        let OpenAlarms { stop, look } = self.alarms;
        if stop > 0 {
            say(
                StatusCode::AlarmOpen,
                format!("{stop} alarms are open that stop work"),
            );
        }
        if look > 0 {
            say(
                StatusCode::AlarmToSee,
                format!("{look} alarms are open to look at"),
            );
        }
        let (heard, all) = (self.operators_heard, self.operators);
        if heard < all {
            let code = if heard < self.threshold {
                StatusCode::QuorumAway
            } else {
                StatusCode::OperatorsAway
            };
            let needed = self.threshold;
            say(
                code,
                format!("{heard} of {all} operators were heard of lately, {needed} must agree"),
            );
        }
        match &self.node {
            Err(code) => say(StatusCode::NodeAway, (*code).to_owned()),
            Ok(view) => {
                let behind = view.tip.height.saturating_sub(self.height);
                let detail = format!("{behind} blocks behind the node");
                if behind > LAG_BLOCKS_MAX {
                    say(StatusCode::ScanBehind, detail);
                } else if behind > LAG_BLOCKS_USUAL {
                    say(StatusCode::ScanLagging, detail);
                }
                if view.fee_rate.is_none() {
                    say(StatusCode::NoFeeRate, "the node has no estimate".to_owned());
                }
            }
        }
        if let Err(reason) = self.issuing {
            say(StatusCode::RosterUnsettled, reason.to_string());
        }
        if self.totals.vault < self.totals.supply {
            say(
                StatusCode::ReservesShort,
                "the vault holds less than exists".to_owned(),
            );
        }
        if self.nft_age >= last_resort::NEAR {
            let detail = format!("nothing was settled for {} blocks", self.nft_age);
            say(StatusCode::LastResortNear, detail);
        }
        self.waits(&mut say);
        self.queue(params, &mut say);
        reasons.extend(self.leaving.and_then(|leaving| leaving.is_shut(params)));
        reasons
    }

    /// What has waited for longer than usual.
    fn waits(&self, say: &mut impl FnMut(StatusCode, String)) {
        let age = |since: Option<u64>| since.map_or(0, |since| self.now.saturating_sub(since));
        let limit = |least: u64, times: u64| least.max(self.proof_seconds.saturating_mul(times));
        let proof = age(self.proof_waiting_since);
        let detail = format!("a proof is waited for since {proof} s");
        if proof > limit(PROOF_SECONDS_MAX, PROOF_TIMES_MAX) {
            say(StatusCode::ProverAway, detail);
        } else if proof > limit(PROOF_SECONDS_USUAL, PROOF_TIMES_USUAL) {
            say(StatusCode::ProverSlow, detail);
        }
        let stands_over = |limit: fn(SettlementStage) -> Option<u64>| {
            let mut ages = self.lane.iter();
            ages.any(|(stage, age)| limit(*stage).is_some_and(|limit| *age > limit))
        };
        // One that is in the network waits for a block, which is nobody's fault.
        let is_stuck = stands_over(|it| lane::deadline(it).filter(|_| !it.is_published()));
        let is_slow = stands_over(lane::usual);
        let oldest = self.lane.values().max().copied().unwrap_or(0);
        let detail = format!("a settlement has stood where it is for {oldest} s");
        if is_stuck {
            say(StatusCode::LaneStuck, detail);
        } else if is_slow {
            say(StatusCode::LaneSlow, detail);
        }
    }

    fn queue(&self, params: &Params, say: &mut impl FnMut(StatusCode, String)) {
        if self.is_lane_full(params) {
            let count = self.unconfirmed;
            say(
                StatusCode::LaneFull,
                format!("{count} settlements wait for a block"),
            );
        }
        let (ready, _) = self.ready;
        let most = per_settlement(params);
        if ready > most {
            let detail = format!("{ready} requests are ready, a settlement holds {most} at most");
            say(StatusCode::QueueLong, detail);
        }
    }

    fn is_lane_full(&self, params: &Params) -> bool {
        let most = params.settlements_unconfirmed_max;
        self.unconfirmed >= u64::from(most)
    }

    /// From a confirmed deposit to its settlement in the network, but for the wait for company,
    /// seconds.
    fn expected_wait(&self, params: &Params) -> u64 {
        let (ready, _) = self.ready;
        let before = ready.checked_div(per_settlement(params)).unwrap_or(0);
        let each = self.proof_seconds.saturating_add(SIGNING_SECONDS);
        let block = if self.is_lane_full(params) {
            BLOCK_SECONDS
        } else {
            0
        };
        each.saturating_mul(before.saturating_add(1))
            .saturating_add(block)
    }
}

/// Requests of one settlement at most: NFT and vault are inputs too.
fn per_settlement(params: &Params) -> u64 {
    u64::from(params.roster_inputs_max).saturating_sub(2).max(1)
}

#[cfg(test)]
mod tests;
