//! Key generation without a dealer (ChillDKG: SimplPedPop under encryption, and a certificate that
//! everybody saw the same).
//!
//! Three steps of each holder, each taking the state before it by value: [`deal`], then
//! [`Dealt::receive`], then [`Received::certify`]. The coordinator ([`Coordinator`]) only sums. The
//! share is recomputed from the operator's key and the public transcript ([`recover`]), so nothing
//! of it is stored. All holders must take part; a failed ceremony hurts nobody.

mod blame;
mod commitment;
mod coordinator;
mod message;
mod pads;
mod participant;
mod polynomial;
mod tagged_schnorr;
mod transcript;
#[cfg(test)]
mod vectors;

use bitcoin::{
    XOnlyPublicKey,
    key::Keypair,
    secp256k1::{PublicKey, SecretKey},
};
use grail_types::{Bridge, Epoch, TaggedHasher};
use thiserror::Error;

use crate::{
    BYTES_OF_A_POINT, HOLDERS_MAX, HolderId, REDUCTION_LOSS_BITS_MAX,
    scalar::{Secret, is_odd, lifted},
};

pub use blame::{Culprit, InvestigateError, Suspicion};
pub use coordinator::{Coordinator, CoordinatorError, investigation};
pub use participant::{
    CertifyError, CoordinatorFault, DealError, Dealt, HolderFault, ReceiveError, Received, deal,
};
pub use transcript::{RecoverError, recover, verify};

/// All of ChillDKG's tags begin with it.
const TAG: &str = "BIP DKG/";
/// Tag of the certificate's signatures: ordinary BIP-340, told apart by [`CERTIFICATE_PREFIX`].
const CERTIFICATE: &str = "BIP0340";
/// Before what a certificate signs, zeros after it up to 33 bytes (BIP-340's domain separation). So
/// no certificate's message has the 32 bytes of a transaction's.
const CERTIFICATE_PREFIX: &[u8; 33] = b"BIP DKG/certeq message\0\0\0\0\0\0\0\0\0\0\0";
/// Tag of the proofs of possession.
const POSSESSION: &str = "BIP DKG/pop message";

/// An operator's long-term key, as a holder of group keys uses it: to prove that messages are his
/// and to open what is sent to him. Of even y, because rosters name operators by x alone.
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<grail_frost::dkg::HostKey>();
/// ```
pub struct HostKey {
    secret: Secret,
    public: PublicKey,
}

impl HostKey {
    /// From an operator's key pair.
    pub fn of_operator(pair: &Keypair) -> Self {
        Self::normalised(&pair.secret_key())
    }

    fn normalised(key: &SecretKey) -> Self {
        let secret = Secret::of_key(key);
        let odd = is_odd(&secret.public());
        Self::as_it_is(secret.negated_if(odd))
    }

    fn as_it_is(secret: Secret) -> Self {
        Self {
            public: secret.public(),
            secret,
        }
    }
}

/// Which ceremony: everything that must be the same for all who take part, and differ from every
/// other ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceremony {
    /// The bridge whose operators hold the key, and its network.
    pub bridge: Bridge,
    /// The roster that it is for.
    pub epoch: Epoch,
    /// Of how many proposed rosters of this epoch.
    pub attempt: u64,
    /// Of how many ceremonies of this attempt: a failed one is never continued.
    pub session: u64,
}

/// Who generates a key and how many of them will sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    host_keys: Vec<PublicKey>,
    threshold: usize,
    /// None only in the published vectors, so in this crate's tests.
    ceremony: Option<Ceremony>,
    /// Appended to ChillDKG's contexts: one hash over ceremony, holders and threshold, or nothing.
    binding: Vec<u8>,
}

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParamsError {
    /// `1 <= threshold <= holders` does not hold, or there are too many holders.
    #[error("threshold {threshold} of {holders} holders; at most {HOLDERS_MAX} holders")]
    Threshold {
        /// Given.
        threshold: usize,
        /// Given.
        holders: usize,
    },
    /// Nobody may be absent when signing.
    #[error("all {holders} holders would have to sign; expected one more at least")]
    NoSpare {
        /// Given.
        holders: usize,
    },
    /// [`REDUCTION_LOSS_BITS_MAX`].
    #[error("the proof loses {bits} bits; at most {REDUCTION_LOSS_BITS_MAX} are allowed")]
    ReductionLoss {
        /// Rounded down.
        bits: u32,
    },
    /// No point, or infinity.
    #[error("the host key of holder {0} is no point")]
    HostKey(HolderId),
    /// One operator holds one share.
    #[error("holders {first} and {second} have the same host key")]
    SameHostKey {
        /// Of the two.
        first: HolderId,
        /// Of the two.
        second: HolderId,
    },
}

impl Params {
    /// `holders` in order: their positions are their numbers.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn new(
        ceremony: &Ceremony,
        holders: &[XOnlyPublicKey],
        threshold: usize,
    ) -> Result<Self, ParamsError> {
        if holders.len() == threshold {
            return Err(ParamsError::NoSpare {
                holders: holders.len(),
            });
        }
        let keys: Vec<_> = holders.iter().map(|key| lifted(key).serialize()).collect();
        let mut params = Self::of_draft(&keys, threshold)?;
        let bits = reduction_loss_bits(holders.len(), threshold);
        if bits >= REDUCTION_LOSS_BITS_MAX {
            return Err(ParamsError::ReductionLoss { bits });
        }
        params.ceremony = Some(*ceremony);
        params.binding = ceremony.hash(holders, threshold).to_vec();
        Ok(params)
    }

    /// ChillDKG's `params_validate`, without a ceremony.
    fn of_draft(
        host_keys: &[[u8; BYTES_OF_A_POINT]],
        threshold: usize,
    ) -> Result<Self, ParamsError> {
        let holders = host_keys.len();
        if !(1..=holders).contains(&threshold) || holders > HOLDERS_MAX {
            return Err(ParamsError::Threshold { threshold, holders });
        }
        let mut keys: Vec<PublicKey> = Vec::with_capacity(holders);
        for (id, bytes) in (0..).zip(host_keys) {
            keys.push(
                PublicKey::from_slice(bytes).map_err(|_| ParamsError::HostKey(HolderId(id)))?,
            );
        }
        for (second, key) in (0..).zip(&keys) {
            for (first, other) in (0..second).zip(&keys) {
                if key == other {
                    return Err(ParamsError::SameHostKey {
                        first: HolderId(first),
                        second: HolderId(second),
                    });
                }
            }
        }
        Ok(Self {
            host_keys: keys,
            threshold,
            ceremony: None,
            binding: Vec::new(),
        })
    }

    /// How many will sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// How many hold a share.
    pub fn holders(&self) -> usize {
        self.host_keys.len()
    }

    pub(crate) fn ceremony(&self) -> Option<Ceremony> {
        self.ceremony
    }

    fn id_of(&self, host: &HostKey) -> Option<HolderId> {
        (0..)
            .zip(&self.host_keys)
            .find(|(_, key)| **key == host.public)
            .map(|(id, _)| HolderId(id))
    }

    fn host_key(&self, id: HolderId) -> Option<&PublicKey> {
        usize::try_from(id.0)
            .ok()
            .and_then(|index| self.host_keys.get(index))
    }

    fn ids(&self) -> impl Iterator<Item = HolderId> {
        (0..).zip(&self.host_keys).map(|(id, _)| HolderId(id))
    }

    /// Threshold and host keys in ChillDKG's encoding.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.threshold_bytes().to_vec();
        for key in &self.host_keys {
            bytes.extend(key.serialize());
        }
        bytes
    }

    fn threshold_bytes(&self) -> [u8; 4] {
        // At most HOLDERS_MAX, checked where it is made.
        u32::try_from(self.threshold)
            .unwrap_or(u32::MAX)
            .to_be_bytes()
    }

    /// What pads and polynomials are bound to.
    fn context(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.extend(&self.binding);
        bytes
    }
}

impl Ceremony {
    fn hash(&self, holders: &[XOnlyPublicKey], threshold: usize) -> [u8; 32] {
        let mut hash = TaggedHasher::new("grail/dkg/ceremony/v1")
            .bytes(&self.bridge.app.identity)
            .bytes(&self.bridge.app.vk)
            .u8(self.bridge.network.tag())
            .u64(self.epoch.0)
            .u64(self.attempt)
            .u64(self.session)
            .u64(threshold as u64)
            .u64(holders.len() as u64);
        for key in holders {
            hash = hash.bytes(&key.serialize());
        }
        hash.finish()
    }
}

/// `log2 C(holders, threshold - 1)`, rounded down: what the proof of static security loses when it
/// guesses who is corrupt. 32 or more counts as 32.
pub fn reduction_loss_bits(holders: usize, threshold: usize) -> u32 {
    let corrupt = threshold.saturating_sub(1).min(holders);
    let smaller = corrupt.min(holders.saturating_sub(corrupt));
    let mut choices: u128 = 1;
    for step in 1..=smaller as u128 {
        // Each step's product is a multiple of `step`, and the running value a binomial.
        choices = choices
            .saturating_mul(
                (holders as u128)
                    .saturating_sub(smaller as u128)
                    .saturating_add(step),
            )
            .checked_div(step)
            .unwrap_or(u128::MAX);
        if choices >= 1 << REDUCTION_LOSS_BITS_MAX {
            return REDUCTION_LOSS_BITS_MAX;
        }
    }
    choices.checked_ilog2().unwrap_or(0)
}
