//! The client of Charms' prover server, against servers that misbehave in every way that it knows
//! an error for.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

mod answers;
mod requests;
mod server;
mod several;
mod transport;

use std::time::Duration;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, Sequence, Transaction, TxOut};
use common::{AGREES, at, funding, output, request, roster, transaction, vk_of};
use grail_charms::deployment_spell;
use grail_prover::{
    CharmsConfig, CharmsProver, MockProver, ProveRequest, Proven, Prover as _, ProverError,
    ProverFee,
};
use grail_spell::deployment_identity;
use grail_types::{BridgeApp, Network};
use server::{Behaviour, Server};

/// What the funding output of the test spell holds, and its NFT's coin.
pub const FUNDED: u64 = 10_000;
pub const CARRIER: u64 = 1_000;

/// A deployment whose NFT has this much supply, which makes it a spell of its own.
pub fn deployment(supply: u64) -> (Transaction, ProveRequest) {
    let funding = funding(1, &[FUNDED]);
    let app = BridgeApp {
        identity: deployment_identity(at(&funding, 0)),
        vk: vk_of(AGREES),
    };
    let tx = transaction(&[at(&funding, 0)], vec![output(CARRIER, common::VAULT)]);
    let spell = deployment_spell(&tx, &app, &roster(0, supply)).unwrap();
    (tx, request(spell, &[&funding], Some(AGREES)))
}

/// The transaction that the server makes of a deployment, as it is when all is well.
pub fn made(deployment: &(Transaction, ProveRequest), fee: Option<TxOut>) -> Transaction {
    let proven = MockProver::new(common::mock_allowed())
        .prove(&deployment.1)
        .unwrap();
    made_around(&deployment.0, &proven, fee)
}

pub fn made_around(tx: &Transaction, proven: &Proven, fee: Option<TxOut>) -> Transaction {
    let mut made = tx.clone();
    for input in &mut made.input {
        input.sequence = Sequence::MAX;
    }
    let paid = fee.as_ref().map_or(0, |fee| fee.value.to_sat());
    made.output.extend(fee);
    made.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return.clone(),
    });
    made.output
        .push(output(FUNDED - CARRIER - paid, common::VAULT));
    made
}

/// The server's answer of one transaction.
pub fn cbor_of(transactions: &[Transaction]) -> Vec<u8> {
    let list: Vec<_> = transactions
        .iter()
        .map(|tx| {
            let text = ciborium::Value::Text(serialize_hex(tx));
            ciborium::Value::Map(vec![("bitcoin".into(), text)])
        })
        .collect();
    let mut bytes = Vec::new();
    ciborium::into_writer(&ciborium::Value::Array(list), &mut bytes).unwrap();
    bytes
}

pub fn config(url: &str) -> CharmsConfig {
    CharmsConfig {
        connect_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(20),
        attempts_max: 3,
        pause: Duration::from_millis(1),
        pause_max: Duration::from_millis(3),
        ..CharmsConfig::new(url, Network::Regtest)
    }
}

pub fn client(config: CharmsConfig) -> CharmsProver {
    CharmsProver::new(config, Box::new(|longest| longest)).unwrap()
}

pub fn fee(base: u64, output_max: u64) -> ProverFee {
    ProverFee {
        destination: common::script(0x55).try_into().unwrap(),
        base: Amount::from_sat(base),
        sat_per_megacycle: 0,
        output_max: Amount::from_sat(output_max),
    }
}

/// Asks a server that behaves so for the deployment.
pub fn ask(behaviours: Vec<Behaviour>) -> (Result<Proven, ProverError>, usize) {
    ask_with(behaviours, |_| ())
}

pub fn ask_with(
    behaviours: Vec<Behaviour>,
    change: impl FnOnce(&mut CharmsConfig),
) -> (Result<Proven, ProverError>, usize) {
    let server = Server::start(behaviours);
    let mut config = config(&server.url());
    change(&mut config);
    let outcome = client(config).prove(&deployment(0).1);
    (outcome, server.requests().len())
}

pub fn code(outcome: &Result<Proven, ProverError>) -> &'static str {
    match outcome {
        Ok(_) => "proven",
        Err(error) => error.code(),
    }
}
