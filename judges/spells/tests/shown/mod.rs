//! A previous transaction as a spender may choose to show it.

use bitcoin::opcodes::OP_0;
use bitcoin::opcodes::all::{OP_ENDIF, OP_IF};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{Transaction, Witness};
use grail_prover::{ProveRequest, Proven};
use grail_spell::NormalizedSpell;

use crate::common;

/// As it is, with the previous transactions as they are.
pub fn request(
    spell: NormalizedSpell,
    previous: &Transaction,
    wasm: Option<&[u8]>,
) -> ProveRequest {
    let mut request = common::request(spell, &[], wasm);
    request.prev_txs.push(previous.clone());
    request.spell.mock = true;
    request
}

/// `tx` with the proven spell in its last witness, where protocol versions before 9 had it and
/// later ones still look.
pub fn with_witness(tx: &Transaction, proven: &Proven) -> Transaction {
    let payload = proven.op_return.instructions().nth(2).unwrap().unwrap();
    let payload = payload.push_bytes().unwrap().as_bytes();
    let start = Builder::new()
        .push_opcode(OP_0)
        .push_opcode(OP_IF)
        .push_slice(b"spell");
    let script = payload
        .chunks(520)
        .fold(start, |script, chunk| {
            script.push_slice(PushBytesBuf::try_from(chunk.to_vec()).unwrap())
        })
        .push_opcode(OP_ENDIF)
        .into_script();
    let control_block = [[0xc0].as_slice(), &[2; 32]].concat();
    let mut tx = tx.clone();
    tx.input.last_mut().unwrap().witness =
        Witness::from_slice(&[script.as_bytes(), &control_block]);
    tx
}
