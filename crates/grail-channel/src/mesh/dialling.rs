//! Whom to dial, and when again.

use std::{collections::BTreeSet, time::Duration};

use bitcoin::XOnlyPublicKey;

use super::{
    BACKOFF_MAX, BACKOFF_MIN, DIALS_MAX, Duty, FEW, FEW_FOR, FULL_BELOW, Link, Mesh, PATIENCE,
    Place, Unlinked,
};
use crate::statement::Role;

impl Mesh {
    /// Whether everybody has a channel to everybody.
    fn is_full(&self) -> bool {
        self.operators().len() < FULL_BELOW
    }

    /// All operators, this one among them.
    fn operators(&self) -> BTreeSet<XOnlyPublicKey> {
        let others = self.places.keys().map(|place| place.signer);
        others.chain([self.me.signer]).collect()
    }

    /// Draws the few anew when it is time, and gives up what this end began to the former few.
    pub(super) fn redraw(&mut self) -> Vec<Duty> {
        if self.is_full() {
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
        let due: Vec<_> = self
            .places
            .keys()
            .filter(|place| self.is_due(place))
            .copied()
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

    fn is_due(&self, place: &Place) -> bool {
        let Some(attempts) = self.places.get(place) else {
            return false;
        };
        if attempts.link.is_some() || attempts.due > self.now || self.is_connected(place) {
            return false;
        }
        // In a full mesh the lower key dials. Among the few each dials those that it chose, and
        // whoever has something to say to everybody waits for nobody.
        let is_own_turn = !self.is_full()
            || self.is_broadcasting()
            || self.me.signer <= place.signer
            || self.now.since(attempts.free_since) >= PATIENCE;
        is_own_turn && self.is_wanted(place)
    }

    fn is_wanted(&self, place: &Place) -> bool {
        self.is_full()
            || self.is_broadcasting()
            || place.signer == self.me.signer
            || self.few.contains(&place.signer)
    }

    fn is_broadcasting(&self) -> bool {
        self.broadcast_until > self.now
    }

    /// Whether whoever is at `place` has a channel already, whoever began it. Where an operator has
    /// one place, its one peer is there; where it has several, who answered there last tells.
    fn is_connected(&self, place: &Place) -> bool {
        let mut places = self
            .places
            .iter()
            .filter(|(other, _)| other.signer == place.signer);
        let is_alone = places.nth(1).is_none();
        let instance = self
            .places
            .get(place)
            .and_then(|attempts| attempts.instance);
        self.links
            .values()
            .filter_map(|link| link.peer)
            .any(|peer| {
                let is_there = instance == Some(peer.instance);
                peer.signer == place.signer && (is_there || is_alone)
            })
    }

    /// Doubled with each failure up to a limit, then drawn between half of it and all.
    pub(super) fn backoff(&mut self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let longest = BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX);
        Duration::from_millis(half.saturating_add(self.draws.below(half.saturating_add(1))))
    }
}
