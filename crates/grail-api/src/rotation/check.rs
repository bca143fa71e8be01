//! Everything about the document that can be checked without the chain, and what of the chain it
//! must agree with.

use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{All, Secp256k1};
use grail_attest::{ImagesNotPinned, PinnedImages};
use grail_bridge_contract::RosterState;
use grail_policy::{ConsentError, Refusal, check_consents, check_to_come, successor};
use grail_types::{
    BoundedVec, Bridge, Consent, ConsentStep, Epoch, Governance, GovernanceError, Roster,
    TaggedHasher,
};
use grail_wire::{ConsentSignature, Consents, Succession};

use super::document::{
    AdministratorSignature, Hash32, ProposedRoster, ROTATION_BYTES_MAX, ROTATION_VERSION,
    RotationDocument, RotationPaper,
};

/// Why a document is not one to sign, or to act upon.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Longer than any document.
    #[error("expected a rotation of at most {ROTATION_BYTES_MAX} bytes, got {0}")]
    TooLong(usize),
    /// Not the JSON of one, or with a field that it does not have.
    #[error("rotation: {0}")]
    Malformed(String),
    /// Of another version.
    #[error("expected a rotation of version {ROTATION_VERSION}, got {0}")]
    Version(u32),
    /// Of another bridge.
    #[error("the rotation is of another bridge")]
    Bridge,
    /// Nothing that could take over.
    #[error("the roster to come is none: {0}")]
    Unfit(&'static str),
    /// Administrators of too small a share.
    #[error("the roster to come is none: {0}")]
    Share(GovernanceError),
    /// Its images are not those that its parameters name.
    #[error(transparent)]
    Images(#[from] ImagesNotPinned),
    /// The list of evidence has no one order, or names a key that is not in the roster to come.
    #[error("evidence: {0}")]
    Evidence(&'static str),
    /// A signature is not what it must be.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The administrator signs as a newcomer and is none.
    #[error("administrator {0} of the governance to come is an administrator already")]
    NotNew(u16),
    /// The key is of no administrator, neither of today nor to come.
    #[error("{0} is the key of no administrator, neither of today nor to come")]
    NotAdministrator(XOnlyPublicKey),
    /// The administrator has signed.
    #[error("the administrator with the key {0} has signed this already")]
    AlreadySigned(XOnlyPublicKey),
    /// Newcomers have not all signed.
    #[error("administrator {0} of the governance to come has not signed its own admission")]
    NewcomerSilent(u16),
    /// The roster that hands over is another one on the chain.
    #[error("the rotation begins at epoch {got}, the bridge is at {expected}")]
    Epoch {
        /// On the chain.
        expected: Epoch,
        /// In the document.
        got: Epoch,
    },
    /// The attempt is another one on the chain.
    #[error("the rotation is attempt {got}, the bridge is at {expected}")]
    Attempt {
        /// On the chain.
        expected: u64,
        /// In the document.
        got: u64,
    },
    /// The roster or its administrators are others on the chain.
    #[error("the rotation's {0} is not the bridge's")]
    Differs(&'static str),
    /// The chain is at another step.
    #[error("{0}")]
    Step(&'static str),
    /// Operators would refuse it for another reason.
    #[error(transparent)]
    Refused(Refusal),
}

impl From<Refusal> for RotationError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SuccessionUnfit(reason) => Self::Unfit(reason),
            Refusal::SuccessionShare(error) => Self::Share(error),
            other => Self::Refused(other),
        }
    }
}

impl RotationError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "rotation-too-long",
            Self::Malformed(_) => "rotation-malformed",
            Self::Version(_) => "rotation-version",
            Self::Bridge => "rotation-bridge",
            Self::Unfit(_) | Self::Share(_) | Self::Refused(_) => "rotation-unfit",
            Self::Images(error) => error.code(),
            Self::Evidence(_) => "rotation-evidence",
            Self::Consent(ConsentError::TooFew { .. }) => "consent-too-few",
            Self::Consent(ConsentError::Unsorted) => "consent-unsorted",
            Self::Consent(ConsentError::Invalid(_)) => "consent-invalid",
            Self::NotNew(_) => "newcomer-known",
            Self::NotAdministrator(_) => "not-administrator",
            Self::AlreadySigned(_) => "already-signed",
            Self::NewcomerSilent(_) => "newcomer-silent",
            Self::Epoch { .. } => "rotation-epoch",
            Self::Attempt { .. } => "rotation-attempt",
            Self::Differs(_) => "rotation-differs",
            Self::Step(_) => "rotation-step",
        }
    }
}

/// A document that fits itself, with no signature in it that does not verify. Made by
/// [`RotationDocument::check`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRotation {
    document: RotationDocument,
    consent: Consent,
}

impl ProposedRoster {
    /// The same in the words of a proposal.
    pub fn succession(&self) -> Succession {
        Succession {
            roster: self.roster.clone(),
            governance: self.governance.clone(),
            params: self.params.clone(),
            spell_min: self.spell_min,
            spell_max: self.spell_max,
        }
    }

    /// Hash of the list of evidence.
    pub fn evidence_hash(&self) -> [u8; 32] {
        let head = TaggedHasher::new("grail/rotation-evidence/v1").u64(self.evidence.len() as u64);
        self.evidence
            .iter()
            .fold(head, |hasher, it| {
                hasher.bytes(&it.public_key.serialize()).bytes(&it.sha256.0)
            })
            .finish()
    }

    /// The rules of a roster to come that need no chain.
    fn check(&self, bridge: &Bridge, today: &Roster) -> Result<(), RotationError> {
        check_to_come(bridge.network, today.epoch(), &self.succession())?;
        let _pinned = PinnedImages::new(self.images.clone(), &self.params)?;
        let ascends = self
            .evidence
            .is_sorted_by(|one, next| one.public_key.serialize() < next.public_key.serialize());
        if !ascends {
            return Err(RotationError::Evidence("expected keys strictly ascending"));
        }
        let known = |key| self.roster.signers().contains(key);
        if !self.evidence.iter().all(|it| known(&it.public_key)) {
            return Err(RotationError::Evidence(
                "a key is not in the roster to come",
            ));
        }
        Ok(())
    }
}

impl RotationDocument {
    /// Checks all that can be checked without the chain.
    pub fn check(self, secp: &Secp256k1<All>) -> Result<CheckedRotation, RotationError> {
        if self.version != ROTATION_VERSION {
            return Err(RotationError::Version(self.version));
        }
        let consent = self.consent(secp)?;
        check_consents(secp, &self.governance, &consent, &wire(&self.consents), 0)?;
        if let RotationPaper::Announce(proposed) = &self.paper {
            let to_come = &proposed.governance;
            check_consents(secp, to_come, &consent, &wire(&proposed.newcomers), 0)?;
            let fresh: Vec<_> = to_come.newcomers_after(&self.governance).collect();
            let known = proposed
                .newcomers
                .iter()
                .find(|it| !fresh.contains(&it.administrator));
            if let Some(known) = known {
                return Err(RotationError::NotNew(known.administrator));
            }
        }
        Ok(CheckedRotation {
            document: self,
            consent,
        })
    }

    fn consent(&self, secp: &Secp256k1<All>) -> Result<Consent, RotationError> {
        let (step, next) = match &self.paper {
            RotationPaper::Cancel { next } => (ConsentStep::Cancel, next.0),
            RotationPaper::Announce(proposed) => {
                proposed.check(&self.bridge, &self.roster)?;
                let evidence = proposed.evidence_hash();
                let before = before(&self.roster);
                let after = successor(secp, &self.bridge, &before, &proposed.succession())?;
                (ConsentStep::Announce { evidence }, after.next_hash())
            }
        };
        Ok(Consent {
            step,
            bridge: self.bridge,
            epoch: self.roster.epoch(),
            attempt: self.attempt,
            next,
        })
    }
}

/// A state of this epoch. The hash of the roster to come reads nothing of it.
fn before(today: &Roster) -> RosterState {
    let keys = today.signers().iter();
    RosterState {
        epoch: today.epoch().0,
        serial: 0,
        signers: keys.map(XOnlyPublicKey::serialize).collect(),
        threshold: today.threshold().0,
        vault_script: Vec::new(),
        supply: 0,
        params_hash: [0; 32],
        governance: [0; 32],
        attempt: 0,
        next: None,
        outflow: 0,
        spell_min: 0,
        spell_max: 0,
    }
}

fn wire(signatures: &[AdministratorSignature]) -> Vec<ConsentSignature> {
    let each = signatures.iter().map(|it| ConsentSignature {
        administrator: it.administrator,
        signature: it.signature,
    });
    each.collect()
}

fn bounded(signatures: &[AdministratorSignature]) -> Consents {
    BoundedVec::new(wire(signatures)).expect("as long as the list that it was read from may be")
}

impl CheckedRotation {
    /// The document.
    pub fn document(&self) -> &RotationDocument {
        &self.document
    }

    /// What is signed.
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// Hash of the roster that is announced or taken back.
    pub fn next(&self) -> Hash32 {
        Hash32(self.consent.next)
    }

    /// The roster to come, where it is announced.
    pub fn proposed(&self) -> Option<&ProposedRoster> {
        match &self.document.paper {
            RotationPaper::Announce(proposed) => Some(proposed),
            RotationPaper::Cancel { .. } => None,
        }
    }

    /// How many administrators of today must sign.
    pub fn needed(&self) -> usize {
        let governance = &self.document.governance;
        match self.document.paper {
            RotationPaper::Announce(_) => usize::from(governance.threshold()),
            RotationPaper::Cancel { .. } => governance.cancel_threshold(),
        }
    }

    /// How many of them have not yet.
    pub fn missing(&self) -> usize {
        self.needed().saturating_sub(self.document.consents.len())
    }

    /// Administrators to come who have not signed their own admission, by position.
    pub fn newcomers_missing(&self) -> Vec<u16> {
        let Some(proposed) = self.proposed() else {
            return Vec::new();
        };
        let signed = |position: &u16| {
            let mut signed = proposed.newcomers.iter();
            signed.any(|it| it.administrator == *position)
        };
        let newcomers = proposed
            .governance
            .newcomers_after(&self.document.governance);
        newcomers.filter(|position| !signed(position)).collect()
    }

    /// Signers of the roster to come that are not in the one of today.
    pub fn new_keys(&self) -> Vec<XOnlyPublicKey> {
        let today = self.document.roster.signers();
        let to_come = self.proposed().map_or(&[][..], |it| it.roster.signers());
        let fresh = to_come.iter().filter(|key| !today.contains(key));
        fresh.copied().collect()
    }

    /// The signatures of today's administrators, in the words of a proposal.
    pub fn consents(&self) -> Consents {
        bounded(&self.document.consents)
    }

    /// Those of the administrators to come who are new.
    pub fn newcomers(&self) -> Consents {
        bounded(self.proposed().map_or(&[][..], |it| &it.newcomers))
    }

    /// Whether it is of this bridge.
    pub fn check_bridge(&self, bridge: &Bridge) -> Result<(), RotationError> {
        if self.document.bridge == *bridge {
            Ok(())
        } else {
            Err(RotationError::Bridge)
        }
    }

    /// Whether everybody who must sign has.
    pub fn check_complete(&self) -> Result<(), RotationError> {
        let (expected, got) = (self.needed(), self.document.consents.len());
        if got < expected {
            return Err(ConsentError::TooFew { expected, got }.into());
        }
        match self.newcomers_missing().first() {
            None => Ok(()),
            Some(silent) => Err(RotationError::NewcomerSilent(*silent)),
        }
    }

    /// Whether the bridge's state is the one that this step begins at.
    pub fn check_begins_at(&self, state: &RosterState) -> Result<(), RotationError> {
        let document = &self.document;
        let (expected, got) = (Epoch(state.epoch), document.roster.epoch());
        if expected != got {
            return Err(RotationError::Epoch { expected, got });
        }
        let keys = document.roster.signers().iter();
        let same_keys = keys
            .map(XOnlyPublicKey::serialize)
            .eq(state.signers.iter().copied());
        if !same_keys || document.roster.threshold().0 != state.threshold {
            return Err(RotationError::Differs("roster"));
        }
        if document.governance.hash() != state.governance {
            return Err(RotationError::Differs("governance"));
        }
        let (expected, step) = match (&document.paper, &state.next) {
            (RotationPaper::Announce(_), None) => (state.attempt.saturating_add(1), Ok(())),
            (RotationPaper::Announce(_), Some(_)) => (
                state.attempt.saturating_add(1),
                Err("a roster is announced already"),
            ),
            (RotationPaper::Cancel { .. }, None) => (state.attempt, Err("no roster is announced")),
            (RotationPaper::Cancel { next }, Some(announced)) => (
                state.attempt,
                if next.0 == announced.hash {
                    Ok(())
                } else {
                    Err("another roster is announced")
                },
            ),
        };
        let got = document.attempt;
        if expected != got {
            return Err(RotationError::Attempt { expected, got });
        }
        step.map_err(RotationError::Step)
    }

    /// Adds an administrator's signature, wherever its key is an administrator's: of today, of
    /// those to come, or both. `sign` makes it.
    pub fn signed(
        self,
        secp: &Secp256k1<All>,
        key: &XOnlyPublicKey,
        signature: Signature,
    ) -> Result<Self, RotationError> {
        let mut document = self.document;
        let mut is_administrator = false;
        let mut is_added = false;
        let today = position(&document.governance, key);
        if let Some(administrator) = today {
            is_administrator = true;
            is_added |= add(&mut document.consents, administrator, signature);
        }
        if let RotationPaper::Announce(proposed) = &mut document.paper
            && today.is_none()
            && let Some(administrator) = position(&proposed.governance, key)
        {
            is_administrator = true;
            is_added |= add(&mut proposed.newcomers, administrator, signature);
        }
        if !is_administrator {
            return Err(RotationError::NotAdministrator(*key));
        }
        if !is_added {
            return Err(RotationError::AlreadySigned(*key));
        }
        document.check(secp)
    }
}

fn position(governance: &Governance, key: &XOnlyPublicKey) -> Option<u16> {
    let found = governance
        .administrators()
        .iter()
        .position(|it| it == key)?;
    u16::try_from(found).ok()
}

/// Puts a signature in its place; whether there was none.
fn add<const MAX: usize>(
    list: &mut BoundedVec<AdministratorSignature, MAX>,
    administrator: u16,
    signature: Signature,
) -> bool {
    let mut signatures = list.to_vec();
    let Err(at) = signatures.binary_search_by_key(&administrator, |it| it.administrator) else {
        return false;
    };
    signatures.insert(
        at,
        AdministratorSignature {
            administrator,
            signature,
        },
    );
    // No more than there are administrators.
    match BoundedVec::new(signatures) {
        Ok(longer) => {
            *list = longer;
            true
        }
        Err(_) => false,
    }
}
