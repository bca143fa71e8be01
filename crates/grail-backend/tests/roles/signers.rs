//! Operators in this process: real signers that decide, and liars that hold a real key.

use bitcoin::secp256k1::{Message, Secp256k1, schnorr::Signature};
use grail_attest_dev::InsecureDevTee;
use grail_backend::clock;
use grail_policy::{RefusalRecord, approve};
use grail_script::Sighashes;
use grail_signer::{
    Answer, Boot, Entropy, Fault, Request, Response, SettlementSignatures, Signer, Verdict,
    decode_proposal, proposal_id,
};
use grail_types::{DevelopmentAllowed, Network, Params};

use super::operators::{key, keypair, measurement};

/// "Randomness" that gives birth to key number `seed`.
struct Seed(u8);

impl Entropy for Seed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        bytes.fill(self.0);
        Ok(())
    }
}

/// What signer number `seed`, fresh in its enclave, says to a proposal.
pub fn honest(seed: u8, params: &Params, proposal: &[u8]) -> Answer {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let tee = InsecureDevTee::new(allowed, measurement().pcr0, [seed; 32], clock::unix_time);
    let mut signer = Signer::new(Box::new(tee));
    let boot = Request::Boot(Boot {
        params: params.clone(),
        sealed: None,
    });
    let Response::Booted(born) = signer.handle(boot, &mut Seed(seed)) else {
        panic!("the signer does not boot");
    };
    assert_eq!(born.public_key, key(seed));
    let decide = Request::Decide {
        proposal: proposal.to_vec(),
    };
    match signer.handle(decide, &mut Seed(seed)) {
        Response::Decided(answer) => answer,
        other => panic!("no decision: {other:?}"),
    }
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
pub fn lying(seed: u8, params: &Params, proposal: &[u8], lie: Lie) -> Answer {
    let secp = Secp256k1::new();
    let mut signatures = good(seed, params, proposal);
    let other = secp.sign_schnorr_no_aux_rand(&Message::from_digest([7; 32]), &keypair(seed));
    match lie {
        Lie::WrongSignature => signatures.fill(other),
        Lie::OtherInput => signatures.rotate_left(1),
        Lie::TooFew => _ = signatures.pop(),
        Lie::TooMany => signatures.push(other),
        Lie::Nothing => signatures.clear(),
        Lie::LastWrong => *signatures.last_mut().unwrap() = other,
    }
    authenticated(
        seed,
        proposal,
        Verdict::Signed(SettlementSignatures(signatures)),
    )
}

/// A refusal out of a bad mood.
pub fn refusing(seed: u8, proposal: &[u8]) -> Answer {
    let record = RefusalRecord {
        code: "bad-mood".to_owned(),
        details: "expected better weather".to_owned(),
    };
    authenticated(seed, proposal, Verdict::Refused(record))
}

/// An answer by key number `seed`.
pub fn authenticated(seed: u8, proposal: &[u8], verdict: Verdict) -> Answer {
    let (proposal, signer) = (proposal_id(proposal), key(seed));
    let digest = Answer::digest(&proposal, &signer, &verdict);
    Answer {
        proposal,
        signer,
        authentication: Secp256k1::new().sign_schnorr_no_aux_rand(&digest, &keypair(seed)),
        verdict,
    }
}

/// What an honest signer with key number `seed` would sign, were it in the roster or not.
fn good(seed: u8, params: &Params, proposal: &[u8]) -> Vec<Signature> {
    let secp = Secp256k1::new();
    let proposal = decode_proposal(proposal).unwrap();
    let approved = approve(&secp, &proposal, params, None).unwrap();
    let settlement = approved.get();
    let mut sighashes = Sighashes::new(&settlement.transaction, &settlement.prevouts);
    let spends = settlement.spends.iter().enumerate();
    spends
        .map(|(index, spend)| {
            let sighash = sighashes.script_path(index, spend.leaf_hash()).unwrap();
            secp.sign_schnorr_no_aux_rand(&sighash, &keypair(seed))
        })
        .collect()
}
