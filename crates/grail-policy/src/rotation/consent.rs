//! The administrators' consent.

use bitcoin::secp256k1::{Secp256k1, Verification};
use grail_types::{Consent, Governance};
use grail_wire::{Announcement, ConsentSignature};

use crate::{bridge::Case, refusal::Refusal};

/// Why signatures are not the consent that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// Fewer than must agree.
    #[error("expected the consent of {expected} administrators, got {got}")]
    TooFew {
        /// So many must agree.
        expected: usize,
        /// So many do.
        got: usize,
    },
    /// Not strictly ascending by position: one would count twice.
    #[error("the administrators' signatures are not strictly ascending by position")]
    Unsorted,
    /// There is no such administrator, or the signature is not his for this consent.
    #[error("the signature of administrator {0} does not verify")]
    Invalid(u16),
}

/// Whether at least `needed` administrators signed `consent`. Every signature shown must be good:
/// what does not count is not there.
pub fn check_consents<C: Verification>(
    secp: &Secp256k1<C>,
    governance: &Governance,
    consent: &Consent,
    signatures: &[ConsentSignature],
    needed: usize,
) -> Result<(), ConsentError> {
    if !signatures.is_sorted_by(|one, next| one.administrator < next.administrator) {
        return Err(ConsentError::Unsorted);
    }
    let (expected, got) = (needed, signatures.len());
    if got < expected {
        return Err(ConsentError::TooFew { expected, got });
    }
    let digest = consent.digest();
    for it in signatures {
        let keys = governance.administrators();
        keys.get(usize::from(it.administrator))
            .and_then(|key| secp.verify_schnorr(&it.signature, &digest, key).ok())
            .ok_or(ConsentError::Invalid(it.administrator))?;
    }
    Ok(())
}

/// A threshold of the administrators of today, and each of those to come who is not one today: a
/// key that nobody holds would be a quorum that never forms.
pub(super) fn check_announcement<C: Verification>(
    secp: &Secp256k1<C>,
    case: &Case<'_>,
    consent: &Consent,
    it: &Announcement,
) -> Result<(), Refusal> {
    let today = &case.proposal.governance;
    let needed = usize::from(today.threshold());
    check_consents(secp, today, consent, &it.consents, needed)?;
    let to_come = &it.succession.governance;
    check_consents(secp, to_come, consent, &it.newcomers, 0)?;
    let signed = it.newcomers.iter().map(|it| it.administrator);
    if signed.eq(to_come.newcomers_after(today)) {
        Ok(())
    } else {
        Err(Refusal::NewcomerSilent)
    }
}
