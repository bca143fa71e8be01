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
use grail_signer::{Answer, Boot, Born, Entropy, Fault, Request, Response, Signer};
use grail_types::{DevelopmentAllowed, Network, Params};

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
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        if self.draws >= self.draws_max {
            return Err(Fault::new("entropy", "none left"));
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

pub fn boot(params: &Params, sealed: Option<Vec<u8>>) -> Request {
    Request::Boot(Boot {
        params: params.clone(),
        sealed: sealed.map(Into::into),
    })
}

pub fn born(response: Response) -> Born {
    match response {
        Response::Booted(born) => born,
        other => panic!("expected a birth, got {other:?}"),
    }
}

pub fn fault(response: Response) -> String {
    match response {
        Response::Failed(fault) => fault.code,
        other => panic!("expected a fault, got {other:?}"),
    }
}

pub fn answer(response: Response) -> Answer {
    match response {
        Response::Decided(answer) => answer,
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// A signer that was born with a key that the test knows, and its sealed key.
pub fn signer_with(params: &Params, key: &Keypair) -> (Signer, Vec<u8>) {
    let mut signer = Signer::new(tee(IMAGE, MACHINE));
    let mut entropy = Script::new([key.secret_bytes()]);
    let born = born(signer.handle(boot(params, None), &mut entropy));
    assert_eq!(born.public_key, key.x_only_public_key().0);
    (signer, born.sealed.unwrap().into_vec())
}

pub fn decide(signer: &mut Signer, proposal: &[u8], entropy: &mut Script) -> Response {
    let request = Request::Decide {
        proposal: proposal.to_vec(),
    };
    signer.handle(request, entropy)
}
