//! Signers in simulated TEEs, and randomness that a test writes itself.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "each test binary uses a part"
)]

use std::collections::VecDeque;

use bitcoin::secp256k1::Keypair;
use grail_attest::UnixTime;
use grail_attest_dev::InsecureDevTee;
use grail_fixtures::world::World;
use grail_policy::adoption::Handover;
use grail_signer::{Effect, Entropy, EntropyError, Input, Node};
use grail_types::{BoundedBytes, BoundedVec, Bridge, DevelopmentAllowed, Network};
use grail_wire::{Adopt, Answer, AskerId, Attempt, Boot, Booted, Request, Response};

/// When the simulated hardware believes to live.
pub const NOW: UnixTime = UnixTime::from_millis(1_780_000_000_000);
/// The image and the machine of the usual signer.
pub const IMAGE: [u8; 48] = [0x21; 48];
pub const MACHINE: [u8; 32] = [0x31; 32];

pub fn tee(image: [u8; 48], machine: [u8; 32]) -> Box<InsecureDevTee> {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    Box::new(InsecureDevTee::new(allowed, image, machine, || NOW))
}

/// Gives what is written down, then counts; breaks after so many draws.
pub struct Script {
    written: VecDeque<[u8; 32]>,
    pub draws: u64,
    pub draws_max: u64,
}

impl Script {
    pub fn new(written: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self {
            written: written.into_iter().collect(),
            draws: 0,
            draws_max: u64::MAX,
        }
    }

    /// Nothing written: counts from `start`.
    pub fn counting(start: u64) -> Self {
        Self {
            draws: start,
            ..Self::new([])
        }
    }

    pub fn breaking_after(draws_max: u64) -> Self {
        Self {
            draws_max,
            ..Self::new([])
        }
    }
}

impl Entropy for Script {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if self.draws >= self.draws_max {
            return Err(EntropyError("none left".to_owned()));
        }
        self.draws += 1;
        let drawn = self.written.pop_front().unwrap_or_else(|| {
            let mut counted = [0x44; 32];
            counted[..8].copy_from_slice(&self.draws.to_be_bytes());
            counted
        });
        let drawn = drawn.get(..bytes.len()).expect("no draw is longer");
        bytes.copy_from_slice(drawn);
        Ok(())
    }
}

/// A node with the shell that carries out what it wants done.
pub struct Signer(Node);

impl Signer {
    pub fn new(tee: Box<InsecureDevTee>) -> Self {
        Self(Node::new(tee))
    }

    /// The answer to a request, with what is to be kept in it.
    pub fn handle(&mut self, request: Request, entropy: &mut Script) -> Response {
        let mut effects = self.0.handle(Input::Request(request), entropy);
        let Some(Effect::Respond { response, .. }) = effects.pop() else {
            panic!("the last effect is the response");
        };
        match (response, effects.pop()) {
            (Response::Booted(Booted { public_key, .. }), Some(Effect::Keep(sealed))) => {
                Response::Booted(Booted {
                    public_key,
                    sealed: Some(BoundedBytes::new(sealed).unwrap()),
                })
            }
            (response, None) => response,
            (_, Some(effect)) => panic!("unexpected {effect:?}"),
        }
    }
}

pub fn boot(bridge: &Bridge, sealed: Option<Vec<u8>>) -> Request {
    Request::Boot(Boot {
        bridge: *bridge,
        sealed: sealed.map(|sealed| BoundedBytes::new(sealed).unwrap()),
    })
}

/// Shows a world's deployment and rotations of it.
pub fn adoption(world: &World, handovers: &[Handover]) -> Adopt {
    let shown = handovers
        .iter()
        .map(|step| BoundedBytes::new(step.to_bytes()).unwrap())
        .collect();
    let deployed = Handover {
        transaction: world.deployment.clone(),
        spent: Vec::new(),
        governance: world.governance.clone(),
    };
    Adopt {
        genesis: world.deployment.compute_txid(),
        deployment: Some(BoundedBytes::new(deployed.to_bytes()).unwrap()),
        handovers: BoundedVec::new(shown).unwrap(),
    }
}

pub fn booted(response: Response) -> Booted {
    match response {
        Response::Booted(booted) => booted,
        other => panic!("expected a boot, got {other:?}"),
    }
}

pub fn fault(response: Response) -> String {
    match response {
        Response::Failed(fault) => fault.code.to_string(),
        other => panic!("expected a fault, got {other:?}"),
    }
}

pub fn answer(response: Response) -> Answer {
    match response {
        Response::Decided(answer) => answer,
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// A signer whose key the test knows, and that key, sealed.
pub fn signer_with(bridge: &Bridge, key: &Keypair) -> (Signer, Vec<u8>) {
    let mut signer = Signer::new(tee(IMAGE, MACHINE));
    let mut entropy = Script::new([key.secret_bytes()]);
    let booted = booted(signer.handle(boot(bridge, None), &mut entropy));
    assert_eq!(booted.public_key, key.x_only_public_key().0);
    (signer, booted.sealed.unwrap().into_inner())
}

/// The attempt of the usual asker.
pub fn attempt(number: u32) -> Attempt {
    Attempt {
        asker: AskerId([7; 16]),
        number,
    }
}

pub fn decide(signer: &mut Signer, proposal: &[u8], entropy: &mut Script) -> Response {
    decide_again(signer, proposal, attempt(0), entropy)
}

pub fn decide_again(
    signer: &mut Signer,
    proposal: &[u8],
    attempt: Attempt,
    entropy: &mut Script,
) -> Response {
    let request = Request::Decide {
        attempt,
        proposal: BoundedBytes::new(proposal.to_vec()).unwrap(),
    };
    signer.handle(request, entropy)
}
