//! The coordinator's side of one attempt at a transaction: from commitments to signatures, or to
//! the names of those whose shares are wrong.

use std::collections::BTreeMap;

use bitcoin::secp256k1::schnorr::Signature;
use thiserror::Error;

use crate::{
    AggregateNonce, Answer, CombineError, Digest, Group, HolderId, Instance, Order, OutputKey,
    Proposal, PublicNonce, Session, SessionError, SessionId, SignatureShare, SignerSet,
    SignersError, ToSign,
};

/// One signer's commitments, as they were authenticated: one public nonce for each input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments {
    /// Who.
    pub id: HolderId,
    /// Which running enclave of his.
    pub instance: Instance,
    /// Which of its sessions.
    pub session: SessionId,
    /// For each input, in order.
    pub nonces: Vec<PublicNonce>,
}

/// An attempt: fixed signers, fixed sums. A failed one is never continued; another has other
/// commitments.
#[derive(Clone, Debug)]
pub struct Attempt {
    proposal: Proposal,
    inputs: Vec<ToSign>,
    signers: SignerSet,
    commitments: BTreeMap<HolderId, Commitments>,
    aggregates: Vec<AggregateNonce>,
}

/// Why there is no attempt with these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AttemptError {
    /// Not a set of signers.
    #[error(transparent)]
    Signers(#[from] SignersError),
    /// A signer committed for another number of inputs: his fault.
    #[error("holder {id} committed for {got} inputs; expected {expected}")]
    Inputs {
        /// Who.
        id: HolderId,
        /// Given.
        got: usize,
        /// Of the transaction.
        expected: usize,
    },
}

/// What became of an attempt without signatures for all inputs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfinished {
    /// These have not answered, or with an answer to other sums than this attempt's: nobody's
    /// proven fault, since the relay between can swap both.
    #[error("{} signers have not answered this attempt", .0.len())]
    Absent(Vec<HolderId>),
    /// These answered this very attempt, and wrongly.
    #[error("{} signers answered wrongly", .0.len())]
    Culprits(Vec<HolderId>),
    /// No share is wrong and yet no signature came out: a bug.
    #[error("the shares are right and the signature is not")]
    Bug,
    /// Negligible.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Attempt {
    /// Of these signers' commitments; exactly the threshold.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub fn new(
        group: &Group,
        proposal: Proposal,
        inputs: Vec<ToSign>,
        commitments: Vec<Commitments>,
    ) -> Result<Self, AttemptError> {
        let ids: Vec<HolderId> = commitments.iter().map(|from| from.id).collect();
        let signers = group.signers(&ids)?;
        for from in &commitments {
            if from.nonces.len() != inputs.len() {
                return Err(AttemptError::Inputs {
                    id: from.id,
                    got: from.nonces.len(),
                    expected: inputs.len(),
                });
            }
        }
        let aggregates = (0..inputs.len())
            .map(|input| {
                AggregateNonce::sum(
                    commitments
                        .iter()
                        .filter_map(move |from| from.nonces.get(input)),
                )
            })
            .collect();
        Ok(Self {
            proposal,
            inputs,
            signers,
            commitments: commitments
                .into_iter()
                .map(|from| (from.id, from))
                .collect(),
            aggregates,
        })
    }

    /// What this signer is asked for; the asker signs its digest.
    pub fn order(&self, id: HolderId) -> Option<Order> {
        let from = self.commitments.get(&id)?;
        Some(Order {
            proposal: self.proposal,
            instance: from.instance,
            session: from.session,
            signers: self.signers.ids().collect(),
            aggregates: self.aggregates.clone(),
        })
    }

    /// The digest that an answer to this attempt carries.
    pub fn digest(&self, id: HolderId) -> Option<Digest> {
        self.order(id).map(|order| order.digest())
    }

    /// One signature for each input, each verified; or who is to blame.
    ///
    /// # Errors
    /// [`Unfinished`].
    pub fn finish(
        &self,
        answers: &BTreeMap<HolderId, Answer>,
    ) -> Result<Vec<Signature>, Unfinished> {
        let absent: Vec<HolderId> = self
            .signers
            .ids()
            .filter(|id| !self.answered(*id, answers.get(id)))
            .collect();
        if !absent.is_empty() {
            return Err(Unfinished::Absent(absent));
        }
        let mut signatures = Vec::with_capacity(self.inputs.len());
        for (place, (input, aggregate)) in self.inputs.iter().zip(&self.aggregates).enumerate() {
            let session = Session::new(&self.signers, &input.key, aggregate, &input.message)?;
            let shares: Vec<SignatureShare> = self
                .signers
                .ids()
                .filter_map(|id| answers.get(&id)?.shares.get(place).copied())
                .collect();
            match session.combine(&shares) {
                Ok(signature) => signatures.push(signature),
                Err(CombineError::Count { .. } | CombineError::Invalid) => {
                    return Err(self.blame(&session, place, answers));
                }
            }
        }
        Ok(signatures)
    }

    /// Answers this very attempt, with a share for each input.
    fn answered(&self, id: HolderId, answer: Option<&Answer>) -> bool {
        answer.is_some_and(|answer| {
            Some(answer.digest) == self.digest(id) && answer.shares.len() == self.inputs.len()
        })
    }

    fn blame(
        &self,
        session: &Session<'_>,
        place: usize,
        answers: &BTreeMap<HolderId, Answer>,
    ) -> Unfinished {
        let culprits: Vec<HolderId> = self
            .commitments
            .values()
            .filter(|from| {
                let share = answers
                    .get(&from.id)
                    .and_then(|answer| answer.shares.get(place));
                match (from.nonces.get(place), share) {
                    (Some(nonce), Some(share)) => session.verify(from.id, nonce, share).is_err(),
                    _ => false,
                }
            })
            .map(|from| from.id)
            .collect();
        if culprits.is_empty() {
            Unfinished::Bug
        } else {
            Unfinished::Culprits(culprits)
        }
    }
}

impl ToSign {
    /// A message under an output key.
    pub fn new(message: [u8; 32], key: OutputKey) -> Self {
        Self { message, key }
    }
}
