//! Every kind of spell that Grail makes, proven by upstream's server.

use bitcoin::{FeeRate, ScriptBuf};
use grail_bridge_contract::RosterState;
use grail_charms::{roster_state, token_amount};
use grail_fixtures::upstream::{Upstream, program};
use grail_script::{DepositTree, InternalKey};
use grail_spell::{nft_app, read_strict, token_app};
use grail_txbuild::{Deployment, Deposit};

use crate::support::{coin, funding, keypair, output, peg_in, peg_out, public, real_world};
use crate::{completed, mock_allowed, prove, request, settlement, transfer, verdict};

#[test]
fn a_deployment_proven_by_upstream_reads_strictly() {
    let Some(program) = program() else { return };
    let upstream = Upstream::start(&program, None);
    let world = real_world();
    let deployer = keypair(500);
    let own = ScriptBuf::new_p2tr(&world.secp, public(&deployer), None);
    let source = funding(0, vec![output(1_000_000, own)]);
    let deployment = Deployment {
        bridge: &world.bridge,
        params: &world.params,
        roster: &world.roster,
        governance: &world.governance,
        funding: coin(&source, 0),
        fee_rate: FeeRate::from_sat_per_kwu(1_000),
    };
    let plan = deployment.plan(&world.secp).unwrap();
    let expected: RosterState = plan.state.clone();
    let proven = prove(
        &upstream.client(None),
        &request(plan.spell.clone(), &[&source]),
    );
    let deployed = deployment
        .finish(&world.secp, plan, proven.op_return, &deployer)
        .unwrap();
    let read = read_strict(&deployed, Some(mock_allowed())).unwrap();
    let state = roster_state(&read.charms_at(0), &nft_app(&world.bridge.app)).unwrap();
    assert_eq!(state, Some(expected));
}

#[test]
fn settlements_proven_by_upstream_are_approved() {
    let Some(program) = program() else { return };
    let upstream = Upstream::start(&program, None);
    let prover = upstream.client(None);
    // Two peg-ins and two peg-outs netted; a peg-in alone; a peg-out alone.
    let cases = [
        real_world().usual(),
        real_world().case(&[peg_in(1_000_000)]),
        real_world().case(&[peg_out(700_000)]),
    ];
    for case in cases {
        let proven = prove(&prover, &settlement(&case));
        assert_eq!(verdict(real_world(), &case, &proven), "approved");
        assert_eq!(proven.fee_output, None);
    }
}

#[test]
fn a_settlement_proven_by_upstream_spends_a_transfer_proven_there() {
    let Some(program) = program() else { return };
    let upstream = Upstream::start(&program, None);
    let prover = upstream.client(None);
    let world = real_world();
    let peg = peg_out(700_000);
    let terms = world.terms(&peg, 1);
    let script =
        DepositTree::new(&world.secp, InternalKey::Nums, &terms, &world.roster).script_pubkey;
    let carrier = world.params.carrier.to_sat();
    let (unproven, request) = transfer(output(carrier, script), peg.amount);
    let transferred = completed(unproven, &prove(&prover, &request));
    let read = read_strict(&transferred, Some(mock_allowed())).unwrap();
    let token = token_app(&world.bridge.app);
    assert_eq!(token_amount(&read.charms_at(0), &token), Ok(700_000));

    let deposit = Deposit {
        terms,
        coin: coin(&transferred, 0),
        token: peg.amount,
        previous_bytes: transferred.total_size(),
    };
    let mut deposits = world.deposits(2, &[peg_in(2_000_000)]);
    deposits.push((deposit, transferred));
    let case = world.case_of(deposits, &|_| {});
    let proven = prove(&prover, &settlement(&case));
    assert_eq!(verdict(real_world(), &case, &proven), "approved");
}
