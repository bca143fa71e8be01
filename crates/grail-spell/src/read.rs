//! The two readings of a transaction, and the type that proves one took place.

use std::iter;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Transaction, TxIn, TxOut, Txid, Witness};
use charms_data::Charms;
use grail_bridge_contract::{Violation, check_previous};
use grail_types::MockAllowed;

use crate::envelope::{self, EnvelopeError, Place, UnverifiedSpell};
use crate::error::SpellError;
use crate::proof::{self, Claim, ProofError};
use crate::spell::NormalizedSpell;
use crate::strict::{self, Layout, StrictSpell};

/// A spell whose proof was checked against the transaction that carries it. Made by the readers
/// only.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedSpell {
    spell: NormalizedSpell,
    place: Place,
    layout: Option<Layout>,
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

    /// Which outputs of its transaction it does not speak of. Only of a spell that [`read_strict`]
    /// read.
    pub fn layout(&self) -> Option<Layout> {
        self.layout
    }

    /// Whether output `vout` was beamed to another chain, so that no spell can spend it here,
    /// whatever it carries.
    pub fn is_beamed_at(&self, vout: u32) -> bool {
        self.spell.is_beamed_at(vout)
    }
}

/// Reads the spell of `tx` with the verdict that Charms itself gives. `Ok(None)`: nothing in it
/// claims to be a spell. An error means, but for the differences below, that Charms of today sees
/// no charms on the outputs of `tx`; whether anybody ever may, [`SpellError::rejection`] says.
///
/// Deliberate differences: a mock proof must actually hold and end where it ends (Charms ignores
/// the result of that pairing, and bytes after the proof); a charm of an app that the spell does
/// not list is an error here (Charms panics when it is spent, and its checker proves no such
/// spell).
///
/// Deliberate as well: a spell in a transaction that no block can hold is not looked at.
///
/// Its work is bounded: payloads over 400,000 bytes are refused unread, the decoder (`ciborium`)
/// stops at 256 levels of nesting and allocates as bytes come and not as lengths announce, and no
/// field of a spell costs more than its bytes.
pub fn read_compatible(
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<Option<VerifiedSpell>, SpellError> {
    let Some(found) = envelope::find_spell(tx)? else {
        return Ok(None);
    };
    verify(tx, found, mock).map(Some)
}

/// Reads the spell of a transaction that is about to be signed. Accepts one form only:
///
/// - one spell: one output with the marker, and no witness of any input that begins as a spell's
///   envelope does. (Charms would not read such a witness beside a readable output; what is signed
///   shall not depend on who reads it how.)
/// - its script is `OP_RETURN`, the marker and the payload, each pushed in the shortest way, and
///   ends there;
/// - the payload is the bytes that [`crate::encode_op_return`] writes for what it decodes to:
///   canonical CBOR of bounded size and depth without repeated keys or bytes after it, of the
///   current version; none of refs, beaming, scrolls, versioned apps, inputs or coins;
/// - the output has no value and stands after all outputs that the spell speaks of, with at most
///   one in between (a prover's fee) and at most one after it (the change):
///   [`VerifiedSpell::layout`];
/// - the proof is written in the one way in which it can be, is verified, and binds every input and
///   the amount and script of every output that the spell speaks of;
/// - the bridge's contract lets charms come from it ([`grail_bridge_contract::check_previous`]), so
///   that what is signed can be spent again.
pub fn read_strict(
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<VerifiedSpell, SpellError> {
    let StrictSpell {
        spell,
        proof,
        layout,
    } = strict::find(tx)?;
    let output_index = u32::try_from(layout.spell_output).map_err(|_| EnvelopeError::Payload)?;
    let found = UnverifiedSpell {
        spell,
        proof,
        place: Place::OpReturn { output_index },
    };
    let verified = verify(tx, found, mock)?;
    Ok(VerifiedSpell {
        layout: Some(layout),
        ..verified
    })
}

/// Checks all of a decoded spell but the equation of its proof, which is returned.
pub(crate) fn claim(
    tx: &Transaction,
    found: UnverifiedSpell,
    mock: Option<MockAllowed>,
) -> Result<(VerifiedSpell, Claim), SpellError> {
    let UnverifiedSpell {
        spell,
        proof,
        place,
    } = found;
    proof::check_version(&spell, mock)?;
    spell.check_app_indexes()?;
    let spell = spell.committed_to(tx)?;
    let claim = proof::claim(&spell, &proof, mock)?;
    let once_checked = VerifiedSpell {
        spell,
        place,
        layout: None,
    };
    Ok((once_checked, claim))
}

fn verify(
    tx: &Transaction,
    found: UnverifiedSpell,
    mock: Option<MockAllowed>,
) -> Result<VerifiedSpell, SpellError> {
    let (once_checked, claim) = claim(tx, found, mock)?;
    claim.check()?;
    Ok(once_checked)
}

/// Reads the spells of many transactions: for each what [`read_compatible`] says of it, in the same
/// order. Faster, because the equations of all proofs under one key are checked at once, by a
/// random linear combination; where that fails, the false proofs are found and the others accepted
/// as ever.
///
/// `seed`: 32 bytes that whoever made the proofs could not foresee, best fresh from the system's
/// generator. The powers of the combination are hashed from it and from all proofs together, so
/// that even a seed that is known or used twice leaves a forger no better way than 2^128 attempts
/// at hashing.
pub fn read_compatible_batch(
    txs: &[Transaction],
    mock: Option<MockAllowed>,
    seed: &[u8; 32],
) -> Vec<Result<Option<VerifiedSpell>, SpellError>> {
    let mut claims = Vec::new();
    let found: Vec<_> = txs
        .iter()
        .map(|tx| {
            let Some(found) = envelope::find_spell(tx)? else {
                return Ok(None);
            };
            let (once_checked, claim) = claim(tx, found, mock)?;
            claims.push(claim);
            Ok(Some(once_checked))
        })
        .collect();
    let mut verdicts = proof::check_all(&claims, seed).into_iter();
    found
        .into_iter()
        .map(|found| match found {
            Ok(Some(once_checked)) => {
                let verdict = verdicts.next().unwrap_or(Err(ProofError::False));
                verdict
                    .map_err(SpellError::Proof)
                    .map(|()| Some(once_checked))
            }
            rest => rest,
        })
        .collect()
}

/// A previous transaction with its spell read once. Made by [`PrevTx::read`] only, so that its
/// parts belong together.
#[derive(Clone, Debug)]
pub struct PrevTx {
    tx: Transaction,
    txid: Txid,
    spell: Option<VerifiedSpell>,
    rejected: Option<SpellError>,
    unspendable: Option<Violation>,
}

impl PrevTx {
    /// Reads `tx` as [`read_compatible`] does; a rejected spell counts as none, and its reason is
    /// kept.
    pub fn read(tx: Transaction, mock: Option<MockAllowed>) -> Self {
        let outcome = read_compatible(&tx, mock);
        Self::of(tx, outcome)
    }

    fn of(tx: Transaction, outcome: Result<Option<VerifiedSpell>, SpellError>) -> Self {
        let (spell, rejected) = match outcome {
            Ok(spell) => (spell, None),
            Err(error) => (None, Some(error)),
        };
        let unspendable = spell
            .as_ref()
            .and_then(|_| check_previous(&serialize_hex(&without_witnesses(&tx))).err());
        Self {
            txid: tx.compute_txid(),
            tx,
            spell,
            rejected,
            unspendable,
        }
    }

    /// Reads of `tx` what its id commits to: everything but witnesses. Whoever hands over a
    /// previous transaction can attach any witness, and Charms reads spells in witnesses too
    /// (protocol versions below 9 put them there); with two of those, one transaction would
    /// give the same charms to two outputs. Whoever decides about money reads so.
    pub fn read_committed(tx: &Transaction, mock: Option<MockAllowed>) -> Self {
        Self::read(without_witnesses(tx), mock)
    }

    /// Reads many as [`Self::read_committed`] reads one, in the same order, as fast as
    /// [`read_compatible_batch`], which says what `seed` is.
    pub fn read_committed_batch(
        txs: &[Transaction],
        mock: Option<MockAllowed>,
        seed: &[u8; 32],
    ) -> Vec<Self> {
        let txs: Vec<_> = txs.iter().map(without_witnesses).collect();
        let outcomes = read_compatible_batch(&txs, mock, seed);
        iter::zip(txs, outcomes)
            .map(|(tx, outcome)| Self::of(tx, outcome))
            .collect()
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

    /// Why the bridge's contract lets no charm of the bridge come from here, although the spell is
    /// valid.
    pub fn unspendable(&self) -> Option<&Violation> {
        self.unspendable.as_ref()
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
