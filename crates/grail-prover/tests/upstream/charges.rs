//! What the server charges, by its own settings.

use std::io::Write as _;

use bitcoin::{Address, Amount, Network, ScriptBuf};
use grail_fixtures::upstream::{Upstream, program};
use grail_prover::{Prover as _, ProverFee};

use crate::support::{BRIDGE, Setup, World, output, p2tr, peg_in, peg_out, real_world};
use crate::{prove, settlement, verdict};

/// A server that charges `base` and `rate` per million cycles to [`script`].
fn charging(program: &std::path::Path, base: u64, rate: u64) -> Upstream {
    let address = Address::from_script(&script(), Network::Regtest).unwrap();
    let mut settings = tempfile::NamedTempFile::new().unwrap();
    write!(
        settings,
        "fee_addresses:\n  bitcoin:\n    regtest: {address}\nfee_rate: {rate}\nfee_base: {base}\n"
    )
    .unwrap();
    Upstream::start(program, Some(settings.path()))
}

fn script() -> ScriptBuf {
    p2tr(99)
}

fn fee(base: u64, rate: u64, output_max: u64) -> ProverFee {
    ProverFee {
        destination: script().try_into().unwrap(),
        base: Amount::from_sat(base),
        sat_per_megacycle: rate,
        output_max: Amount::from_sat(output_max),
    }
}

#[test]
fn the_base_fee_is_predicted_to_the_satoshi() {
    let Some(program) = program() else { return };
    let upstream = charging(&program, 700, 0);
    let request = settlement(&real_world().usual());
    let proven = prove(&upstream.client(Some(fee(700, 0, 1_000))), &request);
    assert_eq!(proven.fee_output, Some(output(1_000, script())));
    // Who expects another charge, or none, does not pay this one.
    for other in [Some(fee(701, 0, 2_000)), Some(fee(699, 0, 2_000)), None] {
        let error = upstream.client(other).prove(&request).unwrap_err();
        assert_eq!(error.code(), "prove-answer-fee", "{error}");
    }
}

#[test]
fn a_settlement_that_pays_upstream_is_approved() {
    let Some(program) = program() else { return };
    let upstream = charging(&program, 700, 0);
    let client = upstream.client(Some(fee(700, 0, 1_000)));
    let world = World::new(Setup {
        wasm: BRIDGE,
        params: &|params| params.prover_fee_max = Amount::from_sat(1_000),
        ..Setup::default()
    });
    let case = world.case_of(
        world.deposits(1, &[peg_in(1_000_000), peg_out(700_000)]),
        &|request| request.prover_fee = client.fee_output_max(),
    );
    let proven = prove(&client, &settlement(&case));
    assert_eq!(proven.fee_output, client.fee_output_max());
    assert_eq!(verdict(&world, &case, &proven), "approved");
}

#[test]
fn a_mock_servers_fee_for_cycles_is_what_its_log_says() {
    let Some(program) = program() else { return };
    let upstream = charging(&program, 100, 3);
    let request = settlement(&real_world().usual());
    let proven = prove(&upstream.client(Some(fee(100, 3, 3_000))), &request);
    let cycles = upstream.cycles(1)[0];
    let expected = cycles * 3 / 1_000_000 + 100 + 300;
    assert_eq!(proven.fee_output, Some(output(expected, script())));
    // One satoshi less is the most that is paid.
    let client = upstream.client(Some(fee(100, 3, expected - 1)));
    assert_eq!(
        client.prove(&request).unwrap_err().code(),
        "prove-answer-fee"
    );
}
