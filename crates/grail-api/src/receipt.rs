//! The receipt: with the user's key it suffices to take a deposit back, with no server and no
//! operator.

use bitcoin::{Address, ScriptBuf, secp256k1::Secp256k1};
use grail_script::{DepositTree, GroupKey, InternalKey};
use grail_types::{Epoch, Network, RequestId, Roster, Terms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Kind,
    schema::{RosterSchema, TermsSchema},
};

/// The one version of receipts.
pub const RECEIPT_VERSION: u32 = 1;
/// Longest receipt that is read: one of a hundred signers takes 8 kB.
pub const RECEIPT_BYTES_MAX: usize = 64 * 1024;

/// A receipt as it is stored and sent. Nothing in it is secret; whoever reads it learns the terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// 1.
    pub version: u32,
    /// Direction.
    pub kind: Kind,
    /// The terms that the deposit address commits to.
    #[schema(value_type = TermsSchema)]
    pub terms: Terms,
    /// The roster that the deposit address was made with.
    #[schema(value_type = RosterSchema)]
    pub roster: Roster,
    /// The deposit address.
    pub deposit_address: String,
    /// The internal key of the deposit address, x-only, hex; absent or null when it is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub group_key: Option<GroupKey>,
}

/// Why bytes are not a valid receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Longer than any receipt.
    #[error("expected a receipt of at most {RECEIPT_BYTES_MAX} bytes, got {0}")]
    TooLong(usize),
    /// Not the JSON of a receipt, or with a field that receipts do not have.
    #[error("receipt: {0}")]
    Malformed(String),
    /// Of another version.
    #[error("expected a receipt of version {RECEIPT_VERSION}, got {0}")]
    Version(u32),
    /// It names another direction than its terms.
    #[error("the receipt says {receipt}, its terms say {terms}")]
    Kind {
        /// Outside.
        receipt: Kind,
        /// Inside the terms.
        terms: Kind,
    },
    /// Its roster is of another epoch than its terms.
    #[error("expected a roster of epoch {terms}, got {roster}")]
    Epoch {
        /// What the terms name.
        terms: Epoch,
        /// What the roster has.
        roster: Epoch,
    },
    /// Terms and roster give another address than the receipt names.
    #[error("terms and roster give the address {expected}, the receipt names {got}")]
    Address {
        /// Recomputed.
        expected: String,
        /// In the receipt.
        got: String,
    },
}

impl ReceiptError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "receipt-too-long",
            Self::Malformed(_) => "receipt-malformed",
            Self::Version(_) => "receipt-version",
            Self::Kind { .. } => "receipt-kind",
            Self::Epoch { .. } => "receipt-epoch",
            Self::Address { .. } => "receipt-address",
        }
    }
}

/// A receipt whose address follows from its terms and roster. Made by [`Receipt::check`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedReceipt {
    receipt: Receipt,
    request: RequestId,
    script_pubkey: ScriptBuf,
}

impl Receipt {
    /// The receipt for `terms` held by `roster`. The caller makes sure that both are of one epoch,
    /// and that a group key is the roster's.
    pub fn new(internal_key: InternalKey, terms: Terms, roster: Roster) -> Self {
        let script_pubkey = deposit_script(internal_key, &terms, &roster);
        Self {
            version: RECEIPT_VERSION,
            kind: terms.kind.into(),
            deposit_address: address(&script_pubkey, terms.network),
            terms,
            roster,
            group_key: match internal_key {
                InternalKey::Nums => None,
                InternalKey::Group(key) => Some(key),
            },
        }
    }

    /// The internal key of the deposit address.
    pub fn internal_key(&self) -> InternalKey {
        self.group_key.into()
    }

    /// Reads a receipt as it is stored.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong(bytes.len()));
        }
        serde_json::from_slice(bytes).map_err(|error| ReceiptError::Malformed(error.to_string()))
    }

    /// Recomputes the address and compares. That a group key is the roster's is not checked: it
    /// matters to whoever pays to the address, not to who takes a deposit back.
    pub fn check(&self) -> Result<CheckedReceipt, ReceiptError> {
        if self.version != RECEIPT_VERSION {
            return Err(ReceiptError::Version(self.version));
        }
        let kind = Kind::from(self.terms.kind);
        if self.kind != kind {
            return Err(ReceiptError::Kind {
                receipt: self.kind,
                terms: kind,
            });
        }
        if self.terms.epoch != self.roster.epoch() {
            return Err(ReceiptError::Epoch {
                terms: self.terms.epoch,
                roster: self.roster.epoch(),
            });
        }
        let script_pubkey = deposit_script(self.internal_key(), &self.terms, &self.roster);
        let expected = address(&script_pubkey, self.terms.network);
        if self.deposit_address != expected {
            return Err(ReceiptError::Address {
                expected,
                got: self.deposit_address.clone(),
            });
        }
        Ok(CheckedReceipt {
            receipt: self.clone(),
            request: self.terms.id(),
            script_pubkey,
        })
    }
}

impl CheckedReceipt {
    /// The receipt.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The request's name.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The request's terms.
    pub fn terms(&self) -> &Terms {
        &self.receipt.terms
    }

    /// The roster that holds the deposit.
    pub fn roster(&self) -> &Roster {
        &self.receipt.roster
    }

    /// The internal key of the deposit output.
    pub fn internal_key(&self) -> InternalKey {
        self.receipt.internal_key()
    }

    /// Script of the deposit output.
    pub fn script_pubkey(&self) -> &ScriptBuf {
        &self.script_pubkey
    }
}

fn deposit_script(internal_key: InternalKey, terms: &Terms, roster: &Roster) -> ScriptBuf {
    let secp = Secp256k1::verification_only();
    DepositTree::new(&secp, internal_key, terms, roster).script_pubkey
}

fn address(script_pubkey: &ScriptBuf, network: Network) -> String {
    Address::from_script(script_pubkey, bitcoin::Network::from(network))
        .expect("a deposit script is P2TR")
        .to_string()
}
