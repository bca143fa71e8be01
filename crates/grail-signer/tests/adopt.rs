//! Following rosters: what a running signer believes, and that it forgets nothing and nobody's word
//! replaces it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::secp256k1::Keypair;
use common::{Script, Signer, adoption, fault, signer_with};
use grail_fixtures::house::{House, Rotated, Rotation};
use grail_fixtures::world::{BRIDGE, World, keypair, real_world};
use grail_policy::adoption::Handover;
use grail_types::Epoch;
use grail_wire::{Adopt, Adopted, FaultCode, Request, Response};

fn key(world: &World) -> Keypair {
    world.keys[0]
}

/// The world's own roster and two after it.
fn houses(world: &World) -> [House; 3] {
    let keys = |from: u16| (from..).take(16).map(keypair).collect();
    [
        House::new(&world.secp, 0, world.keys.clone(), 12),
        House::new(&world.secp, 1, keys(100), 12),
        House::new(&world.secp, 2, keys(200), 12),
    ]
}

/// Two rotations, by so many signers each.
fn steps(world: &World, signers: usize) -> [Handover; 2] {
    let [first, second, third] = houses(world);
    let rotate = |made, from, to| {
        let rotation = Rotation {
            bridge: &world.bridge,
            wasm: BRIDGE,
            made,
            funding: None,
            from,
            to,
        };
        rotation.signed_by(signers)
    };
    let one: Rotated = rotate(&world.genesis, &first, &second);
    let two = rotate(&one.transaction, &second, &third);
    [one.execution, two.execution]
}

fn told(signer: &mut Signer, shown: Adopt) -> Response {
    signer.handle(Request::Adopt(shown), &mut Script::counting(0))
}

fn adopted(response: Response) -> Adopted {
    match response {
        Response::Adopted(adopted) => adopted,
        other => panic!("not adopted: {other:?}"),
    }
}

fn identity(signer: &mut Signer) -> Option<Adopted> {
    match signer.handle(Request::Identify, &mut Script::counting(0)) {
        Response::Identity(identity) => identity.adopted,
        other => panic!("no identity: {other:?}"),
    }
}

#[test]
fn rosters_are_followed_at_once_or_step_by_step_and_named_ever_after() {
    let world = real_world();
    let [one, two] = steps(world, 12);
    let expected = Adopted {
        genesis: world.deployment.compute_txid(),
        epoch: Epoch(2),
        txid: two.transaction.compute_txid(),
        params_hash: world.params_hash(),
    };
    let (mut at_once, _) = signer_with(&world.bridge, &key(world));
    assert_eq!(identity(&mut at_once), None);
    let both = adoption(world, &[one.clone(), two.clone()]);
    assert_eq!(adopted(told(&mut at_once, both)), expected);

    let (mut by_steps, _) = signer_with(&world.bridge, &key(world));
    let first = adopted(told(&mut by_steps, adoption(world, &[])));
    assert_eq!((first.epoch, first.txid), (Epoch(0), expected.genesis));
    for (step, epoch) in [(one, 1), (two, 2)] {
        // The deployment is known by now.
        let shown = Adopt {
            deployment: None,
            ..adoption(world, &[step])
        };
        assert_eq!(adopted(told(&mut by_steps, shown)).epoch, Epoch(epoch));
    }
    assert_eq!(identity(&mut by_steps), Some(expected.clone()));
    assert_eq!(identity(&mut at_once), Some(expected));
}

#[test]
fn what_does_not_follow_changes_nothing_and_names_its_rule() {
    let world = real_world();
    let [one, two] = steps(world, 12);
    let [short, _] = steps(world, 11);
    let (mut signer, _) = signer_with(&world.bridge, &key(world));
    let honest = adopted(told(
        &mut signer,
        adoption(world, std::slice::from_ref(&one)),
    ));
    for (shown, rule) in [
        // Seen already; skipped; signed by too few, after one that is good.
        (adoption(world, std::slice::from_ref(&one)), "not-vault"),
        (adoption(world, &[two.clone(), two.clone()]), "not-vault"),
        (adoption(world, &[two, short]), "not-vault"),
    ] {
        let Response::Failed(refused) = told(&mut signer, shown) else {
            panic!("adopted");
        };
        assert_eq!(refused.code, FaultCode::AdoptionRefused);
        assert!(refused.details.as_str().starts_with(rule), "{refused:?}");
        assert_eq!(identity(&mut signer), Some(honest.clone()));
    }
}

#[test]
fn the_first_deployment_named_stays_for_as_long_as_the_signer_runs() {
    let world = real_world();
    let (mut signer, _) = signer_with(&world.bridge, &key(world));
    let honest = adoption(world, &[]);
    // Until one is adopted nothing stays.
    for (shown, rule) in [
        (
            Adopt {
                deployment: None,
                ..honest.clone()
            },
            "no-deployment",
        ),
        (
            Adopt {
                genesis: world.genesis.compute_txid(),
                ..honest.clone()
            },
            "not-genesis",
        ),
        (
            Adopt {
                deployment: Some(grail_types::BoundedBytes::new(vec![1, 2, 3]).unwrap()),
                ..honest.clone()
            },
            "malformed",
        ),
    ] {
        let Response::Failed(refused) = told(&mut signer, shown) else {
            panic!("adopted");
        };
        assert_eq!(refused.code, FaultCode::AdoptionRefused);
        assert!(refused.details.as_str().starts_with(rule), "{refused:?}");
    }
    let first = adopted(told(&mut signer, honest.clone()));
    let other = Adopt {
        genesis: world.genesis.compute_txid(),
        ..honest
    };
    assert_eq!(fault(told(&mut signer, other)), "adoption-genesis");
    assert_eq!(identity(&mut signer), Some(first));
}
