//! The state that the roster NFT carries, and its encoding.
//!
//! A CBOR array of exactly 14 items: `[format, epoch, serial, signers, threshold, vault_script, supply,
//! params_hash, governance, attempt, next, outflow, spell_min, spell_max]`, the signers as one byte string of
//! 32 bytes each. It travels in every settlement's `OP_RETURN`, hence compact: 16 signers take about 675 bytes.
//!
//! Decoding trusts nothing: a state that [`RosterState::from_data`] returns is structurally valid, and each
//! valid state has one encoding.

use charms_data::Data;
use ciborium::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::history::SPELL_VERSION_MIN;

/// First item of the encoding; a change of layout changes it.
pub const STATE_FORMAT: u64 = 2;
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
const FIELD_COUNT: usize = 14;
/// Domain of [`RosterState::next_hash`], a tagged hash as in BIP-340.
const NEXT_TAG: &[u8] = b"grail/next-roster/v1";

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
    /// Hash of the keys of the operators' administrators and their threshold.
    pub governance: [u8; 32],
    /// How many rotations were ever announced.
    pub attempt: u64,
    /// The rotation that is announced, if any.
    pub next: Option<Next>,
    /// zkBTC burned on balance, less what time has let go of, in satoshis. The contract sees no time: operators
    /// check it.
    pub outflow: u64,
    /// Lowest protocol version of the bridge's own spells.
    pub spell_min: u32,
    /// Highest protocol version of the bridge's own spells.
    pub spell_max: u32,
}

/// A rotation that is announced: `[hash, serial, wait]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// [`RosterState::next_hash`] of the state to come.
    pub hash: [u8; 32],
    /// Serial of the announcement.
    pub serial: u64,
    /// Blocks between announcement and execution, at least one. Bitcoin counts them: operators check it.
    pub wait: u16,
}

/// Why bytes are not a roster state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Not a CBOR array.
    #[error("roster state: expected an array")]
    NotAnArray,
    /// An array of another length.
    #[error("roster state: expected 14 items, got {0}")]
    Length(usize),
    /// A layout that this code does not know.
    #[error("roster state: expected format 2, got {0}")]
    Format(u64),
    /// An item of another type, or out of its type's range.
    #[error("roster state: {field} is not {expected}")]
    Field {
        /// Name of the item.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Too few or too many signers.
    #[error("roster state: expected 4 to 100 signers, got {0}")]
    SignerCount(usize),
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
    #[error("roster state: supply {0} is above 2100000000000000")]
    Supply(u64),
    /// An announcement that no settlement can have been, or that waits for nothing.
    #[error("roster state: an announcement at serial {0} that waits {1} blocks")]
    Next(u64, u16),
    /// More has left than bitcoin can exist.
    #[error("roster state: outflow {0} is above 2100000000000000")]
    Outflow(u64),
    /// Spell versions from before the bridge, or none at all.
    #[error("roster state: no spell versions from {0} to {1}")]
    SpellVersions(u32, u32),
}

impl StateError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnArray => "state-not-an-array",
            Self::Length(_) => "state-length",
            Self::Format(_) => "state-format",
            Self::Field { .. } => "state-field",
            Self::SignerCount(_) => "state-signer-count",
            Self::SignersNotAscending => "state-signers-not-ascending",
            Self::Threshold { .. } => "state-threshold",
            Self::VaultScript => "state-vault-script",
            Self::Supply(_) => "state-supply",
            Self::Next(..) => "state-next",
            Self::Outflow(_) => "state-outflow",
            Self::SpellVersions(..) => "state-spell-versions",
        }
    }
}

impl RosterState {
    /// The encoding that the NFT carries. It encodes whatever it is given: call [`Self::validate`] first on a
    /// state that you built.
    pub fn to_data(&self) -> Data {
        let next = self.next.as_ref().map_or(vec![], |next| {
            let hash = Value::Bytes(next.hash.to_vec());
            vec![hash, next.serial.into(), next.wait.into()]
        });
        Data::from(&Value::Array(vec![
            Value::from(STATE_FORMAT),
            Value::from(self.epoch),
            Value::from(self.serial),
            Value::Bytes(self.signers.concat()),
            Value::from(self.threshold),
            Value::Bytes(self.vault_script.clone()),
            Value::from(self.supply),
            Value::Bytes(self.params_hash.to_vec()),
            Value::Bytes(self.governance.to_vec()),
            Value::from(self.attempt),
            Value::Array(next),
            Value::from(self.outflow),
            Value::from(self.spell_min),
            Value::from(self.spell_max),
        ]))
    }

    /// Hash of what a rotation changes: who holds the vault, where it is, and by what rules. Fields of one
    /// length each but for the signers, of whom there are as many as the length says.
    pub fn next_hash(&self) -> [u8; 32] {
        let tag = Sha256::digest(NEXT_TAG);
        let hasher = Sha256::new().chain_update(tag).chain_update(tag);
        let hasher = hasher.chain_update((self.signers.len() as u64).to_be_bytes());
        let hasher = hasher.chain_update(self.signers.concat());
        let hasher = hasher.chain_update(self.threshold.to_be_bytes());
        let hasher = hasher.chain_update(&self.vault_script);
        let hasher = hasher.chain_update(self.params_hash);
        let hasher = hasher.chain_update(self.governance);
        let hasher = hasher.chain_update(self.spell_min.to_be_bytes());
        hasher
            .chain_update(self.spell_max.to_be_bytes())
            .finalize()
            .into()
    }

    /// Decodes and validates.
    pub fn from_data(data: &Data) -> Result<Self, StateError> {
        let Ok(Value::Array(items)) = data.value::<Value>() else {
            return Err(StateError::NotAnArray);
        };
        let got = items.len();
        let Ok(items) = <[Value; FIELD_COUNT]>::try_from(items) else {
            return Err(StateError::Length(got));
        };
        let mut items = items.into_iter();
        // One value is left for each field below: there are as many as fields.
        let mut item = || items.next().unwrap_or(Value::Null);
        let format = integer(&item(), "format")?;
        if format != STATE_FORMAT {
            return Err(StateError::Format(format));
        }
        // Read in the order of the encoding.
        let state = Self {
            epoch: integer(&item(), "epoch")?,
            serial: integer(&item(), "serial")?,
            signers: keys(&bytes(item(), "signers")?)?,
            threshold: narrow(&item(), "threshold", "16 bits")?,
            vault_script: bytes(item(), "vault_script")?,
            supply: integer(&item(), "supply")?,
            params_hash: hash(item(), "params_hash")?,
            governance: hash(item(), "governance")?,
            attempt: integer(&item(), "attempt")?,
            next: next(item())?,
            outflow: integer(&item(), "outflow")?,
            spell_min: narrow(&item(), "spell_min", "32 bits")?,
            spell_max: narrow(&item(), "spell_max", "32 bits")?,
        };
        state.validate()?;
        Ok(state)
    }

    /// Checks everything that can be said of one state by itself.
    pub fn validate(&self) -> Result<(), StateError> {
        let signers = self.signers.len();
        if !(MIN_SIGNERS..=MAX_SIGNERS).contains(&signers) {
            return Err(StateError::SignerCount(signers));
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
            return Err(StateError::Supply(self.supply));
        }
        if let Some(Next { serial, wait, .. }) = self.next
            && (serial == 0 || serial > self.serial || wait == 0)
        {
            return Err(StateError::Next(serial, wait));
        }
        if self.outflow > MAX_SUPPLY_SAT {
            return Err(StateError::Outflow(self.outflow));
        }
        if self.spell_min < SPELL_VERSION_MIN || self.spell_max < self.spell_min {
            return Err(StateError::SpellVersions(self.spell_min, self.spell_max));
        }
        Ok(())
    }
}

fn integer(value: &Value, field: &'static str) -> Result<u64, StateError> {
    let expected = "an unsigned 64-bit integer";
    match value {
        Value::Integer(integer) => u64::try_from(*integer).ok(),
        _ => None,
    }
    .ok_or(StateError::Field { field, expected })
}

fn narrow<T: TryFrom<u64>>(
    value: &Value,
    field: &'static str,
    expected: &'static str,
) -> Result<T, StateError> {
    T::try_from(integer(value, field)?).map_err(|_| StateError::Field { field, expected })
}

fn hash(value: Value, field: &'static str) -> Result<[u8; 32], StateError> {
    let expected = "32 bytes";
    let hash = bytes(value, field)?.try_into();
    hash.map_err(|_| StateError::Field { field, expected })
}

fn next(value: Value) -> Result<Option<Next>, StateError> {
    let (field, expected) = ("next", "an array of hash, serial and wait, or of nothing");
    match value {
        Value::Array(items) if items.is_empty() => Ok(None),
        Value::Array(items) => {
            let items = <[Value; 3]>::try_from(items);
            let [it, serial, wait] = items.map_err(|_| StateError::Field { field, expected })?;
            Ok(Some(Next {
                hash: hash(it, "next.hash")?,
                serial: integer(&serial, "next.serial")?,
                wait: narrow(&wait, "next.wait", "16 bits")?,
            }))
        }
        _ => Err(StateError::Field { field, expected }),
    }
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
