//! Who is not served, and why.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use bitcoin::{Amount, OutPoint, Sequence, Txid, Weight, hashes::Hash};
use grail_bridge_contract::RosterState;
use grail_txbuild::{Coin, Deposit, LeftOut, LeftOutReason, PlanError, SettlementRequest};
use grail_wire::PREVIOUS_MAX_BYTES;
use support::{FEE_RATE, Peg, Setup, World, output, peg_in, peg_out, world};

fn deposits(world: &World, pegs: &[Peg]) -> Vec<Deposit> {
    let made = world.deposits(1, pegs).into_iter();
    made.map(|(deposit, _)| deposit).collect()
}

/// What is left out, by position among the pegs.
fn left_out(
    world: &World,
    pegs: &[Peg],
    change: impl Fn(&mut SettlementRequest<'_>),
) -> Vec<(usize, LeftOutReason)> {
    let deposits = deposits(world, pegs);
    let names: Vec<_> = deposits.iter().map(|deposit| deposit.terms.id()).collect();
    let mut request = world.request(deposits);
    change(&mut request);
    let left = match request.plan(&world.secp) {
        Ok(plan) => plan.left_out,
        Err(PlanError::Nothing { left_out }) => left_out,
        Err(error) => panic!("{error}"),
    };
    let position = |left: &LeftOut| names.iter().position(|name| *name == left.request).unwrap();
    left.iter()
        .map(|left| (position(left), left.reason))
        .collect()
}

fn unchanged(_: &mut SettlementRequest<'_>) {}

#[test]
fn the_inputs_that_fit_are_taken_in_order_and_the_rest_comes_next() {
    // NFT, vault and three deposits make five.
    let world = World::new(Setup {
        params: &|params| params.roster_inputs_max = 5,
        ..Setup::default()
    });
    let pegs = vec![peg_in(100_000); 5];
    assert_eq!(
        left_out(&world, &pegs, unchanged),
        [(3, LeftOutReason::BatchFull), (4, LeftOutReason::BatchFull)]
    );
    assert_eq!(left_out(&world, &pegs[..3], unchanged), []);
}

#[test]
fn deposits_with_too_many_bytes_behind_them_come_next() {
    let pegs = vec![peg_in(100_000); 3];
    let half = PREVIOUS_MAX_BYTES / 2;
    let left = left_out(world(), &pegs, |request| {
        request.deposits[0].previous_bytes = half - 1_000;
        request.deposits[1].previous_bytes = 1_001;
        request.deposits[2].previous_bytes = 1_000;
    });
    assert_eq!(left, [(1, LeftOutReason::BatchFull)]);
}

#[test]
fn a_batch_too_heavy_loses_its_last() {
    let world = World::new(Setup {
        params: &|params| params.settlement_weight_max = Weight::from_wu(14_000),
        ..Setup::default()
    });
    let pegs = vec![peg_in(100_000); 4];
    assert_eq!(
        left_out(&world, &pegs, unchanged),
        [(3, LeftOutReason::BatchFull), (2, LeftOutReason::BatchFull)]
    );
}

#[test]
fn a_share_above_the_cap_waits_for_a_lower_rate() {
    let capped = |fee_cap| Peg {
        fee_cap,
        ..peg_in(100_000)
    };
    // Alone it would pay for the whole transaction.
    let least_alone = (5_000..50_000)
        .step_by(10)
        .find(|cap| left_out(world(), &[capped(*cap)], unchanged).is_empty())
        .unwrap();
    assert_eq!(
        left_out(world(), &[capped(least_alone - 10)], unchanged),
        [(0, LeftOutReason::FeeAboveCap)]
    );
    // With three others it shares.
    let shared = [
        capped(least_alone - 2_000),
        peg_in(100_000),
        peg_in(100_000),
        peg_in(100_000),
    ];
    assert_eq!(left_out(world(), &shared, unchanged), []);
    // One of four who cannot pay does not keep the others waiting.
    let poor = [peg_in(100_000), capped(100), peg_in(100_000)];
    assert_eq!(
        left_out(world(), &poor, unchanged),
        [(1, LeftOutReason::FeeAboveCap)]
    );
}

#[test]
fn a_deposit_that_leaves_nothing_is_too_small() {
    let uncapped = |peg: Peg| Peg {
        fee_cap: u64::MAX,
        ..peg
    };
    for pegs in [
        [uncapped(peg_in(330)), peg_in(100_000)],
        [uncapped(peg_in(331 + 100)), peg_in(100_000)],
        [uncapped(peg_out(1_000)), peg_in(100_000)],
    ] {
        assert_eq!(
            left_out(world(), &pegs, unchanged),
            [(0, LeftOutReason::TooSmall)],
            "{pegs:?}"
        );
    }
}

#[test]
fn a_payout_that_would_leave_dust_in_the_vault_waits_for_others() {
    let world = world();
    let almost_all = world.circulating() - 200;
    assert_eq!(
        left_out(world, &[peg_out(almost_all)], unchanged),
        [(0, LeftOutReason::VaultDust)]
    );
    assert_eq!(
        left_out(world, &[peg_out(almost_all), peg_in(100_000)], unchanged),
        []
    );
    assert_eq!(left_out(world, &[peg_out(almost_all - 130)], unchanged), []);
}

#[test]
fn more_zkbtc_than_the_vault_holds_is_not_paid() {
    let world = world();
    let short = left_out(world, &[peg_in(30_000), peg_out(100_000)], |request| {
        let vault = request.vault.as_mut().unwrap();
        vault.output.value = Amount::from_sat(60_000);
    });
    assert_eq!(short, [(1, LeftOutReason::VaultShort)]);
    // Nor more than the supply says that there is.
    let state = RosterState {
        supply: 50_000,
        ..world.state.clone()
    };
    let deposits = deposits(world, &[peg_out(100_000)]);
    let request = SettlementRequest {
        state: &state,
        ..world.request(deposits)
    };
    let error = request.plan(&world.secp).unwrap_err();
    let PlanError::Nothing { left_out } = error else {
        panic!("{error}");
    };
    assert_eq!(left_out[0].reason, LeftOutReason::VaultShort);
}

#[test]
fn nobody_to_serve_is_an_error_that_names_everybody() {
    let world = world();
    let pegs = [
        peg_in(330),
        Peg {
            fee_cap: 1,
            ..peg_in(100_000)
        },
    ];
    let request = world.request(deposits(world, &pegs));
    let Err(PlanError::Nothing { left_out }) = request.plan(&world.secp) else {
        panic!("planned");
    };
    assert_eq!(left_out.len(), 2);
    assert!(matches!(
        world.request(Vec::new()).plan(&world.secp),
        Err(PlanError::Nothing { left_out }) if left_out.is_empty()
    ));
}

#[test]
fn a_vault_coin_that_overflows_leaves_everybody_out() {
    let world = world();
    let mut request = world.request(deposits(world, &[peg_in(100_000)]));
    let absurd = Coin {
        outpoint: OutPoint {
            txid: Txid::from_byte_array([1; 32]),
            vout: 0,
        },
        output: output(u64::MAX, world.vault.script_pubkey.clone()),
    };
    request.vault = Some(absurd);
    assert!(matches!(
        request.plan(&world.secp),
        Err(PlanError::Nothing { .. })
    ));
}

/// A world of these limits: so much at once, so much with every block, and no more than that.
fn limited() -> World {
    World::new(Setup {
        params: &|params| {
            params.deposit_max = Amount::from_sat(600_000_000);
            params.outflow_cap = Amount::from_sat(600_000_000);
            params.outflow_rate = Amount::from_sat(10_000);
            params.supply_max = Amount::from_sat(510_000_000);
        },
        ..Setup::default()
    })
}

fn at_level(world: &World, outflow: u64) -> RosterState {
    RosterState {
        outflow,
        ..world.state.clone()
    }
}

#[test]
fn what_may_not_leave_yet_waits_and_holds_up_nobody_behind() {
    let world = limited();
    let pegs = [
        peg_out(200_000_000),
        peg_out(100_000_000),
        peg_in(1_000_000),
        peg_out(150_000_000),
    ];
    let left = |level: u64, confirmations: u32| {
        let state = at_level(&world, level);
        let deposits = deposits(&world, &pegs);
        let names: Vec<_> = deposits.iter().map(|it| it.terms.id()).collect();
        let request = SettlementRequest {
            state: &state,
            nft_confirmations: confirmations,
            ..world.request(deposits)
        };
        let plan = request.plan(&world.secp).unwrap();
        let position = |left: &LeftOut| names.iter().position(|it| *it == left.request).unwrap();
        let left: Vec<_> = plan.left_out.iter().map(position).collect();
        let limited = |it: &LeftOut| it.reason == LeftOutReason::OutflowLimit;
        assert!(plan.left_out.iter().all(limited));
        (left, plan)
    };
    // Room for all, for two, for one.
    assert_eq!(left(149_000_000, 0).0, [0_usize; 0]);
    assert_eq!(left(200_000_000, 0).0, [3]);
    assert_eq!(left(350_000_000, 0).0, [1, 3]);
    // What nets in needs no room.
    let (out, plan) = left(600_000_000, 0);
    assert_eq!(out, [0, 1, 3]);
    assert!(plan.state.outflow < 600_000_000);
    // With age there is more, and no more is claimed than there is.
    let (out, plan) = left(200_000_000, 5_000);
    assert_eq!(out, [0_usize; 0]);
    assert_eq!(
        plan.transaction.input[0].sequence,
        Sequence::from_height(5_000)
    );
}

#[test]
fn the_age_is_the_nfts_alone_and_no_more_than_empties_the_level() {
    let world = limited();
    let planned = |level, nft_confirmations| {
        let state = at_level(&world, level);
        let request = SettlementRequest {
            state: &state,
            nft_confirmations,
            ..world.request(deposits(&world, &[peg_out(1_000_000)]))
        };
        request.plan(&world.secp).unwrap()
    };
    let none = Sequence::ENABLE_RBF_NO_LOCKTIME;
    for (level, confirmations, expected, outflow) in [
        (0, 9, none, 1_000_000),
        (25_000, 0, none, 1_025_000),
        (25_000, 2, Sequence::from_height(2), 1_005_000),
        (25_000, 9, Sequence::from_height(3), 1_000_000),
    ] {
        let plan = planned(level, confirmations);
        let sequences: Vec<_> = plan
            .transaction
            .input
            .iter()
            .map(|it| it.sequence)
            .collect();
        assert_eq!(sequences, [expected, none, none]);
        assert_eq!(plan.state.outflow, outflow);
    }
}

#[test]
fn what_may_not_exist_is_not_minted_and_comes_when_some_has_left() {
    let world = limited();
    let pegs = [peg_in(9_000_000), peg_in(9_000_000)];
    let reason = LeftOutReason::SupplyLimit;
    assert_eq!(left_out(&world, &pegs, unchanged), [(1, reason)]);
    let with_room = [peg_in(9_000_000), peg_in(9_000_000), peg_out(20_000_000)];
    assert_eq!(left_out(&world, &with_room, unchanged), []);
}

#[test]
fn left_out_codes_are_distinct() {
    let reasons = [
        LeftOutReason::BatchFull,
        LeftOutReason::FeeAboveCap,
        LeftOutReason::TooSmall,
        LeftOutReason::VaultDust,
        LeftOutReason::VaultShort,
        LeftOutReason::OutflowLimit,
        LeftOutReason::SupplyLimit,
    ];
    let codes = reasons.map(LeftOutReason::code);
    assert_eq!(
        codes,
        [
            "batch-full",
            "fee-above-cap",
            "too-small",
            "vault-dust",
            "vault-short",
            "outflow-limit",
            "supply-limit"
        ]
    );
    assert_eq!(FEE_RATE.to_sat_per_kwu(), 1_000);
}
