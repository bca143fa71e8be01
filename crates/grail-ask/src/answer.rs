//! Who gave an answer.

use bitcoin::secp256k1::{Secp256k1, Verification};
use grail_wire::Answer;

/// An answer that its signer gave.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAnswer(Answer);

/// The answer is not its signer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not authenticated by the signer it names")]
pub struct AnswerError;

impl VerifiedAnswer {
    /// The answer, if the signer whom it names gave it.
    pub fn new<C: Verification>(secp: &Secp256k1<C>, answer: Answer) -> Result<Self, AnswerError> {
        let Answer {
            proposal,
            attempt,
            signer,
            verdict,
            authentication,
        } = &answer;
        let digest = Answer::digest(proposal, *attempt, signer, verdict);
        secp.verify_schnorr(authentication, &digest, signer)
            .map_err(|_| AnswerError)?;
        Ok(Self(answer))
    }

    /// The answer.
    pub const fn get(&self) -> &Answer {
        &self.0
    }

    /// The answer, taken out.
    pub fn into_inner(self) -> Answer {
        self.0
    }
}
