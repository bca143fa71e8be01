//! Every roster that a bridge had, followed from its deployment by the consent of each before the
//! next.
//!
//! Trusts the bridge's identity alone. What the API shows of a roster counts where the transaction
//! itself says it, signed by a quorum of the roster before. That a transaction is in a block no
//! signature shows: whoever has a node asks it (`RosterRecord::block_hash`), and it settles what
//! nothing else can, namely which of two deployments of one identity was mined.

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, consensus::encode};
use grail_api::RosterRecord;
use grail_attest::Protocol;
use grail_policy::adoption::{
    AdoptedRoster, AdoptionError, Genesis, HANDOVER_MAX_BYTES, Handover, adopt_genesis, adopt_next,
};
use grail_types::{Bridge, Epoch};
use serde::{Deserialize, Serialize};

/// Longest file of a history that is read: 64 hand-overs of the largest kind, and thousands of the
/// usual one.
pub const HISTORY_BYTES_MAX: usize = 128 << 20;

/// A bridge's rosters in a file, from the deployment on, as an API shows them. Says nothing by
/// itself: [`follow`] does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterHistory {
    /// The first one first.
    pub rosters: Vec<RosterRecord>,
}

impl RosterHistory {
    /// What the rosters say that they went by, where parameters and images are shown and belong
    /// together. Each is worth what names it by its hash.
    pub fn protocols(&self, bridge: &Bridge) -> Vec<Protocol> {
        let shown = self.rosters.iter();
        shown.filter_map(|it| protocol_of(bridge, it)).collect()
    }
}

/// What a record says that its roster went by.
pub fn protocol_of(bridge: &Bridge, record: &RosterRecord) -> Option<Protocol> {
    let (params, images) = (record.params.clone()?, record.images.clone()?);
    Protocol::new(*bridge, params, images, record.governance.clone()).ok()
}

/// Why rosters are not believed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFailure {
    /// There is none.
    #[error("expected the roster of epoch 0 first, got none")]
    Empty,
    /// A roster is missing in between, or in another place.
    #[error("expected the roster of epoch {expected}, got that of epoch {got}")]
    Gap {
        /// That follows.
        expected: Epoch,
        /// Shown.
        got: Epoch,
    },
    /// Its transaction or what it spends cannot be read.
    #[error("epoch {epoch}: {reason}")]
    Malformed {
        /// Whose.
        epoch: Epoch,
        /// What cannot be read.
        reason: String,
    },
    /// The roster does not follow from the one before it.
    #[error("epoch {epoch}: {error}")]
    NotAdopted {
        /// Whose.
        epoch: Epoch,
        /// Which rule does not hold.
        error: AdoptionError,
    },
    /// The API says something else of it than its transaction.
    #[error("epoch {epoch}: its {what} is another than the API's")]
    Differs {
        /// Whose.
        epoch: Epoch,
        /// Which part.
        what: &'static str,
    },
}

impl HistoryFailure {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty | Self::Gap { .. } => "history-gap",
            Self::Malformed { .. } => "history-malformed",
            Self::NotAdopted { error, .. } => error.code(),
            Self::Differs { .. } => "history-differs",
        }
    }
}

/// Follows the rosters of `bridge` through what an API shows of them, the first one first.
pub fn follow(
    bridge: &Bridge,
    records: &[RosterRecord],
) -> Result<Vec<AdoptedRoster>, HistoryFailure> {
    let secp = Secp256k1::verification_only();
    let mut adopted: Vec<AdoptedRoster> = Vec::with_capacity(records.len());
    for (record, expected) in records.iter().zip(0_u64..) {
        let (epoch, expected) = (record.epoch, Epoch(expected));
        if epoch != expected {
            return Err(HistoryFailure::Gap {
                expected,
                got: epoch,
            });
        }
        let step = handover(record)?;
        let next = match adopted.last() {
            // Pinned by its own id: the identity in it is checked, and a node tells the rest.
            None => {
                let pin = Genesis(step.transaction.compute_txid());
                adopt_genesis(&secp, bridge, &pin, &step)
            }
            Some(before) => adopt_next(&secp, bridge, before, &step),
        };
        let next = next.map_err(|error| HistoryFailure::NotAdopted { epoch, error })?;
        let parts = [
            ("transaction", next.txid() == record.txid),
            (
                "list of signers",
                next.roster().signers() == record.public_keys,
            ),
            ("threshold", next.roster().threshold() == record.threshold),
            ("params hash", next.params_hash() == record.params_hash),
        ];
        if let Some((what, _)) = parts.into_iter().find(|(_, agrees)| !agrees) {
            return Err(HistoryFailure::Differs { epoch, what });
        }
        adopted.push(next);
    }
    if adopted.is_empty() {
        return Err(HistoryFailure::Empty);
    }
    Ok(adopted)
}

fn handover(record: &RosterRecord) -> Result<Handover, HistoryFailure> {
    let malformed = |reason: String| HistoryFailure::Malformed {
        epoch: record.epoch,
        reason,
    };
    if record.transaction.len() > HANDOVER_MAX_BYTES.saturating_mul(2) {
        return Err(malformed("its transaction is too long".to_owned()));
    }
    let transaction: Transaction = encode::deserialize_hex(&record.transaction)
        .map_err(|error| malformed(error.to_string()))?;
    let spent = record
        .spent
        .iter()
        .map(|output| {
            Ok(TxOut {
                value: Amount::from_sat(output.amount_sat),
                script_pubkey: ScriptBuf::from_hex(&output.script)
                    .map_err(|error| malformed(error.to_string()))?,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Handover {
        transaction,
        spent,
        governance: record.governance.clone(),
    })
}
