//! The state that the roster NFT carries, and its encoding.
//!
//! A CBOR array of exactly eight items: `[format, epoch, serial, signers, threshold, vault_script,
//! supply, params_hash]`, the signers as one byte string of 32 bytes each. It travels in every settlement's
//! `OP_RETURN`, hence compact: 16 signers take about 625 bytes.
//!
//! Decoding trusts nothing: a state that [`RosterState::from_data`] returns is structurally valid, and each
//! valid state has one encoding.

use charms_data::Data;
use ciborium::Value;
use thiserror::Error;

/// First item of the encoding; a change of layout changes it.
pub const STATE_FORMAT: u64 = 1;
/// Fewest signers of a roster: `3f + 1` for one faulty signer, the least at which a quorum forms without it
/// and any two quorums still share an honest signer.
pub const MIN_SIGNERS: usize = 4;
/// Most signers of a roster; far below what a tapscript leaf can hold (999), it bounds the state to 3.3 kB.
pub const MAX_SIGNERS: usize = 100;
/// No more bitcoin than this can exist, in satoshis.
pub const MAX_SUPPLY_SAT: u64 = 2_100_000_000_000_000;
/// Length of a P2TR script: `OP_1`, a push of 32 bytes, the output key.
pub const VAULT_SCRIPT_LEN: usize = 34;

const KEY_LEN: usize = 32;
const P2TR_PREFIX: [u8; 2] = [0x51, 0x20];
const FIELD_COUNT: usize = 8;

/// Who controls the vault at an epoch, and how much zkBTC exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterState {
    /// Number of the roster; starts at zero and grows by one per rotation.
    pub epoch: u64,
    /// Number of settlements since the deployment: each changes the state, and none can be left out of an account.
    pub serial: u64,
    /// X-only public keys, strictly ascending, hence without duplicates.
    pub signers: Vec<[u8; 32]>,
    /// How many signers must agree; more than half of them.
    pub threshold: u16,
    /// `scriptPubKey` of the roster's address (P2TR). Operators check that it follows from the fields above.
    pub vault_script: Vec<u8>,
    /// zkBTC in existence, in satoshis.
    pub supply: u64,
    /// Hash of the protocol's `Params`.
    pub params_hash: [u8; 32],
}

/// Why bytes are not a roster state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Not a CBOR array.
    #[error("roster state: expected an array")]
    NotAnArray,
    /// An array of another length.
    #[error("roster state: expected 8 items, got {got}")]
    Length {
        /// Items found.
        got: usize,
    },
    /// A layout that this code does not know.
    #[error("roster state: expected format 1, got {got}")]
    Format {
        /// Format found.
        got: u64,
    },
    /// An item of another type, or out of its type's range.
    #[error("roster state: {field} is not {expected}")]
    Field {
        /// Name of the item.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Too few or too many signers.
    #[error("roster state: expected 4 to 100 signers, got {got}")]
    SignerCount {
        /// Signers found.
        got: usize,
    },
    /// Signers unordered or repeated.
    #[error("roster state: signers are not strictly ascending")]
    SignersNotAscending,
    /// A threshold above the number of signers, or one that two disjoint quorums could reach.
    #[error("roster state: threshold {threshold} of {signers} is not above half and at most all")]
    Threshold {
        /// Threshold found.
        threshold: u16,
        /// Number of signers.
        signers: usize,
    },
    /// A vault script that is not P2TR.
    #[error("roster state: vault script is not a 34-byte taproot script")]
    VaultScript,
    /// More zkBTC than bitcoin can exist.
    #[error("roster state: supply {got} is above 2100000000000000")]
    Supply {
        /// Supply found, in satoshis.
        got: u64,
    },
}

impl StateError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnArray => "state-not-an-array",
            Self::Length { .. } => "state-length",
            Self::Format { .. } => "state-format",
            Self::Field { .. } => "state-field",
            Self::SignerCount { .. } => "state-signer-count",
            Self::SignersNotAscending => "state-signers-not-ascending",
            Self::Threshold { .. } => "state-threshold",
            Self::VaultScript => "state-vault-script",
            Self::Supply { .. } => "state-supply",
        }
    }
}

impl RosterState {
    /// The encoding that the NFT carries. It encodes whatever it is given: call [`Self::validate`] first on a
    /// state that you built.
    pub fn to_data(&self) -> Data {
        Data::from(&Value::Array(vec![
            Value::from(STATE_FORMAT),
            Value::from(self.epoch),
            Value::from(self.serial),
            Value::Bytes(self.signers.concat()),
            Value::from(self.threshold),
            Value::Bytes(self.vault_script.clone()),
            Value::from(self.supply),
            Value::Bytes(self.params_hash.to_vec()),
        ]))
    }

    /// Decodes and validates.
    pub fn from_data(data: &Data) -> Result<Self, StateError> {
        let Ok(Value::Array(items)) = data.value::<Value>() else {
            return Err(StateError::NotAnArray);
        };
        let got = items.len();
        let Ok(items) = <[Value; FIELD_COUNT]>::try_from(items) else {
            return Err(StateError::Length { got });
        };
        let [
            format,
            epoch,
            serial,
            signers,
            threshold,
            vault_script,
            supply,
            params_hash,
        ] = items;

        let format = integer(&format, "format")?;
        if format != STATE_FORMAT {
            return Err(StateError::Format { got: format });
        }
        let state = Self {
            epoch: integer(&epoch, "epoch")?,
            serial: integer(&serial, "serial")?,
            signers: keys(&bytes(signers, "signers")?)?,
            threshold: integer(&threshold, "threshold")?.try_into().map_err(|_| {
                StateError::Field {
                    field: "threshold",
                    expected: "16 bits",
                }
            })?,
            vault_script: bytes(vault_script, "vault_script")?,
            supply: integer(&supply, "supply")?,
            params_hash: bytes(params_hash, "params_hash")?.try_into().map_err(|_| {
                StateError::Field {
                    field: "params_hash",
                    expected: "32 bytes",
                }
            })?,
        };
        state.validate()?;
        Ok(state)
    }

    /// Checks everything that can be said of one state by itself.
    pub fn validate(&self) -> Result<(), StateError> {
        let signers = self.signers.len();
        if !(MIN_SIGNERS..=MAX_SIGNERS).contains(&signers) {
            return Err(StateError::SignerCount { got: signers });
        }
        if !self.signers.is_sorted_by(|a, b| a < b) {
            return Err(StateError::SignersNotAscending);
        }
        // Above half: any two quorums share a signer, so that no two can settle differently.
        let threshold = usize::from(self.threshold);
        if threshold > signers || threshold.saturating_mul(2) <= signers {
            return Err(StateError::Threshold {
                threshold: self.threshold,
                signers,
            });
        }
        if self.vault_script.len() != VAULT_SCRIPT_LEN
            || !self.vault_script.starts_with(&P2TR_PREFIX)
        {
            return Err(StateError::VaultScript);
        }
        if self.supply > MAX_SUPPLY_SAT {
            return Err(StateError::Supply { got: self.supply });
        }
        Ok(())
    }
}

fn integer(value: &Value, field: &'static str) -> Result<u64, StateError> {
    match value {
        Value::Integer(integer) => u64::try_from(*integer).ok(),
        _ => None,
    }
    .ok_or(StateError::Field {
        field,
        expected: "an unsigned 64-bit integer",
    })
}

fn bytes(value: Value, field: &'static str) -> Result<Vec<u8>, StateError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(StateError::Field {
            field,
            expected: "a byte string",
        }),
    }
}

fn keys(bytes: &[u8]) -> Result<Vec<[u8; KEY_LEN]>, StateError> {
    let (keys, rest) = bytes.as_chunks::<KEY_LEN>();
    if !rest.is_empty() {
        return Err(StateError::Field {
            field: "signers",
            expected: "a whole number of 32-byte keys",
        });
    }
    Ok(keys.to_vec())
}
