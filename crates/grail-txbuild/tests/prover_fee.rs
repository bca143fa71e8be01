//! Money and room for the prover's fee output, whatever it then takes.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use bitcoin::{Amount, FeeRate, ScriptBuf, TxOut};
use grail_txbuild::{Coin, Deployment, DeploymentPlan, LeftOutReason, PlanError};
use support::{
    AGREES, Peg, Setup, World, coin, funding, keypair, output, p2tr, peg_in, peg_out, public,
};

const MOST: u64 = 40_000;

fn paying() -> World {
    World::new(Setup {
        params: &|params| params.prover_fee_max = Amount::from_sat(MOST),
        ..Setup::default()
    })
}

fn to_prover(sats: u64) -> TxOut {
    output(sats, p2tr(9))
}

#[test]
fn a_plan_is_approved_whatever_the_prover_takes_at_every_rate() {
    let world = paying();
    let peg = |peg: Peg| Peg {
        fee_cap: 2_000_000,
        ..peg
    };
    let pegs = [
        peg(peg_in(3_000_000)),
        peg(peg_out(2_700_000)),
        peg(peg_in(2_000_000)),
    ];
    for rate in [250, 1_000, 20_000, 75_000] {
        let rate = FeeRate::from_sat_per_kwu(rate);
        let mut case = world.case_of(world.deposits(1, &pegs), &|request| {
            request.fee_rate = rate;
            request.prover_fee = Some(to_prover(MOST));
        });
        for taken in [None, Some(330), Some(MOST)] {
            case.draft.uncommitted = taken.map(to_prover).into_iter().collect();
            let approved = world.approve(&case.draft.propose(&world));
            let approved = approved.unwrap_or_else(|refusal| panic!("{rate} {taken:?}: {refusal}"));
            let settlement = approved.get().as_settlement().unwrap();
            assert_eq!(
                settlement.signing.fee + settlement.prover_fee,
                case.plan.fee
            );
            // Even with all of it taken the miners get the rate.
            if rate < world.params.fee_rate_max {
                let least = rate.fee_wu(settlement.signing.weight).unwrap();
                assert!(settlement.signing.fee >= least, "{rate} {taken:?}");
            }
        }
    }
}

#[test]
fn a_request_whose_cap_does_not_cover_the_provers_fee_is_left_out() {
    let world = paying();
    let alone = |fee_cap| {
        let peg = Peg {
            fee_cap,
            ..peg_in(1_000_000)
        };
        let deposits = world
            .deposits(1, &[peg])
            .into_iter()
            .map(|(deposit, _)| deposit);
        let mut request = world.request(deposits.collect());
        request.prover_fee = Some(to_prover(MOST));
        request.plan(&world.secp)
    };
    let plan = alone(10_000_000).unwrap();
    let share = plan.items[0].fee_share.to_sat();
    assert!(share > MOST);
    assert_eq!(alone(share).unwrap().items[0].fee_share.to_sat(), share);
    let Err(PlanError::Nothing { left_out }) = alone(share - 1) else {
        panic!("planned");
    };
    assert_eq!(left_out[0].reason, LeftOutReason::FeeAboveCap);
}

#[test]
fn a_deployment_pays_its_prover_out_of_its_funding() {
    let world = paying();
    let key = keypair(500);
    let own = ScriptBuf::new_p2tr(&world.secp, public(&key), None);
    let source = funding(0, vec![output(1_000_000, own)]);
    let rate = FeeRate::from_sat_per_kwu(1_000);
    let coin: Coin = coin(&source, 0);
    let deployment = Deployment {
        bridge: &world.bridge,
        params: &world.params,
        roster: &world.roster,
        governance: &world.governance,
        funding: coin.clone(),
        fee_rate: rate,
    };
    let plan = deployment.plan(&world.secp).unwrap();
    let op_return = support::prove(AGREES, plan.spell.clone(), &[&source]).op_return;
    let finish = |prover_fee| {
        let plan = DeploymentPlan {
            prover_fee,
            ..plan.clone()
        };
        deployment.finish(&world.secp, plan, op_return.clone(), &key)
    };
    let deployed = finish(Some(to_prover(5_000))).unwrap();
    assert_eq!(deployed.output[1], to_prover(5_000));
    assert!(deployed.output[2].script_pubkey.is_op_return());
    assert_eq!(deployed.output.len(), 4);
    let paid: Amount = deployed.output.iter().map(|output| output.value).sum();
    assert_eq!(
        coin.output.value - paid,
        rate.fee_wu(deployed.weight()).unwrap()
    );
    assert_eq!(finish(None).unwrap().output.len(), 3);
    // More than the funding holds.
    assert!(finish(Some(to_prover(999_000))).is_err());
}
