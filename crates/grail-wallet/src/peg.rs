//! What the API answers to a wish, held against the wish.
//!
//! The API is not trusted: terms must be the ones asked for, the roster the one that was verified, and the deposit
//! address is recomputed from both. Only then is a receipt worth saving, and only with a saved receipt is anything paid.

use grail_api::{CheckedReceipt, Receipt, Request, Wish};
use grail_types::{ParamsHash, Roster};

/// Why an answer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PegError {
    /// The API goes by other parameters than were pinned.
    #[error("this wallet has pinned params {pinned}, the API serves {served}")]
    Params {
        /// In the wallet's folder.
        pinned: ParamsHash,
        /// By the API.
        served: ParamsHash,
    },
    /// The API's parameters do not hash to what it says.
    #[error("the API's params hash to {expected}, it says {got}")]
    ParamsHash {
        /// Recomputed.
        expected: ParamsHash,
        /// By the API.
        got: ParamsHash,
    },
    /// Other terms than asked for.
    #[error("the API answered with other terms than asked for")]
    Terms,
    /// The receipt was made with another roster than the verified one.
    #[error("the receipt's roster is not the verified one")]
    Roster,
    /// Parts of the answer contradict its receipt.
    #[error("the answer's {what} is not its receipt's")]
    Contradiction {
        /// Which part.
        what: &'static str,
    },
    /// The receipt contradicts itself.
    #[error(transparent)]
    Receipt(#[from] grail_api::ReceiptError),
}

impl PegError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Params { .. } => "params-changed",
            Self::ParamsHash { .. } => "params-hash",
            Self::Terms => "terms-differ",
            Self::Roster => "roster-differs",
            Self::Contradiction { .. } => "answer-contradicts",
            Self::Receipt(error) => error.code(),
        }
    }
}

/// Checks the answer to `wish`. Afterwards the receipt can be trusted to pay to.
pub fn check_answer(
    wish: &Wish,
    roster: &Roster,
    answer: &Request,
) -> Result<CheckedReceipt, PegError> {
    let receipt: &Receipt = &answer.receipt;
    let checked = receipt.check()?;
    if !wish.matches(&receipt.terms) {
        return Err(PegError::Terms);
    }
    if receipt.roster != *roster {
        return Err(PegError::Roster);
    }
    let parts = [
        ("id", answer.id == checked.request()),
        ("kind", answer.kind == receipt.kind),
        ("terms", answer.terms == receipt.terms),
        (
            "deposit address",
            answer.deposit_address == receipt.deposit_address,
        ),
    ];
    match parts.into_iter().find(|(_, agrees)| !agrees) {
        Some((what, _)) => Err(PegError::Contradiction { what }),
        None => Ok(checked),
    }
}
