//! What the log says so far, and which entry may be next.
//!
//! All of it is a function of the genesis and the entries: whoever has these has the same state.
//! What only a voter knows (Bitcoin, evidence) is not asked here.

use std::collections::BTreeMap;

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Message as Digest, Secp256k1, Verification},
};
use grail_types::{Bridge, Consent, ConsentStep, Epoch, Governance, Roster, RosterError};
use grail_wire::{Consents, WireError};
use thiserror::Error;

use crate::{
    Anchor, Body, CloneRefusal, Entry, EntryHash, Genesis, Handover, ImagesPin, LogId, Member,
    NamedEntry, OrderId, Quorum, QuorumError, Succession, addresses_digest, images_digest,
};

/// The log at a height.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogState {
    log: LogId,
    bridge: Bridge,
    rolled_back: u16,
    height: u64,
    tip: EntryHash,
    members: BTreeMap<XOnlyPublicKey, MemberState>,
    governance_hash: [u8; 32],
    governance: GovernanceState,
    params: grail_types::ParamsHash,
    roster: Roster,
    quorum: Quorum,
    images: ImagesPin,
    announced: Option<(u64, [u8; 32])>,
    attempt: u64,
    group_key: Option<[u8; 32]>,
    used: BTreeMap<OrderId, u64>,
}

/// A member, as the log has it now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MemberState {
    addresses_sequence: u64,
    member: HashedMember,
}

/// A member by its bytes: what it consists of has no order of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HashedMember(Member);

impl std::hash::Hash for HashedMember {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.operator.hash(state);
        self.0.addresses.hash(state);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GovernanceState(Governance);

impl std::hash::Hash for GovernanceState {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash().hash(state);
    }
}

/// Why an entry is not next, for everybody and for ever.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntryRefusal {
    /// Of another log.
    #[error("the entry is of another log")]
    OtherLog,
    /// Not the next height.
    #[error("expected height {expected}, got {got}")]
    Height {
        /// The next one.
        expected: u64,
        /// The entry's.
        got: u64,
    },
    /// After another entry than the tip.
    #[error("the entry is after another than the tip")]
    Previous,
    /// Of another roster than the tip's.
    #[error("expected epoch {expected}, got {got}")]
    Epoch {
        /// The tip's.
        expected: Epoch,
        /// The entry's.
        got: Epoch,
    },
    /// About somebody who is no member.
    #[error("the operator is no member")]
    NotMember,
    /// Not the next change of its kind: a repetition, or one that leaves something out.
    #[error("expected number {expected}, got {got}")]
    Sequence {
        /// The next.
        expected: u64,
        /// The entry's.
        got: u64,
    },
    /// The member did not sign it.
    #[error("the member's signature is invalid")]
    Signature,
    /// Too few administrators, unsorted ones, or a signature that is not good.
    #[error("expected the signatures of {expected} administrators, got {got} good ones in order")]
    Consent {
        /// How many it takes.
        expected: usize,
        /// How many were good before the first that was not.
        got: usize,
    },
    /// The roster to come is none.
    #[error("the roster to come: {0}")]
    Roster(#[from] RosterError),
    /// The roster to come could never vote.
    #[error("the roster to come: {0}")]
    Quorum(#[from] QuorumError),
    /// A member to come names an administrator who is none.
    #[error("a member's administrator is not among the administrators")]
    Administrator,
    /// The administrators to come are a smaller share than the signers.
    #[error("the administrators to come are a smaller share than the signers")]
    Share,
    /// An announcement that is older than one that the log has, or not the one that is to be taken
    /// back.
    #[error("the log knows of attempt {known}, got {got}")]
    Attempt {
        /// The newest known.
        known: u64,
        /// The entry's.
        got: u64,
    },
    /// The epoch has its group key.
    #[error("the epoch has a group key")]
    GroupKey,
    /// The clone order is not good.
    #[error(transparent)]
    Clone(#[from] CloneRefusal),
    /// Larger than an entry may be.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// An entry that may be next after the state that says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ValidEntry(NamedEntry);

impl ValidEntry {
    /// The entry.
    pub const fn named(&self) -> &NamedEntry {
        &self.0
    }
}

impl LogState {
    /// The state that the genesis makes.
    pub fn genesis(genesis: &Genesis) -> Result<Self, EntryRefusal> {
        let log = genesis.id()?;
        let mut state = Self {
            log,
            bridge: genesis.bridge,
            rolled_back: genesis.rolled_back,
            height: 0,
            tip: EntryHash(log.0),
            members: BTreeMap::new(),
            governance_hash: genesis.succession.governance.hash(),
            governance: GovernanceState(genesis.succession.governance.clone()),
            params: genesis.succession.params,
            roster: roster_of(&genesis.succession)?,
            quorum: check_succession(&genesis.succession, genesis.rolled_back)?,
            images: genesis.images,
            announced: None,
            attempt: 0,
            group_key: None,
            used: BTreeMap::new(),
        };
        state.enthrone(&genesis.succession)?;
        Ok(state)
    }

    /// The log.
    pub const fn log(&self) -> &LogId {
        &self.log
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// The newest entry's height.
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// The height of the entry to come.
    pub const fn next_height(&self) -> u64 {
        self.height.saturating_add(1)
    }

    /// The newest entry.
    pub const fn tip(&self) -> EntryHash {
        self.tip
    }

    /// The roster that votes on the next entry.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Its number.
    pub const fn epoch(&self) -> Epoch {
        self.roster.epoch()
    }

    /// How many of it count an entry.
    pub const fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The images that may join.
    pub const fn images(&self) -> ImagesPin {
        self.images
    }

    /// The announcement that the log has seen last and not seen taken back: its number and hash.
    pub const fn announced(&self) -> Option<(u64, [u8; 32])> {
        self.announced
    }

    /// The transcript of the epoch's group key.
    pub const fn group_key(&self) -> Option<[u8; 32]> {
        self.group_key
    }

    /// What the log says of an operator.
    pub fn member(&self, operator: &XOnlyPublicKey) -> Option<&Member> {
        self.members.get(operator).map(|state| &state.member.0)
    }

    /// The administrators.
    pub const fn governance(&self) -> &Governance {
        &self.governance.0
    }

    /// Whether a clone order is used up.
    pub fn is_used(&self, order: &OrderId) -> bool {
        self.used.contains_key(order)
    }

    /// Whether roster, governance and parameters are the anchor's.
    pub fn matches(&self, anchor: &Anchor) -> bool {
        self.roster == anchor.roster
            && self.governance_hash == anchor.governance
            && self.params == anchor.params
    }

    /// The next entry, which would say `body`.
    pub fn next(&self, body: Body) -> Entry {
        Entry {
            log: self.log,
            height: self.next_height(),
            previous: self.tip,
            epoch: self.epoch(),
            body,
        }
    }

    /// Whether `entry` may be next.
    pub fn check<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        named: NamedEntry,
    ) -> Result<ValidEntry, EntryRefusal> {
        let entry = named.entry();
        if entry.log != self.log {
            return Err(EntryRefusal::OtherLog);
        }
        let (expected, got) = (self.next_height(), entry.height);
        if got != expected {
            return Err(EntryRefusal::Height { expected, got });
        }
        if entry.previous != self.tip {
            return Err(EntryRefusal::Previous);
        }
        let (expected, got) = (self.epoch(), entry.epoch);
        if got != expected {
            return Err(EntryRefusal::Epoch { expected, got });
        }
        self.check_body(secp, &entry.body)?;
        Ok(ValidEntry(named))
    }

    fn check_body<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        body: &Body,
    ) -> Result<(), EntryRefusal> {
        match body {
            Body::Addresses {
                operator,
                sequence,
                addresses,
                signature,
            } => {
                let member = self.members.get(operator).ok_or(EntryRefusal::NotMember)?;
                check_next(member.addresses_sequence, *sequence)?;
                let digest = addresses_digest(&self.log, self.epoch(), *sequence, addresses);
                secp.verify_schnorr(signature, &digest, operator)
                    .map_err(|_| EntryRefusal::Signature)
            }
            Body::Images { images, consents } => {
                check_next(self.images.counter, images.counter)?;
                let digest = images_digest(&self.bridge, images);
                self.check_consents(
                    secp,
                    consents,
                    &digest,
                    self.governance().threshold().into(),
                )
            }
            Body::Announced(handover) => {
                let again = self.announced == Some((handover.attempt, handover.next));
                if handover.attempt <= self.attempt && !again {
                    return Err(self.wrong_attempt(handover.attempt));
                }
                self.check_handover(secp, handover)
            }
            Body::Cancelled {
                attempt,
                next,
                consents,
                txid: _,
            } => {
                if self.announced != Some((*attempt, *next)) {
                    return Err(self.wrong_attempt(*attempt));
                }
                let digest = self.consent_digest(ConsentStep::Cancel, *attempt, *next);
                let needed = self.governance().cancel_threshold();
                self.check_consents(secp, consents, &digest, needed)
            }
            Body::Executed(handover) => self.check_handover(secp, handover),
            Body::GroupKey { .. } => match self.group_key {
                None => Ok(()),
                Some(_) => Err(EntryRefusal::GroupKey),
            },
            Body::Clone { order, donor: _ } => Ok(order.check(secp, self, self.next_height())?),
        }
    }

    /// What an announcement and an execution have in common: the administrators of today signed
    /// for this attempt of this epoch, and who is to come can vote.
    fn check_handover<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        handover: &Handover,
    ) -> Result<(), EntryRefusal> {
        let expected = Epoch(self.epoch().0.saturating_add(1));
        let got = handover.succession.epoch;
        if got != expected {
            return Err(EntryRefusal::Epoch { expected, got });
        }
        check_succession(&handover.succession, self.rolled_back)?;
        let step = ConsentStep::Announce {
            evidence: handover.evidence,
        };
        let digest = self.consent_digest(step, handover.attempt, handover.next);
        let needed = self.governance().threshold().into();
        self.check_consents(secp, &handover.consents, &digest, needed)
    }

    fn consent_digest(&self, step: ConsentStep, attempt: u64, next: [u8; 32]) -> Digest {
        let consent = Consent {
            step,
            bridge: self.bridge,
            epoch: self.epoch(),
            attempt,
            next,
        };
        consent.digest()
    }

    fn check_consents<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        consents: &Consents,
        digest: &Digest,
        expected: usize,
    ) -> Result<(), EntryRefusal> {
        let administrators = self.governance().administrators();
        let (mut got, mut last) = (0_usize, None);
        for consent in consents.iter() {
            let wrong = EntryRefusal::Consent { expected, got };
            let position = Some(consent.administrator);
            let key = administrators.get(usize::from(consent.administrator));
            let key = key.filter(|_| position > last).ok_or(wrong.clone())?;
            secp.verify_schnorr(&consent.signature, digest, key)
                .map_err(|_| wrong)?;
            last = position;
            got = got.saturating_add(1);
        }
        if got < expected {
            return Err(EntryRefusal::Consent { expected, got });
        }
        Ok(())
    }

    const fn wrong_attempt(&self, got: u64) -> EntryRefusal {
        let known = self.attempt;
        EntryRefusal::Attempt { known, got }
    }

    /// The log with `entry` as its tip. It is for whoever has a certificate to say that it counts.
    pub(crate) fn apply(&mut self, valid: &ValidEntry) -> Result<(), EntryRefusal> {
        let named = valid.named();
        let entry = named.entry();
        // Again, though it is cheap: a valid entry of one state is none of another.
        if entry.height != self.next_height() || entry.previous != self.tip {
            return Err(EntryRefusal::Previous);
        }
        match &entry.body {
            Body::Addresses {
                operator,
                sequence,
                addresses,
                signature: _,
            } => {
                let member = self
                    .members
                    .get_mut(operator)
                    .ok_or(EntryRefusal::NotMember)?;
                member.addresses_sequence = *sequence;
                member.member.0.addresses = addresses.clone();
            }
            Body::Images { images, .. } => self.images = *images,
            Body::Announced(handover) => {
                self.announced = Some((handover.attempt, handover.next));
                self.attempt = handover.attempt;
            }
            Body::Cancelled { .. } => self.announced = None,
            Body::Executed(handover) => {
                self.enthrone(&handover.succession)?;
                self.attempt = self.attempt.max(handover.attempt);
                self.announced = None;
                self.group_key = None;
            }
            Body::GroupKey { transcript } => self.group_key = Some(*transcript),
            Body::Clone { order, .. } => {
                self.used.insert(order.id(), order.expires);
            }
        }
        self.height = entry.height;
        self.tip = named.hash();
        let next = self.next_height();
        self.used.retain(|_, expires| *expires >= next);
        Ok(())
    }

    /// Puts a checked succession in force. Changes of addresses are counted anew: an old one is
    /// signed for an old epoch.
    fn enthrone(&mut self, succession: &Succession) -> Result<(), EntryRefusal> {
        self.roster = roster_of(succession)?;
        self.quorum = Quorum::new(&self.roster, self.rolled_back)?;
        self.governance_hash = succession.governance.hash();
        self.governance = GovernanceState(succession.governance.clone());
        self.params = succession.params;
        let member = |member: &Member| {
            let state = MemberState {
                addresses_sequence: 0,
                member: HashedMember(member.clone()),
            };
            (member.operator, state)
        };
        self.members = succession.members.iter().map(member).collect();
        Ok(())
    }
}

/// The signers of a succession.
pub(crate) fn roster_of(succession: &Succession) -> Result<Roster, RosterError> {
    let members = succession.members.iter();
    let keys = members.map(|member| member.operator).collect();
    Roster::new(succession.epoch, keys, succession.threshold)
}

/// Whether a succession is a roster that could vote, with administrators of its own.
fn check_succession(succession: &Succession, rolled_back: u16) -> Result<Quorum, EntryRefusal> {
    let roster = roster_of(succession)?;
    let quorum = Quorum::new(&roster, rolled_back)?;
    let administrators = succession.governance.administrators();
    let mut members = succession.members.iter();
    if !members.all(|member| administrators.contains(&member.administrator)) {
        return Err(EntryRefusal::Administrator);
    }
    succession
        .governance
        .check_share(&roster)
        .map_err(|_| EntryRefusal::Share)?;
    Ok(quorum)
}

const fn check_next(known: u64, got: u64) -> Result<(), EntryRefusal> {
    let expected = known.saturating_add(1);
    if got == expected {
        Ok(())
    } else {
        Err(EntryRefusal::Sequence { expected, got })
    }
}
