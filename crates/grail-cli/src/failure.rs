//! How a command fails: a stable code, and words.
//!
//! Knows no other module: each error says beside itself that it is a failure.

use bitcoin::Txid;
use grail_api::client::ClientError;
use grail_api::{Problem, ReceiptError, RotationError};
use grail_chain::{ChainError, SendError};
use grail_wallet::amount::AmountError;
use grail_wallet::bump::BumpError;
use grail_wallet::followed::FollowFailure;
use grail_wallet::fund::FundError;
use grail_wallet::history::HistoryFailure;
use grail_wallet::peg::PegError;
use grail_wallet::reclaim::ReclaimFailure;
use grail_wallet::roster::RosterFailure;
use grail_wallet::seed::SeedError;
use grail_wallet::sign::SignError;
use grail_wallet::transfer::SpellFailure;
use serde::Serialize;

/// What a command ends with when it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} [{code}]")]
pub struct Failure {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// What was expected and what was found.
    pub message: String,
    /// The transaction that was handed to a node, or may have been, before the command failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txid: Option<Txid>,
}

impl Failure {
    /// A failure of this code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            txid: None,
        }
    }

    /// The same failure, with more to say.
    #[must_use]
    pub fn adding(mut self, more: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(more);
        self
    }
}

/// Turns errors that have a `code()` into failures.
macro_rules! failures {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for $crate::failure::Failure {
            fn from(error: $error) -> Self {
                Self::new(error.code(), error.to_string())
            }
        })*
    };
}

// Those of other crates, which cannot say it themselves.
failures!(
    ClientError,
    ReceiptError,
    ChainError,
    SendError,
    AmountError,
    BumpError,
    FollowFailure,
    FundError,
    HistoryFailure,
    PegError,
    ReclaimFailure,
    RosterFailure,
    RotationError,
    SeedError,
    SignError,
    SpellFailure,
);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(problem.code.code(), problem.to_string())
    }
}
