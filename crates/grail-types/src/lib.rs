//! The words of Grail as types: networks, epochs, rosters, request terms, protocol parameters.
//!
//! Owns what every other crate must agree on, and the byte encodings that get hashed. Does no I/O,
//! reads no clock, draws no randomness.

mod app;
mod bounded;
mod bridge;
mod bytes;
mod consent;
mod governance;
mod hash;
mod measurement;
mod network;
mod order;
mod outflow;
mod params;
mod roster;
mod terms;

pub use app::{CharmApp, HomeId, RESERVED_TAGS, ReservedTag, ZkApp};
pub use bounded::{BoundExceeded, BoundedBytes, BoundedVec};
pub use bridge::{Bridge, BridgeApp};
pub use consent::{Consent, ConsentStep, notice_commitment};
pub use governance::{
    ADMINISTRATORS_MAX, GOVERNANCE_MAX_BYTES, Governance, GovernanceBytesError, GovernanceError,
};
pub use hash::TaggedHasher;
pub use measurement::Measurement;
pub use network::{DevelopmentAllowed, MockAllowed, Network, UnknownNetwork};
pub use order::{
    Asset, OrderCoin, OrderTerms, PAYLOAD_MAX_BYTES, Payload, WANTS_MAX, Want, Wants, WantsError,
    author_digest,
};
pub use outflow::{Age, OutflowAboveCap, OutflowLimit};
pub use params::{
    ImagesHash, PARAMS_MAX_BYTES, Params, ParamsError, ParamsHash, ParamsValues, SectionsError,
};
pub use roster::{Epoch, Roster, RosterError, SIGNERS_MAX, SIGNERS_MIN, SignerIndex, Threshold};
pub use terms::{Destination, DestinationError, Kind, RequestId, Terms};

/// All satoshis that can ever exist (21 million BTC).
pub const SUPPLY_MAX_SAT: u64 = 2_100_000_000_000_000;
