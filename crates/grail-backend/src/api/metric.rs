//! Every metric that there is: name, kind, label, meaning, and where people look at it. What is
//! served, the board and the alerts are written from this list alone.

use grail_flow::named_enum;

/// What a number is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that rises and falls.
    Gauge,
    /// A sum that only rises.
    Counter,
    /// A sum and a count, `…_sum` and `…_count`.
    Summary,
}

impl MetricKind {
    /// As Prometheus calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Satoshis.
    Satoshis,
    /// 1 or 0.
    Truth,
}

named_enum! {
    /// A part of the board.
    pub enum Section {
        /// Whether it serves, and why not.
        Bridge = "Bridge",
        /// What is under way.
        Lane = "Lane and queue",
        /// What is locked against what exists.
        Reserves = "Reserves",
        /// Who signs.
        Operators = "Operators",
        /// How proofs are made.
        Proving = "Proving",
        /// The process and what it stands on.
        Process = "Process and node",
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Stable name.
    pub name: &'static str,
    /// What kind of number.
    pub kind: MetricKind,
    /// What tells its series apart; values are of closed sets.
    pub label: Option<&'static str>,
    /// What it counts.
    pub unit: Unit,
    /// Where it is shown.
    pub section: Section,
    /// What it means.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $name:literal, $kind:ident, $label:expr, $unit:ident, $section:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                label: $label,
                unit: Unit::$unit,
                section: Section::$section,
                help: $help,
            };
        )*

        /// All metrics.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BRIDGE_STATE = "grail_bridge_state", Gauge, Some("state"), Truth, Bridge,
        "1 for the state that it is in.";
    BRIDGE_REASONS = "grail_bridge_reasons", Gauge, Some("code"), Truth, Bridge,
        "1 for each reason why the bridge serves less than it should.";
    ALARMS_OPEN = "grail_alarms_open", Gauge, Some("severity"), Count, Bridge,
        "Alarms nobody has acknowledged.";
    ALARMS_OPEN_BY_CODE = "grail_alarms_open_by_code", Gauge, Some("code"), Count, Bridge,
        "Alarms nobody has acknowledged, by code.";
    ALARMS_SEEN = "grail_alarms_seen_total", Counter, Some("code"), Count, Bridge,
        "Times that an alarm was raised, by code.";
    REQUESTS = "grail_requests", Gauge, Some("state"), Count, Lane, "Requests by state.";
    SETTLEMENTS = "grail_settlements", Gauge, Some("state"), Count, Lane, "Settlements by state.";
    READY_REQUESTS = "grail_ready_requests", Gauge, None, Count, Lane,
        "Requests that wait for a settlement.";
    OLDEST_READY_REQUEST = "grail_oldest_ready_request_age_seconds", Gauge, None, Seconds, Lane,
        "How long the oldest of them has waited; 0 without one.";
    SETTLEMENT_AGE = "grail_settlement_age_seconds", Gauge, Some("state"), Seconds, Lane,
        "How long the oldest settlement has stood where one waits; 0 without one.";
    UNCONFIRMED_SETTLEMENTS = "grail_unconfirmed_settlements", Gauge, None, Count, Lane,
        "Settlements that are in no block.";
    SUPPLY = "grail_supply_sat", Gauge, None, Satoshis, Reserves, "zkBTC in existence.";
    VAULT = "grail_vault_sat", Gauge, None, Satoshis, Reserves, "Coins at vault outputs.";
    DONATIONS = "grail_donations_sat", Gauge, None, Satoshis, Reserves,
        "Coins sent to the vault outside a settlement.";
    FORMER_VAULTS = "grail_former_vaults_sat", Gauge, None, Satoshis, Reserves,
        "Coins left at addresses of former rosters.";
    FORMER_REQUESTS = "grail_former_requests", Gauge, None, Count, Reserves,
        "Requests that are not at an end and whose deposits only a former roster can spend.";
    OPERATORS = "grail_operators", Gauge, None, Count, Operators,
        "Operators that have shown evidence since the start.";
    OPERATORS_HEARD = "grail_operators_heard", Gauge, None, Count, Operators,
        "Operators of the newest roster that were heard of lately.";
    OPERATORS_BRAKED = "grail_operators_braked", Gauge, Some("code"), Count, Operators,
        "Operators of the newest roster whose own brake kept them from signing when last asked.";
    EPOCH = "grail_epoch", Gauge, None, Count, Operators, "Number of the newest roster.";
    PROOFS_BY_STATE = "grail_proofs_by_state", Gauge, Some("state"), Count, Proving,
        "Proofs of settlements by state.";
    PROOFS = "grail_proofs_total", Counter, Some("outcome"), Count, Proving,
        "Proofs by outcome; interrupted are calls of a prover that ended without verdict.";
    PROVING_SECONDS = "grail_proving_seconds", Summary, None, Seconds, Proving,
        "What making proofs took.";
    PROVING_FUEL = "grail_proving_fuel_total", Counter, None, Count, Proving,
        "Cycles that app contracts used in the proofs made.";
    PROVER_FEE = "grail_prover_fee_sat_total", Counter, None, Satoshis, Proving,
        "What provers take for the proofs made.";
    PROOF_QUEUE = "grail_proof_queue", Gauge, None, Count, Proving,
        "Settlements without their proof yet.";
    OLDEST_QUEUED_PROOF = "grail_oldest_queued_proof_age_seconds", Gauge, None, Seconds, Proving,
        "How long the oldest settlement without its proof has waited; 0 without one.";
    REMOVED = "grail_removed_total", Counter, Some("what"), Count, Process,
        "What was let go since the start, by kind.";
    READY = "grail_ready", Gauge, None, Truth, Process,
        "Whether the backend serves; 0 while it starts.";
    NODE_UP = "grail_node_up", Gauge, None, Truth, Process, "Whether the node answers.";
    NODE_TIP = "grail_node_tip_height", Gauge, None, Count, Process, "The node's best block.";
    SCANNED = "grail_scanned_height", Gauge, None, Count, Process, "The newest block read.";
    ROLE_UP = "grail_role_up", Gauge, Some("role"), Truth, Process, "Whether a role runs.";
    ROLE_FAILURES = "grail_role_failures_total", Counter, Some("role"), Count, Process,
        "Failures of a role since the start.";
}
