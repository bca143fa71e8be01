//! What is said over the socket: one request and one answer for each connection, a line of JSON
//! each. Both ends use these types.

use grail_flow::named_enum;
use grail_store::REASON_CHARS_MAX;
use serde::{Deserialize, Serialize};

/// Longest request: a reason of the longest, escaped, and to spare.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Longest answer: a page of alarms with all their words.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Items of a page when nothing is asked for.
pub const PAGE_DEFAULT: u16 = 50;
/// Most items of a page.
pub const PAGE_MAX: u16 = 200;

/// Why a person asks for something.
pub type Reason = grail_program::reason::Reason<REASON_CHARS_MAX>;

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `next` of the page before; none for the first.
    pub from: Option<u64>,
    /// Items wanted, 1 to [`PAGE_MAX`].
    pub limit: u16,
}

/// What is asked.
// Variants without fields are written `{}`: serde refuses unknown fields in them only so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How it stands.
    Status {},
    /// Plan no settlement and take no request until resumed.
    Pause {
        /// Why; users see it.
        reason: Reason,
    },
    /// End the pause.
    Resume {
        /// Why.
        reason: Option<Reason>,
    },
    /// Call a settlement off, if nobody but us can have it mined.
    Cancel {
        /// Its number.
        settlement: u64,
        /// Why.
        reason: Reason,
    },
    /// Jobs that are not done, oldest first.
    Jobs {
        /// Which of them.
        part: Part,
    },
    /// Do a job no more.
    DiscardJob {
        /// Its number.
        job: u64,
        /// Why.
        reason: Reason,
    },
    /// Alarms, newest first.
    Alarms {
        /// Also those that were acknowledged.
        all: bool,
        /// Which of them.
        part: Part,
    },
    /// Take note of an alarm: work may go on.
    Acknowledge {
        /// Its number.
        alarm: u64,
        /// Why.
        reason: Reason,
    },
    /// Read blocks again.
    Rescan {
        /// The first of them.
        from_height: u32,
        /// Why.
        reason: Option<Reason>,
    },
    /// What was asked for by hand, newest first.
    Log {
        /// Which of it.
        part: Part,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Standing),
    /// To what changes something: it is done and recorded.
    Done {
        /// Its number in the log.
        action: u64,
        /// What follows from it.
        note: String,
    },
    /// To [`Request::Jobs`].
    Jobs(Listed<JobRow>),
    /// To [`Request::Alarms`].
    Alarms(Listed<AlarmRow>),
    /// To [`Request::Log`].
    Log(Listed<ActionRow>),
    /// Nothing was changed.
    Refused(Refusal),
}

named_enum! {
    /// Why something is not done. Stable.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum AdminCode {
        /// The caller is neither the user that the backend runs as nor root.
        NotAllowed = "not-allowed",
        /// The request cannot be read, or is too long.
        BadRequest = "bad-request",
        /// There is no such settlement or job.
        NotFound = "not-found",
        /// It is paused already.
        AlreadyPaused = "already-paused",
        /// It is not paused.
        NotPaused = "not-paused",
        /// A quorum signed the settlement: it may be mined at any time.
        SettlementSigned = "settlement-signed",
        /// The settlement is in the network.
        SettlementPublished = "settlement-published",
        /// The settlement is in a block.
        SettlementMined = "settlement-mined",
        /// The settlement was given up before.
        SettlementEnded = "settlement-ended",
        /// The job is done, or was discarded before.
        JobEnded = "job-ended",
        /// The job publishes a settlement that may be mined.
        JobNeeded = "job-needed",
        /// The job is of a newer version.
        JobNewer = "job-newer",
        /// No open alarm has this number.
        AlarmNotOpen = "alarm-not-open",
        /// Blocks are about to be read again already.
        RescanPending = "rescan-pending",
        /// The height lies before the bridge's deployment.
        RescanBeforeBridge = "rescan-before-bridge",
        /// The height lies above the newest block read.
        RescanAboveTip = "rescan-above-tip",
        /// The height lies further back than can be undone.
        RescanTooDeep = "rescan-too-deep",
        /// The backend failed.
        Internal = "internal",
    }
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Stable code.
    pub code: AdminCode,
    /// Expected and found, in words.
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: AdminCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// `from` of the next page; none on the last.
    pub next: Option<u64>,
}

/// How the backend stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Version of the program.
    pub version: String,
    /// The pause by hand that stands.
    pub paused: Option<ActionRow>,
    /// Height of the newest block read; none before the first.
    pub height: Option<u32>,
    /// Height from which blocks are about to be read again.
    pub rescan_from: Option<u32>,
    /// Open alarms that stop work.
    pub alarms_stop: u64,
    /// Open alarms to look at.
    pub alarms_look: u64,
    /// What holds the lane.
    pub lane: Vec<LaneRow>,
}

/// A settlement under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneRow {
    /// Its number.
    pub settlement: u64,
    /// Where it stands.
    pub stage: String,
    /// For how long, seconds.
    pub age_seconds: u64,
    /// For how long it may, seconds.
    pub deadline_seconds: Option<u64>,
    /// Its transaction, once it has one.
    pub txid: Option<String>,
}

/// A job that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRow {
    /// Its number.
    pub id: u64,
    /// Its name: kind, settlement, turn.
    pub key: String,
    /// `ready`, `leased` or `dead`.
    pub state: String,
    /// Leases so far.
    pub attempts: u64,
    /// When it may be leased, unix seconds.
    pub due_at: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmRow {
    /// Its number.
    pub id: u64,
    /// Stable code; the page `docs/operators/alarms.md` has a section for each.
    pub code: String,
    /// `stop` or `look`.
    pub severity: String,
    /// What it is about.
    pub subject: String,
    /// What was seen last.
    pub details: String,
    /// How often it was raised while open.
    pub seen: u64,
    /// When it was first raised, unix seconds.
    pub at: u64,
    /// When it was last raised, unix seconds.
    pub last_at: u64,
    /// When a person acknowledged it, unix seconds.
    pub acknowledged_at: Option<u64>,
}

/// What was asked for by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRow {
    /// Its number.
    pub id: u64,
    /// When, unix seconds.
    pub at: u64,
    /// User of the machine who asked.
    pub uid: u32,
    /// What.
    pub action: String,
    /// To what; empty where there is one thing it can be done to.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use grail_program::reason::ReasonError;

    use super::*;

    #[test]
    fn a_reason_says_something_within_its_bounds() {
        for fits in ["a", "déménagement", &"é".repeat(REASON_CHARS_MAX)] {
            assert_eq!(fits.parse::<Reason>().unwrap().as_str(), fits);
        }
        for wrong in [
            "",
            " ",
            "a\nb",
            "a\u{1b}[2J",
            &"é".repeat(REASON_CHARS_MAX + 1),
        ] {
            let refused = ReasonError {
                chars_max: REASON_CHARS_MAX,
            };
            assert_eq!(wrong.parse::<Reason>(), Err(refused), "{wrong:?}");
        }
    }

    #[test]
    fn requests_are_the_same_for_every_version() {
        let reason: Reason = "why".parse().unwrap();
        let part = Part {
            from: Some(3),
            limit: 2,
        };
        let listed = json!({"from": 3, "limit": 2});
        for (request, text) in [
            (Request::Status {}, json!({"ask": "status"})),
            (
                Request::Pause {
                    reason: reason.clone(),
                },
                json!({"ask": "pause", "reason": "why"}),
            ),
            (
                Request::Resume { reason: None },
                json!({"ask": "resume", "reason": null}),
            ),
            (
                Request::Cancel {
                    settlement: 7,
                    reason: reason.clone(),
                },
                json!({"ask": "cancel", "settlement": 7, "reason": "why"}),
            ),
            (
                Request::Jobs { part },
                json!({"ask": "jobs", "part": listed}),
            ),
            (
                Request::DiscardJob {
                    job: 7,
                    reason: reason.clone(),
                },
                json!({"ask": "discard-job", "job": 7, "reason": "why"}),
            ),
            (
                Request::Alarms { all: true, part },
                json!({"ask": "alarms", "all": true, "part": listed}),
            ),
            (
                Request::Acknowledge { alarm: 7, reason },
                json!({"ask": "acknowledge", "alarm": 7, "reason": "why"}),
            ),
            (
                Request::Rescan {
                    from_height: 7,
                    reason: None,
                },
                json!({"ask": "rescan", "from_height": 7, "reason": null}),
            ),
            (Request::Log { part }, json!({"ask": "log", "part": listed})),
        ] {
            assert_eq!(serde_json::to_value(&request).unwrap(), text);
            assert_eq!(serde_json::from_value::<Request>(text).unwrap(), request);
        }
        for wrong in [
            json!({"ask": "status", "extra": 1}),
            json!({"ask": "sign"}),
            json!({"ask": "pause", "reason": ""}),
            json!({"ask": "pause"}),
        ] {
            assert!(
                serde_json::from_value::<Request>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn codes_are_the_same_in_json() {
        for code in AdminCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }

    #[test]
    fn the_manual_lists_every_code() {
        let manual = include_str!("../../../../docs/operators/admin.md");
        for code in AdminCode::ALL {
            assert!(manual.contains(&format!("\n| `{code}` | ")), "{code}");
        }
    }
}
