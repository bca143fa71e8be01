//! `/metrics`: Prometheus' text format. Labels come from closed lists alone.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use grail_api::{BridgeStatus, ServingState, StatusCode};
use grail_flow::{AlarmCode, RequestStage, SettlementStage, Severity};
use grail_store::{OpenAlarms, ProofState, ProofTotals, StoredCode};
use grail_wire::FaultCode;

use super::{
    Api,
    answer::Answer,
    metric::{self, Metric},
    view::former_requests,
};
use crate::{
    backend::Backend,
    clock,
    operators::Brake,
    roles::{lane, retain::Gone},
};

/// Media type of the format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Sums over everything that there ever was: what they cost grows with it, so they are made once in
/// a while.
pub(super) struct Sums {
    requests: Vec<(String, u64)>,
    settlements: Vec<(String, u64)>,
    proofs: ProofTotals,
    alarms: Vec<(StoredCode, u64)>,
}

impl Sums {
    async fn read(backend: &Backend) -> Answer<Arc<Self>> {
        let mut reader = backend.store.read().await?;
        Ok(Arc::new(Self {
            requests: reader.request_counts().await?,
            settlements: reader.settlement_counts().await?,
            proofs: reader.proof_totals().await?,
            alarms: reader.alarm_totals().await?,
        }))
    }
}

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Answer<Response> {
    let backend = &api.backend;
    let sums = api.sums.get(Sums::read(backend)).await?;
    let Sums {
        requests,
        settlements,
        proofs,
        alarms: alarm_totals,
    } = &*sums;
    let mut reader = backend.store.read().await?;
    let block = reader.last_block().await?;
    let open_alarms = reader.open_alarms().await?;
    let open_by_code = reader.open_alarms_by_code().await?;
    let totals = reader.vault_totals().await?;
    let (ready, ready_since) = reader.ready_backlog().await?;
    let waiting_since = reader.proof_waiting_since().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let roster = rosters.newest().roster();
    let epoch = roster.epoch();
    let mut brakes = backend.operators.brakes();
    brakes.retain(|signer, _| roster.position(signer).is_some());
    let brakes: Vec<_> = brakes.into_values().map(|brake| brake.code).collect();
    let former = former_requests(&mut reader, epoch).await?;
    drop(reader);
    let view = api.node.view(backend).await.ok();
    let roles = backend.health.roles();
    let status = api.bridge_status().await?;
    let now = clock::now();
    let ages = lane::ages(backend, now).await?;
    let age = |since: Option<u64>| since.map_or(0, |since| now.saturating_sub(since));

    let mut text = Text::default();
    text.head(&metric::REQUESTS);
    text.by_state(
        &metric::REQUESTS,
        names(RequestStage::ALL, RequestStage::name),
        requests,
    );
    text.head(&metric::SETTLEMENTS);
    text.by_state(
        &metric::SETTLEMENTS,
        names(SettlementStage::ALL, SettlementStage::name),
        settlements,
    );
    if let Some(view) = view {
        text.value(&metric::NODE_TIP, view.tip.height.into());
    }
    if let Some(block) = block {
        text.value(&metric::SCANNED, block.height.into());
    }
    text.value(&metric::READY, 1);
    text.value(&metric::NODE_UP, u64::from(view.is_some()));
    text.value(
        &metric::OPERATORS,
        u64::try_from(backend.operators.count()).unwrap_or(u64::MAX),
    );
    text.value(&metric::EPOCH, epoch.0);
    text.value(&metric::FORMER_REQUESTS, former);
    text.alarms(open_alarms);
    text.by_code(&metric::ALARMS_OPEN_BY_CODE, &open_by_code);
    text.by_code(&metric::ALARMS_SEEN, alarm_totals);
    text.brakes(&brakes);
    text.value(&metric::SUPPLY, totals.supply.to_sat());
    text.value(&metric::VAULT, totals.vault.to_sat());
    text.value(&metric::DONATIONS, totals.donations.to_sat());
    text.value(&metric::FORMER_VAULTS, totals.former.to_sat());
    text.value(&metric::READY_REQUESTS, ready);
    text.value(&metric::OLDEST_READY_REQUEST, age(ready_since));
    text.status(&status);
    text.lane(&ages);
    text.proofs(proofs);
    text.value(&metric::OLDEST_QUEUED_PROOF, age(waiting_since));
    text.head(&metric::REMOVED);
    for gone in Gone::ALL {
        text.labelled(&metric::REMOVED, gone.name(), backend.removed.count(*gone));
    }
    text.head(&metric::ROLE_UP);
    for (role, health) in &roles {
        text.labelled(&metric::ROLE_UP, role, u64::from(!health.is_down));
    }
    text.head(&metric::ROLE_FAILURES);
    for (role, health) in &roles {
        text.labelled(&metric::ROLE_FAILURES, role, health.failure_count);
    }
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.0).into_response())
}

/// Metrics of a backend that does not serve yet: what there is to say before its rows can be read.
pub(super) async fn of_a_start() -> Response {
    let mut text = Text::default();
    text.value(&metric::READY, 0);
    text.value(&metric::NODE_UP, 0);
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], text.0).into_response()
}

fn names<S: Copy>(states: &[S], name: fn(S) -> &'static str) -> impl Iterator<Item = &'static str> {
    states.iter().copied().map(name)
}

/// The text so far. Writing to a string cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, metric: &Metric) {
        let (name, help, kind) = (metric.name, metric.help, metric.kind.name());
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, metric: &Metric, value: u64) {
        self.head(metric);
        let _ = writeln!(self.0, "{} {value}", metric.name);
    }

    fn labelled(&mut self, metric: &Metric, of: &str, value: u64) {
        let (name, label) = (metric.name, metric.label.unwrap_or("of"));
        let _ = writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}");
    }

    fn lane(&mut self, ages: &BTreeMap<SettlementStage, u64>) {
        self.head(&metric::SETTLEMENT_AGE);
        for stage in SettlementStage::those(SettlementStage::is_unconfirmed) {
            let age = ages.get(&stage).copied().unwrap_or(0);
            self.labelled(&metric::SETTLEMENT_AGE, stage.name(), age);
        }
    }

    fn status(&mut self, status: &BridgeStatus) {
        self.head(&metric::BRIDGE_STATE);
        for state in ServingState::ALL {
            let is_it = u64::from(*state == status.state);
            self.labelled(&metric::BRIDGE_STATE, state.name(), is_it);
        }
        self.head(&metric::BRIDGE_REASONS);
        for code in StatusCode::ALL {
            let holds = status.reasons.iter().any(|reason| reason.code == *code);
            self.labelled(&metric::BRIDGE_REASONS, code.name(), holds.into());
        }
        self.value(&metric::OPERATORS_HEARD, status.operators_heard.into());
        self.value(
            &metric::UNCONFIRMED_SETTLEMENTS,
            status.unconfirmed_settlements,
        );
    }

    /// Codes of newer versions are one label: what strangers could name is none.
    fn by_code(&mut self, metric: &Metric, counts: &[(StoredCode, u64)]) {
        self.head(metric);
        let mut other = 0_u64;
        let mut known = BTreeMap::new();
        for (code, count) in counts {
            match code {
                StoredCode::Known(code) => {
                    known.insert(*code, *count);
                }
                StoredCode::Other(_) => other = other.saturating_add(*count),
            }
        }
        for code in AlarmCode::ALL {
            let count = known.get(code).copied().unwrap_or(0);
            self.labelled(metric, code.name(), count);
        }
        self.labelled(metric, "other", other);
    }

    fn alarms(&mut self, open: OpenAlarms) {
        self.head(&metric::ALARMS_OPEN);
        for severity in Severity::ALL {
            let count = match severity {
                Severity::Stop => open.stop,
                Severity::Look => open.look,
            };
            self.labelled(&metric::ALARMS_OPEN, severity.name(), count);
        }
    }

    /// Of the newest roster's signers.
    fn brakes(&mut self, codes: &[FaultCode]) {
        self.head(&metric::OPERATORS_BRAKED);
        for code in Brake::CODES {
            let count = codes.iter().filter(|it| **it == code).count();
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            self.labelled(&metric::OPERATORS_BRAKED, code.as_str(), count);
        }
    }

    fn proofs(&mut self, proofs: &ProofTotals) {
        self.head(&metric::PROOFS_BY_STATE);
        self.by_state(
            &metric::PROOFS_BY_STATE,
            names(ProofState::ALL, ProofState::name),
            &proofs.by_state,
        );
        let count = |state: ProofState| {
            let mut states = proofs.by_state.iter();
            states
                .find(|(name, _)| name == state.name())
                .map_or(0, |(_, count)| *count)
        };
        let made = count(ProofState::Proven).saturating_sub(proofs.reused_count);
        self.head(&metric::PROOFS);
        for (outcome, count) in [
            ("made", made),
            ("reused", proofs.reused_count),
            ("failed", count(ProofState::Failed)),
            ("abandoned", count(ProofState::Abandoned)),
            ("interrupted", proofs.interrupted_count),
        ] {
            self.labelled(&metric::PROOFS, outcome, count);
        }
        self.head(&metric::PROVING_SECONDS);
        let name = metric::PROVING_SECONDS.name;
        let (seconds, ms) = (proofs.duration_ms / 1_000, proofs.duration_ms % 1_000);
        let _ = writeln!(self.0, "{name}_sum {seconds}.{ms:03}");
        let _ = writeln!(self.0, "{name}_count {}", proofs.timed_count);
        self.value(&metric::PROVING_FUEL, proofs.fuel);
        self.value(&metric::PROVER_FEE, proofs.fee.to_sat());
        self.value(
            &metric::PROOF_QUEUE,
            count(ProofState::Queued).saturating_add(count(ProofState::Proving)),
        );
    }

    /// One line for each state that there is, also for those that nothing is in.
    fn by_state(
        &mut self,
        metric: &Metric,
        states: impl IntoIterator<Item = &'static str>,
        counts: &[(String, u64)],
    ) {
        let counts: BTreeMap<_, _> = counts
            .iter()
            .map(|(state, count)| (state.as_str(), *count))
            .collect();
        for state in states {
            let count = counts.get(state).copied().unwrap_or(0);
            self.labelled(metric, state, count);
        }
    }
}
