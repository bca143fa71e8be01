//! What is sent, and what is not worth sending.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness};
use charms_data::NativeOutput;
use ciborium::Value;
use grail_prover::{ProveRequest, Prover as _};
use grail_types::Network;

use crate::common::{AGREES, REFUSES, script, vk_of};
use crate::server::{Behaviour, Server};
use crate::{cbor_of, client, code, config, deployment, fee, made};

/// The outcome of a request that a server would answer well, and how often the server was asked.
fn asked(
    change: impl FnOnce(&mut ProveRequest),
    configure: impl FnOnce(&mut grail_prover::CharmsConfig),
) -> (&'static str, usize) {
    let answer = cbor_of(&[made(&deployment(0), None)]);
    let server = Server::start(vec![Behaviour::Answer(200, answer)]);
    let mut config = config(&server.url());
    configure(&mut config);
    let mut request = deployment(0).1;
    change(&mut request);
    let outcome = client(config).prove(&request);
    (code(&outcome), server.requests().len())
}

fn field<'a>(map: &'a Value, name: &str) -> &'a Value {
    let entries = map.as_map().unwrap();
    let found = entries.iter().find(|(key, _)| key.as_text() == Some(name));
    &found.unwrap_or_else(|| panic!("no field {name}")).1
}

#[test]
fn the_request_is_what_the_server_reads() {
    let answer = cbor_of(&[made(&deployment(0), None)]);
    let server = Server::start(vec![Behaviour::Answer(200, answer)]);
    let mut request = deployment(0).1;
    // A witness: its id does not commit to it, so nobody gets to see it.
    request.prev_txs[0].input[0].witness = Witness::from_slice(&[[7; 64]]);
    client(config(&server.url())).prove(&request).unwrap();

    let body = server.requests().remove(0);
    let sent: Value = ciborium::from_reader(body.as_slice()).unwrap();
    let names: Vec<_> = sent
        .as_map()
        .unwrap()
        .iter()
        .map(|(key, _)| key.as_text().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "spell",
            "binaries",
            "prev_txs",
            "change_address",
            "fee_rate",
            "chain"
        ]
    );
    assert_eq!(field(field(&sent, "spell"), "mock"), &Value::Bool(true));
    assert_eq!(field(&sent, "chain").as_text(), Some("bitcoin"));
    assert_eq!(field(&sent, "fee_rate").as_float(), Some(0.0));
    let address = field(&sent, "change_address").as_text().unwrap();
    assert!(address.starts_with("bcrt1p"), "{address}");
    let [(_, binary)] = field(&sent, "binaries").as_map().unwrap().as_slice() else {
        panic!("one binary");
    };
    assert_eq!(binary.as_array().unwrap().len(), AGREES.len());
    let [prev] = field(&sent, "prev_txs").as_array().unwrap().as_slice() else {
        panic!("one previous transaction");
    };
    let prev: Transaction = deserialize_hex(field(prev, "bitcoin").as_text().unwrap()).unwrap();
    assert!(prev.input[0].witness.is_empty());
    assert_eq!(prev.compute_txid(), request.prev_txs[0].compute_txid());
}

#[test]
fn mock_spells_are_asked_for_on_regtest_alone() {
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        // A spell that says it is a mock is refused before anybody is asked.
        let outcome = asked(
            |request| request.spell.mock = true,
            |config| config.network = network,
        );
        assert_eq!(outcome, ("prove-mock-refused", 0), "{network}");
        // One that does not is sent as it is, and a mock is no answer to it.
        let server = Server::start(vec![Behaviour::Answer(
            200,
            cbor_of(&[made(&deployment(0), None)]),
        )]);
        let mut config = config(&server.url());
        config.network = network;
        let outcome = client(config).prove(&deployment(0).1);
        assert_eq!(code(&outcome), "prove-answer-spell", "{network}");
        let sent: Value = ciborium::from_reader(server.requests().remove(0).as_slice()).unwrap();
        let spell = field(&sent, "spell").as_map().unwrap();
        assert!(
            !spell.iter().any(|(key, _)| key.as_text() == Some("mock")),
            "{network}"
        );
        let address = field(&sent, "change_address").as_text().unwrap();
        let prefix = if network == Network::Mainnet {
            "bc1p"
        } else {
            "tb1p"
        };
        assert!(address.starts_with(prefix), "{network}: {address}");
    }
}

#[test]
fn what_the_native_check_refuses_is_not_sent() {
    let refuses = |request: &mut ProveRequest| {
        let wasm = REFUSES.to_vec();
        request.app_binaries = [(charms_data::B32(vk_of(REFUSES)), wasm)].into();
    };
    assert_eq!(asked(refuses, |_| ()), ("prove-contract", 0));
    let missing = |request: &mut ProveRequest| request.prev_txs.clear();
    assert_eq!(asked(missing, |_| ()), ("prove-unknown-input", 0));
}

fn set_coin(request: &mut ProveRequest, amount: u64, dest: ScriptBuf) {
    request.spell.tx.coins = Some(vec![NativeOutput {
        amount,
        dest: dest.into_bytes(),
        content: None,
    }]);
}

#[test]
fn what_the_server_cannot_make_a_transaction_of_is_not_sent() {
    let no_address = |request: &mut ProveRequest| set_coin(request, 1_000, ScriptBuf::new());
    assert_eq!(asked(no_address, |_| ()), ("prove-request-no-address", 0));
    let op_return =
        |request: &mut ProveRequest| set_coin(request, 1_000, ScriptBuf::new_op_return([1]));
    assert_eq!(asked(op_return, |_| ()), ("prove-request-no-address", 0));
    let twice = |request: &mut ProveRequest| {
        let ins = request.spell.tx.ins.as_mut().unwrap();
        ins.push(ins[0].clone());
    };
    assert_eq!(asked(twice, |_| ()), ("prove-request-repeated-input", 0));
    let nothing = |request: &mut ProveRequest| {
        request.spell.tx.outs.clear();
        request.spell.tx.coins = Some(Vec::new());
    };
    assert_eq!(asked(nothing, |_| ()), ("prove-request-no-outputs", 0));
    let overflow = |request: &mut ProveRequest| {
        request
            .spell
            .tx
            .outs
            .push(std::collections::BTreeMap::new());
        let coin = NativeOutput {
            amount: u64::MAX,
            dest: script(1).into_bytes(),
            content: None,
        };
        request.spell.tx.coins = Some(vec![coin.clone(), coin]);
    };
    assert_eq!(asked(overflow, |_| ()), ("prove-request-amounts", 0));
    // More than the server reads.
    let large = |request: &mut ProveRequest| {
        request.prev_txs[0].output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(vec![0x6a; 17 * 1024 * 1024]),
        });
        let utxo_id =
            grail_spell::utxo_id_from_outpoint(crate::common::at(&request.prev_txs[0], 0));
        request.spell.tx.ins = Some(vec![utxo_id]);
    };
    assert_eq!(asked(large, |_| ()), ("prove-request-too-large", 0));
}

#[test]
fn inputs_must_exceed_outputs_by_what_the_server_charges() {
    let coin = |amount| move |request: &mut ProveRequest| set_coin(request, amount, script(1));
    // One satoshi more goes out than the server's test allows; at the edge it is asked, and its
    // answer is another's.
    assert_eq!(
        asked(coin(10_000), |_| ()),
        ("prove-request-underfunded", 0)
    );
    assert_eq!(
        asked(coin(10_001), |_| ()),
        ("prove-request-underfunded", 0)
    );
    assert_eq!(asked(coin(9_999), |_| ()), ("prove-answer-coin", 1));
    let charging = |config: &mut grail_prover::CharmsConfig| config.fee = Some(fee(700, 5_000));
    assert_eq!(
        asked(coin(9_001), charging),
        ("prove-request-underfunded", 0)
    );
    assert_eq!(asked(coin(9_000), charging), ("prove-answer-coin", 1));
}

#[test]
fn a_charge_above_what_may_be_paid_is_not_asked_for() {
    // Fuel that costs more than a mock's test can burn: the price of one unit is absurd.
    let outcome = asked(
        |_| (),
        |config| {
            let mut dear = fee(700, 1_000);
            dear.sat_per_megacycle = 1_000_000_000;
            config.fee = Some(dear);
        },
    );
    assert_eq!(outcome, ("prove-request-fee-above-max", 0));
}
