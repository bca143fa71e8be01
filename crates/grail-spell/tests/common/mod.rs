//! Transactions and spells to take apart.

#![allow(dead_code, reason = "each test binary uses a part")]

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use charms_data::{App, B32, Data};
use grail_spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, encode_op_return};

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
