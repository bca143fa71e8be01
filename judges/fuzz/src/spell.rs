//! Transactions and spells: what any peer, prover or previous owner hands over.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash as _;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use grail_charms::{PrevTx, read_compatible, strict_fault};
use grail_spell::{
    SpellError, StrictError, decode_op_return, encode_op_return, find_spell, read_strict,
    without_witnesses,
};
use grail_types::{BridgeApp, MockAllowed, Network};

/// Without mocks, and with them.
fn modes() -> [Option<MockAllowed>; 2] {
    [None, MockAllowed::on(Network::Regtest)]
}

/// `read_compatible` of any transaction, and what previous transactions are asked. Nothing outside
/// the spell's outputs carries charms, and witnesses aside the same transaction has the same id.
pub fn read_any(bytes: &[u8]) {
    let Ok(tx) = deserialize::<Transaction>(bytes) else {
        return;
    };
    let bridge = BridgeApp {
        identity: [1; 32],
        vk: [2; 32],
    };
    for mock in modes() {
        let verdict = read_compatible(&tx, mock);
        let prev = PrevTx::read(tx.clone(), mock);
        assert_eq!(prev.spell().is_some(), matches!(verdict, Ok(Some(_))));
        assert_eq!(prev.rejected(), verdict.as_ref().err());
        for vout in 0..=u32::try_from(tx.output.len()).unwrap_or(u32::MAX) {
            let charms = prev.charms_at(vout);
            assert!(charms.is_empty() || prev.output(vout).is_some());
            let _ = prev.bridge_charms(vout, &bridge);
        }
        if mock.is_none() {
            assert!(prev.spell().is_none_or(|spell| !spell.is_mock()));
        }
        let committed = PrevTx::read_committed(&tx, mock);
        assert_eq!(committed.txid(), prev.txid());
    }
    let _ = find_spell(&without_witnesses(&tx));
}

/// `read_strict` of any payload in a place that is right: the CBOR is the input.
pub fn read_payload(bytes: &[u8]) {
    let tx = carrier(op_return(bytes));
    for mock in modes() {
        judge(&tx, mock);
        judge_form(&tx, mock);
    }
}

/// What the grammar refuses of the output's bytes, the strict reading refuses as decoded, and
/// nothing else.
fn judge_form(tx: &Transaction, mock: Option<MockAllowed>) {
    let is_for_form = match read_strict(tx, mock) {
        // Too long to be looked at.
        Err(SpellError::Envelope(_)) => return,
        Err(SpellError::Strict(error)) => matches!(
            error,
            StrictError::Script { .. }
                | StrictError::Payload(_)
                | StrictError::Content(_)
                | StrictError::Encoding
        ),
        _ => false,
    };
    assert_eq!(strict_fault(tx).is_some(), is_for_form);
}

/// `read_strict` of any transaction: whatever it accepts `read_compatible` accepts, with the same
/// spell.
pub fn strict_is_compatible(bytes: &[u8]) {
    let Ok(tx) = deserialize::<Transaction>(bytes) else {
        return;
    };
    for mock in modes() {
        judge(&tx, mock);
    }
}

/// The strict reading differs in form only: what is in form gets the compatible verdict, to the
/// letter.
fn judge(tx: &Transaction, mock: Option<MockAllowed>) {
    let strict = read_strict(tx, mock);
    let compatible = read_compatible(tx, mock);
    match strict {
        Ok(strict) => {
            let compatible = compatible
                .expect("what the strict reading accepts is readable")
                .expect("what the strict reading accepts is a spell");
            assert_eq!(
                encoded(strict.spell()),
                encoded(compatible.spell()),
                "two readings, two spells"
            );
            assert_eq!(strict.place(), compatible.place());
        }
        Err(SpellError::Proof(error)) => {
            assert_eq!(compatible.err(), Some(SpellError::Proof(error)));
        }
        Err(_) => {}
    }
}

/// Decoding and encoding again: the second encoding is the first, and decodes to the same.
pub fn round_trip(bytes: &[u8]) {
    let Ok(Some(found)) = decode_op_return(&carrier(op_return(bytes))) else {
        return;
    };
    let Ok(script) = encode_op_return(&found.spell, &found.proof) else {
        return;
    };
    let again = decode_op_return(&carrier(script.clone()))
        .expect("what was encoded is readable")
        .expect("what was encoded is a spell");
    // By bytes: a charm may be NaN, which equals nothing.
    assert_eq!(encoded(&again.spell), encoded(&found.spell));
    assert_eq!(again.proof, found.proof);
    let twice = encode_op_return(&again.spell, &again.proof).expect("it could be encoded before");
    assert_eq!(twice, script);
}

fn encoded(spell: &grail_spell::NormalizedSpell) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(spell, &mut bytes).expect("spells encode into memory");
    bytes
}

fn op_return(payload: &[u8]) -> ScriptBuf {
    let payload = PushBytesBuf::try_from(payload.to_vec()).expect("libFuzzer's inputs are short");
    ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(payload)
        .into_script()
}

/// Two inputs, four outputs and, last, `script` without value. The seeds' proofs hold in no such
/// transaction, except where versions before 8 commit to little.
fn carrier(script: ScriptBuf) -> Transaction {
    let input = |byte| TxIn {
        previous_output: OutPoint {
            txid: Txid::from_byte_array([byte; 32]),
            vout: 0,
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let output = |value, script_pubkey| TxOut {
        value: Amount::from_sat(value),
        script_pubkey,
    };
    let mut outputs: Vec<TxOut> = (1..=4)
        .map(|value| output(value, ScriptBuf::from_bytes(vec![0x51])))
        .collect();
    outputs.push(output(0, script));
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(1), input(2)],
        output: outputs,
    }
}
