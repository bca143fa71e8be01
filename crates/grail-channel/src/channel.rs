//! The machine of one channel.
//!
//! | state | a frame | a proof of one's own | a message to send | the stream's end |
//! |---|---|---|---|---|
//! | waits for a hello (responder) | hello | - | not sent | closed |
//! | waits for an answer (initiator) | accept, retry, refusal | - | not sent | closed |
//! | waits for its own proof | farewell alone | taken | not sent | closed |
//! | waits for the peer's proof | proof, farewell | - | not sent | closed |
//! | open | part, ping, farewell | - | sent | closed |
//! | closed | nothing any more | nothing | not sent | nothing |

mod handshake;
mod open;

use std::{collections::BTreeSet, sync::Arc};

use bitcoin::XOnlyPublicKey;

use crate::{
    cookie::Gate,
    frame::{self, FrameKind, Keys},
    identity::{Local, PeerId},
    limits::{
        FRAME_MAX_BYTES, HANDSHAKE_MAX, HELLO_MAX_BYTES, LENGTH_BYTES, LIFE_MAX, PROOF_MAX_BYTES,
        SILENCE_MAX, TAG_BYTES,
    },
    message::{Proof, Refusal},
    reader::Reader,
    reason::Reason,
    seed::Seed,
    statement::{Role, Statement},
    time::Millis,
    verify::{Verifier, Vouched},
};
use handshake::{Dialling, Listening, OwnProof, PeerProof};
use open::Open;

/// To begin a channel.
pub struct Dial {
    /// This end.
    pub local: Local,
    /// The operator who is dialled.
    pub to: XOnlyPublicKey,
    /// For the key agreement.
    pub seed: Seed,
}

/// To be ready for one.
pub struct Listen {
    /// This end.
    pub local: Local,
    /// Operators who are let in: those of the roster, and newcomers that are announced. With this
    /// end's own signer among them, its clones are.
    pub members: Arc<BTreeSet<XOnlyPublicKey>>,
    /// For the key agreement.
    pub seed: Seed,
    /// Asks for a cookie first.
    pub gate: Option<Gate>,
}

/// What happens to a channel.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes of the stream, cut anywhere.
    Received(&'a [u8]),
    /// The stream is over: nothing more will come.
    Ended,
    /// The answer to [`Output::Prove`].
    Proven(Box<Proof>),
    /// There is no answer to it.
    Unproven,
    /// A message for the peer.
    Send(&'a [u8]),
    /// Say farewell and close.
    Close,
    /// Time has passed.
    Tick,
}

/// What a channel wants done, in this order.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes for the stream: one frame.
    Bytes(Vec<u8>),
    /// Have this signed by signer key and instance key, and attested.
    Prove(Box<Statement>),
    /// The peer has proven who it is.
    Established(Box<Peer>),
    /// A message of the peer, whole, in order, authentic.
    Message(Vec<u8>),
    /// The message was not sent.
    NotSent(NotSent),
    /// The channel is closed, for good.
    Closed(Reason),
}

/// Why a message was not sent; the channel stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no peer yet, or none any more.
    #[error("the channel is not open")]
    NotOpen,
    /// More than any message may have.
    #[error("message of {got} bytes, expected at most {max}")]
    TooLong {
        /// At most.
        max: usize,
        /// Its length.
        got: usize,
    },
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Operator and instance.
    pub id: PeerId,
    /// This end's role.
    pub own_role: Role,
    /// Counter of the images that it goes by.
    pub images_counter: u64,
    /// What runs there.
    pub vouched: Vouched,
}

/// One channel, from its first byte to its end. Neither shown nor cloned: it holds keys.
pub struct Channel {
    role: Role,
    local: Local,
    state: State,
    /// Both directions' keys, once they are agreed on.
    keys: Option<Box<Keys>>,
    reader: Reader,
    began: Millis,
    /// The latest time that was handed in.
    now: Millis,
    /// When something authentic last came.
    heard: Millis,
    /// When something was last sent.
    said: Millis,
}

enum State {
    Hello(Box<Listening>),
    Accept(Box<Dialling>),
    OwnProof(Box<OwnProof>),
    PeerProof(Box<PeerProof>),
    Open(Open),
    Closed(Reason),
}

impl Channel {
    /// Begins a channel.
    pub fn dial(now: Millis, dial: Dial) -> (Self, Vec<Output>) {
        let Dial { local, to, seed } = dial;
        let mut channel = Self::new(Role::Initiator, local, now);
        let mut outputs = Vec::new();
        if let Err(reason) = channel.say_hello(to, seed, &mut outputs) {
            channel.close(reason, &mut outputs);
        }
        (channel, outputs)
    }

    /// Waits for a hello.
    pub fn listen(now: Millis, listen: Listen) -> Self {
        let mut channel = Self::new(Role::Responder, listen.local, now);
        channel.state = State::Hello(Box::new(Listening::new(listen)));
        channel
    }

    fn new(role: Role, local: Local, now: Millis) -> Self {
        Self {
            role,
            local,
            state: State::Closed(Reason::Closed),
            keys: None,
            reader: Reader::default(),
            began: now,
            now,
            heard: now,
            said: now,
        }
    }

    /// Why it is closed, if it is.
    pub const fn closed(&self) -> Option<Reason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether messages can be sent.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Takes one input. Once closed, always closed: nothing that comes then has any effect.
    pub fn handle(
        &mut self,
        now: Millis,
        input: Input<'_>,
        verifier: &mut dyn Verifier,
    ) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.closed().is_some() {
            if matches!(input, Input::Send(_)) {
                outputs.push(Output::NotSent(NotSent::NotOpen));
            }
            return outputs;
        }
        self.now = self.now.max(now);
        let outcome = self
            .in_time()
            .and_then(|()| self.take(input, verifier, &mut outputs));
        if let Err(reason) = outcome {
            self.close(reason, &mut outputs);
        }
        outputs
    }

    /// Whether no deadline has passed.
    fn in_time(&self) -> Result<(), Reason> {
        let is_open = self.is_open();
        if !is_open && self.now.since(self.began) > HANDSHAKE_MAX {
            return Err(Reason::HandshakeTimeout);
        }
        if is_open && self.now.since(self.heard) > SILENCE_MAX {
            return Err(Reason::Silent);
        }
        if self.now.since(self.began) > LIFE_MAX {
            return Err(Reason::TooOld);
        }
        Ok(())
    }

    fn take(
        &mut self,
        input: Input<'_>,
        verifier: &mut dyn Verifier,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        match input {
            Input::Received(bytes) => self.receive(bytes, verifier, outputs),
            Input::Ended => Err(Reason::Truncated),
            Input::Proven(proof) => self.prove(&proof, outputs),
            Input::Unproven => Err(Reason::NoProof),
            Input::Send(message) => self.send(message, outputs),
            Input::Close => Err(Reason::Closed),
            Input::Tick => self.ping(outputs),
        }
    }

    fn receive(
        &mut self,
        mut bytes: &[u8],
        verifier: &mut dyn Verifier,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        while let Some(frame) = self.reader.take(&mut bytes, self.frame_max())? {
            match &self.state {
                State::Hello(_) => self.hear_hello(&frame, outputs)?,
                State::Accept(_) => self.hear_accept(&frame, outputs)?,
                State::OwnProof(_) => self.hear_out_of_turn(&frame)?,
                State::PeerProof(_) => self.hear_proof(&frame, verifier, outputs)?,
                State::Open(_) => self.hear(&frame, outputs)?,
                State::Closed(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// The longest frame, without its length, that has a place now.
    const fn frame_max(&self) -> usize {
        match self.state {
            State::Hello(_) | State::Accept(_) | State::Closed(_) => HELLO_MAX_BYTES,
            State::OwnProof(_) | State::PeerProof(_) => PROOF_MAX_BYTES + 1 + TAG_BYTES,
            State::Open(_) => FRAME_MAX_BYTES - LENGTH_BYTES,
        }
    }

    /// Opens a frame; a farewell closes, whenever it comes.
    fn open_frame(&mut self, frame: &[u8]) -> Result<(FrameKind, Vec<u8>), Reason> {
        let keys = self.keys.as_mut().ok_or(Reason::OutOfTurn)?;
        let (kind, body) = keys.opening.open(frame)?;
        self.heard = self.now;
        match (kind, body.as_slice()) {
            (FrameKind::Farewell, &[reason]) => Err(Reason::ByPeer(reason)),
            (FrameKind::Farewell, _) => Err(Reason::FrameMalformed),
            _ => Ok((kind, body)),
        }
    }

    /// Seals a frame and has it sent.
    fn seal_frame(
        &mut self,
        kind: FrameKind,
        body: &[u8],
        outputs: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let keys = self.keys.as_mut().ok_or(Reason::OutOfTurn)?;
        outputs.push(Output::Bytes(keys.sealing.seal(kind, body)?));
        self.said = self.now;
        Ok(())
    }

    /// Ends the channel. What the peer is told is a courtesy: under keys an authentic farewell,
    /// before them anybody's word.
    fn close(&mut self, reason: Reason, outputs: &mut Vec<Output>) {
        let is_heard = !matches!(
            reason,
            Reason::Truncated | Reason::ByPeer(_) | Reason::Refused(_)
        );
        if is_heard {
            outputs.extend(self.farewell(reason));
        }
        self.keys = None;
        self.reader.clear();
        self.state = State::Closed(reason);
        outputs.push(Output::Closed(reason));
    }

    fn farewell(&mut self, reason: Reason) -> Option<Output> {
        let number = reason.number();
        let bytes = if let Some(keys) = &mut self.keys {
            keys.sealing.seal(FrameKind::Farewell, &[number])
        } else {
            let refusal = Refusal { reason: number };
            grail_wire::encode(self.local.premises.epoch, &refusal)
                .map_err(|_| Reason::Malformed)
                .and_then(|bytes| frame::plain(&bytes))
        };
        bytes.ok().map(Output::Bytes)
    }
}

#[cfg(test)]
mod tests;
