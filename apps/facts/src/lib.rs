//! Facts: what operators saw of a clearing and its contract cannot see, under one hash.
//!
//! A contract sees no lock time, no sequence, no signature, no taproot tree, or sees them at a
//! price. Operators look at these natively and sign only when the app's public input is `[1, hash]`
//! of what they saw; the contract is given the bytes as its private input and checks them against
//! the hash (ADR 36). This crate owns the canonical form of those bytes, their limits and the hash,
//! for contract, policy and backend alike; it decides nothing.
//!
//! Everything here is a function of the transaction and of what its scripts commit to, but for
//! prices, which feeds sign.

#![no_std]

extern crate alloc;

pub mod cbor;
mod decode;
mod destination;
mod encode;

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

pub use decode::FactsError;
pub use destination::{Destination, DestinationError};

/// Version of the layout: the first item of the facts, and of the public input that names them.
pub const FORMAT: u64 = 1;
/// Most orders of a clearing: as many inputs as a standard transaction can have by roster scripts,
/// and some.
pub const ORDERS_MAX: usize = 250;
/// Most prices of a clearing: an app has one ticket at most.
pub const PRICES_MAX: usize = 1;
/// Most things that an order can want at least.
pub const WANTS_MAX: usize = 4;
/// Longest payload of an order, in bytes.
pub const PAYLOAD_MAX: usize = 256;
/// Most bytes of facts: what an order of the largest form takes, 250 times, with room for the head.
pub const FACTS_BYTES_MAX: usize = 250_000;
/// From here on Bitcoin reads a lock time as seconds (BIP 65): facts know heights alone.
pub const LOCK_HEIGHT_LIMIT: u32 = 500_000_000;
/// Bytes of a transaction id in wire order and of an index, little-endian: an outpoint as Charms
/// hashes it.
pub const OUTPOINT_BYTES: usize = 36;

const HASH_TAG: &[u8] = b"grail/facts/v1";

/// A Charms app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId {
    /// What kind of charm.
    pub tag: char,
    /// Which one of its program.
    pub identity: [u8; 32],
    /// Hash of its program.
    pub vk: [u8; 32],
}

impl AppId {
    /// The app of the same program and identity with another tag.
    #[must_use]
    pub fn with_tag(&self, tag: char) -> Self {
        Self {
            tag,
            ..self.clone()
        }
    }
}

/// What an order can give or want. Bitcoin comes before charms, charms in the order of their apps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asset {
    /// Satoshis.
    Btc,
    /// Units of a charm.
    Charm(AppId),
}

/// Whether the coin of a deposit takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coin {
    /// It does not: all of it goes back with the output, less the fee share.
    Keep,
    /// What is above `keep` satoshis is given to the app; `keep`, less the fee share, goes back
    /// with the output.
    Offer {
        /// Satoshis that stay.
        keep: u64,
    },
}

/// At least so much of an asset goes to the order's destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Of what. An order wants each asset once, in ascending order.
    pub asset: Asset,
    /// How much at least: satoshis or units. Zero lets the asset come without asking for any.
    pub amount: u64,
}

/// An order as its deposit commits to it, and what it pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which coin is the deposit.
    pub outpoint: [u8; OUTPOINT_BYTES],
    /// Hash of the terms.
    pub id: [u8; 32],
    /// Where its output goes.
    pub destination: Destination,
    /// Whether its coin takes part.
    pub coin: Coin,
    /// Satoshis that it pays towards the fees of the clearing.
    pub fee_share: u64,
    /// The key that signed the order's id and its outpoint, if the order asks to be believed so.
    pub author: Option<[u8; 32]>,
    /// What it must at least get.
    pub wants: Vec<Want>,
    /// The app's own words.
    pub payload: Vec<u8>,
}

/// A feed quorum's word, bound to the ticket that the clearing spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Hash that names what is priced in what.
    pub pair: [u8; 32],
    /// Hash of the feed set that signed.
    pub feeds: [u8; 32],
    /// In units of 10^-8.
    pub price: u64,
    /// Height that the feeds saw.
    pub height: u32,
}

/// What operators saw of a clearing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where the app's cells go, if the clearing moves them to another roster's home: a P2TR
    /// script. None: they stay.
    pub home: Option<[u8; 34]>,
    /// The lock time, a height: the chain is at least this high once the transaction is mined.
    pub lock_height: u32,
    /// Blocks since the main cell's coin was mined, at least: its relative lock (BIP 68), zero
    /// where it has none.
    pub age: u16,
    /// Inputs 0 to this one, exclusive, are the app's, at home.
    pub cells_in: u16,
    /// One for each ticket, in the order of inputs.
    pub prices: Vec<Price>,
    /// In the order of inputs, which is the order of outputs.
    pub orders: Vec<Order>,
}

impl Facts {
    /// The hash that the app's public input names: SHA-256 tagged as in BIP 340 over
    /// [`Facts::encode`].
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.encode())
    }
}

/// The hash of facts that are already encoded: of any bytes, canonical or not.
pub fn hash(encoded: &[u8]) -> [u8; 32] {
    let tag = Sha256::digest(HASH_TAG);
    Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(encoded)
        .finalize()
        .into()
}

/// The public input of a clearing with facts of this hash, as CBOR: `[1, hash]`.
pub fn public_input(hash: &[u8; 32]) -> Vec<u8> {
    let mut writer = cbor::Writer::default();
    writer.array(2);
    writer.uint(FORMAT);
    writer.bytes(hash);
    writer.finish()
}
