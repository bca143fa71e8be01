//! The strict reading's own rules: the one form in which Grail writes, and signs, a spell.
//!
//! Owns everything that the strict reading asks beyond the compatible one, save what a spell may
//! hold ([`crate::content`]): one spell in the whole transaction, its one encoding, its place among
//! the outputs, one way to write its proof, and that the bridge's contract lets charms come from it
//! later. Trusts nothing; says what is wrong. To which byte of an output that is, `grail-charms`
//! says.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, ScriptBuf, Transaction};
use grail_bridge_contract::{Violation, check_previous};
use thiserror::Error;

use crate::content::{self, ContentError};
use crate::envelope::{self, EnvelopeError, OP_RETURN_PAYLOAD_MAX_BYTES, Place, UnverifiedSpell};
use crate::error::SpellError;
use crate::proof;
use crate::read::without_witnesses;

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
    /// The marker is not followed by the payload alone.
    #[error("spell output {output_index}: expected one push after the marker, and the end")]
    Script {
        /// The output.
        output_index: usize,
    },
    /// The payload is no spell with a proof.
    #[error(transparent)]
    Payload(EnvelopeError),
    /// The spell holds what a Grail spell never does.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Script or payload are not the bytes in which the decoded spell is written.
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

/// Finds and decodes the spell of a transaction that is about to be signed.
pub(crate) fn find(tx: &Transaction) -> Result<UnverifiedSpell, SpellError> {
    let (output_index, place) = only_spell_output(tx)?;
    if let Some(input_index) = envelope::witness_envelopes(tx).next() {
        return Err(StrictError::WitnessEnvelope { input_index }.into());
    }
    let output = tx.output.get(output_index).ok_or(StrictError::Absent)?;
    let script = &output.script_pubkey;
    let payload = envelope::payload_of(script).ok_or(StrictError::Script { output_index })?;
    if payload.len() > OP_RETURN_PAYLOAD_MAX_BYTES {
        let length = payload.len();
        return Err(EnvelopeError::PayloadTooLong { length }.into());
    }
    let (spell, proof) = envelope::decode_payload(payload).map_err(StrictError::Payload)?;
    content::check(&spell).map_err(StrictError::Content)?;
    // The last word on form: whatever was written in another way, in script or payload, is not what
    // is written anew.
    let canonical: ScriptBuf = envelope::encode_op_return(&spell, &proof)?;
    if *script != canonical {
        return Err(StrictError::Encoding.into());
    }
    if !spell.mock {
        proof::check_nonce_reduced(&proof)?;
    }
    check_place(tx, output_index, output.value, spell.tx.outs.len())?;
    check_spendable(tx)?;
    Ok(UnverifiedSpell {
        spell,
        proof,
        place,
    })
}

/// Whatever is signed must be spendable again, or vault and NFT are locked for good. Nearly all of
/// that the form implies; it is asked here so that it stays true when either changes.
fn check_spendable(tx: &Transaction) -> Result<(), StrictError> {
    check_previous(&serialize_hex(&without_witnesses(tx))).map_err(StrictError::Unspendable)
}

/// The one output with the marker: its index, and that as a place.
fn only_spell_output(tx: &Transaction) -> Result<(usize, Place), SpellError> {
    let mut outputs = envelope::marked_outputs(tx).map(|(index, _)| index);
    let only = outputs.next().ok_or(StrictError::Absent)?;
    let count = outputs.count().saturating_add(1);
    if count > 1 {
        return Err(EnvelopeError::SeveralOpReturns { count }.into());
    }
    let output_index = u32::try_from(only).map_err(|_| EnvelopeError::Payload)?;
    Ok((only, Place::OpReturn { output_index }))
}

/// The spell's output has no value, and no more outputs around it that the spell does not speak of
/// than a Charms prover adds. Neither spell nor proof binds those; whoever signs judges them
/// itself.
fn check_place(
    tx: &Transaction,
    spell_output: usize,
    value: Amount,
    charm_outputs: usize,
) -> Result<(), StrictError> {
    let output_count = tx.output.len();
    let after = output_count.saturating_sub(spell_output.saturating_add(1));
    match spell_output.checked_sub(charm_outputs) {
        Some(before)
            if before <= OUTPUTS_BEFORE_SPELL_MAX
                && after <= OUTPUTS_AFTER_SPELL_MAX
                && value == Amount::ZERO =>
        {
            Ok(())
        }
        _ => Err(StrictError::Output {
            output_index: spell_output,
            output_count,
            charm_outputs,
        }),
    }
}
