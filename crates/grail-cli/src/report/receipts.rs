//! Answers about receipts that were handed in.

use std::fmt::{Display, Formatter, Result};

use grail_api::client::{ClientError, Restored};
use grail_api::{CheckedReceipt, RequestState};
use serde::Serialize;

/// What became of one receipt.
#[derive(Debug, Serialize)]
pub struct HandedIn {
    /// The request.
    pub id: String,
    /// Direction.
    pub kind: String,
    /// What the server did.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What the server did with a receipt.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It had lost the request, and has it again.
    Restored {
        /// Where the request stands now.
        state: RequestState,
    },
    /// It had it.
    Known {
        /// Where the request stands.
        state: RequestState,
    },
    /// It took it not.
    Refused {
        /// Stable code.
        code: &'static str,
        /// What was expected and what was found.
        details: String,
    },
}

impl HandedIn {
    /// From the server's answer.
    pub fn new(
        receipt: &CheckedReceipt,
        answer: std::result::Result<Restored, ClientError>,
    ) -> Self {
        Self {
            id: receipt.request().to_string(),
            kind: receipt.receipt().kind.to_string(),
            outcome: match answer {
                Ok(Restored::New(status)) => Outcome::Restored {
                    state: status.state,
                },
                Ok(Restored::Known(status)) => Outcome::Known {
                    state: status.state,
                },
                Err(error) => Outcome::Refused {
                    code: error.code(),
                    details: error.to_string(),
                },
            },
        }
    }
}

impl Display for HandedIn {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} ", self.kind, self.id)?;
        match &self.outcome {
            Outcome::Restored { state } => write!(f, "was lost, and is known again: {state}"),
            Outcome::Known { state } => write!(f, "was known: {state}"),
            Outcome::Refused { code, details } => write!(f, "was not taken: {details} [{code}]"),
        }
    }
}

/// `receipts send`.
#[derive(Debug, Serialize)]
pub struct HandedInReceipts {
    /// Oldest first, or in the order in which they were named.
    pub receipts: Vec<HandedIn>,
    /// Receipts of requests made here that have no unspent deposit, and were not asked for.
    pub left_out: usize,
    /// Receipts that would have met what the last one met.
    pub not_tried: usize,
}

impl HandedInReceipts {
    /// Whether the server now knows each.
    pub fn all_taken(&self) -> bool {
        let refused = |receipt: &HandedIn| matches!(receipt.outcome, Outcome::Refused { .. });
        self.not_tried == 0 && !self.receipts.iter().any(refused)
    }
}

impl Display for HandedInReceipts {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for receipt in &self.receipts {
            writeln!(f, "{receipt}")?;
        }
        if self.not_tried > 0 {
            writeln!(f, "{} more were not tried: try again later", self.not_tried)?;
        }
        write!(
            f,
            "{} handed in; {} without an unspent deposit left out",
            self.receipts.len(),
            self.left_out
        )
    }
}
