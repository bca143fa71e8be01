//! Which sponsors pay for a transaction that serves nobody.

#![allow(clippy::unwrap_used, missing_docs)]

use bitcoin::{Amount, FeeRate};
use grail_fixtures::world::{FEE_RATE, PROOF_BYTES, World, coin, funding, output, world};
use grail_txbuild::{Deposit, RotationPlan, RotationPlanError, RotationRequest, RotationStep};
use grail_types::{BoundedVec, Kind};
use grail_wire::{Action, Merge};

/// A merge of one donation, paid by sponsors with these coins.
fn planned(amounts: &[u64], rate: FeeRate) -> Result<RotationPlan, RotationPlanError> {
    let world = world();
    let given = funding(77, vec![output(5_000, world.vault.script_pubkey.clone())]);
    let request = RotationRequest {
        bridge: &world.bridge,
        params: &world.params,
        roster: &world.roster,
        governance: &world.governance,
        state: &world.state,
        nft: world.nft(),
        vault: Some(world.vault_coin()),
        step: RotationStep::Merge {
            donations: vec![coin(&given, 0)],
        },
        sponsors: sponsors(world, amounts),
        fee_rate: rate,
        proof_bytes: PROOF_BYTES,
    };
    request.plan(&world.secp)
}

fn sponsors(world: &World, amounts: &[u64]) -> Vec<Deposit> {
    let sponsor =
        |(nonce, amount): (u64, &u64)| world.sponsor(Kind::SponsorMerge, nonce, *amount).0;
    (1..).zip(amounts).map(sponsor).collect()
}

/// What they pay, in order.
fn paid(amounts: &[u64]) -> Vec<u64> {
    let plan = planned(amounts, FEE_RATE).unwrap();
    let paid = plan.sponsors.iter().map(|it| it.coin.output.value.to_sat());
    paid.collect()
}

/// The largest coin that operators let one sponsor pay, by the words of the error.
fn most() -> u64 {
    match planned(&[u64::from(u32::MAX)], FEE_RATE) {
        Err(RotationPlanError::TooMuch { most }) => most.to_sat(),
        other => panic!("{other:?}"),
    }
}

/// Coins that pay together, and not one alone.
fn two() -> (u64, u64) {
    match planned(&[1], FEE_RATE) {
        Err(RotationPlanError::TooLittle { needed, .. }) => {
            (needed.to_sat() - 1, needed.to_sat() / 2)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_fewest_pay_whatever_their_order() {
    assert_eq!(paid(&[10_000, 60_000, 9_000]), [60_000]);
    let (more, less) = two();
    assert_eq!(paid(&[100, less, more, 50]), [more, less]);
}

#[test]
fn whoever_gives_more_than_operators_let_the_miners_have_is_passed_over() {
    let most = most();
    assert_eq!(paid(&[most + 1, 60_000]), [60_000]);
    let (more, less) = two();
    assert_eq!(paid(&[2 * most, more, 10 * most, less]), [more, less]);
    assert_eq!(paid(&[most, 60_000]), [most]);
}

#[test]
fn operators_take_the_most_that_is_planned_with_and_not_much_more() {
    let (most, world) = (most(), world());
    let step = |amount| {
        let given = funding(77, vec![output(5_000, world.vault.script_pubkey.clone())]);
        let donations = vec![coin(&given, 0)];
        let sponsor = world.sponsor(Kind::SponsorMerge, 1, amount);
        let mut step = world.step_paid_by(RotationStep::Merge { donations }, sponsor);
        step.draft.previous.push(given);
        step.draft.tidy_previous();
        step
    };
    assert_eq!(step(most).refusal(world), "approved");
    let mut above = step(most);
    let (deposit, made) = world.sponsor(Kind::SponsorMerge, 1, most + most / 8);
    let input = above.draft.transaction.input.last_mut().unwrap();
    input.previous_output = deposit.coin.outpoint;
    above.action = Action::Merge(Merge {
        sponsors: BoundedVec::new(vec![deposit.terms]).unwrap(),
    });
    above.draft.previous.push(made);
    above.draft.tidy_previous();
    assert_eq!(above.refusal(world), "fee-rate-too-high");
}

#[test]
fn whatever_the_rate_of_the_day_some_coin_is_enough_and_not_too_much() {
    let most = most();
    for part in [95, 100] {
        let plan = planned(&[most * part / 100], FeeRate::MAX).unwrap();
        assert_eq!(plan.sponsors.len(), 1);
    }
}

#[test]
fn those_who_give_too_little_are_waited_for() {
    let error = planned(&[300, 300], FEE_RATE).unwrap_err();
    let RotationPlanError::TooLittle { needed, got } = error else {
        panic!("{error}")
    };
    assert_eq!(got, Amount::from_sat(600));
    assert!(needed > got);
}
