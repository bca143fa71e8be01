//! An operator's decision, authenticated by its key so that nobody can speak for it.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Message, schnorr::Signature},
};
use grail_types::{BoundedVec, TaggedHasher};
use serde::{Deserialize, Serialize};

use crate::{
    code::RefusalCode,
    codec::{Kind, WireMessage},
    proposal::{INPUTS_MAX, ProposalId},
    text::{DETAILS_MAX_BYTES, Text},
};

/// Largest encoding of an answer: a signature for each of 200 inputs, or a refusal's details.
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Who asks and which time, from zero. An answer says which attempt it is for, so that a "no" to
/// somebody else, or of the past, cannot be shown again as the "no" of today.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Chosen at random by the asker.
    pub asker: AskerId,
    /// Grows with each time that it asks about the same proposal.
    pub number: u32,
}

/// Names an asker, so that two of them do not disturb each other.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct AskerId(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// The signer's word on a proposal. Anybody can have written it until its authentication was
/// verified (`grail-ask`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The proposal decided on. Its name covers the epoch.
    pub proposal: ProposalId,
    /// The attempt answered.
    pub attempt: Attempt,
    /// Who decided.
    #[serde(with = "crate::bytes::public_key")]
    pub signer: XOnlyPublicKey,
    /// The decision.
    pub verdict: Verdict,
    /// BIP-340 signature by `signer` over the four above.
    #[serde(with = "crate::bytes::signature")]
    pub authentication: Signature,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Verdict {
    /// What the signer gives toward the inputs whose roster it is in.
    Contributed(Contributions),
    /// Why not.
    Refused(RefusalRecord),
}

/// Something toward one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Contribution {
    /// BIP-340 signature of the input's sighash by the signer's own key.
    Signature {
        /// The input.
        input_index: u16,
        /// The signature.
        #[serde(with = "crate::bytes::signature")]
        signature: Signature,
    },
}

/// At most one contribution per input, in the order of the inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Contributions(Wire);

type Wire = BoundedVec<Contribution, INPUTS_MAX>;

/// Too many, repeated or out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {INPUTS_MAX} contributions, strictly ascending by input")]
pub struct ContributionsError;

/// A refusal in transit: code and details.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalRecord {
    /// What is wrong.
    pub code: RefusalCode,
    /// What was expected and what was found.
    pub details: Text<DETAILS_MAX_BYTES>,
}

impl Contribution {
    /// The input that it is for.
    pub const fn input_index(&self) -> u16 {
        match self {
            Self::Signature { input_index, .. } => *input_index,
        }
    }
}

impl Contributions {
    /// Contributions, strictly ascending by input.
    pub fn new(contributions: Vec<Contribution>) -> Result<Self, ContributionsError> {
        BoundedVec::new(contributions)
            .map_err(|_| ContributionsError)?
            .try_into()
    }
}

impl std::ops::Deref for Contributions {
    type Target = [Contribution];

    fn deref(&self) -> &[Contribution] {
        &self.0
    }
}

impl TryFrom<Wire> for Contributions {
    type Error = ContributionsError;

    fn try_from(wire: Wire) -> Result<Self, ContributionsError> {
        if wire.is_sorted_by(|one, next| one.input_index() < next.input_index()) {
            Ok(Self(wire))
        } else {
            Err(ContributionsError)
        }
    }
}

impl From<Contributions> for Wire {
    fn from(contributions: Contributions) -> Self {
        contributions.0
    }
}

impl WireMessage for Answer {
    const KIND: Kind = Kind::Answer;
    const ENCODED_MAX_BYTES: usize = ANSWER_MAX_BYTES;
}

impl Answer {
    /// The digest that `authentication` signs. A tagged hash: it can never be a sighash.
    pub fn digest(
        proposal: &ProposalId,
        attempt: Attempt,
        signer: &XOnlyPublicKey,
        verdict: &Verdict,
    ) -> Message {
        let base = TaggedHasher::new("grail/answer/v2")
            .bytes(&proposal.0)
            .bytes(&attempt.asker.0)
            .u64(u64::from(attempt.number))
            .bytes(&signer.serialize());
        let hasher = match verdict {
            Verdict::Contributed(contributions) => contributions.iter().fold(
                base.u8(1).u64(contributions.len() as u64),
                |hasher, contribution| match contribution {
                    Contribution::Signature {
                        input_index,
                        signature,
                    } => hasher
                        .u8(0)
                        .u64(u64::from(*input_index))
                        .bytes(signature.as_ref()),
                },
            ),
            Verdict::Refused(RefusalRecord { code, details }) => base
                .u8(0)
                .bytes(code.as_str().as_bytes())
                .bytes(details.as_str().as_bytes()),
        };
        Message::from_digest(hasher.finish())
    }
}
