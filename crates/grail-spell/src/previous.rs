//! Previous transactions for one decision: read one at a time, judged together, remembered as far
//! as they are spent.
//!
//! A decoded spell can need a hundred times the bytes that it came in, and one proposal may bring
//! megabytes. So each spell is dropped before the next is decoded; what is kept of it is what the
//! decision asks and what its proof still has to show. The verdicts are those of
//! `PrevTx::read_committed_batch` in `grail-charms`, which keeps all spells.

use std::collections::BTreeMap;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Transaction, TxOut, Txid};
use grail_bridge_contract::check_previous;
use grail_types::{BridgeApp, MockAllowed};

use crate::amounts::CharmAmounts;
use crate::bridge::BridgeCharms;
use crate::envelope;
use crate::error::{Rejection, SpellError};
use crate::proof::{self, Claim, ProofError};
use crate::read::{UnprovenSpell, without_witnesses};

/// More than what reading takes beside the transactions themselves and what is kept of them,
/// whatever they hold and however many there are, in bytes: one decoded payload of the longest that
/// is decoded, of the kind that needs the most memory. A test holds it.
pub const PREVIOUS_READING_MAX_BYTES: usize = 96 << 20;

/// The previous transactions of one decision, while they are read.
///
/// ```
/// # use bitcoin::Transaction;
/// # use grail_spell::{BridgeCharms, PreviousBatch};
/// # use grail_types::{BridgeApp, MockAllowed};
/// # fn resolve(bridge: &BridgeApp, mock: Option<MockAllowed>, previous: &[Transaction]) {
/// let mut batch = PreviousBatch::new(bridge, mock);
/// for transaction in previous {
///     let spent_outputs = [0];
///     batch.read(transaction, &spent_outputs);
/// }
/// for read in batch.finish(&[7; 32]) {
///     let Some(spent) = read.spent(0) else {
///         continue; // the transaction has no such output, or it was not asked for
///     };
///     if spent.carried == BridgeCharms::Nothing {
///         println!("{}: {}", read.txid(), spent.output.value);
///     }
/// }
/// # }
/// ```
#[must_use]
pub struct PreviousBatch {
    bridge: BridgeApp,
    mock: Option<MockAllowed>,
    keeps_charms: bool,
    /// In the order in which they were read.
    read: Vec<Pending>,
    /// Of those that are [`Standing::Claimed`], in the same order.
    claims: Vec<Claim>,
}

/// A previous transaction, its proof not judged yet.
struct Pending {
    /// What is true of it if its proof holds.
    previous: Previous,
    standing: Standing,
}

enum Standing {
    /// It has no spell, or one that was refused for another reason than its proof's equation.
    Settled,
    /// Its spell is valid if its proof holds.
    Claimed,
}

/// What a decision needs of a previous transaction: its id and the outputs that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Previous {
    txid: Txid,
    spent: BTreeMap<u32, SpentOutput>,
    /// Of those whose charms are known and were asked for.
    charms: BTreeMap<u32, CharmAmounts>,
    rejected: Option<SpellError>,
}

/// An output about to be spent.
#[derive(Clone, Debug, PartialEq)]
pub struct SpentOutput {
    /// The output.
    pub output: TxOut,
    /// What it carries. The state of an NFT is [`crate::Claimed`].
    pub carried: BridgeCharms,
}

impl Previous {
    /// Reads one transaction as [`PreviousBatch::read`] does, and judges its proof.
    pub fn read(
        transaction: &Transaction,
        needed_vouts: &[u32],
        bridge: &BridgeApp,
        mock: Option<MockAllowed>,
    ) -> Self {
        let mut batch = PreviousBatch::new(bridge, mock);
        batch.read(transaction, needed_vouts);
        // A proof that is alone is checked by its own equation.
        let mut read = batch.finish(&[0; 32]);
        read.pop().expect("one was read just now")
    }

    /// The transaction's id, computed from it.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// Output `vout`, if the transaction has it and it was asked for.
    pub fn spent(&self, vout: u32) -> Option<&SpentOutput> {
        self.spent.get(&vout)
    }

    /// What output `vout` carries of any app, if that is known and [`PreviousBatch::of_any_app`]
    /// was to keep it. Unknown is what a Charms of another day may read otherwise.
    pub fn charms(&self, vout: u32) -> Option<&CharmAmounts> {
        self.charms.get(&vout)
    }

    /// Why what claims to be its spell was not accepted.
    pub fn rejected(&self) -> Option<&SpellError> {
        self.rejected.as_ref()
    }

    /// Without its spell: every output carries what such a rejection leaves.
    fn reject(&mut self, error: SpellError) {
        for spent in self.spent.values_mut() {
            spent.carried = error.carried();
        }
        match error.rejection() {
            Rejection::NoCharms => self.charms.values_mut().for_each(CharmAmounts::clear),
            Rejection::Unknown => self.charms.clear(),
        }
        self.rejected = Some(error);
    }
}

impl PreviousBatch {
    /// An empty one, for outputs that may carry charms of `bridge`.
    pub fn new(bridge: &BridgeApp, mock: Option<MockAllowed>) -> Self {
        Self {
            bridge: *bridge,
            mock,
            keeps_charms: false,
            read: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// The same, which also keeps what the outputs carry of other apps.
    pub fn of_any_app(bridge: &BridgeApp, mock: Option<MockAllowed>) -> Self {
        Self {
            keeps_charms: true,
            ..Self::new(bridge, mock)
        }
    }

    /// Reads of `transaction` what its id commits to: everything but witnesses. Whoever hands over
    /// a previous transaction can attach any witness, and Charms reads spells in witnesses too
    /// (protocol versions below 9 put them there); with two of those, one transaction would give
    /// the same charms to two outputs. Keeps what it has at `needed_vouts` and drops the rest. All
    /// but the equation of its proof is judged now.
    pub fn read(&mut self, transaction: &Transaction, needed_vouts: &[u32]) {
        let transaction = without_witnesses(transaction);
        let mut previous = Previous {
            txid: transaction.compute_txid(),
            spent: outputs_at(&transaction, needed_vouts),
            charms: BTreeMap::new(),
            rejected: None,
        };
        if self.keeps_charms {
            let bare = |&vout| (vout, CharmAmounts::new());
            previous.charms = previous.spent.keys().map(bare).collect();
        }
        let standing = match self.judge(&transaction, &mut previous) {
            Ok(standing) => standing,
            Err(error) => {
                previous.reject(error);
                Standing::Settled
            }
        };
        self.read.push(Pending { previous, standing });
    }

    fn judge(
        &mut self,
        transaction: &Transaction,
        previous: &mut Previous,
    ) -> Result<Standing, SpellError> {
        let Some(found) = envelope::find_spell(transaction)? else {
            return Ok(Standing::Settled);
        };
        let UnprovenSpell {
            once_checked,
            claim,
        } = UnprovenSpell::read(transaction, found, self.mock)?;
        let mut believed = None;
        for (&vout, spent) in &mut previous.spent {
            spent.carried = once_checked.carried(vout, &self.bridge, || {
                let check = || check_previous(&serialize_hex(transaction));
                believed.get_or_insert_with(check).clone()
            });
        }
        previous.charms = previous
            .charms
            .keys()
            .filter_map(|&vout| Some((vout, once_checked.amounts_at(vout)?)))
            .collect();
        self.claims.push(claim);
        Ok(Standing::Claimed)
    }

    /// Judges all proofs together (see [`UnprovenSpell::check_all`], also for `seed`) and says
    /// what is true of each transaction, in the order in which they were read.
    pub fn finish(self, seed: &[u8; 32]) -> Vec<Previous> {
        let mut verdicts = proof::check_all(&self.claims, seed).into_iter();
        self.read
            .into_iter()
            .map(|pending| {
                let Pending {
                    mut previous,
                    standing,
                } = pending;
                match standing {
                    Standing::Settled => {}
                    Standing::Claimed => {
                        let verdict = verdicts.next().unwrap_or(Err(ProofError::False));
                        if let Err(error) = verdict {
                            previous.reject(error.into());
                        }
                    }
                }
                previous
            })
            .collect()
    }
}

/// Those of the outputs that exist, so far without charms.
fn outputs_at(transaction: &Transaction, needed_vouts: &[u32]) -> BTreeMap<u32, SpentOutput> {
    needed_vouts
        .iter()
        .filter_map(|&vout| {
            let output = transaction.output.get(usize::try_from(vout).ok()?)?;
            let spent = SpentOutput {
                output: output.clone(),
                carried: BridgeCharms::Nothing,
            };
            Some((vout, spent))
        })
        .collect()
}
