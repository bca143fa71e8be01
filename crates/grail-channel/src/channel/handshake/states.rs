//! States as they are, for tests of what comes in them.

use super::*;
use crate::{identity::Local, statement::Role, verify::Vouched};

fn statement(role: Role, speaker: PeerId, local: &Local, listener: PeerId) -> Statement {
    Statement {
        role,
        transcript: [1; 32],
        premises: local.premises,
        speaker,
        images_counter: 1,
        listener,
    }
}

pub(in crate::channel) fn waiting_for_answer(hello: Hello, seed: Seed) -> State {
    State::Accept(Box::new(Dialling {
        hello,
        transcript: Transcript::of_hello(&[]),
        offer: Some(Offer::new(seed)),
    }))
}

pub(in crate::channel) fn waiting_for_peer(local: &Local, peer: PeerId) -> State {
    State::PeerProof(Box::new(PeerProof {
        statement: statement(Role::Initiator, peer, local, local.id),
        transcript: Transcript::resumed([1; 32]),
    }))
}

pub(in crate::channel) fn waiting_for_own(local: &Local, peer: PeerId) -> State {
    let vouched = Vouched {
        measurement: grail_types::Measurement {
            pcr0: [1; 48],
            pcr1: [1; 48],
            pcr2: [1; 48],
        },
        evidence_digest: [1; 32],
    };
    State::OwnProof(Box::new(OwnProof {
        statement: statement(Role::Responder, local.id, local, peer),
        then: Then::Open(Box::new(Peer {
            id: peer,
            own_role: Role::Responder,
            images_counter: 1,
            vouched,
        })),
    }))
}
