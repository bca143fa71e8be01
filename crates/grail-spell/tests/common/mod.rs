//! Transactions and spells to take apart.

#![allow(dead_code, reason = "each test binary uses a part")]

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use charms_data::{App, B32, Data};
use grail_charms::strict_fault;
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, ProofError, SpellError,
    encode_op_return, read_strict,
};
use grail_types::{MockAllowed, Network};

/// What a spell without any other fault is refused for.
pub const JUNK_PROOF: &[u8] = &[1, 2, 3];

pub fn app(tag: char, byte: u8) -> App {
    App {
        tag,
        identity: B32([byte; 32]),
        vk: B32([0xee; 32]),
    }
}

pub fn outpoint(byte: u8, vout: u32) -> OutPoint {
    OutPoint {
        txid: Txid::from_byte_array([byte; 32]),
        vout,
    }
}

pub fn output(sats: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[7; 32]].concat()),
    }
}

pub fn transaction(inputs: &[OutPoint], output: Vec<TxOut>) -> Transaction {
    let input = inputs
        .iter()
        .map(|&previous_output| TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        })
        .collect();
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}

/// A spell of version 15 in its wire form: an NFT on output 0, 5 of a token on output 1.
pub fn spell() -> NormalizedSpell {
    let outs = vec![
        NormalizedCharms::from([(0, Data::from(&"state"))]),
        NormalizedCharms::from([(1, Data::from(&5_u64))]),
    ];
    NormalizedSpell {
        tx: NormalizedTransaction {
            outs,
            ..NormalizedTransaction::default()
        },
        app_public_inputs: [
            (app('n', 1), Data::from(&"settle")),
            (app('t', 1), Data::empty()),
        ]
        .into(),
        ..NormalizedSpell::default()
    }
}

/// Two inputs, two outputs and, last, `script` without value.
pub fn carrier(script: ScriptBuf) -> Transaction {
    let outputs = vec![
        output(1_000),
        output(2_000),
        TxOut {
            value: Amount::ZERO,
            script_pubkey: script,
        },
    ];
    transaction(&[outpoint(1, 0), outpoint(2, 3)], outputs)
}

/// A transaction that carries `spell` with `proof`, in the canonical form.
pub fn carrying(spell: &NormalizedSpell, proof: &[u8]) -> Transaction {
    carrier(encode_op_return(spell, &proof.to_vec()).expect("short enough"))
}

/// A payload with [`JUNK_PROOF`].
pub fn payload(spell: &NormalizedSpell) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&(spell, JUNK_PROOF.to_vec()), &mut bytes).expect("spells encode");
    bytes
}

/// The script that carries `payload`, whatever that is.
pub fn op_return(payload: Vec<u8>) -> ScriptBuf {
    ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(PushBytesBuf::try_from(payload).expect("short enough"))
        .into_script()
}

/// Why the strict reading refuses `tx`.
pub fn refusal(tx: &Transaction) -> SpellError {
    read_strict(tx, MockAllowed::on(Network::Regtest)).expect_err("nothing here is proven")
}

/// The form is fine: only the proof, [`JUNK_PROOF`], is not.
pub fn assert_form_is_fine(tx: &Transaction) {
    assert_eq!(strict_fault(tx), None);
    assert_eq!(
        refusal(tx),
        SpellError::Proof(ProofError::Length {
            length: 3,
            version: 15
        })
    );
}
