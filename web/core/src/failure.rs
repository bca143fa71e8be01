//! A no, with the code that the CLI and the API have for it.

use grail_api::{Problem, ReceiptError};
use grail_wallet::{
    amount::AmountError, followed::FollowFailure, peg::PegError, reclaim::ReclaimFailure,
    roster::RosterFailure, seed::SeedError,
};
use serde::Serialize;

/// Why a call is answered with a no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Stable code.
    code: String,
    /// What was expected and what was found. Never a secret.
    detail: String,
}

impl Failure {
    /// A no.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

macro_rules! has_a_code {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.code(), error.to_string())
            }
        })*
    };
}
has_a_code!(
    AmountError,
    FollowFailure,
    PegError,
    ReceiptError,
    ReclaimFailure,
    RosterFailure,
    SeedError
);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(problem.code.code(), problem.detail)
    }
}
