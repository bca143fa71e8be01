//! The compatible reading: what Charms itself says of a transaction.

use std::iter;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use charms_data::{Charms, UtxoId};
use grail_bridge_contract::{Violation, check_previous};
use grail_spell::{
    BridgeCharms, ProofError, SpellError, UnprovenSpell, VerifiedSpell, find_spell,
    without_witnesses,
};
use grail_types::{BridgeApp, MockAllowed};

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
    let Some(found) = find_spell(tx)? else {
        return Ok(None);
    };
    Ok(Some(UnprovenSpell::read(tx, found, mock)?.check()?))
}

/// Reads the spells of many transactions: for each what [`read_compatible`] says of it, in the same
/// order, as fast as [`UnprovenSpell::check_all`], which says what `seed` is.
pub fn read_compatible_batch(
    txs: &[Transaction],
    mock: Option<MockAllowed>,
    seed: &[u8; 32],
) -> Vec<Result<Option<VerifiedSpell>, SpellError>> {
    let mut unproven = Vec::new();
    // Of each transaction whether it has a spell that its proof decides about.
    let found: Vec<Result<bool, SpellError>> = txs
        .iter()
        .map(|tx| {
            let Some(found) = find_spell(tx)? else {
                return Ok(false);
            };
            unproven.push(UnprovenSpell::read(tx, found, mock)?);
            Ok(true)
        })
        .collect();
    let mut verdicts = UnprovenSpell::check_all(unproven, seed);
    found
        .into_iter()
        .map(|found| match found {
            Ok(true) => {
                let verdict = verdicts.next().unwrap_or(Err(ProofError::False));
                Ok(Some(verdict?))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(error),
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

    /// What output `vout` carries, for whoever is about to spend it. An NFT's state is
    /// [`grail_spell::Claimed`]: by somebody.
    pub fn bridge_charms(&self, vout: u32, bridge: &BridgeApp) -> BridgeCharms {
        match (&self.spell, &self.rejected) {
            (Some(spell), _) => spell.carried(vout, bridge, || {
                self.unspendable.clone().map_or(Ok(()), Err)
            }),
            (None, Some(error)) => error.carried(),
            (None, None) => BridgeCharms::Nothing,
        }
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

/// A Charms UTXO id as Bitcoin's outpoint.
pub fn outpoint_from_utxo_id(utxo_id: &UtxoId) -> OutPoint {
    OutPoint {
        txid: Txid::from_byte_array(utxo_id.0.0),
        vout: utxo_id.1,
    }
}
