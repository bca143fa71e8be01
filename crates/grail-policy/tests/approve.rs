//! What the policy lets through.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use support::{real_world, world};

#[test]
fn a_usual_settlement_is_approved() {
    for world in [real_world(), world()] {
        let case = world.usual();
        let proposal = case.draft.propose(world);
        let approved = world.approve(&proposal).unwrap();
        assert_eq!(approved.get().signing().fee, case.plan.fee);
        support::model::judge(world, &proposal).unwrap_or_else(|error| panic!("{error}"));
    }
}
