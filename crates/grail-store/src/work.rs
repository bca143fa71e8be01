//! What jobs are about: a closed set of work, each with what its worker needs.

use grail_flow::{SettlementId, named_enum};
use serde::{Deserialize, Serialize};
use serde_json::Value;

named_enum! {
    /// Which worker a job is for.
    pub enum JobKind {
        /// Proves a draft.
        Prove = "prove",
        /// Runs the operators' policy here.
        DryRun = "dry-run",
        /// Asks operators.
        Ask = "ask",
        /// Ends a round of asking.
        AskTimeout = "ask-timeout",
        /// Publishes.
        Publish = "publish",
    }
}

/// A piece of work. Stored as JSON; fields that this version does not know are passed over, so that
/// a newer process may add some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// Prove a settlement's spell.
    Prove {
        /// The draft.
        settlement: SettlementId,
    },
    /// Run the operators' policy on a settlement.
    DryRun {
        /// The proven settlement.
        settlement: SettlementId,
    },
    /// Ask operators about a settlement.
    Ask {
        /// The settlement.
        settlement: SettlementId,
        /// The round, from 1.
        round: u32,
    },
    /// End a round of asking.
    AskTimeout {
        /// The settlement.
        settlement: SettlementId,
        /// The round that ends.
        round: u32,
    },
    /// Hand a settlement to the network.
    Publish {
        /// The settlement.
        settlement: SettlementId,
        /// Tells times apart: it may be published any number of times.
        #[serde(rename = "round")]
        turn: u64,
    },
}

impl Work {
    /// Which worker it is for.
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Prove { .. } => JobKind::Prove,
            Self::DryRun { .. } => JobKind::DryRun,
            Self::Ask { .. } => JobKind::Ask,
            Self::AskTimeout { .. } => JobKind::AskTimeout,
            Self::Publish { .. } => JobKind::Publish,
        }
    }

    /// Names this piece of work for good: a second job with the key of one that exists, even a done
    /// one, is that one. So a key says also which time it is.
    pub fn key(&self) -> String {
        let (settlement, turn) = match self {
            Self::Prove { settlement } | Self::DryRun { settlement } => (settlement, 0),
            Self::Ask { settlement, round } | Self::AskTimeout { settlement, round } => {
                (settlement, u64::from(*round))
            }
            Self::Publish { settlement, turn } => (settlement, *turn),
        };
        format!("{}:{settlement}:{turn}", self.kind())
    }

    /// Reads a row. None when a newer process wrote it: a kind or a form that this version does not
    /// know is that process's to do, and no fault of the row.
    pub(crate) fn read(kind: &str, mut payload: Value) -> Option<Self> {
        // Rows of before have the kind in its column alone.
        if let Value::Object(fields) = &mut payload {
            fields.insert("kind".to_owned(), kind.into());
        }
        serde_json::from_value(payload).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn all() -> [Work; 5] {
        let settlement = SettlementId(7);
        [
            Work::Prove { settlement },
            Work::DryRun { settlement },
            Work::Ask {
                settlement,
                round: 2,
            },
            Work::AskTimeout {
                settlement,
                round: 2,
            },
            Work::Publish {
                settlement,
                turn: 1_800_000_000,
            },
        ]
    }

    #[test]
    fn work_is_read_as_written_and_keys_are_those_of_before() {
        for (work, key) in all().iter().zip([
            "prove:7:0",
            "dry-run:7:0",
            "ask:7:2",
            "ask-timeout:7:2",
            "publish:7:1800000000",
        ]) {
            let payload = serde_json::to_value(work).unwrap();
            assert_eq!(payload["kind"], work.kind().name());
            assert_eq!(Work::read(work.kind().name(), payload), Some(*work));
            assert_eq!(work.key(), key);
        }
    }

    #[test]
    fn payloads_of_the_form_before_are_read() {
        for (work, round) in all().iter().zip([0_u64, 0, 2, 2, 1_800_000_000]) {
            let payload = json!({ "settlement": 7, "round": round });
            assert_eq!(Work::read(work.kind().name(), payload), Some(*work));
        }
    }

    #[test]
    fn what_a_newer_process_wrote_is_nobodys_fault() {
        let payload = json!({ "settlement": 7, "round": 1 });
        assert_eq!(Work::read("rotate", payload), None);
        assert_eq!(Work::read("ask", json!({ "proposal": "00" })), None);
        assert_eq!(Work::read("ask", json!([])), None);
    }
}
