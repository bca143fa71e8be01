//! What spells cost to prove: cycles of upstream's whole checker in its zkVM, beside the contracts'
//! own fuel.

use bitcoin::{FeeRate, ScriptBuf};
use grail_fixtures::upstream::{Upstream, program};
use grail_txbuild::Deployment;

use crate::support::{coin, funding, keypair, output, p2tr, peg_in, public, real_world};
use crate::{prove, request, settlement, transfer};

#[test]
fn cycles_of_every_kind_of_spell() {
    let Some(program) = program() else { return };
    let upstream = Upstream::start(&program, None);
    let prover = upstream.client(None);
    let world = real_world();

    let own = ScriptBuf::new_p2tr(&world.secp, public(&keypair(500)), None);
    let source = funding(0, vec![output(1_000_000, own)]);
    let deployment = Deployment {
        bridge: &world.bridge,
        params: &world.params,
        roster: &world.roster,
        governance: &world.governance,
        funding: coin(&source, 0),
        fee_rate: FeeRate::from_sat_per_kwu(1_000),
    };
    let spell = deployment.plan(&world.secp).unwrap().spell;
    let carrier = world.params.carrier.to_sat();
    let mut requests = vec![
        ("deployment".to_owned(), request(spell, &[&source])),
        (
            "transfer".to_owned(),
            transfer(output(carrier, p2tr(5)), 100_000).1,
        ),
    ];
    for count in [1, 10, 100] {
        let case = world.case(&vec![peg_in(1_000_000); count]);
        requests.push((format!("settlement of {count}"), settlement(&case)));
    }
    let requests_fuel: Vec<u64> = requests
        .iter()
        .map(|(_, request)| prove(&prover, request).fuel)
        .collect();
    let cycles = upstream.cycles(requests.len());
    for (((name, _), fuel), cycles) in requests.iter().zip(&requests_fuel).zip(&cycles) {
        println!("cycles: {name}: fuel {fuel}, cycles {cycles}");
        assert!(fuel < cycles, "{name}: the contract is a part of the check");
    }
}
