//! The strict reading's own rules: the one form in which Grail writes, and signs, a spell.
//!
//! Owns everything that the strict reading asks beyond the compatible one, save the payload's
//! grammar ([`crate::form`]): one spell in the whole transaction, its script, its place among the
//! outputs, one way to write its proof, and that the bridge's contract lets charms come from it
//! later. Trusts nothing; says what is wrong and where.

use std::fmt;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::opcodes::all::{OP_PUSHBYTES_75, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4, OP_RETURN};
use bitcoin::{Amount, ScriptBuf, Transaction};
use grail_bridge_contract::{Violation, check_previous};
use thiserror::Error;

use crate::envelope::{self, EnvelopeError, OP_RETURN_PAYLOAD_MAX_BYTES, SPELL_MARKER};
use crate::error::SpellError;
use crate::form::{self, FormError};
use crate::proof;
use crate::read::without_witnesses;
use crate::spell::{NormalizedSpell, Proof};

/// Outputs that may stand between those that the spell speaks of and the spell: the prover's fee,
/// which a Charms prover adds there.
const OUTPUTS_BEFORE_SPELL_MAX: usize = 1;
/// Outputs that may follow the spell's: the change, which a Charms prover adds last.
const OUTPUTS_AFTER_SPELL_MAX: usize = 1;

/// Why a spell is not in the one form that Grail produces.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StrictError {
    /// No spell in an output.
    #[error("expected a spell in an OP_RETURN output, got none")]
    Absent,
    /// A witness holds what begins as a spell does.
    #[error("expected one spell, got another in the witness of input {input_index}")]
    WitnessEnvelope {
        /// The input.
        input_index: usize,
    },
    /// The spell output's script.
    #[error("spell output {output_index}, script byte {offset}: expected {expected}, got {got}")]
    Script {
        /// The output.
        output_index: usize,
        /// Offset in its script.
        offset: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        got: ScriptByte,
    },
    /// The payload.
    #[error(transparent)]
    Payload(#[from] FormError),
    /// Not the bytes that encoding the decoded value gives, though no other rule says why.
    #[error("the spell output is not the canonical encoding of its spell")]
    Encoding,
    /// The proof's nonce is not below the scalar field's modulus: the same proof can be written in
    /// other bytes.
    #[error("expected the proof's nonce reduced, got one not below the scalar field's modulus")]
    Nonce,
    /// The bridge's contract would let no charm come from this transaction.
    #[error("nothing of the bridge could ever be spent from it: {0}")]
    Unspendable(Violation),
    /// The output's place or value.
    #[error(
        "spell output at {output_index} of {output_count}: expected without value, after the {charm_outputs} outputs that \
         it speaks of and at most one more, and with at most one after it"
    )]
    Output {
        /// Where it is.
        output_index: usize,
        /// How many outputs there are.
        output_count: usize,
        /// How many the spell speaks of.
        charm_outputs: usize,
    },
}

/// A byte of a script, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptByte {
    /// This byte.
    Byte(u8),
    /// None: the script is over.
    End,
}

impl fmt::Display for ScriptByte {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(formatter, "{byte:#04x}"),
            Self::End => formatter.write_str("the end"),
        }
    }
}

/// The outputs of a transaction around its spell, as indexes. The spell and the proof bind those
/// below `charm_outputs`, amounts and scripts included; they bind neither of the two others.
/// Whoever signs judges those itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many outputs the spell speaks of: they come first.
    pub charm_outputs: usize,
    /// The output between those and the spell, where there is one: the Charms prover's fee stands
    /// there.
    pub uncommitted_before: Option<usize>,
    /// The spell's own output.
    pub spell_output: usize,
    /// The output after the spell, where there is one: the change.
    pub uncommitted_after: Option<usize>,
}

/// A spell in its one form, unverified still.
pub(crate) struct StrictSpell {
    pub(crate) spell: NormalizedSpell,
    pub(crate) proof: Proof,
    pub(crate) layout: Layout,
}

/// Finds and decodes the spell of a transaction that is about to be signed.
pub(crate) fn find(tx: &Transaction) -> Result<StrictSpell, SpellError> {
    let output_index = only_spell_output(tx)?;
    if let Some(input_index) = envelope::witness_envelopes(tx).next() {
        return Err(StrictError::WitnessEnvelope { input_index }.into());
    }
    let output = tx.output.get(output_index).ok_or(StrictError::Absent)?;
    let script = &output.script_pubkey;
    let payload =
        payload_of(script.as_bytes()).map_err(|(offset, expected)| StrictError::Script {
            output_index,
            offset,
            expected,
            got: script
                .as_bytes()
                .get(offset)
                .map_or(ScriptByte::End, |byte| ScriptByte::Byte(*byte)),
        })?;
    if payload.len() > OP_RETURN_PAYLOAD_MAX_BYTES {
        let length = payload.len();
        return Err(EnvelopeError::PayloadTooLong { length }.into());
    }
    form::check(payload).map_err(StrictError::Payload)?;
    let (spell, proof) = envelope::decode_payload(payload)?;
    let canonical: ScriptBuf = envelope::encode_op_return(&spell, &proof)?;
    if *script != canonical {
        return Err(StrictError::Encoding.into());
    }
    if !spell.mock {
        proof::check_nonce_reduced(&proof)?;
    }
    let layout = layout_of(tx, output_index, output.value, spell.tx.outs.len())?;
    check_spendable(tx)?;
    Ok(StrictSpell {
        spell,
        proof,
        layout,
    })
}

/// Whatever is signed must be spendable again, or vault and NFT are locked for good. Nearly all of
/// that the form implies; it is asked here so that it stays true when either changes.
fn check_spendable(tx: &Transaction) -> Result<(), StrictError> {
    check_previous(&serialize_hex(&without_witnesses(tx))).map_err(StrictError::Unspendable)
}

fn only_spell_output(tx: &Transaction) -> Result<usize, SpellError> {
    let mut outputs = envelope::marked_outputs(tx).map(|(index, _)| index);
    let only = outputs.next().ok_or(StrictError::Absent)?;
    match outputs.count() {
        0 => Ok(only),
        more => Err(EnvelopeError::SeveralOpReturns {
            count: more.saturating_add(1),
        }
        .into()),
    }
}

/// Where a script leaves its form: offset, and what was expected there.
type ScriptFault = (usize, &'static str);

/// The payload of `OP_RETURN <marker> <payload>`, each pushed in the shortest way and nothing after
/// them.
fn payload_of(script: &[u8]) -> Result<&[u8], ScriptFault> {
    let rest = script
        .strip_prefix(&[OP_RETURN.to_u8()])
        .ok_or((0, "OP_RETURN"))?;
    let marker = (1, "the marker \"spell\" pushed by its length, 0x05");
    let rest = rest.strip_prefix(&[5]).ok_or(marker)?;
    let rest = rest.strip_prefix(SPELL_MARKER).ok_or(marker)?;
    let push_offset = script.len().saturating_sub(rest.len());
    let push = (push_offset, "the payload pushed in the shortest way");
    let (&opcode, rest) = rest.split_first().ok_or(push)?;
    let (length, least, rest) = push_length(opcode, rest).ok_or(push)?;
    if length < least {
        return Err(push);
    }
    let Some((payload, after)) = rest.split_at_checked(length) else {
        return Err((script.len(), "all bytes of the payload's push"));
    };
    if !after.is_empty() {
        let end = script.len().saturating_sub(after.len());
        return Err((end, "the end of the script"));
    }
    Ok(payload)
}

/// The length of a push, the least that its opcode is needed for, and the bytes after.
fn push_length(opcode: u8, rest: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (length, least, rest) = if (1..=OP_PUSHBYTES_75.to_u8()).contains(&opcode) {
        (u32::from(opcode), 1, rest)
    } else if opcode == OP_PUSHDATA1.to_u8() {
        let (length, rest) = rest.split_first_chunk()?;
        (u8::from_le_bytes(*length).into(), 76, rest)
    } else if opcode == OP_PUSHDATA2.to_u8() {
        let (length, rest) = rest.split_first_chunk()?;
        (u16::from_le_bytes(*length).into(), 1 << 8, rest)
    } else if opcode == OP_PUSHDATA4.to_u8() {
        let (length, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*length), 1 << 16, rest)
    } else {
        return None;
    };
    Some((usize::try_from(length).ok()?, least, rest))
}

fn layout_of(
    tx: &Transaction,
    spell_output: usize,
    value: Amount,
    charm_outputs: usize,
) -> Result<Layout, StrictError> {
    let output_count = tx.output.len();
    let misplaced = StrictError::Output {
        output_index: spell_output,
        output_count,
        charm_outputs,
    };
    let before = spell_output.checked_sub(charm_outputs);
    let after_index = spell_output.saturating_add(1);
    let after = output_count.saturating_sub(after_index);
    match before {
        Some(before)
            if before <= OUTPUTS_BEFORE_SPELL_MAX
                && after <= OUTPUTS_AFTER_SPELL_MAX
                && value == Amount::ZERO =>
        {
            Ok(Layout {
                charm_outputs,
                uncommitted_before: (before > 0).then_some(charm_outputs),
                spell_output,
                uncommitted_after: (after > 0).then_some(after_index),
            })
        }
        _ => Err(misplaced),
    }
}
