//! Adopting rosters: the true way from the genesis, and each rule broken once.

#![allow(clippy::unwrap_used, missing_docs)]

mod refusals;
mod steps;
use grail_fixtures::world as support;

use std::collections::BTreeSet;

use bitcoin::{Txid, hashes::Hash};
use grail_bridge_contract::StateError;
use grail_policy::adoption::{
    AdoptionError, HANDOVER_MAX_BYTES, Handover, HandoverError, adopt_next,
};
use grail_types::{Epoch, SignerIndex};

use steps::{
    House, adopt, code, first_house, genesis_of, house_of_epoch, rotation, signed, state_of,
};
use support::{keypair, real_world, world};

#[test]
fn adopts_two_rotations_that_twelve_of_sixteen_signed() {
    let world = real_world();
    let houses = [0, 1, 2].map(|epoch| match epoch {
        0 => first_house(world),
        _ => house_of_epoch(world, epoch),
    });
    let mut adopted = genesis_of(world);
    assert_eq!(adopted.roster(), &world.roster);
    assert_eq!(adopted.params_hash(), world.params_hash());
    assert_eq!(adopted.txid(), world.deployment.compute_txid());
    let (mut made, mut state) = (world.genesis.clone(), world.state.clone());
    for pair in houses.windows(2) {
        let [from, to] = pair else { unreachable!() };
        let step = signed(rotation(world, &made, &state, to, |_| {}), from, 12);
        adopted = adopt_next(&world.secp, &world.bridge, &adopted, &step).unwrap();
        assert_eq!(adopted.roster(), &to.roster);
        assert_eq!(adopted.epoch(), to.roster.epoch());
        assert_eq!(adopted.params_hash(), world.params_hash());
        assert_eq!(adopted.txid(), step.transaction.compute_txid());
        (made, state) = (step.transaction, state_of(to, &state));
    }
}

/// The committed contract lets anybody prove it: consent is in the witness alone.
#[test]
fn refuses_a_proven_rotation_that_nobody_signed() {
    let world = real_world();
    let thieves = House::new(&world.secp, 1, (700..704).map(keypair).collect(), 3);
    let mut step = rotation(world, &world.genesis, &world.state, &thieves, |_| {});
    assert_eq!(code(&adopt(world, &step)), "witness-length");
    // With places, script and control block, and nobody's signature in them.
    let nobody = first_house(world).sign_input(&step.transaction, &step.spent, 0, 0);
    step.transaction.input[0].witness = nobody;
    assert_eq!(code(&adopt(world, &step)), "signature-count");
    // By the thieves, each in some place.
    let own = thieves.sign_input(&step.transaction, &step.spent, 0, 4);
    step.transaction.input[0].witness = own;
    assert_eq!(code(&adopt(world, &step)), "witness-length");
}

#[test]
fn a_handover_has_one_encoding_and_bytes_that_are_none_are_refused() {
    let step = steps::step();
    let bytes = step.to_bytes();
    assert_eq!(Handover::from_bytes(&bytes).unwrap(), step);
    // Without its last key a governance can be another one, which has another hash.
    let fewer = bytes.len() - 32;
    for length in (0..bytes.len()).filter(|length| *length != fewer) {
        let cut = Handover::from_bytes(&bytes[..length]);
        assert!(matches!(cut, Err(HandoverError::Malformed(_))), "{length}");
    }
    let other = Handover::from_bytes(&bytes[..fewer]).unwrap();
    assert_eq!(other.to_bytes(), bytes[..fewer]);
    assert_eq!(code(&adopt(world(), &other)), "wrong-governance");
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(
        Handover::from_bytes(&longer),
        Err(HandoverError::Malformed(_))
    ));
    let huge = vec![0; HANDOVER_MAX_BYTES + 1];
    let expected = HandoverError::TooLarge(huge.len());
    assert_eq!(Handover::from_bytes(&huge), Err(expected));
}

#[test]
fn every_code_is_produced_by_a_test() {
    let txid = Txid::all_zeros();
    let (signer, epoch) = (SignerIndex(0), Epoch(0));
    let all = [
        AdoptionError::NotGenesis {
            expected: txid,
            got: txid,
        },
        AdoptionError::WrongIdentity,
        AdoptionError::WrongBridge,
        AdoptionError::ScriptSig { input_index: 0 },
        AdoptionError::SpentCount {
            expected: 0,
            got: 0,
        },
        AdoptionError::NotVault(epoch),
        AdoptionError::Annex,
        AdoptionError::WitnessLength {
            expected: 0,
            got: 0,
        },
        AdoptionError::WrongLeaf,
        AdoptionError::SignatureForm { signer, got: 0 },
        AdoptionError::SignatureCount {
            expected: 0,
            got: 0,
        },
        AdoptionError::SignatureInvalid(signer),
        AdoptionError::NftMissing,
        AdoptionError::StateInvalid(StateError::NotAnArray),
        AdoptionError::RosterInvalid(String::new()),
        AdoptionError::WrongGovernance,
        AdoptionError::WrongVaultScript,
        AdoptionError::NftElsewhere,
        AdoptionError::WrongEpoch {
            before: epoch,
            got: epoch,
        },
    ];
    let produced: BTreeSet<_> = refusals::CODES
        .iter()
        .copied()
        .filter(|code| *code != "adopted")
        .collect();
    assert_eq!(produced, all.iter().map(AdoptionError::code).collect());
}
