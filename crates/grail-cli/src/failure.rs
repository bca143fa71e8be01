//! How a command fails: a stable code, and words.

use grail_api::client::ClientError;
use grail_api::{Problem, ReceiptError};
use grail_chain::{ChainError, SendError};
use grail_prover::ProverError;
use serde::Serialize;

/// What a command ends with when it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} [{code}]")]
pub struct Failure {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// What was expected and what was found.
    pub message: String,
}

impl Failure {
    /// A failure of this code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Turns errors that have a `code()` into failures.
macro_rules! failures {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self { code: error.code(), message: error.to_string() }
            }
        })*
    };
}

failures!(
    ClientError,
    ReceiptError,
    ChainError,
    SendError,
    ProverError,
    crate::amount::AmountError,
    crate::contract::ContractError,
    crate::fund::FundError,
    crate::home::HomeError,
    crate::peg::PegError,
    crate::reclaim::ReclaimFailure,
    crate::reserves::ReservesError,
    crate::roster::RosterFailure,
    crate::seed::SeedError,
    crate::spell::SpellFailure,
    crate::sync::SyncError,
    crate::wallet::WalletError,
);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code.code(),
            message: problem.to_string(),
        }
    }
}
