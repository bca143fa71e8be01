//! Operators in this process: real signers that decide, and liars that hold a real key.

use bitcoin::secp256k1::{Message, Secp256k1};
use grail_attest::Protocol;
use grail_attest_dev::InsecureDevTee;
use grail_backend::clock;
use grail_policy::judge;
use grail_script::Sighashes;
use grail_signer::{Effect, Entropy, EntropyError, Input, Node};
use grail_types::{BoundedBytes, DevelopmentAllowed, Network};
use grail_wire::{
    Answer, Attempt, Boot, Contribution, Contributions, ProposalId, RefusalCode, RefusalRecord,
    Request, Response, Text, Verdict, decode_proposal,
};

use super::{
    operators::{key, keypair, measurement},
    world::Question,
};

/// "Randomness" that makes key number `seed`.
struct Seed(u8);

impl Entropy for Seed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0);
        Ok(())
    }
}

/// What signer number `seed`, fresh in its enclave, says to a proposal.
pub fn honest(seed: u8, protocol: &Protocol, ask: &Question) -> Answer {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let tee = InsecureDevTee::new(allowed, measurement().pcr0, [seed; 32], clock::unix_time);
    let mut signer = Node::new(Box::new(tee));
    let boot = Request::Boot(Boot {
        bridge: *protocol.bridge(),
        sealed: None,
    });
    let Response::Booted(booted) = told(&mut signer, boot, seed) else {
        panic!("the signer does not boot");
    };
    assert_eq!(booted.public_key, key(seed));
    let decide = Request::Decide {
        attempt: ask.attempt,
        proposal: BoundedBytes::new(ask.proposal.clone()).unwrap(),
    };
    match told(&mut signer, decide, seed) {
        Response::Decided(answer) => answer,
        other => panic!("no decision: {other:?}"),
    }
}

fn told(signer: &mut Node, request: Request, seed: u8) -> Response {
    let mut effects = signer.handle(Input::Request(request), &mut Seed(seed));
    let Some(Effect::Respond { response, .. }) = effects.pop() else {
        panic!("a node answers last");
    };
    response
}

/// What is wrong with a liar's signatures.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// Of something else.
    WrongSignature,
    /// Each in the place of another input's.
    OtherInput,
    /// One too few.
    TooFew,
    /// One too many.
    TooMany,
    /// None at all.
    Nothing,
    /// Good but for the last.
    LastWrong,
}

/// What a liar with key number `seed` says: its own word, authenticated.
pub fn lying(seed: u8, protocol: &Protocol, ask: &Question, lie: Lie) -> Answer {
    let secp = Secp256k1::new();
    let mut list = good(seed, protocol, ask);
    let other = secp.sign_schnorr_no_aux_rand(&Message::from_digest([7; 32]), &keypair(seed));
    let count = u16::try_from(list.len()).unwrap();
    let put = |contribution: &mut Contribution| {
        let Contribution::Signature { signature, .. } = contribution;
        *signature = other;
    };
    match lie {
        Lie::WrongSignature => list.iter_mut().for_each(put),
        Lie::OtherInput => {
            for contribution in &mut list {
                let Contribution::Signature { input_index, .. } = contribution;
                *input_index = (*input_index + 1) % count;
            }
            list.sort_by_key(Contribution::input_index);
        }
        Lie::TooFew => _ = list.pop(),
        Lie::TooMany => list.push(Contribution::Signature {
            input_index: count,
            signature: other,
        }),
        Lie::Nothing => list.clear(),
        Lie::LastWrong => put(list.last_mut().unwrap()),
    }
    let contributions = Contributions::new(list).unwrap();
    authenticated(seed, ask, Verdict::Contributed(contributions))
}

/// A refusal out of a bad mood, in words of a newer program.
pub fn refusing(seed: u8, ask: &Question) -> Answer {
    refusing_as(seed, ask, "bad-mood")
}

/// A refusal of this code.
pub fn refusing_as(seed: u8, ask: &Question, code: &str) -> Answer {
    let record = RefusalRecord {
        code: RefusalCode::from(code),
        details: Text::cut("expected better weather"),
    };
    authenticated(seed, ask, Verdict::Refused(record))
}

/// An answer by key number `seed`.
fn authenticated(seed: u8, ask: &Question, verdict: Verdict) -> Answer {
    authenticated_for(seed, ProposalId::of(&ask.proposal), ask.attempt, verdict)
}

/// An answer by key number `seed` to whatever it likes.
pub fn authenticated_for(
    seed: u8,
    proposal: ProposalId,
    attempt: Attempt,
    verdict: Verdict,
) -> Answer {
    let signer = key(seed);
    let digest = Answer::digest(&proposal, attempt, &signer, &verdict);
    Answer {
        proposal,
        attempt,
        signer,
        authentication: Secp256k1::new().sign_schnorr_no_aux_rand(&digest, &keypair(seed)),
        verdict,
    }
}

/// What an honest signer with key number `seed` would sign, were it in the roster or not.
fn good(seed: u8, protocol: &Protocol, ask: &Question) -> Vec<Contribution> {
    let secp = Secp256k1::new();
    let proposal = decode_proposal(&ask.proposal).unwrap();
    let judged = judge(&secp, &proposal, protocol.bridge()).unwrap();
    let signing = judged.get().signing();
    let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
    let inputs = signing.inputs.iter().zip(0..);
    inputs
        .map(|(input, input_index)| {
            let sighash = sighashes
                .of(usize::from(input_index), &input.spend)
                .unwrap();
            Contribution::Signature {
                input_index,
                signature: secp.sign_schnorr_no_aux_rand(&sighash, &keypair(seed)),
            }
        })
        .collect()
}
