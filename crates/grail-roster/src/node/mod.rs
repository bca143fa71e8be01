//! An instance of an operator, as the log sees it: events in, duties out.
//!
//! Owns the log's state, what it votes, whom it has heard. The caller carries out the duties in
//! their order: what is to be kept is kept before what is behind it is sent. Trusts the caller for
//! who a message is from, for the time (which decides about progress alone), for the anchor and for
//! facts; never for what it kept, which may be old, nor for anything in a message.

mod accept;
mod agree;
mod lease;
mod sync;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bitcoin::{
    Txid, XOnlyPublicKey,
    secp256k1::{All, Secp256k1},
};
use grail_types::Roster;
use grail_wire::{WireError, decode, encode};
use thiserror::Error;

use crate::lease::{Grants, Lease};
use crate::{
    Agreement, Anchor, Body, Counted, EntryHash, EntryRefusal, Equivocation, EquivocationError,
    Fork, Genesis, Health, Kept, LogState, Message, NamedEntry, Peer, Phase, Quorum, SignedVote,
    ValidEntry, View, VoteError, VoteSigner,
};

pub use accept::Anchoring;

/// Entries that the machine itself can serve and compare with; older ones are its host's to serve.
pub const RECENT_MAX: usize = 64;
/// How often an instance says its view.
pub const VIEW_MS: u64 = 2_000;
/// How long the first round of a height waits; each later one waits as much longer.
pub const ROUND_MS: u64 = 2_000;
/// No round waits longer.
pub const ROUND_MAX_MS: u64 = 60_000;
/// How often what was said is said again, and entries are asked for again.
pub const AGAIN_MS: u64 = 1_000;
/// Most facts of a kind that are held: as many as a roster has members, twice.
pub const FACTS_MAX: usize = 200;

/// What a voter knows that nobody can see in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A newcomer's enclave was attested, live, by evidence of this hash.
    Attested(XOnlyPublicKey, [u8; 32]),
    /// A ceremony that this instance took part in ended with this transcript.
    Transcript([u8; 32]),
    /// A settlement was seen.
    Settlement(Txid),
}

/// What happens to an instance.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time goes by, on a clock that never goes back.
    Tick {
        /// Milliseconds since some moment.
        now_ms: u64,
    },
    /// A message came over an authenticated link.
    Message {
        /// From whom.
        from: Peer,
        /// The message, encoded.
        bytes: Vec<u8>,
    },
    /// The roster NFT is this.
    Anchor(Anchor),
    /// A fact.
    Fact(Fact),
    /// The operator would like an entry.
    Wish(Body),
}

/// Whom to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every instance of every member, and every other one of this operator.
    All,
    /// One instance.
    One(Peer),
}

/// Something that people have to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// An instance contradicts itself.
    Equivocation(Peer),
    /// Two entries count at one height. Nothing is voted any more.
    Fork(u64),
    /// The NFT says another roster of this epoch than the log. Nothing is voted.
    Anchor,
    /// An entry that counted could not be taken over: a fault of this code.
    Bug(&'static str),
}

/// What the caller does next, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Keep these bytes in place of those before.
    Keep(Vec<u8>),
    /// Keep a line of the log.
    KeepEntry {
        /// Its height.
        height: u64,
        /// The line.
        bytes: Vec<u8>,
    },
    /// Keep this message besides, and show it again after a restart, as if it came from anybody: a
    /// proof that people have to look at.
    KeepProof(Vec<u8>),
    /// Send a message.
    Send {
        /// To whom.
        to: To,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Send the kept lines from a height on, [`crate::ENTRIES_MAX`] at most, in a message.
    Serve {
        /// To whom.
        to: Peer,
        /// The first height.
        from: u64,
    },
    /// An entry counts.
    Counted(NamedEntry),
    /// Tell people.
    Alarm(Alarm),
    /// A peer sent what no sound one sends.
    Fault {
        /// Who.
        peer: Peer,
        /// What.
        fault: PeerFault,
    },
}

/// What a peer sent that no sound one sends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerFault {
    /// Not a message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An entry that may not be next.
    #[error(transparent)]
    Entry(#[from] EntryRefusal),
    /// A vote that does not count.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// A proof that proves nothing.
    #[error(transparent)]
    Equivocation(#[from] EquivocationError),
    /// Two entries that are no fork.
    #[error("what was shown is no fork")]
    NoFork,
    /// Votes for another entry.
    #[error("the votes are for another entry")]
    OtherEntry,
}

/// Why an instance cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// The genesis is none.
    #[error("genesis: {0}")]
    Genesis(EntryRefusal),
}

/// Whether an instance votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does not know yet whether what it kept is old: these have told it their tips.
    Recovering(BTreeSet<XOnlyPublicKey>),
    /// It may.
    Ready,
    /// It saw a fork, and never will.
    Forked,
}

/// A counted entry, and who counted it.
struct Recent {
    hash: EntryHash,
    counted: Counted,
    voters: Arc<(Roster, Quorum)>,
}

/// An instance.
pub struct Node {
    secp: Secp256k1<All>,
    me: Peer,
    state: LogState,
    voters: Arc<(Roster, Quorum)>,
    recent: VecDeque<Recent>,
    agreement: Agreement,
    remembered: Option<Kept>,
    said: Vec<SignedVote>,
    /// The proposal that was said last: round and entry.
    proposed: Option<(u32, EntryHash)>,
    anchor: Option<Anchor>,
    anchor_disputed: bool,
    attested: BTreeSet<(XOnlyPublicKey, [u8; 32])>,
    transcripts: BTreeSet<[u8; 32]>,
    settlement: Option<Txid>,
    /// What this operator would like, until it counts.
    own_wish: Option<Body>,
    /// What each member would like, as the next entry: verified once, when it came.
    wishes: BTreeMap<XOnlyPublicKey, ValidEntry>,
    standing: Standing,
    lease: Lease,
    grants: Grants,
    proofs: BTreeMap<XOnlyPublicKey, Equivocation>,
    fork: Option<Fork>,
    health: Health,
    now_ms: u64,
    started_ms: u64,
    round_ms: u64,
    round_seen: (u64, u32),
    view_ms: Option<u64>,
    again_ms: u64,
    /// Which operators were asked for entries, and when: each by itself, so that one who promises
    /// and does not deliver keeps nobody from the others.
    asked: BTreeMap<XOnlyPublicKey, u64>,
    duties: Vec<Duty>,
}

impl Node {
    /// An instance that starts now, from what its host says was kept: `kept` of its votes, and
    /// lines of the log from height 1 on. What does not verify is left out, as if it were not
    /// there.
    pub fn start<'a>(
        me: Peer,
        genesis: &Genesis,
        kept: Option<&[u8]>,
        lines: impl IntoIterator<Item = &'a [u8]>,
        now_ms: u64,
    ) -> Result<Self, StartError> {
        let state = LogState::genesis(genesis).map_err(StartError::Genesis)?;
        let voters = Arc::new((state.roster().clone(), *state.quorum()));
        let kept = kept.and_then(|bytes| decode::<Kept>(bytes).ok());
        let remembered = kept.map(|kept| kept.message);
        let mut node = Self {
            secp: Secp256k1::new(),
            me,
            agreement: height_of(&state, &me),
            remembered: remembered.filter(|kept| kept.log == *state.log()),
            voters,
            state,
            recent: VecDeque::new(),
            said: Vec::new(),
            proposed: None,
            anchor: None,
            anchor_disputed: false,
            attested: BTreeSet::new(),
            transcripts: BTreeSet::new(),
            settlement: None,
            own_wish: None,
            wishes: BTreeMap::new(),
            standing: Standing::Recovering(BTreeSet::new()),
            lease: Lease::default(),
            grants: Grants::since(now_ms),
            proofs: BTreeMap::new(),
            fork: None,
            health: Health::default(),
            now_ms,
            started_ms: now_ms,
            round_ms: now_ms,
            round_seen: (0, 0),
            view_ms: None,
            again_ms: now_ms,
            asked: BTreeMap::new(),
            duties: Vec::new(),
        };
        for line in lines {
            let counted = decode::<Counted>(line).map(|line| line.message);
            let taken = counted
                .map_err(PeerFault::from)
                .and_then(|counted| node.take(counted));
            if taken.is_err() {
                break;
            }
        }
        node.recall();
        // All that came of it is known to be kept.
        node.duties.clear();
        Ok(node)
    }

    /// Takes an event.
    pub fn handle(&mut self, keys: &dyn VoteSigner, event: Event) -> Vec<Duty> {
        match event {
            Event::Tick { now_ms } => self.tick(now_ms),
            Event::Message { from, bytes } => {
                if let Err(fault) = self.receive(&from, &bytes) {
                    self.duties.push(Duty::Fault { peer: from, fault });
                }
            }
            Event::Anchor(anchor) => self.see_anchor(anchor),
            Event::Fact(fact) => self.see_fact(fact),
            Event::Wish(body) => {
                self.own_wish = Some(body);
                self.say_wish();
            }
        }
        self.settle_standing();
        self.run(keys);
        std::mem::take(&mut self.duties)
    }

    /// The log as this instance has it.
    pub const fn state(&self) -> &LogState {
        &self.state
    }

    /// Who it is.
    pub const fn me(&self) -> &Peer {
        &self.me
    }

    /// Whether it votes, apart from lease and anchor.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What it was told by all others.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Proofs that instances contradict themselves, one for each operator.
    pub const fn proofs(&self) -> &BTreeMap<XOnlyPublicKey, Equivocation> {
        &self.proofs
    }

    /// The two entries that count at one height, if it saw such.
    pub const fn fork(&self) -> Option<&Fork> {
        self.fork.as_ref()
    }

    /// Whether it votes now.
    pub fn votes(&self) -> bool {
        let anchored = matches!(self.anchoring(), Anchoring::Same | Anchoring::HandsOver(_));
        // It voted at a height that the log has not reached here: so there is more of the log.
        let current = self.remembered.is_none();
        self.standing == Standing::Ready && current && anchored && self.lease.is_held(self.now_ms)
    }

    /// What it says of itself.
    pub fn view(&self) -> View {
        View {
            height: self.state.height(),
            tip: self.state.tip(),
            epoch: self.state.epoch(),
            uptime_s: self.now_ms.saturating_sub(self.started_ms) / 1_000,
            images: self.state.images().counter,
            settlement: self.settlement,
            votes: self.votes(),
        }
    }

    /// What it would remember of the height to come.
    #[cfg(test)]
    pub(crate) const fn memory(&self) -> &crate::Memory {
        self.agreement.memory()
    }

    /// Whether the log has come to where it voted last.
    #[cfg(test)]
    pub(crate) const fn is_current(&self) -> bool {
        self.remembered.is_none()
    }

    fn receive(&mut self, from: &Peer, bytes: &[u8]) -> Result<(), PeerFault> {
        let message = decode::<Message>(bytes)?.message;
        // Who has left may still ask for entries, and shows none that others do not have.
        let member = self.state.roster().position(&from.operator);
        match message {
            Message::Want { from: height } => {
                self.serve(from, height);
                Ok(())
            }
            Message::Entries(lines) => self.take_lines(from, lines.into_inner()),
            Message::Equivocation(proof) => self.see_proof(proof),
            Message::Fork(fork) => self.see_fork(*fork),
            Message::View(view) => {
                self.hear(from, view);
                Ok(())
            }
            Message::Wish(body) => {
                // One that may not be next now may be so later, and comes again.
                let _ = member.is_some_and(|_| self.see_wish(from.operator, body));
                Ok(())
            }
            Message::Propose {
                round,
                entry,
                votes,
            } => member.map_or(Ok(()), |member| {
                self.see_proposal(member.0.into(), round, entry, votes)
            }),
            Message::Vote(vote) => self.see_vote(&vote),
            Message::Round {
                height,
                round,
                lock,
            } => member.map_or(Ok(()), |member| {
                self.see_round(member.0.into(), (height, round), lock)
            }),
            Message::AskLease { number } => {
                self.see_lease_asked(from, number);
                Ok(())
            }
            Message::GrantLease { instance, number } => {
                self.see_lease_granted(from, &instance, number);
                Ok(())
            }
        }
    }

    fn tick(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        let now_ms = self.now_ms;
        self.ask_lease();
        if self
            .view_ms
            .is_none_or(|last| now_ms >= last.saturating_add(VIEW_MS))
        {
            self.say_view();
            self.say_wish();
        }
        self.keep_time();
    }

    fn say_view(&mut self) {
        self.view_ms = Some(self.now_ms);
        let view = self.view();
        self.send(To::All, &Message::View(view));
    }

    fn send(&mut self, to: To, message: &Message) {
        match encode(self.state.epoch(), message) {
            Ok(bytes) => self.duties.push(Duty::Send { to, bytes }),
            Err(_) => self.alarm(Alarm::Bug("a message that cannot be encoded")),
        }
    }

    /// Tells of a proof, keeps it and sends it on.
    fn spread(&mut self, alarm: Alarm, message: &Message) {
        self.alarm(alarm);
        if let Ok(bytes) = encode(self.state.epoch(), message) {
            self.duties.push(Duty::KeepProof(bytes));
        }
        self.send(To::All, message);
    }

    fn alarm(&mut self, alarm: Alarm) {
        self.duties.push(Duty::Alarm(alarm));
    }

    /// An entry that may be next.
    fn valid(&self, entry: crate::Entry) -> Result<ValidEntry, PeerFault> {
        Ok(self.state.check(&self.secp, NamedEntry::new(entry)?)?)
    }
}

/// The height to come, as `me` sees it.
fn height_of(state: &LogState, me: &Peer) -> Agreement {
    let position = state.roster().position(&me.operator);
    let position = position.map(|position| position.0.into());
    Agreement::new(
        *state.quorum(),
        state.epoch(),
        state.next_height(),
        position,
    )
}
