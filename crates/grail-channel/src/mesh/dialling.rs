//! Whom to dial, and when again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bitcoin::XOnlyPublicKey;

use super::{
    Attempts, BACKOFF_MAX, BACKOFF_MIN, DIALS_MAX, Duty, FEW, FEW_FOR, Link, Mesh, PATIENCE, Place,
    Unlinked,
};
use crate::{identity::PeerId, statement::Role};

impl Mesh {
    /// All operators, this one among them.
    fn operators(&self) -> BTreeSet<XOnlyPublicKey> {
        let others = self.places.keys().map(|place| place.signer);
        others.chain([self.me.signer]).collect()
    }

    /// Draws the few anew when it is time, and gives up what this end began to the former few.
    pub(super) fn redraw(&mut self) -> Vec<Duty> {
        if self.is_full {
            self.few.clear();
            return Vec::new();
        }
        if self.now >= self.few_until {
            self.few_until = self.now.after(FEW_FOR);
            let me = self.me.signer;
            let mut others: Vec<_> = self.operators().into_iter().collect();
            others.retain(|signer| *signer != me);
            self.few = (0..FEW.min(others.len()))
                .map(|_| {
                    let index = self.draw(others.len());
                    others.swap_remove(index)
                })
                .collect();
        }
        if self.is_broadcasting() {
            return Vec::new();
        }
        let idle: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.role == Role::Initiator)
            .filter(|(_, link)| link.place.is_some_and(|place| !self.is_wanted(&place)))
            .map(|(&id, _)| (id, Unlinked::NotNeeded))
            .collect();
        self.give_up(idle)
    }

    /// Dials whoever is due, as many as there is room for.
    pub(super) fn dial_due(&mut self) -> Vec<Duty> {
        let under_way = self
            .links
            .values()
            .filter(|link| link.role == Role::Initiator && link.peer.is_none())
            .count();
        let connected = self.connected();
        let due: Vec<_> = self
            .places
            .iter()
            .filter(|(place, attempts)| self.is_due(place, attempts, &connected))
            .map(|(&place, _)| place)
            .take(DIALS_MAX.saturating_sub(under_way))
            .collect();
        due.into_iter().map(|place| self.dial(place)).collect()
    }

    fn dial(&mut self, place: Place) -> Duty {
        let link = self.link(Link {
            role: Role::Initiator,
            place: Some(place),
            address: place.address,
            peer: None,
        });
        if let Some(attempts) = self.places.get_mut(&place) {
            attempts.link = Some(link);
        }
        Duty::Dial { link, place }
    }

    fn is_due(&self, place: &Place, attempts: &Attempts, connected: &Connected) -> bool {
        if attempts.link.is_some() || attempts.due > self.now {
            return false;
        }
        // In a full mesh the lower key dials. Among the few each dials those that it chose, and
        // whoever has something to say to everybody waits for nobody.
        let is_own_turn = !self.is_full
            || self.is_broadcasting()
            || self.me.signer <= place.signer
            || self.now.since(attempts.free_since) >= PATIENCE;
        is_own_turn && self.is_wanted(place) && !connected.has(place, attempts)
    }

    fn is_wanted(&self, place: &Place) -> bool {
        self.is_full
            || self.is_broadcasting()
            || place.signer == self.me.signer
            || self.few.contains(&place.signer)
    }

    fn is_broadcasting(&self) -> bool {
        self.broadcast_until > self.now
    }

    fn connected(&self) -> Connected {
        let mut places: BTreeMap<_, usize> = BTreeMap::new();
        for place in self.places.keys() {
            let count = places.entry(place.signer).or_default();
            *count = count.saturating_add(1);
        }
        Connected {
            peers: self.links.values().filter_map(|link| link.peer).collect(),
            places,
        }
    }

    /// Doubled with each failure up to a limit, then drawn between half of it and all.
    pub(super) fn backoff(&mut self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let longest = BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX);
        Duration::from_millis(half.saturating_add(self.draws.below(half.saturating_add(1))))
    }
}

/// Who has a channel, whoever began it.
struct Connected {
    peers: BTreeSet<PeerId>,
    /// How many places each operator has.
    places: BTreeMap<XOnlyPublicKey, usize>,
}

impl Connected {
    /// Whether whoever is at `place` is among them. Where an operator has one place, its one peer
    /// is there; where it has several, who answered there last tells.
    fn has(&self, place: &Place, attempts: &Attempts) -> bool {
        let signer = place.signer;
        if self.places.get(&signer) == Some(&1) {
            return self.peers.iter().any(|peer| peer.signer == signer);
        }
        attempts
            .instance
            .is_some_and(|instance| self.peers.contains(&PeerId { signer, instance }))
    }
}
