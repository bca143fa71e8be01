//! The operators' roster log: one list of who is a member, what was handed over and what counts,
//! which a quorum votes on entry by entry and Bitcoin has the last word on (ADR 33).
//!
//! Owns the entries and their rules ([`LogState`]), how a height gets one entry ([`Agreement`]).
//! Trusts what its caller verified: who a peer is, what Bitcoin says ([`Anchor`]), what evidence
//! says. Everything in a message is foreign. Knows no transport, clock, randomness or storage.

mod agreement;
mod clone_order;
mod entry;
mod equivocation;
mod health;
mod lease;
mod message;
mod node;
mod quorum;
mod state;
mod vote;

#[cfg(test)]
mod model;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use agreement::{Accepts, Agreement, Lock, Memory, Outcome, Proposal};
pub use clone_order::{
    CLONE_ORDER_HEIGHTS_MAX, CloneOrder, CloneRefusal, Donor, OrderId, PermittedClone, Recipient,
    SLOTS_MAX, Share,
};
pub use entry::{
    ADDRESS_MAX_BYTES, ADDRESSES_MAX, Address, AddressError, Addresses, Anchor, Body,
    ENTRY_MAX_BYTES, Entry, EntryHash, Genesis, Handover, ImagesPin, LogId, Member, NamedEntry,
    Succession, addresses_digest, images_digest,
};
pub use equivocation::{Equivocation, EquivocationError};
pub use health::{Health, Report, SILENT_MS, Summary};
pub use lease::{LEASE_HELD_MS, LEASE_MS, LEASE_RENEWED_MS};
pub use message::{
    COUNTED_MAX_BYTES, Counted, ENTRIES_MAX, Fork, Kept, MESSAGE_MAX_BYTES, Message, ShownLock,
    View,
};
pub use node::{
    AGAIN_MS, Alarm, Anchoring, Duty, Event, FACTS_MAX, Fact, Node, PeerFault, RECENT_MAX,
    ROUND_MAX_MS, ROUND_MS, Standing, StartError, To, VIEW_MS,
};
pub use quorum::{Quorum, QuorumError};
pub use state::{EntryRefusal, LogState, ValidEntry};
pub use vote::{
    Ballot, Certificate, Peer, Phase, SignedVote, Vote, VoteError, VoteSignatures, VoteSigner,
    Votes, vote_digest,
};
