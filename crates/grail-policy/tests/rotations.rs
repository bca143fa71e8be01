//! Rotations under the bridge's own contract: what operators approve, the contract lets through,
//! and what each pays and weighs.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world::{
    StepDraft, World, peg_in, real_world,
    steps::{SPONSORED, succession},
};
use grail_policy::{Decision, NOTICE_COIN, Rotation};
use grail_wire::ActionKind;

fn approved(world: &World, step: &StepDraft) -> Rotation {
    match step.approve(world).unwrap().get() {
        Decision::Rotation(rotation) => (**rotation).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rotation_is_announced_waits_and_hands_over() {
    let world = real_world();
    let succession = succession(world);
    let announcing = world.announcing(&succession);
    let rotation = approved(world, &announcing);
    assert_eq!(rotation.step, ActionKind::Announcement);
    let next = rotation.after.next.clone().unwrap();
    assert_eq!((next.serial, next.wait), (world.state.serial + 1, 6));
    assert_eq!(rotation.after.attempt, world.state.attempt + 1);
    let fee = rotation.signing.fee.to_sat();
    assert_eq!(fee, SPONSORED - NOTICE_COIN.to_sat());

    let announced = world.after(&announcing);
    // Pegs go on meanwhile.
    let case = announced.case(&[peg_in(1_000_000)]);
    assert_eq!(case.draft.refusal(&announced), "approved");
    let settled = announced.on(case.draft.propose(&announced).transaction, case.plan.state);

    let executing = settled.executing_by(&succession, &announced.genesis);
    let rotation = approved(&settled, &executing);
    assert_eq!(rotation.step, ActionKind::Execution);
    let after = &rotation.after;
    assert_eq!((after.epoch, after.next.clone()), (1, None));
    assert_eq!(after.supply, settled.state.supply);
    assert_eq!(after.next_hash(), next.hash);
    let fee = rotation.signing.fee.to_sat();
    assert_eq!(fee, SPONSORED + NOTICE_COIN.to_sat());
}

#[test]
fn a_rotation_is_taken_back_and_announced_again() {
    let world = real_world();
    let succession = succession(world);
    let announced = world.after(&world.announcing(&succession));
    let cancelling = announced.cancelling();
    let rotation = approved(&announced, &cancelling);
    assert_eq!(rotation.step, ActionKind::Cancellation);
    assert_eq!(rotation.after.next, None);
    assert_eq!(rotation.signing.fee.to_sat(), SPONSORED);
    let cancelled = announced.after(&cancelling);
    let again = approved(&cancelled, &cancelled.announcing(&succession));
    assert_eq!(again.after.attempt, 2);
    assert_eq!(again.after.next.unwrap().serial, cancelled.state.serial + 1);
}

#[test]
fn a_bridge_without_vault_rotates_too() {
    let world = real_world();
    let mut before = world.on(world.deployment.clone(), world.state.clone());
    before.state = grail_bridge_contract::RosterState {
        serial: 0,
        supply: 0,
        ..world.state.clone()
    };
    let succession = succession(&before);
    let announcing = before.announcing(&succession);
    approved(&before, &announcing);
    let announced = before.after(&announcing);
    let rotation = approved(&announced, &announced.executing(&succession));
    assert_eq!(rotation.signing.inputs.len(), 3);
}

#[test]
fn each_sponsor_is_told_with_what_it_pays() {
    let world = real_world();
    let step = world.announcing(&succession(world));
    let rotation = approved(world, &step);
    let [(_, paid)] = rotation.sponsors[..] else {
        panic!("{:?}", rotation.sponsors)
    };
    assert_eq!(paid.to_sat(), SPONSORED);
}
