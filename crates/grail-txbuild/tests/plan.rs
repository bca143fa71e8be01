//! Plans of random batches, held to the policy and to the model.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use std::collections::BTreeSet;

use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, WScriptHash, hashes::Hash};
use grail_txbuild::{Deposit, PlanError, SettlementPlan, SettlementRequest};
use grail_types::{Kind, Roster};
use proptest::prelude::*;
use support::{
    Draft, Peg, World, later_world,
    model::{fee, judge, signed_weight},
    p2tr, p2wpkh, peg_in, peg_out, real_world, world,
};

fn destination() -> impl Strategy<Value = ScriptBuf> {
    prop_oneof![
        (0..20_u8).prop_map(p2tr),
        (0..20_u8).prop_map(p2wpkh),
        (0..20_u8).prop_map(|byte| ScriptBuf::new_p2wsh(&WScriptHash::from_byte_array([byte; 32]))),
    ]
}

/// Amounts around the places where their encoding in the spell changes its length, and any others.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![
        20_000..40_000_u64,
        64_000..75_000_u64,
        20_000..30_000_000_u64,
    ]
}

fn peg() -> impl Strategy<Value = Peg> {
    let kind = prop_oneof![Just(Kind::PegIn), Just(Kind::PegOut)];
    let cap = prop_oneof![Just(u64::MAX / 4), 0..2_000_000_u64];
    (kind, amount(), cap, destination()).prop_map(|(kind, amount, fee_cap, destination)| Peg {
        kind,
        amount,
        fee_cap,
        destination,
    })
}

fn rate() -> impl Strategy<Value = FeeRate> {
    let rate = prop_oneof![
        Just(0),
        Just(u64::MAX),
        250..=75_000_u64,
        250..=2_000_u64,
        70_000..=80_000_u64,
    ];
    rate.prop_map(FeeRate::from_sat_per_kwu)
}

struct Planned {
    plan: SettlementPlan,
    proposal: support::Proposal,
    pegs: usize,
    rate: FeeRate,
}

/// Plans and proves; none when nothing can be served.
fn planned(world: &World, pegs: &[Peg], rate: FeeRate) -> Option<Planned> {
    planned_on(world, pegs, rate, Amount::ZERO)
}

/// The same on top of a lane that lacks so much.
fn planned_on(world: &World, pegs: &[Peg], rate: FeeRate, deficit: Amount) -> Option<Planned> {
    planned_for(world, world.deposits(1, pegs), rate, deficit)
}

/// The same of these deposits, each with the transaction that made it.
fn planned_for(
    world: &World,
    deposits: Vec<(Deposit, Transaction)>,
    rate: FeeRate,
    deficit: Amount,
) -> Option<Planned> {
    let pegs = deposits.len();
    let (deposits, made): (Vec<_>, Vec<_>) = deposits.into_iter().unzip();
    let request = SettlementRequest {
        fee_rate: rate,
        deficit,
        ..world.request(deposits)
    };
    let plan = match request.plan(&world.secp) {
        Ok(plan) => plan,
        Err(PlanError::Nothing { left_out }) => {
            assert_eq!(left_out.len(), pegs);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let proposal = Draft::of_plan(world, &plan, &made).propose(world);
    Some(Planned {
        plan,
        proposal,
        pegs,
        rate: rate.clamp(world.params.fee_rate_min, world.params.fee_rate_max),
    })
}

fn check(world: &World, planned: &Planned) -> Result<(), TestCaseError> {
    let Planned {
        plan,
        proposal,
        pegs,
        rate,
    } = planned;
    let approved = world.approve(proposal);
    let approved =
        approved.map_err(|refusal| TestCaseError::fail(format!("refused: {refusal}")))?;
    judge(world, proposal).map_err(TestCaseError::fail)?;

    // Everybody is served or told why not.
    let served: BTreeSet<_> = plan.items.iter().map(|item| item.request).collect();
    let left: BTreeSet<_> = plan.left_out.iter().map(|left| left.request).collect();
    prop_assert_eq!(served.len() + left.len(), *pegs);
    prop_assert!(served.is_disjoint(&left));

    // The plan says what the transaction does.
    let settlement = approved.get().as_settlement().unwrap();
    prop_assert_eq!(&settlement.after, &plan.state);
    prop_assert_eq!(settlement.items.len(), plan.items.len());
    let shares: Amount = plan.items.iter().map(|item| item.fee_share).sum();
    prop_assert_eq!(shares, plan.fee);
    prop_assert_eq!(fee(proposal), plan.fee);
    let requests = plan.requests.iter().zip(&proposal.requests);
    for ((item, outcome), (terms, named)) in plan.items.iter().zip(&settlement.items).zip(requests)
    {
        prop_assert_eq!(terms, named);
        prop_assert_eq!(item.request, terms.id());
        prop_assert_eq!(item.request, outcome.request);
        prop_assert_eq!(item.fee_share, outcome.fee_share);
        prop_assert!(item.fee_share <= terms.fee_cap);
        if terms.kind == Kind::PegIn {
            prop_assert_eq!(item.amount_out.to_sat(), outcome.minted);
        }
    }

    // The fee is the rate's on the signed weight or little more: the proof's bytes and the amounts
    // may turn out shorter than reckoned, and each payer rounds up.
    let weight = signed_weight(world, proposal);
    prop_assert_eq!(settlement.signing.weight.to_wu(), weight);
    let payers = plan.items.len() as u64;
    let slack = 4 * (support::PROOF_BYTES as u64 / 2 + 8 * (payers + 2)) + payers;
    let most = rate
        .fee_wu(bitcoin::Weight::from_wu(weight + slack))
        .unwrap()
        .to_sat()
        + payers;
    prop_assert!(plan.fee.to_sat() <= most, "{} above {}", plan.fee, most);
    let least = rate.fee_wu(bitcoin::Weight::from_wu(weight)).unwrap();
    if rate.to_sat_per_kwu() < world.params.fee_rate_max.to_sat_per_kwu() * 3 / 4 {
        prop_assert!(plan.fee >= least, "{} below {}", plan.fee, least);
    }
    Ok(())
}

/// All that is lacking is borne or nothing of it, by the same who are served without, within their
/// caps.
fn check_surcharge(
    world: &World,
    plain: &SettlementPlan,
    helps: &Planned,
    lacking: Amount,
) -> Result<(), TestCaseError> {
    let plan = &helps.plan;
    prop_assert_eq!(&plan.left_out, &plain.left_out);
    prop_assert_eq!(plan.items.len(), plain.items.len());
    prop_assert!(plan.surcharge == Amount::ZERO || plan.surcharge >= lacking);
    prop_assert_eq!(plan.fee, plain.fee + plan.surcharge);
    for ((item, before), terms) in plan.items.iter().zip(&plain.items).zip(&plan.requests) {
        prop_assert_eq!(item.request, before.request);
        let surcharge = item.fee_share - before.fee_share;
        prop_assert!(surcharge * 2 <= before.fee_share);
        prop_assert_eq!(item.amount_out + surcharge, before.amount_out);
        prop_assert!(item.fee_share <= terms.fee_cap);
    }
    let approved = world.approve(&helps.proposal);
    let approved =
        approved.map_err(|refusal| TestCaseError::fail(format!("refused: {refusal}")))?;
    let settlement = approved.get().as_settlement().unwrap();
    prop_assert_eq!(settlement.signing.fee, plan.fee);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 120,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_plan_is_approved_and_keeps_the_books(
        pegs in prop::collection::vec(peg(), 1..=12),
        rate in rate(),
    ) {
        let world = world();
        if let Some(planned) = planned(world, &pegs, rate) {
            check(world, &planned)?;
        }
    }

    /// Of two rosters of another size each: the weight is reckoned by each input's own quorum.
    #[test]
    fn every_plan_of_two_rosters_is_approved_and_keeps_the_books(
        pegs in prop::collection::vec((peg(), any::<bool>()), 1..=12),
        rate in rate(),
    ) {
        let world = later_world();
        let terms = (1..).zip(&pegs).map(|(nonce, (peg, is_former))| {
            if *is_former {
                world.former_terms(peg, nonce)
            } else {
                world.terms(peg, nonce)
            }
        });
        let terms = terms.collect();
        let pegs: Vec<_> = pegs.iter().map(|(peg, _)| peg.clone()).collect();
        let deposits = world.deposits_for(&pegs, terms);
        if let Some(planned) = planned_for(world, deposits, rate, Amount::ZERO) {
            let former = world.former.as_ref().map(|former| &former.roster);
            let epoch = former.map(Roster::epoch);
            let needed = planned.plan.requests.iter().any(|it| Some(it.epoch) == epoch);
            prop_assert_eq!(planned.plan.former.as_ref(), former.filter(|_| needed));
            check(world, &planned)?;
        }
    }

    #[test]
    fn whatever_is_lacking_below_nobody_is_left_out_and_operators_sign(
        pegs in prop::collection::vec(peg(), 1..=12),
        rate in rate(),
        lacking in prop_oneof![1..5_000_u64, 1..3_000_000_u64],
    ) {
        let world = world();
        let lacking = Amount::from_sat(lacking);
        let plain = planned(world, &pegs, rate);
        let helps = planned_on(world, &pegs, rate, lacking);
        prop_assert_eq!(plain.is_some(), helps.is_some());
        if let Some((plain, helps)) = plain.zip(helps) {
            check_surcharge(world, &plain.plan, &helps, lacking)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_bridges_own_contract_lets_every_plan_through(
        pegs in prop::collection::vec(peg(), 1..=12),
        rate in rate(),
    ) {
        let world = real_world();
        if let Some(planned) = planned(world, &pegs, rate) {
            check(world, &planned)?;
        }
    }
}

#[test]
fn the_same_request_gives_the_same_plan() {
    let world = world();
    let plans = [0, 1].map(|_| {
        let pegs = [peg_in(50_000), peg_out(60_000), peg_in(70_000)];
        planned(world, &pegs, support::FEE_RATE).unwrap()
    });
    assert_eq!(plans[0].proposal, plans[1].proposal);
    assert_eq!(plans[0].plan.items, plans[1].plan.items);
}

#[test]
fn rates_outside_the_clamp_are_brought_inside() {
    let world = world();
    let pegs = [Peg {
        fee_cap: u64::MAX / 4,
        ..peg_in(10_000_000)
    }];
    for rate in [0, 249, 75_001, u64::MAX] {
        let rate = FeeRate::from_sat_per_kwu(rate);
        let planned = planned(world, &pegs, rate).unwrap();
        check(world, &planned).unwrap();
    }
}

#[test]
fn a_netted_batch_may_leave_the_vault_as_it_was() {
    let world = world();
    let planned = planned(
        world,
        &[peg_in(1_000_000), peg_out(995_000)],
        support::FEE_RATE,
    )
    .unwrap();
    check(world, &planned).unwrap();
    assert_eq!(planned.plan.transaction.input.len(), 4);
}

#[test]
fn an_emptied_vault_has_no_output() {
    let world = real_world();
    let pegs = [peg_out(world.circulating())];
    let planned = planned(world, &pegs, support::FEE_RATE).unwrap();
    check(world, &planned).unwrap();
    assert_eq!(planned.plan.state.supply, 0);
    assert_eq!(planned.plan.transaction.output.len(), 2);
}

#[test]
fn a_batch_of_a_hundred_costs_each_less_than_a_batch_of_ten() {
    let world = world();
    let mut last = u64::MAX;
    for size in [1, 10, 100] {
        let pegs = vec![peg_in(1_000_000); size];
        let planned = planned(world, &pegs, support::FEE_RATE).unwrap();
        check(world, &planned).unwrap();
        let each = signed_weight(world, &planned.proposal) / size as u64;
        assert!(each < last, "{size}: {each}");
        last = each;
    }
}
