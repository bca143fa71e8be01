//! What the log says: entries, and the genesis that they go back to.

use bitcoin::{
    Txid, XOnlyPublicKey,
    secp256k1::{Message as Digest, schnorr::Signature},
};
use grail_attest::{ImageClass, TeeKind};
use grail_types::{
    BoundedBytes, BoundedVec, Bridge, Epoch, GOVERNANCE_MAX_BYTES, Governance, ImagesHash,
    ParamsHash, Roster, SIGNERS_MAX, TaggedHasher, Threshold,
};
use grail_wire::{
    Consents, Kind, WireError, WireMessage,
    bytes::{public_key, signature, txid},
    encode,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::clone_order::CloneOrder;

/// Most bytes of an entry: a succession of 100 members, whose addresses are as long as they may be.
pub const ENTRY_MAX_BYTES: usize = 192 * 1024;
/// Most addresses of a member.
pub const ADDRESSES_MAX: usize = 4;
/// Most bytes of an address: a host name has 253 at most, and nobody needs those.
pub const ADDRESS_MAX_BYTES: usize = 128;

/// A 32-byte name of bytes or keys.
macro_rules! name32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "serde_bytes")] pub [u8; 32]);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

name32! {
    /// Names a log: the hash of its genesis, which is also the hash at height 0.
    LogId
}

name32! {
    /// Names an entry, and by it all before it.
    EntryHash
}

/// Where a member can be reached: a hint, which proves nothing. Printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "BoundedBytes<ADDRESS_MAX_BYTES>",
    into = "BoundedBytes<ADDRESS_MAX_BYTES>"
)]
pub struct Address(BoundedBytes<ADDRESS_MAX_BYTES>);

/// Why bytes are no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address of 1 to {ADDRESS_MAX_BYTES} printable ASCII characters")]
pub struct AddressError;

impl TryFrom<BoundedBytes<ADDRESS_MAX_BYTES>> for Address {
    type Error = AddressError;

    fn try_from(bytes: BoundedBytes<ADDRESS_MAX_BYTES>) -> Result<Self, AddressError> {
        if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(AddressError);
        }
        Ok(Self(bytes))
    }
}

impl From<Address> for BoundedBytes<ADDRESS_MAX_BYTES> {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl Address {
    /// The characters, as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where a member says that it is.
pub type Addresses = BoundedVec<Address, ADDRESSES_MAX>;

/// An operator, as a roster has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The signer's key, which is who the operator is.
    #[serde(with = "public_key")]
    pub operator: XOnlyPublicKey,
    /// Its administrator's key.
    #[serde(with = "public_key")]
    pub administrator: XOnlyPublicKey,
    /// What its enclaves run on.
    pub tee: TeeKind,
    /// What can be done with their memory.
    pub class: ImageClass,
    /// Hash of the evidence by which it was let in.
    #[serde(with = "serde_bytes")]
    pub evidence: [u8; 32],
    /// Whose signature lets an enclave be cloned.
    #[serde(with = "public_key")]
    pub cloning: XOnlyPublicKey,
    /// Where it can be reached.
    pub addresses: Addresses,
}

/// All that a roster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// Number of the roster.
    pub epoch: Epoch,
    /// Its members, strictly ascending by their signers' keys.
    pub members: BoundedVec<Member, SIGNERS_MAX>,
    /// Signers that must agree on Bitcoin.
    pub threshold: Threshold,
    /// The administrators.
    #[serde(with = "governance_bytes")]
    pub governance: Governance,
    /// The parameters.
    pub params: ParamsHash,
}

/// What the roster NFT says, by whoever verified it: adopted by every roster before it, in a block
/// that is deep enough (`grail_policy::adoption`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// The roster in force.
    pub roster: Roster,
    /// Hash of its governance.
    pub governance: [u8; 32],
    /// Hash of its parameters.
    pub params: ParamsHash,
    /// The transaction that made it the roster.
    pub txid: Txid,
}

/// The first entry: what the log begins with. Pinned by its hash, as configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Of which bridge.
    pub bridge: Bridge,
    /// How many members may have been rolled back at one height (ADR 33).
    pub rolled_back: u16,
    /// The roster that votes first.
    pub succession: Succession,
    /// The transaction that made it the roster.
    #[serde(with = "txid")]
    pub txid: Txid,
    /// The enclave images in force.
    pub images: ImagesPin,
}

/// Which enclave images may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesPin {
    /// Number of the document, which only grows.
    pub counter: u64,
    /// The document.
    pub hash: ImagesHash,
}

/// A step of a rotation that gives power to another roster. It stands for itself, whatever the log
/// had of it before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// Number of the announcement on Bitcoin.
    pub attempt: u64,
    /// The hash that the announcement commits to, and that the administrators signed.
    #[serde(with = "serde_bytes")]
    pub next: [u8; 32],
    /// Hash of the evidence that the administrators went by.
    #[serde(with = "serde_bytes")]
    pub evidence: [u8; 32],
    /// The roster to come.
    pub succession: Succession,
    /// Signatures of the administrators of today.
    pub consents: Consents,
    /// The transaction: of the announcement, or of the execution.
    #[serde(with = "txid")]
    pub txid: Txid,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Body {
    /// A member is elsewhere.
    Addresses {
        /// Which.
        #[serde(with = "public_key")]
        operator: XOnlyPublicKey,
        /// Number of the change: the first of an epoch has 1.
        sequence: u64,
        /// Where it is now.
        addresses: Addresses,
        /// Its signer's signature of [`addresses_digest`].
        #[serde(with = "signature")]
        signature: Signature,
    },
    /// Other images may join.
    Images {
        /// Which.
        images: ImagesPin,
        /// Signatures of the administrators, over [`images_digest`].
        consents: Consents,
    },
    /// A roster was announced.
    Announced(Handover),
    /// An announcement was taken back.
    Cancelled {
        /// Its number.
        attempt: u64,
        /// What it announced.
        #[serde(with = "serde_bytes")]
        next: [u8; 32],
        /// Signatures of the administrators.
        consents: Consents,
        /// The transaction.
        #[serde(with = "txid")]
        txid: Txid,
    },
    /// The roster handed over: from the next height on, the next one votes.
    Executed(Handover),
    /// A ceremony made a group key.
    GroupKey {
        /// Hash of its transcript.
        #[serde(with = "serde_bytes")]
        transcript: [u8; 32],
    },
    /// A clone order is used up; the donor that is named may move the key.
    Clone {
        /// The order.
        order: CloneOrder,
        /// The donor's instance.
        #[serde(with = "public_key")]
        donor: XOnlyPublicKey,
    },
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Of which log.
    pub log: LogId,
    /// Its place; the genesis has 0.
    pub height: u64,
    /// The entry before it.
    pub previous: EntryHash,
    /// The roster that votes on it.
    pub epoch: Epoch,
    /// What it says.
    pub body: Body,
}

impl WireMessage for Genesis {
    const KIND: Kind = Kind::RosterGenesis;
    const ENCODED_MAX_BYTES: usize = ENTRY_MAX_BYTES;
}

impl WireMessage for Entry {
    const KIND: Kind = Kind::RosterEntry;
    const ENCODED_MAX_BYTES: usize = ENTRY_MAX_BYTES;
}

impl Genesis {
    /// Its name.
    pub fn id(&self) -> Result<LogId, WireError> {
        let bytes = encode(self.succession.epoch, self)?;
        let hasher = TaggedHasher::new("grail/roster-genesis/v1");
        Ok(LogId(hasher.bytes(&bytes).finish()))
    }
}

/// An entry and its name, which is computed from what the entry says and never taken from anybody.
#[derive(Clone, Debug)]
pub struct NamedEntry {
    hash: EntryHash,
    entry: Arc<Entry>,
}

impl NamedEntry {
    /// Names `entry`, which fails if it is larger than an entry may be.
    pub fn new(entry: Entry) -> Result<Self, WireError> {
        let bytes = encode(entry.epoch, &entry)?;
        let hasher = TaggedHasher::new("grail/roster-entry/v1");
        Ok(Self {
            hash: EntryHash(hasher.bytes(&bytes).finish()),
            entry: Arc::new(entry),
        })
    }

    /// Its name.
    pub const fn hash(&self) -> EntryHash {
        self.hash
    }

    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl PartialEq for NamedEntry {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for NamedEntry {}

impl std::hash::Hash for NamedEntry {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// What a member signs to say where it is.
pub fn addresses_digest(log: &LogId, epoch: Epoch, sequence: u64, addresses: &Addresses) -> Digest {
    let head = TaggedHasher::new("grail/roster-addresses/v1")
        .bytes(&log.0)
        .u64(epoch.0)
        .u64(sequence)
        .u64(addresses.len() as u64);
    let all = addresses
        .iter()
        .fold(head, |hasher, address| hasher.bytes(address.as_bytes()));
    Digest::from_digest(all.finish())
}

/// What administrators sign to let other images join.
pub fn images_digest(bridge: &Bridge, images: &ImagesPin) -> Digest {
    let hasher = TaggedHasher::new("grail/roster-images/v1")
        .bridge(bridge)
        .u64(images.counter)
        .bytes(&images.hash.0);
    Digest::from_digest(hasher.finish())
}

/// Governance by its canonical bytes: the library's own form of keys is a list of integers.
mod governance_bytes {
    use serde::{Deserializer, Serializer, de::Error as _, ser::Error as _};

    use super::{BoundedBytes, Deserialize as _, GOVERNANCE_MAX_BYTES, Governance, Serialize as _};

    pub(super) fn serialize<S: Serializer>(
        governance: &Governance,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = BoundedBytes::<GOVERNANCE_MAX_BYTES>::new(governance.to_bytes());
        bytes.map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Governance, D::Error> {
        let bytes = BoundedBytes::<GOVERNANCE_MAX_BYTES>::deserialize(deserializer)?;
        Governance::from_bytes(&bytes).map_err(D::Error::custom)
    }
}
