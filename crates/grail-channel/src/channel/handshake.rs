//! From the first byte to an open channel.

use std::{collections::BTreeSet, sync::Arc};

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Secp256k1, VerifyOnly},
};
use grail_types::BoundedBytes;
use grail_wire::{WireError, WireMessage, decode, encode};

use super::{Channel, Listen, Open, Output, Peer, State};
use crate::{
    agreement::{Answer, Offer},
    cookie::Gate,
    frame::{self, FrameKind},
    identity::{PeerId, Premises},
    message::{Accept, Hello, Proof, Refusal, Retry},
    reason::Reason,
    seed::Seed,
    statement::Statement,
    transcript::Transcript,
    verify::{Verifier, Vouched},
};

/// X-Wing with HKDF-SHA256 and ChaCha20-Poly1305: the only suite there is.
const SUITE: u16 = 1;

/// A responder before the hello.
pub(super) struct Listening {
    members: Arc<BTreeSet<XOnlyPublicKey>>,
    /// Taken by the one answer that is given.
    seed: Option<Seed>,
    gate: Option<Gate>,
    has_asked_for_cookie: bool,
}

/// An initiator before the answer.
pub(super) struct Dialling {
    hello: Hello,
    transcript: Transcript,
    /// Taken by the one answer that is heard.
    offer: Option<Offer>,
}

/// Waits for this end's proof.
pub(super) struct OwnProof {
    statement: Statement,
    then: Then,
}

/// What comes after this end's proof.
enum Then {
    /// The initiator hears the peer.
    PeersProof(Other),
    /// The responder has heard it already.
    Open(Box<Peer>),
}

/// Waits for the peer's.
pub(super) struct PeerProof {
    statement: Statement,
    transcript: Transcript,
}

/// The other end, as it names itself.
#[derive(Clone, Copy)]
struct Other {
    id: PeerId,
    images_counter: u64,
}

impl Listening {
    pub(super) fn new(listen: Listen) -> Self {
        Self {
            members: listen.members,
            seed: Some(listen.seed),
            gate: listen.gate,
            has_asked_for_cookie: false,
        }
    }
}

impl Channel {
    pub(super) fn say_hello(
        &mut self,
        to: XOnlyPublicKey,
        seed: Seed,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let offer = Offer::new(seed);
        let hello = Hello {
            suite: SUITE,
            bridge: self.local.premises.bridge,
            params: self.local.premises.params,
            from: self.local.id.signer,
            instance: self.local.id.instance,
            images_counter: self.local.images_counter,
            to,
            encapsulation_key: offer.encapsulation_key()?,
            cookie: None,
        };
        let bytes = self.say(&hello, outputs)?;
        self.state = State::Accept(Box::new(Dialling {
            hello,
            transcript: Transcript::of_hello(&bytes),
            offer: Some(offer),
        }));
        Ok(())
    }

    /// The responder's part. Cheap checks first; one encapsulation is all that a stranger gets.
    pub(super) fn hear_hello(
        &mut self,
        frame: &[u8],
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let (premises, hello): (_, Hello) =
            read(frame, |hello: &Hello| (hello.bridge, hello.params))?;
        if hello.suite != SUITE {
            return Err(Reason::Suite);
        }
        self.local.premises.check(&premises)?;
        if hello.to != self.local.id.signer {
            return Err(Reason::NotForUs);
        }
        let State::Hello(listening) = &mut self.state else {
            return Err(Reason::OutOfTurn);
        };
        if !listening.members.contains(&hello.from) {
            return Err(Reason::NotAMember);
        }
        let peer = Other {
            id: PeerId {
                signer: hello.from,
                instance: hello.instance,
            },
            images_counter: hello.images_counter,
        };
        if let Some(retry) = self.cookie_for(&hello)? {
            self.say(&retry, outputs)?;
            return Ok(());
        }
        self.check_not_self(&peer)?;
        self.accept(&hello, peer, Transcript::of_hello(frame), outputs)
    }

    /// Asks for a cookie, once, if there is a gate and the hello has none.
    fn cookie_for(&mut self, hello: &Hello) -> Result<Option<Retry>, Reason> {
        let State::Hello(listening) = &mut self.state else {
            return Err(Reason::OutOfTurn);
        };
        let Some(gate) = &listening.gate else {
            // None was asked for, so there is none to show.
            return match hello.cookie {
                None => Ok(None),
                Some(_) => Err(Reason::Cookie),
            };
        };
        let bare = Hello {
            cookie: None,
            ..hello.clone()
        };
        let bare = encode(self.local.premises.epoch, &bare).map_err(|_| Reason::Malformed)?;
        match &hello.cookie {
            Some(shown) if gate.key.is_good(gate.address, &bare, self.now, shown) => Ok(None),
            Some(_) => Err(Reason::Cookie),
            None if listening.has_asked_for_cookie => Err(Reason::Cookie),
            None => {
                listening.has_asked_for_cookie = true;
                let cookie = gate.key.cookie(gate.address, &bare, self.now);
                Ok(Some(Retry { cookie }))
            }
        }
    }

    fn accept(
        &mut self,
        hello: &Hello,
        peer: Other,
        transcript: Transcript,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let State::Hello(listening) = &mut self.state else {
            return Err(Reason::OutOfTurn);
        };
        let seed = listening.seed.take().ok_or(Reason::OutOfTurn)?;
        let (answer, encapsulated) = Answer::to(&hello.encapsulation_key, transcript, seed)?;
        let accept = Accept {
            bridge: self.local.premises.bridge,
            params: self.local.premises.params,
            from: self.local.id.signer,
            instance: self.local.id.instance,
            images_counter: self.local.images_counter,
            encapsulated,
        };
        let bytes = self.say(&accept, outputs)?;
        let transcript = transcript.then(&bytes);
        self.keys = Some(Box::new(answer.agree(transcript)?));
        self.wait_for_peers_proof(peer, transcript);
        Ok(())
    }

    /// The initiator's part.
    pub(super) fn hear_accept(
        &mut self,
        frame: &[u8],
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        // Whichever of the three it is, its kind says.
        if let Ok(refusal) = decode::<Refusal>(frame) {
            return Err(Reason::Refused(refusal.message.reason));
        }
        if let Ok(retry) = decode::<Retry>(frame) {
            return self.say_hello_again(&retry.message, outputs);
        }
        let (premises, accept): (_, Accept) =
            read(frame, |accept: &Accept| (accept.bridge, accept.params))?;
        self.local.premises.check(&premises)?;
        let peer = Other {
            id: PeerId {
                signer: accept.from,
                instance: accept.instance,
            },
            images_counter: accept.images_counter,
        };
        self.check_not_self(&peer)?;
        let State::Accept(dialling) = &mut self.state else {
            return Err(Reason::OutOfTurn);
        };
        if peer.id.signer != dialling.hello.to {
            return Err(Reason::OtherOperator);
        }
        let hello = dialling.transcript;
        let offer = dialling.offer.take().ok_or(Reason::OutOfTurn)?;
        let transcript = hello.then(frame);
        self.keys = Some(Box::new(offer.agree(
            &accept.encapsulated,
            hello,
            transcript,
        )?));
        self.ask_for_own_proof(peer.id, transcript, Then::PeersProof(peer), outputs);
        Ok(())
    }

    fn say_hello_again(&mut self, retry: &Retry, outputs: &mut Vec<Output>) -> Result<(), Reason> {
        let State::Accept(dialling) = &mut self.state else {
            return Err(Reason::OutOfTurn);
        };
        let mut hello = dialling.hello.clone();
        let cookie = BoundedBytes::new(retry.cookie.to_vec()).map_err(|_| Reason::Malformed)?;
        if hello.cookie.replace(cookie).is_some() {
            return Err(Reason::OutOfTurn);
        }
        let offer = dialling.offer.take();
        let bytes = self.say(&hello, outputs)?;
        self.state = State::Accept(Box::new(Dialling {
            hello,
            transcript: Transcript::of_hello(&bytes),
            offer,
        }));
        Ok(())
    }

    /// While this end makes its proof, the peer has nothing to say but farewell.
    pub(super) fn hear_out_of_turn(&mut self, frame: &[u8]) -> Result<(), Reason> {
        self.open_frame(frame)?;
        Err(Reason::OutOfTurn)
    }

    /// Takes this end's own proof.
    pub(super) fn prove(&mut self, proof: &Proof, outputs: &mut Vec<Output>) -> Result<(), Reason> {
        let State::OwnProof(_) = &self.state else {
            return Err(Reason::OutOfTurn);
        };
        let bytes = encode(self.local.premises.epoch, proof).map_err(|_| Reason::NoProof)?;
        self.seal_frame(FrameKind::Proof, &bytes, outputs)?;
        let taken = std::mem::replace(&mut self.state, State::Closed(Reason::OutOfTurn));
        let State::OwnProof(own) = taken else {
            return Err(Reason::OutOfTurn);
        };
        match own.then {
            Then::PeersProof(peer) => {
                let transcript = Transcript::resumed(own.statement.transcript).then(&bytes);
                self.wait_for_peers_proof(peer, transcript);
            }
            Then::Open(peer) => self.open(peer, outputs),
        }
        Ok(())
    }

    /// Takes the peer's proof.
    pub(super) fn hear_proof(
        &mut self,
        frame: &[u8],
        verifier: &mut dyn Verifier,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let (kind, body) = self.open_frame(frame)?;
        if kind != FrameKind::Proof {
            return Err(Reason::OutOfTurn);
        }
        let State::PeerProof(waiting) = &self.state else {
            return Err(Reason::OutOfTurn);
        };
        let PeerProof {
            statement,
            transcript,
        } = **waiting;
        let vouched = verify_proof(&statement, &body, verifier)?;
        let peer = Box::new(Peer {
            id: statement.speaker,
            own_role: self.role,
            images_counter: statement.images_counter,
            vouched,
        });
        match self.role {
            crate::Role::Initiator => self.open(peer, outputs),
            crate::Role::Responder => {
                let transcript = transcript.then(&body);
                self.ask_for_own_proof(peer.id, transcript, Then::Open(peer), outputs);
            }
        }
        Ok(())
    }

    fn open(&mut self, peer: Box<Peer>, outputs: &mut Vec<Output>) {
        self.state = State::Open(Open::default());
        self.heard = self.now;
        outputs.push(Output::Established(peer));
    }

    fn ask_for_own_proof(
        &mut self,
        listener: PeerId,
        transcript: Transcript,
        then: Then,
        outputs: &mut Vec<Output>,
    ) {
        let statement = Statement {
            role: self.role,
            transcript: transcript.bytes(),
            premises: self.local.premises,
            speaker: self.local.id,
            images_counter: self.local.images_counter,
            listener,
        };
        outputs.push(Output::Prove(Box::new(statement)));
        self.state = State::OwnProof(Box::new(OwnProof { statement, then }));
    }

    fn wait_for_peers_proof(&mut self, peer: Other, transcript: Transcript) {
        let statement = Statement {
            role: self.role.other(),
            transcript: transcript.bytes(),
            premises: self.local.premises,
            speaker: peer.id,
            images_counter: peer.images_counter,
            listener: self.local.id,
        };
        self.state = State::PeerProof(Box::new(PeerProof {
            statement,
            transcript,
        }));
    }

    /// A peer with this end's own instance key is this end, mirrored.
    fn check_not_self(&self, peer: &Other) -> Result<(), Reason> {
        if peer.id.instance == self.local.id.instance {
            return Err(Reason::Reflected);
        }
        Ok(())
    }

    /// Sends a message that is not sealed; gives its bytes, for the transcript.
    fn say<M: WireMessage>(
        &mut self,
        message: &M,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<u8>, Reason> {
        let bytes = encode(self.local.premises.epoch, message).map_err(|_| Reason::Malformed)?;
        outputs.push(Output::Bytes(frame::plain(&bytes)?));
        self.said = self.now;
        Ok(bytes)
    }
}

/// Reads a message with the premises that it states.
fn read<M: WireMessage>(
    frame: &[u8],
    stated: impl Fn(&M) -> (grail_types::Bridge, grail_types::ParamsHash),
) -> Result<(Premises, M), Reason> {
    let envelope = decode::<M>(frame).map_err(|error| malformed(&error))?;
    let (bridge, params) = stated(&envelope.message);
    let premises = Premises {
        bridge,
        epoch: envelope.epoch,
        params,
    };
    Ok((premises, envelope.message))
}

/// A message of another kind is out of turn, everything else is none.
fn malformed(error: &WireError) -> Reason {
    match error {
        WireError::Kind { .. } => Reason::OutOfTurn,
        _ => Reason::Malformed,
    }
}

/// Holds a proof against what its sender should be saying: the cheapest part first, so that
/// evidence is looked at only for whoever holds the signer's key.
fn verify_proof(
    statement: &Statement,
    proof: &[u8],
    verifier: &mut dyn Verifier,
) -> Result<Vouched, Reason> {
    let envelope = decode::<Proof>(proof).map_err(|_| Reason::FrameMalformed)?;
    if envelope.epoch != statement.premises.epoch {
        return Err(Reason::EpochDiffers);
    }
    let proof = envelope.message;
    let secp = Secp256k1::<VerifyOnly>::verification_only();
    let PeerId { signer, instance } = statement.speaker;
    secp.verify_schnorr(&proof.signer, &statement.signer_message(), &signer)
        .map_err(|_| Reason::SignerSignature)?;
    secp.verify_schnorr(&proof.instance, &statement.instance_message(), &instance)
        .map_err(|_| Reason::InstanceSignature)?;
    verifier
        .verify(&statement.claim(), &proof.evidence)
        .map_err(|refused| Reason::Evidence(refused.0))
}

#[cfg(test)]
pub(super) use states::{waiting_for_answer, waiting_for_own, waiting_for_peer};

#[cfg(test)]
mod states;
