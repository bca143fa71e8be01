//! What instances say to each other, and what they keep. The transport says from whom it is.

use bitcoin::{Txid, XOnlyPublicKey};
use grail_types::{BoundedVec, Epoch};
use grail_wire::{Kind, WireMessage, bytes::public_key};
use serde::{Deserialize, Serialize};

use crate::{Body, ENTRY_MAX_BYTES, Entry, EntryHash, Equivocation, LogId, SignedVote, Votes};

/// Most bytes of an entry with its votes: a hundred votes of some 400 bytes.
pub const COUNTED_MAX_BYTES: usize = ENTRY_MAX_BYTES + 64 * 1024;
/// Most bytes of a message: two entries with their votes.
pub const MESSAGE_MAX_BYTES: usize = 2 * COUNTED_MAX_BYTES + 1024;
/// Most entries in an answer to one who catches up.
pub const ENTRIES_MAX: usize = 16;

/// An entry and the votes of whoever counted it: a line of the log as it is kept and served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// The entry.
    pub entry: Entry,
    /// Commit votes of a quorum of the roster before it.
    pub votes: Votes,
}

/// An entry and the prepare votes that a member is locked by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownLock {
    /// The entry.
    pub entry: Entry,
    /// Prepare votes of a quorum, of one round.
    pub votes: Votes,
}

/// How an instance sees the network: what it says every few seconds, of itself alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Its newest entry's height.
    pub height: u64,
    /// Its newest entry.
    pub tip: EntryHash,
    /// The roster that it takes for the one in force.
    pub epoch: Epoch,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// The counter of the images that it lets join.
    pub images: u64,
    /// The last settlement that it saw.
    pub settlement: Option<Txid>,
    /// Whether it votes for its operator.
    pub votes: bool,
}

/// Two entries that quorums counted at one height: more members were rolled back than the log
/// bears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// One.
    pub one: Counted,
    /// The other.
    pub other: Counted,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Message {
    /// How the sender sees the network.
    View(View),
    /// What the sender's operator would like to be the next entry.
    Wish(Body),
    /// The proposal of a round.
    Propose {
        /// The round.
        round: u32,
        /// The entry.
        entry: Entry,
        /// The prepare votes that it is locked by.
        votes: Option<Votes>,
    },
    /// A vote.
    Vote(SignedVote),
    /// The round that the sender is in.
    Round {
        /// The height.
        height: u64,
        /// The round.
        round: u32,
        /// What the sender is locked by.
        lock: Option<ShownLock>,
    },
    /// The sender would like the entries from a height on.
    Want {
        /// The height of the first.
        from: u64,
    },
    /// Entries, of heights one after the other.
    Entries(BoundedVec<Counted, ENTRIES_MAX>),
    /// An instance contradicts itself.
    Equivocation(Equivocation),
    /// The log has forked.
    Fork(Box<Fork>),
    /// The sender would like to vote for its operator.
    AskLease {
        /// Number of the question, for the answer.
        number: u64,
    },
    /// The sender lets an instance vote for its operator, for a while.
    GrantLease {
        /// Which.
        #[serde(with = "public_key")]
        instance: XOnlyPublicKey,
        /// The question's number.
        number: u64,
    },
}

/// What an instance keeps of its votes. Sealed by whoever keeps it, and possibly old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Of which log.
    pub log: LogId,
    /// The height that it votes on.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// What it prepared in it.
    pub prepared: Option<EntryHash>,
    /// Whether it committed in it.
    pub committed: bool,
    /// What it is locked by.
    pub lock: Option<ShownLock>,
}

impl WireMessage for Message {
    const KIND: Kind = Kind::RosterMessage;
    const ENCODED_MAX_BYTES: usize = MESSAGE_MAX_BYTES;
}

impl WireMessage for Counted {
    const KIND: Kind = Kind::RosterCounted;
    const ENCODED_MAX_BYTES: usize = COUNTED_MAX_BYTES;
}

impl WireMessage for Kept {
    const KIND: Kind = Kind::RosterKept;
    const ENCODED_MAX_BYTES: usize = COUNTED_MAX_BYTES;
}
