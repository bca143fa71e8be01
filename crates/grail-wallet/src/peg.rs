//! What the API answers, held against what it was asked.
//!
//! The API is not trusted: terms must be the ones asked for, the roster the one that was verified,
//! and the deposit address is recomputed from both. Only then is a receipt worth saving, and only
//! with a saved receipt is anything paid.

use grail_api::{CheckedReceipt, ParamsAnswer, ParsedRequest, Receipt, Request};
use grail_attest::{ImagesNotPinned, Protocol};
use grail_script::InternalKey;
use grail_types::{ParamsHash, Roster};

/// Why an answer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PegError {
    /// The API's parameters do not hash to what it says.
    #[error("the API's params hash to {expected}, it says {got}")]
    ParamsHash {
        /// Recomputed.
        expected: ParamsHash,
        /// By the API.
        got: ParamsHash,
    },
    /// The API's images are not those that its parameters name.
    #[error("the API: {0}")]
    Images(#[from] ImagesNotPinned),
    /// Other terms than asked for.
    #[error("the API answered with other terms than asked for")]
    Terms,
    /// The receipt was made with another roster than the verified one.
    #[error("the receipt's roster is not the verified one")]
    Roster,
    /// The deposit address is under a group key, of which nobody has shown that it is the roster's.
    #[error(
        "the receipt names a group key that nobody has verified, and its owner could spend the deposit"
    )]
    GroupKey,
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
            Self::ParamsHash { .. } => "params-hash",
            Self::Images(error) => error.code(),
            Self::Terms => "terms-differ",
            Self::Roster => "roster-differs",
            Self::GroupKey => "group-key-unproven",
            Self::Contradiction { .. } => "answer-contradicts",
            Self::Receipt(error) => error.code(),
        }
    }
}

/// What the API goes by, if its images are those that its parameters name, and the hash over all is
/// the one that it names.
pub fn checked_protocol(answer: ParamsAnswer) -> Result<Protocol, PegError> {
    let protocol = Protocol::new(
        answer.bridge,
        answer.params,
        answer.images,
        answer.governance,
    )?;
    let expected = protocol.hash();
    if expected == answer.params_hash {
        Ok(protocol)
    } else {
        Err(PegError::ParamsHash {
            expected,
            got: answer.params_hash,
        })
    }
}

/// Checks the answer to what was `asked`. Afterwards the receipt can be trusted to pay to.
pub fn check_answer(
    asked: &ParsedRequest,
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
    match checked.internal_key() {
        InternalKey::Nums => (),
        InternalKey::Group(_) => return Err(PegError::GroupKey),
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
