//! Answers that are wrong in one point each.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxOut, Txid, Witness};
use ciborium::Value;
use grail_prover::{MockProver, Prover as _};
use grail_spell::encode_op_return;

use crate::common::{VAULT, mock_allowed, output, script};
use crate::server::Behaviour;
use crate::{ask, ask_with, cbor_of, code, deployment, fee, made, made_around};

fn answered(body: Vec<u8>) -> &'static str {
    let (outcome, requests) = ask(vec![Behaviour::Answer(200, body)]);
    assert_eq!(requests, 1, "a wrong answer is final");
    code(&outcome)
}

/// What becomes of the right answer with one change.
fn changed(change: impl FnOnce(&mut Transaction)) -> &'static str {
    let mut transaction = made(&deployment(0), None);
    change(&mut transaction);
    answered(cbor_of(&[transaction]))
}

#[test]
fn the_unchanged_answer_is_right() {
    assert_eq!(changed(|_| ()), "proven");
}

#[test]
fn bytes_that_are_no_list_of_one_bitcoin_transaction_are_refused() {
    let right = cbor_of(&[made(&deployment(0), None)]);
    let one = |tag: &str, text: String| {
        let list = Value::Array(vec![Value::Map(vec![(tag.into(), Value::Text(text))])]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&list, &mut bytes).unwrap();
        bytes
    };
    let hex = serialize_hex(&made(&deployment(0), None));
    let unreadable = [
        Vec::new(),
        b"not cbor at all".to_vec(),
        right[..right.len() - 1].to_vec(),
        [right.clone(), vec![0]].concat(),
        one("cardano", hex.clone()),
        one("bitcoin", format!("{hex}00")),
        one("bitcoin", hex[2..].to_owned()),
        one("bitcoin", String::new()),
        one("\u{1b}[2J", hex),
        // Lists in lists, deeper than anything reads.
        vec![0x81; 100_000],
        // A list that claims to be longer than memory.
        [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff].to_vec(),
    ];
    for (index, body) in unreadable.into_iter().enumerate() {
        assert_eq!(answered(body), "prove-answer-unreadable", "case {index}");
    }
    assert_eq!(answered(cbor_of(&[])), "prove-answer-count");
    let transaction = made(&deployment(0), None);
    let twice = [transaction.clone(), transaction];
    assert_eq!(answered(cbor_of(&twice)), "prove-answer-count");
}

#[test]
fn another_form_than_the_servers_is_refused() {
    assert_eq!(changed(|tx| tx.version = Version::ONE), "prove-answer-form");
    assert_eq!(
        changed(|tx| tx.lock_time = LockTime::from_consensus(1)),
        "prove-answer-form"
    );
    assert_eq!(
        changed(|tx| tx.input[0].sequence = Sequence::ENABLE_RBF_NO_LOCKTIME),
        "prove-answer-form"
    );
    assert_eq!(
        changed(|tx| tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51])),
        "prove-answer-form"
    );
    assert_eq!(
        changed(|tx| tx.input[0].witness = Witness::from_slice(&[[1]])),
        "prove-answer-form"
    );
}

#[test]
fn other_inputs_are_refused() {
    let txid = Txid::from_byte_array([9; 32]);
    assert_eq!(
        changed(|tx| tx.input[0].previous_output.txid = txid),
        "prove-answer-inputs"
    );
    assert_eq!(
        changed(|tx| tx.input[0].previous_output.vout = 1),
        "prove-answer-inputs"
    );
    assert_eq!(
        changed(|tx| {
            let mut another = tx.input[0].clone();
            another.previous_output.vout = 1;
            tx.input.push(another);
        }),
        "prove-answer-inputs"
    );
}

#[test]
fn other_coins_are_refused() {
    assert_eq!(
        changed(|tx| tx.output[0].value += Amount::ONE_SAT),
        "prove-answer-coin"
    );
    assert_eq!(
        changed(|tx| tx.output[0].script_pubkey = script(1)),
        "prove-answer-coin"
    );
    assert_eq!(changed(|tx| drop(tx.output.remove(0))), "prove-answer-coin");
    assert_eq!(changed(|tx| tx.output.clear()), "prove-answer-coin");
}

#[test]
fn the_spell_is_in_its_own_output_at_its_place() {
    assert_eq!(
        changed(|tx| tx.output[1].value = Amount::ONE_SAT),
        "prove-answer-spell-output"
    );
    assert_eq!(
        changed(|tx| tx.output.truncate(1)),
        "prove-answer-spell-output"
    );
    assert_eq!(
        changed(|tx| drop(tx.output.remove(1))),
        "prove-answer-spell-output"
    );
    // Another OP_RETURN in its place is no spell.
    assert_eq!(
        changed(|tx| tx.output[1].script_pubkey = ScriptBuf::new_op_return([1, 2, 3])),
        "prove-answer-spell"
    );
}

#[test]
fn change_is_what_is_left_over_and_ours() {
    assert_eq!(
        changed(|tx| tx.output[2].value -= Amount::ONE_SAT),
        "prove-answer-change"
    );
    assert_eq!(changed(|tx| drop(tx.output.pop())), "prove-answer-change");
    assert_eq!(
        changed(|tx| tx.output[2].script_pubkey = script(1)),
        "prove-answer-change-script"
    );
    assert_eq!(
        changed(|tx| tx.output.push(output(1, VAULT))),
        "prove-answer-outputs"
    );
}

#[test]
fn change_below_the_servers_dust_is_left_to_the_miners() {
    // 10,000 in; the NFT's coin takes all but 299 or 300.
    for (coin, change, expected) in [
        (9_701, None, "proven"),
        (9_701, Some(299), "prove-answer-change"),
        (9_700, Some(300), "proven"),
        (9_700, None, "prove-answer-change"),
        (9_701, Some(0), "prove-answer-change"),
    ] {
        let (mut tx, mut request) = deployment(0);
        tx.output[0].value = Amount::from_sat(coin);
        request.spell.tx.coins.as_mut().unwrap()[0].amount = coin;
        let proven = MockProver::new(mock_allowed()).prove(&request).unwrap();
        tx.input[0].sequence = Sequence::MAX;
        tx.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: proven.op_return,
        });
        tx.output.extend(change.map(|sats| output(sats, VAULT)));
        let server = crate::server::Server::start(vec![Behaviour::Answer(200, cbor_of(&[tx]))]);
        let outcome = crate::client(crate::config(&server.url())).prove(&request);
        assert_eq!(code(&outcome), expected, "{coin} {change:?}");
    }
}

#[test]
fn a_valid_spell_of_somebody_else_is_refused() {
    let (tx, request) = deployment(1);
    let proven = MockProver::new(mock_allowed()).prove(&request).unwrap();
    let body = cbor_of(&[made_around(&tx, &proven, None)]);
    assert_eq!(answered(body), "prove-answer-other-spell");
}

#[test]
fn an_unproven_or_uncanonical_spell_is_refused() {
    let proven = MockProver::new(mock_allowed())
        .prove(&deployment(0).1)
        .unwrap();
    let other_proof = MockProver::new(mock_allowed())
        .prove(&deployment(1).1)
        .unwrap()
        .proof;
    for proof in [
        vec![0; 192],
        other_proof,
        proven.proof[1..].to_vec(),
        Vec::new(),
    ] {
        let op_return = encode_op_return(&proven.spell_wire, &proof).unwrap();
        assert_eq!(
            changed(|tx| tx.output[1].script_pubkey = op_return),
            "prove-answer-spell"
        );
    }
    // The same spell and proof, one byte after them.
    let mut payload = Vec::new();
    ciborium::into_writer(&(&proven.spell_wire, &proven.proof), &mut payload).unwrap();
    payload.push(0);
    let push = bitcoin::script::PushBytesBuf::try_from(payload).unwrap();
    let script = bitcoin::script::Builder::new()
        .push_opcode(bitcoin::opcodes::all::OP_RETURN)
        .push_slice(b"spell")
        .push_slice(push)
        .into_script();
    assert_eq!(
        changed(|tx| tx.output[1].script_pubkey = script),
        "prove-answer-spell"
    );
}

/// The outcome when the client agreed to a charge of 700, and the server makes this fee output.
fn charged(fee_output: Option<TxOut>) -> &'static str {
    let body = cbor_of(&[made(&deployment(0), fee_output)]);
    let (outcome, _) = ask_with(vec![Behaviour::Answer(200, body)], |config| {
        config.fee = Some(fee(700, 1_200));
    });
    if let Ok(proven) = &outcome {
        assert_eq!(proven.fee_output, Some(output(1_000, 0x55)));
    }
    code(&outcome)
}

#[test]
fn the_fee_output_is_the_charge_and_the_servers_dust() {
    assert_eq!(charged(Some(output(1_000, 0x55))), "proven");
    for wrong in [
        output(1_001, 0x55),
        output(999, 0x55),
        output(700, 0x55),
        output(1_000, 0x56),
    ] {
        assert_eq!(charged(Some(wrong)), "prove-answer-fee");
    }
    assert_eq!(charged(None), "prove-answer-fee");
}

#[test]
fn a_charge_that_nobody_agreed_to_is_refused() {
    let body = cbor_of(&[made(&deployment(0), Some(output(1_000, 0x55)))]);
    assert_eq!(answered(body), "prove-answer-fee");
}

#[test]
fn a_mock_provers_charge_for_cycles_stays_within_the_most_that_is_paid() {
    for (sats, expected) in [
        (999, "prove-answer-fee"),
        (1_000, "proven"),
        (1_200, "proven"),
        (1_201, "prove-answer-fee"),
    ] {
        let body = cbor_of(&[made(&deployment(0), Some(output(sats, 0x55)))]);
        let (outcome, _) = ask_with(vec![Behaviour::Answer(200, body)], |config| {
            let mut by_cycles = fee(700, 1_200);
            by_cycles.sat_per_megacycle = 1;
            config.fee = Some(by_cycles);
        });
        assert_eq!(code(&outcome), expected, "{sats}");
    }
}

#[test]
fn coins_to_the_provers_own_script_count_as_paid() {
    // The NFT's coin of 1,000 goes to the prover's script: a charge of 900 is paid by it, of 1,100
    // lacks 100.
    for (charge, fee_output) in [(900, None), (1_100, Some(output(400, VAULT)))] {
        let body = cbor_of(&[made(&deployment(0), fee_output)]);
        let (outcome, _) = ask_with(vec![Behaviour::Answer(200, body)], |config| {
            let mut to_ourselves = fee(charge, 2_000);
            to_ourselves.destination = script(VAULT).try_into().unwrap();
            config.fee = Some(to_ourselves);
        });
        assert_eq!(code(&outcome), "proven", "{charge}");
    }
}
