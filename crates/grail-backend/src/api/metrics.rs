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

use super::{Api, answer::Answer, view::former_requests};
use crate::{
    backend::Backend,
    clock,
    roles::{lane, retain::Gone},
};

/// Media type of the format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const READY: &str = "grail_ready";
const READY_HELP: &str = "Whether the backend serves; 0 while it starts.";
const NODE_UP: &str = "grail_node_up";
const NODE_UP_HELP: &str = "Whether the node answers.";

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
    let totals = reader.vault_totals().await?;
    let (ready, ready_since) = reader.ready_backlog().await?;
    let waiting_since = reader.proof_waiting_since().await?;
    let epoch = backend.rosters(&mut reader).await?.newest().epoch();
    let former = former_requests(&mut reader, epoch).await?;
    drop(reader);
    let view = api.node.view(backend).await.ok();
    let roles = backend.health.roles();
    let status = api.bridge_status().await?;
    let now = clock::now();
    let ages = lane::ages(backend, now).await?;
    let age = |since: Option<u64>| since.map_or(0, |since| now.saturating_sub(since));

    let mut text = Text::default();
    text.gauge("grail_requests", "Requests by state.");
    text.by_state(
        "grail_requests",
        names(RequestStage::ALL, RequestStage::name),
        requests,
    );
    text.gauge("grail_settlements", "Settlements by state.");
    text.by_state(
        "grail_settlements",
        names(SettlementStage::ALL, SettlementStage::name),
        settlements,
    );
    if let Some(view) = view {
        text.value(
            "grail_node_tip_height",
            "The node's best block.",
            view.tip.height.into(),
        );
    }
    if let Some(block) = block {
        text.value(
            "grail_scanned_height",
            "The newest block read.",
            block.height.into(),
        );
    }
    text.value(READY, READY_HELP, 1);
    text.value(NODE_UP, NODE_UP_HELP, u64::from(view.is_some()));
    text.value(
        "grail_operators",
        "Operators that have shown evidence since the start.",
        u64::try_from(backend.operators.count()).unwrap_or(u64::MAX),
    );
    text.value("grail_epoch", "Number of the newest roster.", epoch.0);
    text.value(
        "grail_former_requests",
        "Requests that are not at an end and whose deposits only a former roster can spend.",
        former,
    );
    text.alarms(open_alarms, alarm_totals);
    text.value(
        "grail_supply_sat",
        "zkBTC in existence.",
        totals.supply.to_sat(),
    );
    text.value(
        "grail_vault_sat",
        "Coins at vault outputs.",
        totals.vault.to_sat(),
    );
    text.value(
        "grail_donations_sat",
        "Coins sent to the vault outside a settlement.",
        totals.donations.to_sat(),
    );
    text.value(
        "grail_former_vaults_sat",
        "Coins left at addresses of former rosters.",
        totals.former.to_sat(),
    );
    text.value(
        "grail_ready_requests",
        "Requests that wait for a settlement.",
        ready,
    );
    text.value(
        "grail_oldest_ready_request_age_seconds",
        "How long the oldest of them has waited; 0 without one.",
        age(ready_since),
    );
    text.status(&status);
    text.lane(&ages);
    text.proofs(proofs);
    text.value(
        "grail_oldest_queued_proof_age_seconds",
        "How long the oldest settlement without its proof has waited; 0 without one.",
        age(waiting_since),
    );
    text.counter(
        "grail_removed_total",
        "What was let go since the start, by kind.",
    );
    for gone in Gone::ALL {
        let count = backend.removed.count(*gone);
        text.labelled("grail_removed_total", "what", gone.name(), count);
    }
    text.gauge("grail_role_up", "Whether a role runs.");
    for (role, health) in &roles {
        text.labelled("grail_role_up", "role", role, u64::from(!health.is_down));
    }
    text.counter(
        "grail_role_failures_total",
        "Failures of a role since the start.",
    );
    for (role, health) in &roles {
        text.labelled(
            "grail_role_failures_total",
            "role",
            role,
            health.failure_count,
        );
    }
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.0).into_response())
}

/// Metrics of a backend that does not serve yet: what there is to say before its rows can be read.
pub(super) async fn of_a_start() -> Response {
    let mut text = Text::default();
    text.value(READY, READY_HELP, 0);
    text.value(NODE_UP, NODE_UP_HELP, 0);
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], text.0).into_response()
}

fn names<S: Copy>(states: &[S], name: fn(S) -> &'static str) -> impl Iterator<Item = &'static str> {
    states.iter().copied().map(name)
}

/// The text so far. Writing to a string cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.head(name, help, "counter");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, help: &str, value: u64) {
        self.gauge(name, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn total(&mut self, name: &str, help: &str, value: u64) {
        self.counter(name, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn labelled(&mut self, name: &str, label: &str, of: &str, value: u64) {
        let _ = writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}");
    }

    fn lane(&mut self, ages: &BTreeMap<SettlementStage, u64>) {
        self.gauge(
            "grail_settlement_age_seconds",
            "How long the oldest settlement has stood where one waits; 0 without one.",
        );
        for stage in SettlementStage::those(SettlementStage::is_unconfirmed) {
            let age = ages.get(&stage).copied().unwrap_or(0);
            self.labelled("grail_settlement_age_seconds", "state", stage.name(), age);
        }
    }

    fn status(&mut self, status: &BridgeStatus) {
        self.gauge("grail_bridge_state", "1 for the state that it is in.");
        for state in ServingState::ALL {
            let is_it = u64::from(*state == status.state);
            self.labelled("grail_bridge_state", "state", state.name(), is_it);
        }
        self.gauge(
            "grail_bridge_reasons",
            "1 for each reason why the bridge serves less than it should.",
        );
        for code in StatusCode::ALL {
            let holds = status.reasons.iter().any(|reason| reason.code == *code);
            self.labelled("grail_bridge_reasons", "code", code.name(), holds.into());
        }
        self.value(
            "grail_operators_heard",
            "Operators of the newest roster that were heard of lately.",
            status.operators_heard.into(),
        );
        self.value(
            "grail_unconfirmed_settlements",
            "Settlements that are in no block.",
            status.unconfirmed_settlements,
        );
    }

    /// Codes of newer versions are one label: what strangers could name is none.
    fn alarms(&mut self, open: OpenAlarms, totals: &[(StoredCode, u64)]) {
        self.gauge("grail_alarms_open", "Alarms nobody has acknowledged.");
        for severity in Severity::ALL {
            let count = match severity {
                Severity::Stop => open.stop,
                Severity::Look => open.look,
            };
            self.labelled("grail_alarms_open", "severity", severity.name(), count);
        }
        self.counter(
            "grail_alarms_seen_total",
            "Times that an alarm was raised, by code.",
        );
        let mut other = 0_u64;
        let mut known = BTreeMap::new();
        for (code, count) in totals {
            match code {
                StoredCode::Known(code) => {
                    known.insert(*code, *count);
                }
                StoredCode::Other(_) => other = other.saturating_add(*count),
            }
        }
        for code in AlarmCode::ALL {
            let count = known.get(code).copied().unwrap_or(0);
            self.labelled("grail_alarms_seen_total", "code", code.name(), count);
        }
        self.labelled("grail_alarms_seen_total", "code", "other", other);
    }

    fn proofs(&mut self, proofs: &ProofTotals) {
        self.gauge("grail_proofs_by_state", "Proofs of settlements by state.");
        self.by_state(
            "grail_proofs_by_state",
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
        self.counter(
            "grail_proofs_total",
            "Proofs by outcome; interrupted are calls of a prover that ended without verdict.",
        );
        for (outcome, count) in [
            ("made", made),
            ("reused", proofs.reused_count),
            ("failed", count(ProofState::Failed)),
            ("abandoned", count(ProofState::Abandoned)),
            ("interrupted", proofs.interrupted_count),
        ] {
            self.labelled("grail_proofs_total", "outcome", outcome, count);
        }
        self.head(
            "grail_proving_seconds",
            "What making proofs took.",
            "summary",
        );
        let (seconds, ms) = (proofs.duration_ms / 1_000, proofs.duration_ms % 1_000);
        let _ = writeln!(self.0, "grail_proving_seconds_sum {seconds}.{ms:03}");
        let _ = writeln!(self.0, "grail_proving_seconds_count {}", proofs.timed_count);
        self.total(
            "grail_proving_fuel_total",
            "Cycles that app contracts used in the proofs made.",
            proofs.fuel,
        );
        self.total(
            "grail_prover_fee_sat_total",
            "What provers take for the proofs made.",
            proofs.fee.to_sat(),
        );
        self.value(
            "grail_proof_queue",
            "Settlements without their proof yet.",
            count(ProofState::Queued).saturating_add(count(ProofState::Proving)),
        );
    }

    /// One line for each state that there is, also for those that nothing is in.
    fn by_state(
        &mut self,
        name: &str,
        states: impl IntoIterator<Item = &'static str>,
        counts: &[(String, u64)],
    ) {
        let counts: BTreeMap<_, _> = counts
            .iter()
            .map(|(state, count)| (state.as_str(), *count))
            .collect();
        for state in states {
            let count = counts.get(state).copied().unwrap_or(0);
            self.labelled(name, "state", state, count);
        }
    }
}
