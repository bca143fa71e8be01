//! The two readings of a transaction, and the type that proves one took place.

use bitcoin::{ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness};
use charms_data::Charms;
use grail_types::MockAllowed;
use thiserror::Error;

use crate::envelope::{self, Place, UnverifiedSpell};
use crate::error::SpellError;
use crate::proof;
use crate::spell::{NormalizedSpell, PROTOCOL_VERSION};

/// Outputs that may follow the spell's: the change, which a Charms prover appends last.
const OUTPUTS_AFTER_SPELL_MAX: usize = 1;

/// A spell whose proof was checked against the transaction that carries it. Made by the readers only.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedSpell {
    spell: NormalizedSpell,
    place: Place,
}

impl VerifiedSpell {
    /// The spell in its proving form: with the inputs and coins that its version commits to.
    pub fn spell(&self) -> &NormalizedSpell {
        &self.spell
    }

    /// The charms of output `vout`.
    pub fn charms_at(&self, vout: u32) -> Charms {
        self.spell.charms_at(vout)
    }

    /// Version of the protocol that it was proven under.
    pub fn version(&self) -> u32 {
        self.spell.version
    }

    /// Whether its proof is a mock. Never true outside regtest.
    pub fn is_mock(&self) -> bool {
        self.spell.mock
    }

    /// Where in the transaction it was.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether the charms of output `vout` have moved to another chain, so that no spell can spend them here.
    pub fn is_beamed_at(&self, vout: u32) -> bool {
        self.spell
            .tx
            .beamed_outs
            .as_ref()
            .is_some_and(|beamed| beamed.contains_key(&vout))
    }
}

/// Reads the spell of `tx` with the verdict that Charms itself gives. `Ok(None)`: nothing in it claims to be a spell.
/// An error means that Charms treats the outputs of `tx` as carrying no charms.
///
/// Deliberate differences: a mock proof must actually hold and end where it ends (Charms ignores the result of that
/// pairing, and bytes after the proof); a charm of an app that the spell does not list is an error here (Charms panics
/// when it is spent, and its checker proves no such spell); version 0 is unsupported.
pub fn read_compatible(
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<Option<VerifiedSpell>, SpellError> {
    let Some(found) = envelope::find_spell(tx)? else {
        return Ok(None);
    };
    verify(tx, found, mock).map(Some)
}

/// Why a spell is not in the one form that Grail produces.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StrictError {
    /// No spell in an output.
    #[error("expected a spell in an OP_RETURN output, got none")]
    Absent,
    /// Another protocol version.
    #[error("expected a spell of version {PROTOCOL_VERSION}, got {version}")]
    Version {
        /// The version.
        version: u32,
    },
    /// A feature that Grail does not use.
    #[error("the spell uses {feature}, which a Grail spell never does")]
    Feature {
        /// The field of the spell.
        feature: &'static str,
    },
    /// Not the bytes that encoding the decoded value gives.
    #[error("the spell output is not the canonical encoding of its spell")]
    Encoding,
    /// The output's place or value.
    #[error(
        "spell output at {output_index} of {output_count}: expected behind the {charm_outputs} outputs that it speaks of, \
         with no value and at most one output after it"
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

/// Reads the spell of a transaction that is about to be signed. Accepts one form only: one spell `OP_RETURN`, byte for byte what
/// [`crate::encode_op_return`] writes, without value, behind every output that the spell speaks of and followed by
/// at most one other (the change); the current version; none of refs, beaming, scrolls, versioned apps, inputs or
/// coins in the wire form; proof verified.
pub fn read_strict(
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<VerifiedSpell, SpellError> {
    let found = envelope::decode_op_return(tx)?.ok_or(StrictError::Absent)?;
    check_strict(tx, &found)?;
    verify(tx, found, mock)
}

fn check_strict(tx: &Transaction, found: &UnverifiedSpell) -> Result<(), SpellError> {
    let UnverifiedSpell {
        spell,
        proof,
        place,
    } = found;
    if spell.version != PROTOCOL_VERSION {
        return Err(StrictError::Version {
            version: spell.version,
        }
        .into());
    }
    let features = [
        ("tx.ins", spell.tx.ins.is_some()),
        ("tx.refs", spell.tx.refs.is_some()),
        ("tx.beamed_outs", spell.tx.beamed_outs.is_some()),
        ("tx.coins", spell.tx.coins.is_some()),
        ("tx.scrolls", spell.tx.scrolls.is_some()),
        ("versioned_apps", !spell.versioned_apps.is_empty()),
    ];
    if let Some((feature, _)) = features.into_iter().find(|(_, used)| *used) {
        return Err(StrictError::Feature { feature }.into());
    }
    let Place::OpReturn { output_index } = *place else {
        return Err(StrictError::Absent.into());
    };
    let output_index = usize::try_from(output_index).map_err(|_| StrictError::Absent)?;
    let output = tx.output.get(output_index).ok_or(StrictError::Absent)?;
    let canonical: ScriptBuf = envelope::encode_op_return(spell, proof)?;
    if output.script_pubkey != canonical {
        return Err(StrictError::Encoding.into());
    }
    let charm_outputs = spell.tx.outs.len();
    let output_count = tx.output.len();
    let outputs_after = output_count.saturating_sub(output_index).saturating_sub(1);
    if output_index < charm_outputs
        || outputs_after > OUTPUTS_AFTER_SPELL_MAX
        || output.value != bitcoin::Amount::ZERO
    {
        return Err(StrictError::Output {
            output_index,
            output_count,
            charm_outputs,
        }
        .into());
    }
    Ok(())
}

fn verify(
    tx: &Transaction,
    found: UnverifiedSpell,
    mock: Option<MockAllowed>,
) -> Result<VerifiedSpell, SpellError> {
    let UnverifiedSpell {
        spell,
        proof,
        place,
    } = found;
    spell.check_app_indexes()?;
    let spell = spell.committed_to(tx)?;
    proof::verify(&spell, &proof, mock)?;
    Ok(VerifiedSpell { spell, place })
}

/// A previous transaction with its spell read once. Made by [`PrevTx::read`] only, so that its parts belong together.
#[derive(Clone, Debug)]
pub struct PrevTx {
    tx: Transaction,
    txid: Txid,
    spell: Option<VerifiedSpell>,
    rejected: Option<SpellError>,
}

impl PrevTx {
    /// Reads `tx` as [`read_compatible`] does; a rejected spell counts as none, and its reason is kept.
    pub fn read(tx: Transaction, mock: Option<MockAllowed>) -> Self {
        let (spell, rejected) = match read_compatible(&tx, mock) {
            Ok(spell) => (spell, None),
            Err(error) => (None, Some(error)),
        };
        Self {
            txid: tx.compute_txid(),
            tx,
            spell,
            rejected,
        }
    }

    /// Reads of `tx` what its id commits to: everything but witnesses. Whoever hands over a previous transaction can
    /// attach any witness, and Charms reads spells in witnesses too (protocol versions below 9 put them there); with
    /// two of those, one transaction would give the same charms to two outputs. Whoever decides about money reads so.
    pub fn read_committed(tx: &Transaction, mock: Option<MockAllowed>) -> Self {
        Self::read(without_witnesses(tx), mock)
    }

    /// The transaction.
    pub fn tx(&self) -> &Transaction {
        &self.tx
    }

    /// Its id.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// Its spell, verified.
    pub fn spell(&self) -> Option<&VerifiedSpell> {
        self.spell.as_ref()
    }

    /// Why what claims to be its spell was not accepted.
    pub fn rejected(&self) -> Option<&SpellError> {
        self.rejected.as_ref()
    }

    /// Output `vout`.
    pub fn output(&self, vout: u32) -> Option<&TxOut> {
        self.tx.output.get(usize::try_from(vout).ok()?)
    }

    /// The charms of output `vout`: none when the spell is absent or rejected.
    pub fn charms_at(&self, vout: u32) -> Charms {
        self.spell
            .as_ref()
            .map(|spell| spell.charms_at(vout))
            .unwrap_or_default()
    }
}

/// The transaction as its id commits to it.
pub fn without_witnesses(tx: &Transaction) -> Transaction {
    let input = |input: &TxIn| TxIn {
        previous_output: input.previous_output,
        script_sig: input.script_sig.clone(),
        sequence: input.sequence,
        witness: Witness::new(),
    };
    Transaction {
        version: tx.version,
        lock_time: tx.lock_time,
        input: tx.input.iter().map(input).collect(),
        output: tx.output.clone(),
    }
}

/// The charms of output `vout` of `prev_tx`. To ask about several outputs, read a [`PrevTx`] once.
pub fn charms_of(prev_tx: &Transaction, vout: u32, mock: Option<MockAllowed>) -> Charms {
    read_compatible(prev_tx, mock)
        .ok()
        .flatten()
        .map(|spell| spell.charms_at(vout))
        .unwrap_or_default()
}
