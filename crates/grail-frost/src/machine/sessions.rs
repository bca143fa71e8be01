//! Open sessions of a signer: nonces drawn for what it approved, waiting for the signers' sums.
//!
//! A session is born with one approved proposal, is moved out of the table before any of its nonces
//! is touched, and answers once. There is no other way to a nonce.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Message, schnorr::Signature},
};
use grail_types::TaggedHasher;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    AggregateNonce, Draw, DrawRefused, Entropy, Group, HolderId, Instance, OutputKey, PublicNonce,
    SecretNonce, Session, SessionError, SignError, SignatureShare, SignersError, SigningShare,
    Vanished, scalar::curve,
};

/// Most open sessions: more than a lane of settlements has attempts at once, few enough to erase
/// and to bound memory (8 of 200 inputs are 100 kB).
pub const SESSIONS_MAX: usize = 8;

/// How long a session waits for the sums. An attempt takes less than a second.
pub const SESSION_LIFETIME_SECONDS: u64 = 60;

/// Most inputs of a session; more do not fit into a transaction.
pub const INPUTS_MAX: usize = 1_000;

/// The digest of what was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal(pub [u8; 32]);

/// Number of a session within its instance. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Digest of an order: signers and sums, for one session of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// One input: what is signed, under which key. Both are the signer's own finding, never the
/// coordinator's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSign {
    /// The sighash.
    pub message: [u8; 32],
    /// The output's key.
    pub key: OutputKey,
}

/// What a signer has just approved, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Its digest.
    pub proposal: Proposal,
    /// The inputs to be signed by the group's key.
    pub inputs: Vec<ToSign>,
    /// The ephemeral key that will sign the order.
    pub asker: XOnlyPublicKey,
}

/// What a signer answers to an approved proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Which running enclave.
    pub instance: Instance,
    /// Which of its sessions.
    pub session: SessionId,
    /// For each input, in order.
    pub nonces: Vec<PublicNonce>,
}

/// What a coordinator orders: the signature shares of one session, given signers and sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What was approved.
    pub proposal: Proposal,
    /// Which running enclave.
    pub instance: Instance,
    /// Which of its sessions.
    pub session: SessionId,
    /// Who signs: exactly the threshold, each once.
    pub signers: Vec<HolderId>,
    /// For each input, in order.
    pub aggregates: Vec<AggregateNonce>,
}

/// What a signer answers to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of the order that it answers.
    pub digest: Digest,
    /// For each input, in order.
    pub shares: Vec<SignatureShare>,
}

/// Why no session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommitRefusal {
    /// [`SESSIONS_MAX`] sessions of others are open: try again later.
    #[error("{SESSIONS_MAX} sessions are open")]
    Busy,
    /// [`INPUTS_MAX`].
    #[error("{got} inputs; expected between 1 and {INPUTS_MAX}")]
    Inputs {
        /// Given.
        got: usize,
    },
    /// The generator is broken: nothing is signed by key any more.
    #[error(transparent)]
    Draw(#[from] DrawRefused),
    /// Negligible.
    #[error(transparent)]
    Vanished(#[from] Vanished),
}

/// Why an order is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignRefusal {
    /// Answered before, expired, of another instance, or never opened: another attempt is needed.
    #[error("unknown session")]
    UnknownSession,
    /// Not signed by whoever asked for the commitments. The session stays.
    #[error("the order is not signed by who asked for the commitments")]
    OtherAsker,
    /// Of another proposal. The session stays.
    #[error("the order is for another proposal")]
    OtherProposal,
    /// Not a sum for each input. The session stays.
    #[error("{got} sums for {expected} inputs")]
    Aggregates {
        /// Given.
        got: usize,
        /// Of the session.
        expected: usize,
    },
    /// Not a set of signers. The session stays.
    #[error(transparent)]
    Signers(#[from] SignersError),
    /// A set without this signer. The session stays.
    #[error("holder {0} is not among the signers")]
    NotAmongThem(HolderId),
    /// The session is gone.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The session is gone.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What makes the nonces of one input differ from all others.
#[derive(Clone, Copy, Debug)]
pub struct NonceContext {
    /// Which running enclave.
    pub instance: Instance,
    /// Which of its sessions.
    pub session: SessionId,
    /// What was approved.
    pub proposal: Proposal,
    /// Whose nonce.
    pub holder: HolderId,
    /// Place of the input.
    pub input: usize,
}

struct Open {
    id: SessionId,
    proposal: Proposal,
    asker: XOnlyPublicKey,
    /// Seconds on the caller's clock.
    expires: u64,
    inputs: Vec<(ToSign, SecretNonce)>,
}

/// The table of open sessions of one running enclave.
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<grail_frost::Sessions>();
/// ```
pub struct Sessions {
    instance: Instance,
    next: u64,
    open: Vec<Open>,
}

impl Order {
    /// What the asker signs (BIP-340), and what an answer names.
    pub fn digest(&self) -> Digest {
        let mut hash = TaggedHasher::new("grail/frost/order/v1")
            .bytes(&self.proposal.0)
            .bytes(&self.instance.0)
            .u64(self.session.0)
            .u64(self.signers.len() as u64);
        for id in &self.signers {
            hash = hash.u64(id.0.into());
        }
        hash = hash.u64(self.aggregates.len() as u64);
        for aggregate in &self.aggregates {
            hash = hash.bytes(&aggregate.to_bytes());
        }
        Digest(hash.finish())
    }
}

impl NonceContext {
    fn hash(self, hash: TaggedHasher) -> TaggedHasher {
        hash.bytes(&self.instance.0)
            .u64(self.session.0)
            .bytes(&self.proposal.0)
            .u64(self.holder.0.into())
            .u64(self.input as u64)
    }

    /// 32 bytes of the session's draw for this input.
    fn randomness(self, draw: &Draw) -> Zeroizing<[u8; 32]> {
        let hash = TaggedHasher::new("grail/frost/nonce/v1").bytes(draw.bytes().as_slice());
        Zeroizing::new(self.hash(hash).finish())
    }

    /// The same fields once more, for BIP-445's `extra_in`: if the draw fails, they still differ.
    fn bytes(self) -> [u8; 32] {
        self.hash(TaggedHasher::new("grail/frost/context/v1"))
            .finish()
    }
}

impl Sessions {
    /// An empty table.
    pub fn new(entropy: &Entropy) -> Self {
        Self {
            instance: entropy.instance(),
            next: 0,
            open: Vec::new(),
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Draws nonces for what was just approved. Asking again replaces the same asker's session for
    /// the same proposal and no other. `now` is in seconds on any clock that only moves forward.
    ///
    /// # Errors
    /// [`CommitRefusal`].
    pub fn commit(
        &mut self,
        share: &SigningShare,
        approved: Approved,
        draw: Draw,
        entropy: &mut Entropy,
        now: u64,
    ) -> Result<Committed, CommitRefusal> {
        let Approved {
            proposal,
            inputs,
            asker,
        } = approved;
        if !(1..=INPUTS_MAX).contains(&inputs.len()) {
            return Err(CommitRefusal::Inputs { got: inputs.len() });
        }
        self.expire(now);
        self.open
            .retain(|open| open.asker != asker || open.proposal != proposal);
        if self.open.len() >= SESSIONS_MAX {
            return Err(CommitRefusal::Busy);
        }
        let draw = entropy.pass(draw)?;
        let id = SessionId(self.next);
        self.next = self.next.saturating_add(1);
        let mut pairs = Vec::with_capacity(inputs.len());
        let mut nonces = Vec::with_capacity(inputs.len());
        for (place, input) in inputs.into_iter().enumerate() {
            let context = NonceContext {
                instance: self.instance,
                session: id,
                proposal,
                holder: share.id(),
                input: place,
            };
            let (secret, public) = SecretNonce::draw(
                share,
                &context.randomness(&draw),
                &input.key,
                &input.message,
                &context.bytes(),
            )?;
            nonces.push(public);
            pairs.push((input, secret));
        }
        self.open.push(Open {
            id,
            proposal,
            asker,
            expires: now.saturating_add(SESSION_LIFETIME_SECONDS),
            inputs: pairs,
        });
        Ok(Committed {
            instance: self.instance,
            session: id,
            nonces,
        })
    }

    /// Answers an order, once. What is signed was fixed when the session was opened; the order
    /// brings signers and sums only.
    ///
    /// # Errors
    /// [`SignRefusal`]. An order that anybody could have forged leaves the session as it is.
    pub fn sign(
        &mut self,
        share: &SigningShare,
        group: &Group,
        order: &Order,
        signature: &Signature,
        now: u64,
    ) -> Result<Answer, SignRefusal> {
        self.expire(now);
        let place = self
            .open
            .iter()
            .position(|open| open.id == order.session && self.instance == order.instance)
            .ok_or(SignRefusal::UnknownSession)?;
        let open = self.open.get(place).ok_or(SignRefusal::UnknownSession)?;
        open.check(share, group, order, signature)?;
        // From here on the session is gone, whatever happens.
        let open = self.open.swap_remove(place);
        let signers = group.signers(&order.signers)?;
        let mut shares = Vec::with_capacity(open.inputs.len());
        for ((input, nonce), aggregate) in open.inputs.into_iter().zip(&order.aggregates) {
            let session = Session::new(&signers, &input.key, aggregate, &input.message)?;
            shares.push(session.sign(share, nonce)?);
        }
        Ok(Answer {
            digest: order.digest(),
            shares,
        })
    }

    /// Erases all: what was approved may not be any more (another state was adopted).
    pub fn clear(&mut self) {
        self.open.clear();
    }

    fn expire(&mut self, now: u64) {
        self.open.retain(|open| now < open.expires);
    }
}

impl Open {
    /// Everything that a foreign or mistaken order gets wrong.
    fn check(
        &self,
        share: &SigningShare,
        group: &Group,
        order: &Order,
        signature: &Signature,
    ) -> Result<(), SignRefusal> {
        curve()
            .verify_schnorr(
                signature,
                &Message::from_digest(order.digest().0),
                &self.asker,
            )
            .map_err(|_| SignRefusal::OtherAsker)?;
        if order.proposal != self.proposal {
            return Err(SignRefusal::OtherProposal);
        }
        if order.aggregates.len() != self.inputs.len() {
            return Err(SignRefusal::Aggregates {
                got: order.aggregates.len(),
                expected: self.inputs.len(),
            });
        }
        group.shares_of(&order.signers)?;
        if !order.signers.contains(&share.id()) {
            return Err(SignRefusal::NotAmongThem(share.id()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bitcoin::secp256k1::PublicKey;

    use super::*;
    use crate::scalar::Secret;

    fn share(id: u32) -> SigningShare {
        let secret = Secret::from_hash(&Zeroizing::new([3; 32])).unwrap();
        SigningShare::new(HolderId(id), secret)
    }

    fn key(byte: u8) -> OutputKey {
        let point: PublicKey = Secret::from_hash(&Zeroizing::new([byte; 32]))
            .unwrap()
            .public();
        OutputKey::untweaked(point)
    }

    fn nonce(
        draw: u8,
        context: NonceContext,
        share: &SigningShare,
        key: &OutputKey,
        message: u8,
    ) -> [u8; 66] {
        let draw = Draw::new([draw; 32]).unwrap();
        SecretNonce::draw(
            share,
            &context.randomness(&draw),
            key,
            &[message; 32],
            &context.bytes(),
        )
        .unwrap()
        .1
        .to_bytes()
    }

    /// With a generator that repeats itself, any field that differs still makes another nonce.
    #[test]
    fn every_field_of_the_context_changes_the_nonce() {
        let base = NonceContext {
            instance: Instance([1; 32]),
            session: SessionId(1),
            proposal: Proposal([1; 32]),
            holder: HolderId(1),
            input: 1,
        };
        let contexts = [
            base,
            NonceContext {
                instance: Instance([2; 32]),
                ..base
            },
            NonceContext {
                session: SessionId(2),
                ..base
            },
            NonceContext {
                proposal: Proposal([2; 32]),
                ..base
            },
            NonceContext {
                holder: HolderId(2),
                ..base
            },
            NonceContext { input: 2, ..base },
        ];
        let own = share(1);
        let mut nonces: Vec<[u8; 66]> = contexts
            .iter()
            .map(|context| nonce(5, *context, &own, &key(4), 9))
            .collect();
        // The context alone, without what of it is in the randomness.
        let mut contexts: Vec<[u8; 32]> = contexts.iter().map(|one| one.bytes()).collect();
        nonces.push(nonce(6, base, &own, &key(4), 9));
        nonces.push(nonce(5, base, &own, &key(5), 9));
        nonces.push(nonce(5, base, &own, &key(4), 8));
        assert_eq!(nonces[0], nonce(5, base, &own, &key(4), 9));
        let count = (nonces.len(), contexts.len());
        nonces.sort_unstable();
        nonces.dedup();
        contexts.sort_unstable();
        contexts.dedup();
        assert_eq!((nonces.len(), contexts.len()), count);
    }
}
