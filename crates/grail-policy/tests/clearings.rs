//! Clearings that are approved, and what of them is signed.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::OnceLock;

use bitcoin::{Amount, Sequence};
use grail_fixtures::world::{
    World,
    clearing::{SHARE, app, authored},
    public, world,
};
use grail_policy::{Clearing, Decision};
use grail_types::OrderTerms;
use grail_wire::{PlacedOrder, decode_proposal, encode_proposal};
use proptest::{prelude::*, sample::Index};

fn cleared(draft: &grail_fixtures::world::ClearingDraft) -> Clearing {
    match draft.approve(world()).unwrap().get() {
        Decision::Clearing(clearing) => (**clearing).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clearing_is_signed_at_every_input_by_the_roster() {
    let world = world();
    let draft = world.clearing();
    let clearing = cleared(&draft);
    assert_eq!(clearing.app, app());
    let share = Amount::from_sat(SHARE);
    let orders = [world.buying().id(), world.selling().id()].map(|id| (id, share));
    assert_eq!(clearing.orders, orders);
    assert_eq!(clearing.signing.fee, share * 2);
    assert_eq!(clearing.prover_fee, Amount::ZERO);
    assert_eq!(clearing.facts, draft.seen(world).hash());
    let signed: Vec<_> = clearing
        .signing
        .inputs_of(&public(&world.keys[3]))
        .collect();
    assert_eq!(signed, [0, 1, 2]);
}

#[test]
fn an_app_can_be_told_a_height_and_the_age_of_its_coin() {
    let world = world();
    let mut draft = world.clearing();
    draft.set_lock_height(812_345);
    draft.draft.transaction.input[0].sequence = Sequence::from_height(2);
    let facts = draft.seen(world);
    assert_eq!((facts.lock_height, facts.age), (812_345, 2));
    assert_eq!(cleared(&draft).facts, facts.hash());
}

#[test]
fn an_authored_order_counts_with_its_owners_word() {
    let world = world();
    let terms = OrderTerms {
        authored: true,
        ..world.buying()
    };
    let mut draft = world.clearing_of(terms.clone(), world.selling());
    let deposit = draft.draft.transaction.input[1].previous_output;
    let word = authored(&terms, deposit);
    let share = Amount::from_sat(SHARE);
    draft.order(0, |order| {
        *order = PlacedOrder::new(terms, Some(word), share);
    });
    let facts = draft.seen(world);
    assert!(facts.orders[0].author.is_some());
    assert_eq!(cleared(&draft).facts, facts.hash());
}

#[test]
fn a_prover_is_paid_out_of_the_orders_shares() {
    let world = World::new(grail_fixtures::world::Setup {
        params: &|values| values.prover_fee_max = Amount::from_sat(10_000),
        ..grail_fixtures::world::Setup::default()
    });
    let mut draft = world.clearing();
    let paid = grail_fixtures::world::output(2_000, grail_fixtures::world::p2tr(3));
    draft.draft.uncommitted.push(paid);
    let approved = draft.approve(&world).unwrap();
    let Decision::Clearing(clearing) = approved.get() else {
        panic!("{approved:?}")
    };
    assert_eq!(clearing.prover_fee, Amount::from_sat(2_000));
    assert_eq!(clearing.signing.fee, Amount::from_sat(2 * SHARE - 2_000));
}

/// A sound clearing, as it travels.
fn encoded() -> &'static [u8] {
    static ENCODED: OnceLock<Vec<u8>> = OnceLock::new();
    ENCODED.get_or_init(|| encode_proposal(&world().clearing().propose(world())).unwrap())
}

#[test]
fn a_clearing_reads_back() {
    let proposal = world().clearing().propose(world());
    assert_eq!(decode_proposal(encoded()), Ok(proposal));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_flipped_bit_of_a_clearing_is_approved(at: Index, bit in 0..8_u8) {
        let mut bytes = encoded().to_vec();
        let length = bytes.len();
        bytes[at.index(length)] ^= 1 << bit;
        let Ok(flipped) = decode_proposal(&bytes) else { return Ok(()) };
        let world = world();
        let signer = public(&world.keys[0]);
        let decided = grail_policy::approve(&world.secp, &flipped, &world.bridge, &signer);
        // Parameters only tighten, administrators take no part: neither is what is signed.
        let is_told = flipped.params == world.params && flipped.governance == world.governance;
        prop_assert!(decided.is_err() || !is_told);
    }
}
