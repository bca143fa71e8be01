//! Finished transactions, judged by tapscript's rules written a second time.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../grail-policy/tests/support/mod.rs"]
mod support;
#[path = "../../grail-script/tests/support/mod.rs"]
mod taproot;

use std::collections::BTreeMap;

use bitcoin::secp256k1::schnorr::Signature;
use grail_policy::{Approved, Settlement};
use grail_script::{Sighashes, WitnessError};
use grail_txbuild::{CompleteError, complete};
use grail_types::SignerIndex;
use support::{World, real_world, world};
use taproot::tapscript;

type Change = fn(&mut Vec<Signature>);
type Signatures = BTreeMap<SignerIndex, Vec<Signature>>;

fn approved(world: &World) -> Approved<Settlement> {
    let proposal = world.usual().draft.propose(world);
    world.approve(&proposal).unwrap()
}

fn signed_by(
    world: &World,
    approved: &Approved<Settlement>,
    positions: impl IntoIterator<Item = u16>,
) -> Signatures {
    let settlement = approved.get();
    positions
        .into_iter()
        .map(|position| {
            let key = &world.keys[usize::from(position)];
            let mut sighashes = Sighashes::new(&settlement.transaction, &settlement.prevouts);
            let signatures = settlement
                .spends
                .iter()
                .enumerate()
                .map(|(index, spend)| {
                    let sighash = sighashes.of(index, spend).unwrap();
                    world.secp.sign_schnorr_no_aux_rand(&sighash, key)
                })
                .collect();
            (SignerIndex(position), signatures)
        })
        .collect()
}

#[test]
fn any_twelve_of_sixteen_finish_a_settlement() {
    for world in [world(), real_world()] {
        let approved = approved(world);
        for quorum in [0..12, 4..16, 2..14] {
            let signatures = signed_by(world, &approved, quorum);
            let transaction = complete(&approved, &signatures).unwrap();
            assert_eq!(transaction.compute_txid(), approved.get().txid());
            assert_eq!(transaction.weight(), approved.get().weight);
            tapscript::verify_all(&transaction, &approved.get().prevouts).unwrap();
        }
    }
}

#[test]
fn more_than_twelve_make_the_same_transaction_as_the_first_twelve() {
    let world = world();
    let approved = approved(world);
    let all = complete(&approved, &signed_by(world, &approved, 0..16)).unwrap();
    let first = complete(&approved, &signed_by(world, &approved, 0..12)).unwrap();
    assert_eq!(all, first);
}

#[test]
fn eleven_do_not_finish_a_settlement() {
    let world = world();
    let approved = approved(world);
    assert_eq!(
        complete(&approved, &signed_by(world, &approved, 0..11)),
        Err(CompleteError::Witness {
            input_index: 0,
            source: WitnessError::TooFew {
                expected: 12,
                got: 11
            }
        })
    );
    assert!(complete(&approved, &Signatures::new()).is_err());
}

#[test]
fn a_signer_with_too_few_or_too_many_signatures_is_named() {
    let world = world();
    let approved = approved(world);
    let all = signed_by(world, &approved, 0..16);
    let changes: [(usize, Change); 3] = [
        (5, |list| list.truncate(5)),
        (7, |list| list.push(list[0])),
        (0, Vec::clear),
    ];
    for (got, change) in changes {
        let mut signatures = all.clone();
        change(signatures.get_mut(&SignerIndex(15)).unwrap());
        assert_eq!(
            complete(&approved, &signatures),
            Err(CompleteError::SignatureCount {
                signer: SignerIndex(15),
                expected: 6,
                got
            })
        );
    }
}

#[test]
fn a_signer_outside_the_roster_is_named() {
    let world = world();
    let approved = approved(world);
    let mut signatures = signed_by(world, &approved, 0..11);
    let surplus = signatures[&SignerIndex(0)].clone();
    signatures.insert(SignerIndex(16), surplus);
    assert_eq!(
        complete(&approved, &signatures),
        Err(CompleteError::Witness {
            input_index: 0,
            source: WitnessError::UnknownSigner(SignerIndex(16))
        })
    );
}

#[test]
fn a_signature_for_another_input_makes_a_transaction_that_is_not_valid() {
    // The caller verifies each signature first; here is why.
    let world = world();
    let approved = approved(world);
    let mut signatures = signed_by(world, &approved, 0..12);
    signatures.get_mut(&SignerIndex(3)).unwrap().swap(0, 1);
    let transaction = complete(&approved, &signatures).unwrap();
    assert!(tapscript::verify_all(&transaction, &approved.get().prevouts).is_err());
}
