//! An operator's decision, authenticated by its key so that nobody can speak for it.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Message, Secp256k1, Verification, schnorr::Signature},
};
use grail_policy::RefusalRecord;
use grail_types::TaggedHasher;
use serde::{Deserialize, Serialize};

/// Names a proposal: tagged hash of its encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProposalId(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// The signer's word on a proposal. Anybody can have written it until [`Answer::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The proposal decided on.
    pub proposal: ProposalId,
    /// Who decided.
    pub signer: XOnlyPublicKey,
    /// The decision.
    pub verdict: Verdict,
    /// BIP-340 signature by `signer` over the three above.
    pub authentication: Signature,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Verdict {
    /// Signatures of the settlement's inputs.
    Signed(SettlementSignatures),
    /// Why not.
    Refused(RefusalRecord),
}

/// One BIP-340 signature per input, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettlementSignatures(pub Vec<Signature>);

/// An answer that its signer gave.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAnswer(Answer);

/// The answer is not its signer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not authenticated by the signer it names")]
pub struct AnswerError;

impl Answer {
    /// The digest that `authentication` signs. A tagged hash: it can never be a sighash.
    pub fn digest(proposal: &ProposalId, signer: &XOnlyPublicKey, verdict: &Verdict) -> Message {
        let base = TaggedHasher::new("grail/answer/v1")
            .bytes(&proposal.0)
            .bytes(&signer.serialize());
        let hasher = match verdict {
            Verdict::Signed(SettlementSignatures(signatures)) => signatures.iter().fold(
                base.u8(1).u64(signatures.len() as u64),
                |hasher, signature| hasher.bytes(signature.as_ref()),
            ),
            Verdict::Refused(RefusalRecord { code, details }) => {
                base.u8(0).bytes(code.as_bytes()).bytes(details.as_bytes())
            }
        };
        Message::from_digest(hasher.finish())
    }

    /// Checks that the named signer gave this answer.
    pub fn verify<C: Verification>(
        self,
        secp: &Secp256k1<C>,
    ) -> Result<VerifiedAnswer, AnswerError> {
        let digest = Self::digest(&self.proposal, &self.signer, &self.verdict);
        secp.verify_schnorr(&self.authentication, &digest, &self.signer)
            .map(|()| VerifiedAnswer(self))
            .map_err(|_| AnswerError)
    }
}

impl VerifiedAnswer {
    /// The answer.
    pub const fn get(&self) -> &Answer {
        &self.0
    }

    /// The answer, taken out.
    pub fn into_inner(self) -> Answer {
        self.0
    }
}
