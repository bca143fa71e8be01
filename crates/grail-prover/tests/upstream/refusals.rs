//! Requests that the server refuses, and a server that dies: what it says, and what the client
//! makes of it.

use std::thread;
use std::time::{Duration, Instant};

use ciborium::Value;
use grail_fixtures::upstream::{Upstream, program};
use grail_prover::{CharmsConfig, CharmsProver, MockProver, Prover as _};
use grail_types::Network;
use ureq::Agent;

use crate::listener::{Behaviour, Server};
use crate::support::{AGREES, hash_of, real_world};
use crate::{completed, mock_allowed, prove, settlement};

type Change = fn(&mut Value);

/// The body that the client sends for the usual settlement.
fn body() -> Value {
    let listener = Server::start(vec![Behaviour::Answer(400, Vec::new())]);
    let config = CharmsConfig::new(listener.url(), Network::Regtest);
    let client = CharmsProver::new(config, Box::new(|longest| longest)).unwrap();
    let error = client
        .prove(&settlement(&real_world().usual()))
        .unwrap_err();
    assert_eq!(error.code(), "prove-refused");
    ciborium::from_reader(listener.requests().remove(0).as_slice()).unwrap()
}

fn field<'a>(map: &'a mut Value, name: &str) -> &'a mut Value {
    let entries = map.as_map_mut().unwrap();
    let found = entries
        .iter_mut()
        .find(|(key, _)| key.as_text() == Some(name));
    &mut found.unwrap().1
}

/// Status and text of the server's answer; an error where it gives none.
fn post(upstream: &Upstream, body: &[u8]) -> Result<(u16, String), ureq::Error> {
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_mins(2)))
        .build()
        .new_agent();
    let mut answer = agent
        .post(format!("{}/spells/prove", upstream.url()))
        .header("content-type", "application/cbor")
        .send(body)?;
    let status = answer.status().as_u16();
    Ok((
        status,
        String::from_utf8_lossy(&answer.body_mut().read_to_vec()?).into_owned(),
    ))
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

#[test]
fn the_server_refuses_bad_requests_with_a_final_status() {
    let Some(program) = program() else { return };
    let mut upstream = Upstream::start(&program, None);
    let good = body();

    let cases: [(&str, Change, &str); 9] = [
        (
            "another contract's binary",
            |body| {
                let key = Value::Array(hash_of(AGREES).map(Value::from).to_vec());
                let wasm = Value::Array(AGREES.iter().map(|byte| Value::from(*byte)).collect());
                *field(body, "binaries") = Value::Map(vec![(key, wasm)]);
            },
            "binaries must contain exactly the required app binaries",
        ),
        (
            "bytes that are not the binary of their hash",
            |body| {
                let (_, wasm) = &mut field(body, "binaries").as_map_mut().unwrap()[0];
                *wasm = Value::Array(AGREES.iter().map(|byte| Value::from(*byte)).collect());
            },
            "",
        ),
        (
            "a previous transaction too few",
            |body| drop(field(body, "prev_txs").as_array_mut().unwrap().pop()),
            "prev_txs MUST contain transactions creating input UTXOs",
        ),
        (
            "a real spell for a mock prover",
            |body| *field(field(body, "spell"), "mock") = Value::Bool(false),
            "cannot prove a mock==false spell on a mock==true prover",
        ),
        (
            "another version",
            |body| *field(field(body, "spell"), "version") = Value::from(14),
            "",
        ),
        (
            "one satoshi more to a payout: the contract refuses",
            |body| {
                let coins = field(field(field(body, "spell"), "tx"), "coins");
                let vault = field(&mut coins.as_array_mut().unwrap()[1], "amount");
                let sats: i128 = vault.as_integer().unwrap().into();
                *vault = Value::from(u64::try_from(sats - 1).unwrap());
            },
            "",
        ),
        (
            "an address of no network",
            |body| *field(body, "change_address") = Value::from("bcrt1nobody"),
            "",
        ),
        (
            "a fee rate that nobody can pay",
            |body| *field(body, "fee_rate") = Value::from(1_000.0),
            "spell inputs must have sufficient value to cover outputs and fees",
        ),
        (
            "another chain",
            |body| *field(body, "chain") = Value::from("cardano"),
            "",
        ),
    ];
    for (name, change, words) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let (status, text) = post(&upstream, &encoded(&bad)).unwrap();
        println!(
            "{name}: {status} {}",
            text.lines().next().unwrap_or_default()
        );
        assert_eq!(status, 400, "{name}: {text}");
        assert!(text.contains(words), "{name}: {text}");
    }
    for (name, bytes) in [
        ("no bytes", Vec::new()),
        ("no cbor", b"{}".to_vec()),
        ("half a request", encoded(&good)[..1_000].to_vec()),
        ("more than it reads", vec![0x80; 32 * 1024 * 1024 + 1]),
    ] {
        // It may close the connection before it has read all of it.
        match post(&upstream, &bytes) {
            Ok((status, text)) => {
                println!("{name}: {status} {text}");
                assert_eq!(status, 400, "{name}: {text}");
            }
            Err(error) => assert_eq!(name, "more than it reads", "{error}"),
        }
    }
    assert!(!upstream.has_ended());
    // And it still proves.
    prove(&upstream.client(None), &settlement(&real_world().usual()));
}

/// Upstream subtracts a fee that its own test underestimates. The client's rate of zero cannot meet
/// this.
#[test]
#[allow(clippy::cast_precision_loss, reason = "thousands of satoshis")]
fn a_fee_rate_that_upstream_miscalculates_ends_the_server() {
    let Some(program) = program() else { return };
    let mut upstream = Upstream::start(&program, None);
    let case = real_world().usual();
    let natively = MockProver::new(mock_allowed())
        .prove(&settlement(&case))
        .unwrap();
    let transaction = completed(case.plan.transaction.clone(), &natively);
    // Its weight of the transaction: 65 for a signature, and change. A twentieth more than the
    // requests pay is too much.
    let inputs = transaction.input.len() as u64;
    let weight = transaction.weight().to_wu() + 65 * inputs + 172;
    let rate = case.plan.fee.to_sat() as f64 * 4.0 / weight as f64 * 1.05;
    let mut bad = body();
    *field(&mut bad, "fee_rate") = Value::from(rate);
    let answer = post(&upstream, &encoded(&bad));
    assert!(answer.is_err(), "{rate}: {answer:?}");
    let deadline = Instant::now() + Duration::from_mins(1);
    while !upstream.has_ended() {
        assert!(Instant::now() < deadline, "{:?}", upstream.log());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_server_killed_while_it_proves_is_unavailable() {
    let Some(program) = program() else { return };
    let mut upstream = Upstream::start(&program, None);
    let client = upstream.client(None);
    let request = settlement(&real_world().usual());
    let asking = thread::spawn(move || client.prove(&request));
    let deadline = Instant::now() + Duration::from_mins(2);
    // The last that it writes before it runs the checker in the zkVM.
    while !upstream
        .log()
        .iter()
        .any(|line| line.contains("estimated_bitcoin_fee"))
    {
        assert!(Instant::now() < deadline, "{:?}", upstream.log());
        thread::sleep(Duration::from_millis(10));
    }
    upstream.kill();
    let error = asking.join().unwrap().unwrap_err();
    assert_eq!(error.code(), "prove-unavailable", "{error}");
}
