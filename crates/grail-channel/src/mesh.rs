//! Who dials whom, who is let in, and which of two channels stays: the table of one epoch's mesh.
//!
//! Pure: it is told what happened and says what to do. It holds no channel; its shell keeps one per
//! [`LinkId`] and tells of each what [`Mesh::established`] and [`Mesh::closed`] ask for. A mesh is
//! one epoch's, as channels are: the next epoch has another, and this one is dropped with its
//! channels when its roster retires.

mod dialling;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bitcoin::XOnlyPublicKey;

use crate::{
    bucket::{Address, Buckets},
    identity::PeerId,
    seed::{Draws, Seed},
    statement::Role,
    time::Millis,
};

/// Below so many operators everybody has a channel to everybody.
pub const FULL_BELOW: usize = 32;

/// From there on, operators with whom an instance has a standing channel by its own choice: enough
/// that news reaches a hundred in two steps, whoever is away.
pub const FEW: usize = 8;

/// Most operators: as many as a roster has signers, twice over, while one hands over to the next.
pub const MEMBERS_MAX: usize = 2 * grail_types::SIGNERS_MAX;

/// Most places of one operator: its clones.
pub const PLACES_MAX: usize = 8;

/// Handshakes at once that this end began.
pub const DIALS_MAX: usize = 16;

/// Handshakes at once with addresses that no member has. One more, and the oldest gives way: who
/// holds a place and says nothing cannot keep others out.
pub const STRANGERS_MAX: usize = 16;

/// From so many on, strangers are asked for a cookie.
const GATED_FROM: usize = STRANGERS_MAX / 2;

/// Handshakes at once from one member's address: strangers cannot take these.
const KNOWN_MAX: usize = 2;

/// How long the higher key waits for the lower one to dial.
const PATIENCE: Duration = Duration::from_secs(15);

/// After a first failure; doubled with each.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_mins(5);

/// How long the few stay the same.
const FEW_FOR: Duration = Duration::from_mins(10);

/// How long everybody is dialled after a broadcast was asked for.
const BROADCAST_FOR: Duration = Duration::from_secs(30);

/// One stream between this instance and another, from its first byte to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Where an instance of an operator is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The operator.
    pub signer: XOnlyPublicKey,
    /// A hint: whoever answers there proves who it is.
    pub address: Address,
}

/// What the mesh wants done.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Connect to this place and begin a channel.
    Dial {
        /// The new link.
        link: LinkId,
        /// Where to.
        place: Place,
    },
    /// Close this link's channel and its stream.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        why: Unlinked,
    },
}

/// Why the mesh gives up a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// There is another one to the same instance, which stays.
    Duplicate,
    /// The same instance came again the same way: the older one is dead, or not needed.
    Replaced,
    /// A stranger that had not proven itself when another came.
    Evicted,
    /// Its operator is no member any more.
    NotAMember,
    /// Nobody needs it now.
    NotNeeded,
    /// The oldest of an operator that has more instances than it may have places.
    TooMany,
}

/// What to do with a stream that somebody else began.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Listen on it.
    Admitted {
        /// The new link.
        link: LinkId,
        /// Ask for a cookie first.
        is_gated: bool,
        /// Close this one, which gives way.
        evicted: Option<LinkId>,
    },
    /// The address comes too often.
    TooOften,
    /// A member's address with handshakes enough under way.
    TooMany,
}

/// More operators, or places of one, than any mesh has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {MEMBERS_MAX} operators with {PLACES_MAX} places each")]
pub struct TooMany;

/// The table.
pub struct Mesh {
    me: PeerId,
    places: BTreeMap<Place, Attempts>,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    few: BTreeSet<XOnlyPublicKey>,
    few_until: Millis,
    broadcast_until: Millis,
    /// Whether everybody has a channel to everybody.
    is_full: bool,
    /// Strangers', so many that they may come to share one.
    buckets: Buckets,
    /// Members' own, which no flood of strangers fills.
    member_buckets: Buckets,
    draws: Draws,
    now: Millis,
}

/// What is known of a place.
#[derive(Clone, Copy, Debug)]
struct Attempts {
    /// Not dialled before.
    due: Millis,
    /// Since the last success.
    failures: u32,
    /// Under way, or established.
    link: Option<LinkId>,
    /// Who answered there last.
    instance: Option<XOnlyPublicKey>,
    /// Since when it has had no link.
    free_since: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// This end's.
    role: Role,
    place: Option<Place>,
    address: Address,
    /// Once it has proven itself.
    peer: Option<PeerId>,
}

impl Mesh {
    /// An empty table. `seed` chooses the few and spreads the waits.
    pub fn new(me: PeerId, seed: Seed) -> Self {
        Self {
            me,
            places: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            few: BTreeSet::new(),
            few_until: Millis(0),
            broadcast_until: Millis(0),
            is_full: true,
            buckets: Buckets::default(),
            member_buckets: Buckets::default(),
            draws: seed.into_draws(),
            now: Millis(0),
        }
    }

    /// Takes the members and where they are, this operator's other clones among them; forgets
    /// everybody else.
    pub fn set_places(
        &mut self,
        now: Millis,
        places: &BTreeSet<Place>,
    ) -> Result<Vec<Duty>, TooMany> {
        let mut counts: BTreeMap<XOnlyPublicKey, usize> = BTreeMap::new();
        for place in places {
            let count = counts.entry(place.signer).or_default();
            *count = count.saturating_add(1);
        }
        if counts.len() > MEMBERS_MAX || counts.values().any(|&count| count > PLACES_MAX) {
            return Err(TooMany);
        }
        self.advance(now);
        self.places.retain(|place, _| places.contains(place));
        for place in places {
            self.places.entry(*place).or_insert(Attempts {
                due: self.now,
                failures: 0,
                link: None,
                instance: None,
                free_since: self.now,
            });
        }
        self.few_until = self.now;
        counts.entry(self.me.signer).or_default();
        self.is_full = counts.len() < FULL_BELOW;
        Ok(self.drop_strangers_to(&counts))
    }

    /// Somebody connected from `address`.
    pub fn incoming(&mut self, now: Millis, address: Address) -> Admission {
        self.advance(now);
        let is_known = self.is_member_address(address);
        let buckets = if is_known {
            &mut self.member_buckets
        } else {
            &mut self.buckets
        };
        if !buckets.take(self.now, address) {
            return Admission::TooOften;
        }
        let waiting: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.role == Role::Responder && link.peer.is_none())
            .filter(|(_, link)| {
                if is_known {
                    link.address == address
                } else {
                    !self.is_member_address(link.address)
                }
            })
            .map(|(&id, _)| id)
            .collect();
        if is_known && waiting.len() >= KNOWN_MAX {
            return Admission::TooMany;
        }
        let evicted = waiting
            .first()
            .copied()
            .filter(|_| !is_known && waiting.len() >= STRANGERS_MAX);
        if let Some(oldest) = evicted {
            self.links.remove(&oldest);
        }
        let link = self.link(Link {
            role: Role::Responder,
            place: None,
            address,
            peer: None,
        });
        Admission::Admitted {
            link,
            is_gated: !is_known && waiting.len() >= GATED_FROM,
            evicted,
        }
    }

    /// The peer at the end of `link` has proven itself.
    pub fn established(&mut self, now: Millis, link: LinkId, peer: PeerId) -> Vec<Duty> {
        self.advance(now);
        let is_member = self.is_member(&peer.signer);
        let Some(known) = self.links.get_mut(&link) else {
            // It was given up meanwhile.
            return vec![Duty::Close {
                link,
                why: Unlinked::NotNeeded,
            }];
        };
        known.peer = Some(peer);
        let known = *known;
        if let Some(attempts) = known.place.and_then(|place| self.places.get_mut(&place)) {
            attempts.failures = 0;
            attempts.instance = Some(peer.instance);
        }
        if !is_member {
            return self.give_up([(link, Unlinked::NotAMember)]);
        }
        let other = self
            .links
            .iter()
            .find(|&(&id, other)| id != link && other.peer == Some(peer))
            .map(|(&id, other)| (id, other.role));
        match other {
            None => self.bound_instances(&peer.signer),
            Some((older, role)) if role == known.role => {
                self.give_up([(older, Unlinked::Replaced)])
            }
            Some((older, _)) => {
                let stays = self.staying_role(&peer);
                let goes = if known.role == stays { older } else { link };
                self.give_up([(goes, Unlinked::Duplicate)])
            }
        }
    }

    /// The link's channel closed, or could not be begun.
    pub fn closed(&mut self, now: Millis, link: LinkId) {
        self.advance(now);
        let Some(gone) = self.links.remove(&link) else {
            return;
        };
        self.release(link, &gone);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) -> Vec<Duty> {
        self.advance(now);
        let mut duties = self.redraw();
        duties.extend(self.dial_due());
        duties
    }

    /// A message is to reach everybody at once: whoever has no channel is dialled now. The shell
    /// sends it over what [`Mesh::peers`] has, and over what is established within half a minute.
    pub fn broadcast(&mut self, now: Millis) -> Vec<Duty> {
        self.advance(now);
        self.broadcast_until = self.now.after(BROADCAST_FOR);
        self.tick(now)
    }

    /// Who has proven itself, a link for each.
    pub fn peers(&self) -> impl Iterator<Item = (LinkId, PeerId)> {
        self.links
            .iter()
            .filter_map(|(&id, link)| Some((id, link.peer?)))
    }

    /// At most `count` of them, drawn: whom to compare notes with.
    pub fn some_peers(&mut self, count: usize) -> Vec<(LinkId, PeerId)> {
        let mut all: Vec<_> = self.peers().collect();
        let mut drawn = Vec::new();
        while drawn.len() < count && !all.is_empty() {
            let index = self.draw(all.len());
            drawn.push(all.swap_remove(index));
        }
        drawn
    }

    fn advance(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    fn draw(&mut self, below: usize) -> usize {
        let below = u64::try_from(below).unwrap_or(u64::MAX);
        usize::try_from(self.draws.below(below)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
