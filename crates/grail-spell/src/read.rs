//! The strict reading of a transaction, what other readings are made of, and the type that proves
//! one took place.

use std::iter;

use bitcoin::{Transaction, TxIn, Witness};
use charms_data::Charms;
use grail_types::MockAllowed;

use crate::envelope::{Place, UnverifiedSpell};
use crate::error::SpellError;
use crate::proof::{self, Claim, ProofError};
use crate::spell::NormalizedSpell;
use crate::strict;

/// A spell whose proof was checked against the transaction that carries it. Made in no other way
/// than by that check.
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

    /// Whether output `vout` was beamed to another chain, so that no spell can spend it here,
    /// whatever it carries.
    pub fn is_beamed_at(&self, vout: u32) -> bool {
        self.spell.is_beamed_at(vout)
    }
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
///   one in between (a prover's fee) and at most one after it (the change);
/// - the proof is written in the one way in which it can be, is verified, and binds every input and
///   the amount and script of every output that the spell speaks of;
/// - the bridge's contract lets charms come from it ([`grail_bridge_contract::check_previous`]), so
///   that what is signed can be spent again.
pub fn read_strict(
    tx: &Transaction,
    mock: Option<MockAllowed>,
) -> Result<VerifiedSpell, SpellError> {
    Ok(UnprovenSpell::read(tx, strict::find(tx)?, mock)?.check()?)
}

/// A spell of which all was checked but the equation of its proof. [`Self::check`] and
/// [`Self::check_all`] alone make a [`VerifiedSpell`] of it.
#[must_use]
pub struct UnprovenSpell {
    pub(crate) once_checked: VerifiedSpell,
    pub(crate) claim: Claim,
}

impl UnprovenSpell {
    /// Checks all of a spell that was found in `tx` but the equation of its proof.
    pub fn read(
        tx: &Transaction,
        found: UnverifiedSpell,
        mock: Option<MockAllowed>,
    ) -> Result<Self, SpellError> {
        let UnverifiedSpell {
            spell,
            proof,
            place,
        } = found;
        proof::check_version(&spell, mock)?;
        spell.check_app_indexes()?;
        let spell = spell.committed_to(tx)?;
        let claim = proof::claim(&spell, &proof, mock)?;
        let once_checked = VerifiedSpell { spell, place };
        Ok(Self {
            once_checked,
            claim,
        })
    }

    /// Checks the equation.
    pub fn check(self) -> Result<VerifiedSpell, ProofError> {
        self.claim.check()?;
        Ok(self.once_checked)
    }

    /// Says of each what [`Self::check`] says, in the same order. Faster, because the equations of
    /// all proofs under one key are checked at once, by a random linear combination; where that
    /// fails, the false proofs are found and the others accepted as ever.
    ///
    /// `seed`: 32 bytes that whoever made the proofs could not foresee, best fresh from the
    /// system's generator. The powers of the combination are hashed from it and from all proofs
    /// together, so that even a seed that is known or used twice leaves a forger no better way than
    /// 2^128 attempts at hashing.
    pub fn check_all(
        unproven: Vec<Self>,
        seed: &[u8; 32],
    ) -> impl Iterator<Item = Result<VerifiedSpell, ProofError>> {
        let (once_checked, claims): (Vec<_>, Vec<_>) = unproven
            .into_iter()
            .map(|spell| (spell.once_checked, spell.claim))
            .unzip();
        iter::zip(proof::check_all(&claims, seed), once_checked)
            .map(|(verdict, once_checked)| verdict.map(|()| once_checked))
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
