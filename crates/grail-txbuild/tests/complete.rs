//! Finished transactions, judged by tapscript's rules written a second time.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as taproot;
use grail_fixtures::world as support;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use bitcoin::{XOnlyPublicKey, secp256k1::Keypair};
use grail_policy::{Signing, SigningInput};
use grail_script::{InternalKey, Sighashes, Spend, VaultTree};
use grail_txbuild::{CheckedSignatures, Collector, CompleteError, FaultyContributions, Standing};
use grail_types::{Epoch, Roster, SignerIndex, Threshold};
use grail_wire::{Contribution, Contributions};
use grail_witness::WitnessError;
use support::{World, keypair, public, real_world, world};
use taproot::tapscript;

type Signatures = BTreeMap<XOnlyPublicKey, CheckedSignatures>;

fn signing(world: &World) -> Signing {
    let proposal = world.usual().draft.propose(world);
    world.judge(&proposal).unwrap().get().signing().clone()
}

fn collector(world: &World) -> Collector {
    Collector::new(signing(world)).unwrap()
}

/// What a signer contributes to these inputs.
fn signed(world: &World, signing: &Signing, key: &Keypair, inputs: &[usize]) -> Contributions {
    let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
    let contributions = inputs.iter().map(|&index| {
        let sighash = sighashes.of(index, &signing.inputs[index].spend).unwrap();
        Contribution::Signature {
            input_index: u16::try_from(index).unwrap(),
            signature: world.secp.sign_schnorr_no_aux_rand(&sighash, key),
        }
    });
    Contributions::new(contributions.collect()).unwrap()
}

fn checked(world: &World, collector: &Collector, keys: &[Keypair]) -> Signatures {
    let signing = collector.signing();
    keys.iter()
        .map(|key| {
            let own: Vec<_> = signing.inputs_of(&public(key)).collect();
            let contributions = signed(world, signing, key, &own);
            let checked = collector.check(&world.secp, &public(key), &contributions);
            (public(key), checked.unwrap())
        })
        .collect()
}

#[test]
fn any_twelve_of_sixteen_finish_a_settlement() {
    for world in [world(), real_world()] {
        let collector = collector(world);
        for quorum in [0..12, 4..16, 2..14] {
            let signatures = checked(world, &collector, &world.keys[quorum]);
            let transaction = collector.complete(&signatures).unwrap();
            let signing = collector.signing();
            assert_eq!(transaction.compute_txid(), signing.txid());
            assert_eq!(transaction.weight(), signing.weight);
            tapscript::verify_all(&transaction, &signing.prevouts).unwrap();
        }
    }
}

#[test]
fn more_than_twelve_make_the_same_transaction_as_the_first_twelve() {
    let world = world();
    let collector = collector(world);
    let of = |range: Range<usize>| {
        let signatures = checked(world, &collector, &world.keys[range]);
        collector.complete(&signatures).unwrap()
    };
    assert_eq!(of(0..16), of(0..12));
}

#[test]
fn eleven_do_not_finish_a_settlement() {
    let world = world();
    let collector = collector(world);
    assert_eq!(
        collector.complete(&checked(world, &collector, &world.keys[..11])),
        Err(CompleteError {
            input_index: 0,
            source: WitnessError::TooFew {
                expected: 12,
                got: 11
            }
        })
    );
    assert!(collector.complete(&Signatures::new()).is_err());
}

#[test]
fn contributions_are_for_all_of_a_signers_inputs_and_no_other() {
    let world = world();
    let collector = collector(world);
    let key = &world.keys[3];
    let all: Vec<_> = (0..6).collect();
    for got in [&all[..5], &all[1..], &[], &[0, 1, 2, 4, 5]] {
        let contributions = signed(world, collector.signing(), key, got);
        assert_eq!(
            collector.check(&world.secp, &public(key), &contributions),
            Err(FaultyContributions::Inputs {
                expected: all.clone(),
                got: got.to_vec()
            })
        );
    }
    let mut more = signed(world, collector.signing(), key, &all).to_vec();
    let Contribution::Signature { signature, .. } = more[5];
    more.push(Contribution::Signature {
        input_index: 6,
        signature,
    });
    let more = Contributions::new(more).unwrap();
    let faulty = collector.check(&world.secp, &public(key), &more);
    assert_eq!(faulty.unwrap_err().code(), "signature-count");
}

#[test]
fn a_signature_of_another_input_key_or_signer_is_named() {
    let world = world();
    let collector = collector(world);
    let signing = collector.signing();
    let all: Vec<_> = (0..6).collect();
    let (one, other) = (&world.keys[3], &world.keys[4]);
    let of_other = signed(world, signing, other, &all);
    let refused = collector.check(&world.secp, &public(one), &of_other);
    assert_eq!(
        refused,
        Err(FaultyContributions::Invalid {
            input_index: 0,
            source: WitnessError::Invalid(SignerIndex(3))
        })
    );
    let mut swapped = signed(world, signing, one, &all).to_vec();
    let [
        ..,
        Contribution::Signature { signature: a, .. },
        Contribution::Signature { signature: b, .. },
    ] = &mut swapped[..]
    else {
        panic!("six of them");
    };
    std::mem::swap(a, b);
    let swapped = Contributions::new(swapped).unwrap();
    let refused = collector.check(&world.secp, &public(one), &swapped);
    assert!(
        matches!(
            refused,
            Err(FaultyContributions::Invalid { input_index: 4, .. })
        ),
        "{refused:?}"
    );
    // Nobody's: in no roster, so no input is his to sign.
    let stranger = keypair(99);
    let refused = collector.check(
        &world.secp,
        &public(&stranger),
        &signed(world, signing, &stranger, &all),
    );
    assert!(matches!(
        refused,
        Err(FaultyContributions::Inputs { expected, .. }) if expected.is_empty()
    ));
}

#[test]
fn stored_signatures_read_back_for_their_signer_and_transaction() {
    let world = world();
    let collector = collector(world);
    for (signer, signatures) in checked(world, &collector, &world.keys[..2]) {
        let bytes = signatures.to_bytes();
        let read = CheckedSignatures::from_bytes(collector.signing(), &signer, &bytes);
        assert_eq!(read, Some(signatures));
        for wrong in [&bytes[..320], &bytes[1..], &[]] {
            let read = CheckedSignatures::from_bytes(collector.signing(), &signer, wrong);
            assert_eq!(read, None);
        }
    }
}

/// The usual settlement with its last input held by another roster: two of the world's signers and
/// two more, three of four.
fn of_two_rosters(world: &World) -> (Collector, Vec<Keypair>) {
    let mut keys = vec![world.keys[0], world.keys[1], keypair(801), keypair(802)];
    keys.sort_by_key(|key| public(key).serialize());
    let signers = keys.iter().map(public).collect();
    let roster = Roster::new(Epoch(1), signers, Threshold(3)).unwrap();
    let tree = VaultTree::new(&world.secp, InternalKey::Nums, &roster, &world.governance);
    let mut signing = signing(world);
    signing.prevouts[5].script_pubkey = tree.script_pubkey;
    signing.inputs[5] = SigningInput {
        spend: Spend::Leaf(tree.leaf),
        roster: Arc::new(roster),
    };
    (Collector::new(signing).unwrap(), keys)
}

#[test]
fn each_input_has_the_quorum_of_its_own_roster() {
    let world = world();
    let (collector, others) = of_two_rosters(world);
    let keys: BTreeMap<_, _> = world
        .keys
        .iter()
        .chain(&others)
        .map(|key| (public(key), *key))
        .collect();
    let all: Vec<_> = keys.into_values().collect();
    let signatures = checked(world, &collector, &all);
    let transaction = collector.complete(&signatures).unwrap();
    tapscript::verify_all(&transaction, &collector.signing().prevouts).unwrap();
    // Sixteen of the first roster are two of the second.
    let first = checked(world, &collector, &world.keys);
    assert_eq!(collector.complete(&first).unwrap_err().input_index, 5);
    assert_eq!(standing(&collector, &world.keys, &[]), Standing::Open);
    assert_eq!(standing(&collector, &all, &[]), Standing::Complete);
}

fn standing(collector: &Collector, signed: &[Keypair], unwilling: &[Keypair]) -> Standing {
    let keys = |list: &[Keypair]| list.iter().map(public).collect::<BTreeSet<_>>();
    collector.standing(&keys(signed), &keys(unwilling))
}

#[test]
fn a_quorum_is_lost_when_too_few_are_left_for_any_input() {
    let world = world();
    let keys = &world.keys;
    let collector = collector(world);
    assert_eq!(standing(&collector, &[], &keys[..4]), Standing::Open);
    assert_eq!(standing(&collector, &[], &keys[..5]), Standing::Lost);
    // Whoever signed has signed, whatever he says later.
    assert_eq!(standing(&collector, &keys[..12], keys), Standing::Complete);
    let (collector, others) = of_two_rosters(world);
    assert_eq!(standing(&collector, &[], &others[..1]), Standing::Open);
    assert_eq!(standing(&collector, &[], &others[..2]), Standing::Lost);
}
