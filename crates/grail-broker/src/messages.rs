//! Which message travels under which subject.

use bytes::Bytes;
use grail_ask::{Ask, Challenge, Evidence, Hello, Reply};
use grail_types::Epoch;
use grail_wire::{WireError, WireMessage};

use crate::subject::Subject;

static ASKS: Subject = Subject::from_static("grail.v2.asks");
static REPLIES: Subject = Subject::from_static("grail.v2.replies");
static CHALLENGES: Subject = Subject::from_static("grail.v2.challenges");
static EVIDENCE: Subject = Subject::from_static("grail.v2.evidence");
static HELLOS: Subject = Subject::from_static("grail.v2.hellos");

/// A message that travels under a subject of its own.
pub trait BrokerMessage: WireMessage {
    /// Its subject.
    fn subject() -> &'static Subject;
}

impl BrokerMessage for Ask {
    fn subject() -> &'static Subject {
        &ASKS
    }
}

impl BrokerMessage for Reply {
    fn subject() -> &'static Subject {
        &REPLIES
    }
}

impl BrokerMessage for Challenge {
    fn subject() -> &'static Subject {
        &CHALLENGES
    }
}

impl BrokerMessage for Evidence {
    fn subject() -> &'static Subject {
        &EVIDENCE
    }
}

impl BrokerMessage for Hello {
    fn subject() -> &'static Subject {
        &HELLOS
    }
}

/// What operators publish.
pub fn operator_subjects() -> [Subject; 3] {
    [REPLIES.clone(), EVIDENCE.clone(), HELLOS.clone()]
}

/// A message as a payload.
pub fn encode<M: BrokerMessage>(epoch: Epoch, message: &M) -> Result<Bytes, WireError> {
    grail_wire::encode(epoch, message).map(Into::into)
}

/// The message in a payload, without its epoch.
pub fn decode<M: BrokerMessage>(payload: &[u8]) -> Result<M, WireError> {
    Ok(grail_wire::decode(payload)?.message)
}
