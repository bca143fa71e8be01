//! `/v1/status`: whether a request made now would be served, and why not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Outflow, request::text_enum};

text_enum! {
    /// How the bridge serves. Deposits made before are the same in all three: seen, and reclaimable
    /// by their users alone.
    ServingState {
        /// As it should.
        Serving => "serving",
        /// Requests are taken, and may take longer than usual.
        Degraded => "degraded",
        /// No request is taken: what is deposited now would wait, perhaps until its reclaim.
        Paused => "paused",
    }
}

text_enum! {
    /// Why the bridge serves less than it should. Each belongs to one state.
    StatusCode {
        /// Whoever runs the bridge paused it; the detail is what they say about it.
        PausedByHand => "paused-by-hand",
        /// An alarm is open while which nothing is built and signed.
        AlarmOpen => "alarm-open",
        /// Fewer operators than must agree have been heard of lately.
        QuorumAway => "quorum-away",
        /// The node does not answer.
        NodeAway => "node-away",
        /// Many blocks that the node has are not read yet.
        ScanBehind => "scan-behind",
        /// No deposit address can be made: the roster is changing, or is of other parameters.
        RosterUnsettled => "roster-unsettled",
        /// A settlement has waited for its proof for far too long.
        ProverAway => "prover-away",
        /// A settlement has not been published for far too long.
        LaneStuck => "lane-stuck",
        /// Less is in the vault than zkBTC exists.
        ReservesShort => "reserves-short",
        /// An alarm is open that stops nothing.
        AlarmToSee => "alarm-to-see",
        /// Some operators have not been heard of lately; a quorum has.
        OperatorsAway => "operators-away",
        /// A few blocks that the node has are not read yet.
        ScanLagging => "scan-lagging",
        /// The node has no estimate of fees: settlements wait for one.
        NoFeeRate => "no-fee-rate",
        /// A settlement has waited for its proof for longer than usual.
        ProverSlow => "prover-slow",
        /// A settlement has not been published for longer than usual.
        LaneSlow => "lane-slow",
        /// As many settlements as there may be wait for a block; the next one waits with them.
        LaneFull => "lane-full",
        /// Nothing was settled for half a year: in as long again the administrators can take what
        /// is in the vault. Any settlement ends it.
        LastResortNear => "last-resort-near",
        /// More requests are ready than one settlement holds.
        QueueLong => "queue-long",
        /// Less may leave by now than is asked for, or than the smallest request: peg-outs wait for
        /// blocks.
        OutflowLimit => "outflow-limit",
    }
}

impl StatusCode {
    /// The state that the bridge is in while this holds.
    pub const fn state(self) -> ServingState {
        match self {
            Self::PausedByHand
            | Self::AlarmOpen
            | Self::QuorumAway
            | Self::NodeAway
            | Self::ScanBehind
            | Self::RosterUnsettled
            | Self::ProverAway
            | Self::LaneStuck
            | Self::ReservesShort => ServingState::Paused,
            Self::AlarmToSee
            | Self::OperatorsAway
            | Self::ScanLagging
            | Self::NoFeeRate
            | Self::ProverSlow
            | Self::LaneSlow
            | Self::LaneFull
            | Self::LastResortNear
            | Self::QueueLong
            | Self::OutflowLimit => ServingState::Degraded,
        }
    }

    /// When to ask again, seconds: what heals by itself is soon over.
    pub const fn retry_after(self) -> u64 {
        match self {
            Self::NodeAway | Self::ScanBehind | Self::ScanLagging | Self::NoFeeRate => 15,
            Self::PausedByHand
            | Self::AlarmOpen
            | Self::QuorumAway
            | Self::RosterUnsettled
            | Self::ProverAway
            | Self::LaneStuck
            | Self::ReservesShort
            | Self::AlarmToSee
            | Self::OperatorsAway
            | Self::ProverSlow
            | Self::LaneSlow
            | Self::LaneFull
            | Self::LastResortNear
            | Self::QueueLong
            | Self::OutflowLimit => 60,
        }
    }
}

/// Longest code of a server that knows more of them than this program.
const OTHER_CODE_LENGTH_MAX: usize = 64;

/// A code as a server tells it, which may be of a newer release: whoever does not know one code
/// still reads the rest (ADR 23).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ToldCode {
    /// One that this program knows.
    Known(StatusCode),
    /// Another one: what it means is in the words beside it.
    Other(OtherCode),
}

/// The text of a code that this program does not know: small letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherCode(String);

/// The text is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a code of 1 to {OTHER_CODE_LENGTH_MAX} small letters, digits and hyphens")]
pub struct NoCode;

impl ToldCode {
    /// The code.
    pub fn text(&self) -> &str {
        match self {
            Self::Known(code) => code.name(),
            Self::Other(OtherCode(text)) => text,
        }
    }

    /// The state that the bridge is in while this holds, where that is known.
    pub const fn state(&self) -> Option<ServingState> {
        match self {
            Self::Known(code) => Some(code.state()),
            Self::Other(_) => None,
        }
    }
}

impl std::fmt::Display for ToldCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl From<StatusCode> for ToldCode {
    fn from(code: StatusCode) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<StatusCode> for ToldCode {
    fn eq(&self, other: &StatusCode) -> bool {
        matches!(self, Self::Known(code) if code == other)
    }
}

impl TryFrom<String> for ToldCode {
    type Error = NoCode;

    fn try_from(text: String) -> Result<Self, NoCode> {
        if let Ok(known) = text.parse() {
            return Ok(Self::Known(known));
        }
        let is_code = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let is_short = (1..=OTHER_CODE_LENGTH_MAX).contains(&text.len());
        if is_short && text.bytes().all(is_code) {
            Ok(Self::Other(OtherCode(text)))
        } else {
            Err(NoCode)
        }
    }
}

impl From<ToldCode> for String {
    fn from(code: ToldCode) -> Self {
        code.text().to_owned()
    }
}

/// Why the bridge serves less than it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusReason {
    /// Stable code; a newer server may have others.
    #[schema(value_type = StatusCode)]
    pub code: ToldCode,
    /// Expected and found, in words.
    pub detail: String,
}

impl StatusReason {
    /// A reason of `code`; `detail` says what was expected and what was found.
    pub fn new(code: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
        }
    }
}

/// What comes of a request made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BridgeStatus {
    /// The worst of the reasons' states.
    pub state: ServingState,
    /// Why it is not `serving`; empty when it is. Those that pause come first.
    pub reasons: Vec<StatusReason>,
    /// About how long a confirmed deposit waits until its settlement is sent to the network,
    /// seconds. None while paused: nobody knows.
    pub expected_wait_seconds: Option<u64>,
    /// When to ask again, seconds; none when serving.
    pub retry_after: Option<u64>,
    /// Requests that wait for a settlement.
    pub ready_requests: u64,
    /// How long the oldest of them has waited, seconds; none without one.
    pub oldest_ready_seconds: Option<u64>,
    /// Settlements that are in no block.
    pub unconfirmed_settlements: u64,
    /// Number of the newest roster.
    pub epoch: u64,
    /// Its operators that have been heard of lately.
    pub operators_heard: u16,
    /// Its operators.
    pub operators: u16,
    /// How many of them must agree.
    pub threshold: u16,
    /// Height of the newest block read.
    pub height: u32,
    /// Height of the node's tip; none while the node is away.
    pub node_height: Option<u32>,
    /// Confirmations that a deposit needs.
    pub deposit_confirmations: u32,
    /// Confirmations after which a settlement is final.
    pub settlement_confirmations: u32,
    /// Fee rate of a settlement made now, satoshis per 1,000 vbytes; none without an estimate.
    pub fee_rate_sat_per_kvb: Option<u64>,
    /// How much may leave; none while the newest settlement's state is not to be had.
    #[serde(default)]
    pub outflow: Option<Outflow>,
}

impl BridgeStatus {
    /// The state that reasons lead to, and when to ask again.
    pub fn state_of(reasons: &[StatusReason]) -> (ServingState, Option<u64>) {
        // A server knows its own.
        let known = || {
            reasons.iter().filter_map(|reason| match reason.code {
                ToldCode::Known(code) => Some(code),
                ToldCode::Other(_) => None,
            })
        };
        let states = known().map(StatusCode::state);
        let state = states.max().unwrap_or(ServingState::Serving);
        let deciding = known().filter(|code| code.state() == state);
        (state, deciding.map(StatusCode::retry_after).max())
    }

    /// The codes of the reasons that pause, as text.
    pub fn pausing(&self) -> String {
        let codes = self.reasons.iter().map(|reason| &reason.code);
        let pausing = codes.filter(|code| code.state() == Some(ServingState::Paused));
        pausing.map(ToldCode::text).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(codes: &[StatusCode]) -> Vec<StatusReason> {
        let reason = |code: &StatusCode| StatusReason::new(*code, "a test");
        codes.iter().map(reason).collect()
    }

    #[test]
    fn the_worst_reason_decides_and_says_when_to_ask_again() {
        use StatusCode as Code;
        assert_eq!(BridgeStatus::state_of(&[]), (ServingState::Serving, None));
        let degraded = reasons(&[Code::ScanLagging, Code::LaneFull]);
        assert_eq!(
            BridgeStatus::state_of(&degraded),
            (ServingState::Degraded, Some(60))
        );
        // What degrades does not count beside what pauses.
        let paused = reasons(&[Code::LaneFull, Code::NodeAway]);
        assert_eq!(
            BridgeStatus::state_of(&paused),
            (ServingState::Paused, Some(15))
        );
    }
}
