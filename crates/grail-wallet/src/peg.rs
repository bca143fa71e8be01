//! What the API answers, held against what it was asked.
//!
//! The API is not trusted: terms must be the ones asked for, the roster the one that was verified, and the deposit
//! address is recomputed from both. Only then is a receipt worth saving, and only with a saved receipt is anything paid.

use bitcoin::{Amount, FeeRate};
use grail_api::{CheckedReceipt, ParamsAnswer, Receipt, Request, Wish};
use grail_types::{Params, ParamsHash, Roster};

/// Lowest fee cap offered by default: about what a settlement of one request costs at 3 sat/vB.
const FEE_CAP_DEFAULT_MIN: Amount = Amount::from_sat(10_000);
/// Virtual size that a request may have to pay for alone: a settlement of one request, with a margin.
const FEE_CAP_VBYTES: u64 = 4_000;

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

/// The API's parameters, if their hash is the one that it names.
pub fn checked_params(answer: ParamsAnswer) -> Result<Params, PegError> {
    let expected = answer.params.hash();
    if expected == answer.params_hash {
        Ok(answer.params)
    } else {
        Err(PegError::ParamsHash {
            expected,
            got: answer.params_hash,
        })
    }
}

/// The pinned parameters, if the API goes by the same.
pub fn agreed_params(pinned: Params, served: &Params) -> Result<Params, PegError> {
    if pinned.hash() == served.hash() {
        Ok(pinned)
    } else {
        Err(PegError::Params {
            pinned: pinned.hash(),
            served: served.hash(),
        })
    }
}

/// Enough for a settlement of this request alone, and never more than half of what is at stake.
pub fn default_fee_cap(amount: Amount, fee_rate: FeeRate) -> Amount {
    let alone = fee_rate.fee_vb(FEE_CAP_VBYTES).unwrap_or(Amount::MAX_MONEY);
    alone.max(FEE_CAP_DEFAULT_MIN).min(amount / 2)
}

/// Checks the answer to what was `asked`. Afterwards the receipt can be trusted to pay to.
pub fn check_answer(
    asked: &Wish,
    roster: &Roster,
    answer: &Request,
) -> Result<CheckedReceipt, PegError> {
    let receipt: &Receipt = &answer.receipt;
    let checked = receipt.check()?;
    if !asked.matches(&receipt.terms) {
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
