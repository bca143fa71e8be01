//! Where a spell sits in a Bitcoin transaction, and how it is put there.
//!
//! Two places exist. `OP_RETURN "spell" <payload>` (protocol 9 and later) is looked at first; the
//! leaf script of the last input's witness, `OP_0 OP_IF "spell" <pushes> OP_ENDIF` (protocol 8 and
//! earlier), is looked at when the first gives nothing readable. Charms enforces neither place by
//! version, and so neither does [`find_spell`], which has to find whatever Charms finds. The
//! payload is CBOR of `(spell, proof)`.

use bitcoin::opcodes::all::{OP_ENDIF, OP_IF, OP_RETURN};
use bitcoin::script::{Instruction, PushBytesBuf};
use bitcoin::{Script, ScriptBuf, Transaction, TxIn};
use thiserror::Error;

use crate::spell::{NormalizedSpell, Proof};

/// The first push of every spell.
pub const SPELL_MARKER: &[u8] = b"spell";

/// Longest payload that [`encode_op_return`] writes: above it Bitcoin Core's default policy relays
/// no `OP_RETURN` (100,000 bytes with opcode, marker and push prefixes).
pub const OP_RETURN_PAYLOAD_MAX_BYTES: usize = 99_980;

/// Longest payload that is decoded, here as by the bridge's contract. Charms has no limit here; no
/// transaction that relays comes near it.
const PAYLOAD_MAX_BYTES: usize = grail_bridge_contract::SPELL_PAYLOAD_MAX_BYTES;

/// Most bytes, without witnesses, of a transaction that is looked at: consensus lets no block hold
/// a larger one. What a spell needs while it is read also grows with its transaction.
const TRANSACTION_MAX_BYTES: usize = 1_000_000;

/// So much is kept of why a payload is unreadable.
const REASON_MAX_CHARACTERS: usize = 200;

/// A taproot control block with an empty Merkle path: leaf version and internal key only.
const CONTROL_BLOCK_SINGLE_LEAF_BYTES: usize = 33;

/// Where a spell was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this output.
    OpReturn {
        /// Index of the output.
        output_index: u32,
    },
    /// In the witness of the last input.
    Witness,
}

/// A spell as decoded, its proof unchecked: anyone can write this.
#[derive(Clone, Debug, PartialEq)]
pub struct UnverifiedSpell {
    /// The spell in its wire form.
    pub spell: NormalizedSpell,
    /// The bytes that claim to prove it.
    pub proof: Proof,
    /// Where it was.
    pub place: Place,
}

/// Why a transaction with a spell marker has no readable spell.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// Two or more spell outputs.
    #[error("expected one spell OP_RETURN output, got {count}")]
    SeveralOpReturns {
        /// How many.
        count: usize,
    },
    /// The marker is not followed by exactly one push.
    #[error("expected exactly one push after the spell marker")]
    Payload,
    /// The tapscript's control block has a Merkle path, or none can be found.
    #[error("expected a single-leaf taproot tree in the last input's witness")]
    ControlBlock,
    /// The witness envelope has an opcode between marker and `OP_ENDIF`, or no end.
    #[error("expected only pushes up to OP_ENDIF in the witness envelope")]
    WitnessScript,
    /// The payload is not CBOR of a spell and a proof.
    #[error("unreadable spell payload: {0}")]
    Cbor(String),
    /// The transaction has a spell, and is larger than any that a block can hold.
    #[error(
        "transaction of {length} bytes without witnesses, expected at most {TRANSACTION_MAX_BYTES}"
    )]
    TransactionTooLarge {
        /// Its length.
        length: usize,
    },
    /// The payload is longer than an `OP_RETURN` that relays.
    #[error("spell payload of {length} bytes, expected at most {OP_RETURN_PAYLOAD_MAX_BYTES}")]
    PayloadTooLong {
        /// Its length.
        length: usize,
    },
}

/// Finds and decodes the spell of `tx`. `None`: nothing in it claims to be one.
pub fn find_spell(tx: &Transaction) -> Result<Option<UnverifiedSpell>, EnvelopeError> {
    let in_output = marked_outputs(tx).next().is_some();
    let in_witness = tx.input.last().and_then(witness_envelope).is_some();
    if !in_output && !in_witness {
        return Ok(None);
    }
    let length = tx.base_size();
    if length > TRANSACTION_MAX_BYTES {
        return Err(EnvelopeError::TransactionTooLarge { length });
    }
    let op_return_error = match decode_op_return(tx) {
        Ok(Some(found)) => return Ok(Some(found)),
        Ok(None) => None,
        Err(error) => Some(error),
    };
    // Charms falls back to the witness also when an OP_RETURN is there but unreadable.
    match (decode_witness(tx), op_return_error) {
        (Ok(Some(found)), _) => Ok(Some(found)),
        (_, Some(error)) => Err(error),
        (rest, None) => rest,
    }
}

/// Decodes the spell in an `OP_RETURN` of `tx`, unverified: for builders, who wrote it themselves.
pub fn decode_op_return(tx: &Transaction) -> Result<Option<UnverifiedSpell>, EnvelopeError> {
    let mut marked = marked_outputs(tx);
    let Some((index, script)) = marked.next() else {
        return Ok(None);
    };
    let more = marked.count();
    if more > 0 {
        return Err(EnvelopeError::SeveralOpReturns {
            count: more.saturating_add(1),
        });
    }
    let (spell, proof) = decode_payload(payload_of(script).ok_or(EnvelopeError::Payload)?)?;
    let output_index = u32::try_from(index).map_err(|_| EnvelopeError::Payload)?;
    Ok(Some(UnverifiedSpell {
        spell,
        proof,
        place: Place::OpReturn { output_index },
    }))
}

/// What the script of a spell's output pushes after the marker, if that is all that follows.
pub(crate) fn payload_of(script: &Script) -> Option<&[u8]> {
    let mut instructions = script.instructions().skip(2);
    match (instructions.next(), instructions.next()) {
        (Some(Ok(Instruction::PushBytes(payload))), None) => Some(payload.as_bytes()),
        _ => None,
    }
}

/// The script of the output that carries `spell` and `proof`, in the one layout that Charms writes.
/// The spell must be in its wire form ([`NormalizedSpell::to_wire`]).
pub fn encode_op_return(
    spell: &NormalizedSpell,
    proof: &Proof,
) -> Result<ScriptBuf, EnvelopeError> {
    let mut payload = Vec::new();
    ciborium::into_writer(&(spell, proof), &mut payload)
        .map_err(|error| EnvelopeError::Cbor(error.to_string()))?;
    let length = payload.len();
    if length > OP_RETURN_PAYLOAD_MAX_BYTES {
        return Err(EnvelopeError::PayloadTooLong { length });
    }
    let payload =
        PushBytesBuf::try_from(payload).map_err(|_| EnvelopeError::PayloadTooLong { length })?;
    Ok(ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(payload)
        .into_script())
}

/// The outputs that Charms takes for a spell's, by index.
pub fn marked_outputs(tx: &Transaction) -> impl Iterator<Item = (usize, &Script)> {
    tx.output
        .iter()
        .enumerate()
        .map(|(index, output)| (index, output.script_pubkey.as_script()))
        .filter(|(_, script)| has_op_return_marker(script))
}

/// The inputs whose witness begins as a spell's envelope does. Charms reads that of the last input
/// alone.
pub(crate) fn witness_envelopes(tx: &Transaction) -> impl Iterator<Item = usize> {
    tx.input
        .iter()
        .enumerate()
        .filter(|(_, input)| witness_envelope(input).is_some())
        .map(|(index, _)| index)
}

/// Charms looks only at the second instruction: the first may be any, not just `OP_RETURN`.
fn has_op_return_marker(script: &Script) -> bool {
    let mut instructions = script.instructions();
    matches!(instructions.next(), Some(Ok(_)))
        && matches!(instructions.next(), Some(Ok(Instruction::PushBytes(push))) if push.as_bytes() == SPELL_MARKER)
}

fn decode_witness(tx: &Transaction) -> Result<Option<UnverifiedSpell>, EnvelopeError> {
    let Some(envelope) = tx.input.last().and_then(witness_envelope) else {
        return Ok(None);
    };
    if envelope.control_block_length != CONTROL_BLOCK_SINGLE_LEAF_BYTES {
        return Err(EnvelopeError::ControlBlock);
    }
    let mut payload = Vec::new();
    let mut instructions = envelope.script.instructions().skip(3);
    loop {
        match instructions.next() {
            Some(Ok(Instruction::PushBytes(push))) => payload.extend_from_slice(push.as_bytes()),
            Some(Ok(Instruction::Op(OP_ENDIF))) => break,
            _ => return Err(EnvelopeError::WitnessScript),
        }
    }
    let (spell, proof) = decode_payload(&payload)?;
    Ok(Some(UnverifiedSpell {
        spell,
        proof,
        place: Place::Witness,
    }))
}

struct WitnessEnvelope<'a> {
    script: &'a Script,
    control_block_length: usize,
}

/// The tapscript of `input`, if it begins as a spell's envelope does.
fn witness_envelope(input: &TxIn) -> Option<WitnessEnvelope<'_>> {
    let control_block_length = input.witness.taproot_control_block()?.len();
    let script = input.witness.taproot_leaf_script()?.script;
    let mut instructions = script.instructions();
    let begins = matches!(instructions.next(), Some(Ok(Instruction::PushBytes(push))) if push.is_empty())
        && matches!(instructions.next(), Some(Ok(Instruction::Op(OP_IF))))
        && matches!(instructions.next(), Some(Ok(Instruction::PushBytes(push))) if push.as_bytes() == SPELL_MARKER);
    begins.then_some(WitnessEnvelope {
        script,
        control_block_length,
    })
}

/// Reads the first CBOR item. Charms ignores bytes after it; the strict reading refuses them by
/// encoding again. Length is judged first: decoding can need a hundred times the memory of the
/// bytes.
pub(crate) fn decode_payload(payload: &[u8]) -> Result<(NormalizedSpell, Proof), EnvelopeError> {
    if payload.len() > PAYLOAD_MAX_BYTES {
        return Err(EnvelopeError::PayloadTooLong {
            length: payload.len(),
        });
    }
    ciborium::from_reader(payload).map_err(|error| {
        // It may repeat a text of the payload, escaped.
        let reason = error.to_string();
        EnvelopeError::Cbor(reason.chars().take(REASON_MAX_CHARACTERS).collect())
    })
}
