//! What requests pay for the settlements under theirs: after everything else, and never instead.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use bitcoin::{Amount, FeeRate, TxOut};
use grail_txbuild::{SettlementPlan, SettlementRequest};
use support::{Peg, Setup, World, output, p2tr, peg_in, peg_out, world};

fn plan(
    world: &World,
    pegs: &[Peg],
    change: impl Fn(&mut SettlementRequest<'_>),
) -> SettlementPlan {
    let deposits = world.deposits(1, pegs).into_iter();
    let mut request = world.request(deposits.map(|(deposit, _)| deposit).collect());
    change(&mut request);
    let plan = request.plan(&world.secp).unwrap();
    assert_eq!(plan.left_out, []);
    plan
}

/// On a lane that lacks so much.
fn plan_on(world: &World, pegs: &[Peg], deficit: u64) -> SettlementPlan {
    plan(world, pegs, |request| {
        request.deficit = Amount::from_sat(deficit);
    })
}

fn shares(plan: &SettlementPlan) -> Vec<u64> {
    let shares = plan.items.iter().map(|item| item.fee_share.to_sat());
    shares.collect()
}

/// What each pays more than in the other plan.
fn more(plan: &SettlementPlan, plain: &SettlementPlan) -> Vec<u64> {
    let pairs = shares(plan).into_iter().zip(shares(plain));
    pairs.map(|(with, without)| with - without).collect()
}

/// The first one's share in a batch that is made for it: amounts change a spell's length.
fn steady_share(world: &World, pegs: impl Fn(u64) -> Vec<Peg>) -> u64 {
    let mut share = 10_000;
    for _ in 0..10 {
        let found = shares(&plan_on(world, &pegs(share), 0))[0];
        if found == share {
            return share;
        }
        share = found;
    }
    panic!("a share that is never its own");
}

#[test]
fn what_is_lacking_is_borne_up_to_half_of_all_shares_and_no_further() {
    let pegs = vec![peg_in(100_000); 4];
    let plain = plan_on(world(), &pegs, 0);
    assert_eq!(plain.surcharge, Amount::ZERO);
    let half: u64 = shares(&plain).iter().map(|share| share / 2).sum();
    let most = plan_on(world(), &pegs, half);
    assert_eq!(most.surcharge.to_sat(), half);
    assert_eq!(more(&most, &plain), [half / 4; 4]);
    let beyond = plan_on(world(), &pegs, half + 1);
    assert_eq!(beyond.items, plain.items);
    assert_eq!(beyond.surcharge, Amount::ZERO);
}

#[test]
fn one_request_behind_a_large_poor_parent_pays_for_itself_alone() {
    let pegs = [peg_in(5_000_000)];
    let plain = plan_on(world(), &pegs, 0);
    let poor = plan_on(world(), &pegs, 2_115_000);
    assert_eq!(poor.items, plain.items);
}

#[test]
fn a_cap_and_a_small_deposit_are_kept_to_and_others_make_up_for_them() {
    let carrier = world().params.carrier.to_sat();
    // One satoshi of zkBTC is left of the second.
    let small = |share: u64| peg_in(carrier + share + 1);
    let pegs = |share| vec![peg_in(100_000), small(share), peg_in(100_000)];
    let share = steady_share(world(), pegs);
    let mut pegs = pegs(share);
    pegs[0].fee_cap = share;
    let plain = plan_on(world(), &pegs, 0);
    assert_eq!(shares(&plain)[..2], [share, share]);
    let helps = plan_on(world(), &pegs, share / 2 - 1);
    let more = more(&helps, &plain);
    assert_eq!(more[..2], [0, 0]);
    assert!(more[2] >= share / 2 - 1);
    assert_eq!(helps.items[1].amount_out, Amount::ONE_SAT);
    // All that is lacking, or nothing.
    let beyond = plan_on(world(), &pegs, share / 2 + 1);
    assert_eq!(beyond.items, plain.items);
}

#[test]
fn a_vault_that_a_surcharge_would_make_dust_of_is_left_as_it_is() {
    let world = world();
    let all = world.circulating();
    let carrier = world.params.carrier.to_sat();
    let minting = |minted: u64| {
        let pegs = |share| vec![peg_in(carrier + share + minted), peg_out(all - 30)];
        pegs(steady_share(world, pegs))
    };
    // 330 are left in the vault: the least that relays.
    let pegs = minting(300);
    let plain = plan_on(world, &pegs, 0);
    assert_eq!(plain.transaction.output[1].value.to_sat(), 330);
    let helps = plan_on(world, &pegs, 200);
    assert_eq!(helps.items, plain.items);
    let pegs = minting(600);
    let plain = plan_on(world, &pegs, 0);
    let helps = plan_on(world, &pegs, 200);
    assert!(more(&helps, &plain).iter().all(|more| *more > 0));
}

#[test]
fn the_highest_rate_is_kept_to_and_the_provers_part_is_nobodys_measure() {
    let paying = World::new(Setup {
        params: &|params| params.prover_fee_max = Amount::from_sat(40_000),
        ..Setup::default()
    });
    let rich = Peg {
        fee_cap: 3_000_000,
        ..peg_in(5_000_000)
    };
    let pegs = vec![rich; 3];
    let at = |per_kwu: u64, deficit: u64| {
        plan(&paying, &pegs, |request| {
            request.fee_rate = FeeRate::from_sat_per_kwu(per_kwu);
            request.deficit = Amount::from_sat(deficit);
            let to_prover: TxOut = output(40_000, p2tr(9));
            request.prover_fee = Some(to_prover);
        })
    };
    let high = at(60_000, 0);
    let part = |percent: u64| at(60_000, high.fee.to_sat() * percent / 100);
    assert!(part(10).surcharge.to_sat() > 0);
    assert_eq!(part(40).items, high.items);
    // At a low rate most of a share is for the prover: half of the rest is given.
    let low = at(250, 0);
    let to_miners = low.fee.to_sat() - 40_000;
    assert!(at(250, to_miners / 2 - 10).surcharge.to_sat() > 0);
    assert_eq!(at(250, to_miners / 2 + 10).items, low.items);
}
