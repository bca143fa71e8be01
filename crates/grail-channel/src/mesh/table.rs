//! Links as they come and go.

use std::collections::BTreeMap;

use bitcoin::XOnlyPublicKey;

use super::{Duty, Link, LinkId, Mesh, PLACES_MAX, Unlinked};
use crate::{bucket::Address, identity::PeerId, statement::Role};

impl Mesh {
    pub(super) fn link(&mut self, link: Link) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link = self.next_link.saturating_add(1);
        self.links.insert(id, link);
        id
    }

    pub(super) fn is_member(&self, signer: &XOnlyPublicKey) -> bool {
        *signer == self.me.signer || self.places.keys().any(|place| place.signer == *signer)
    }

    pub(super) fn is_member_address(&self, address: Address) -> bool {
        self.places.keys().any(|place| place.address == address)
    }

    /// Of two channels between the same instances, begun from either side, the one stays that the
    /// lower instance began: both ends say the same.
    pub(super) fn staying_role(&self, peer: &PeerId) -> Role {
        if self.me.instance < peer.instance {
            Role::Initiator
        } else {
            Role::Responder
        }
    }

    /// However many instances an operator starts, its channels are as many as it may have places:
    /// one more, and the oldest goes.
    pub(super) fn bound_instances(&mut self, signer: &XOnlyPublicKey) -> Vec<Duty> {
        let theirs: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.peer.is_some_and(|peer| peer.signer == *signer))
            .map(|(&id, _)| id)
            .collect();
        if theirs.len() <= PLACES_MAX {
            return Vec::new();
        }
        self.give_up(theirs.first().map(|&oldest| (oldest, Unlinked::TooMany)))
    }

    pub(super) fn give_up(
        &mut self,
        links: impl IntoIterator<Item = (LinkId, Unlinked)>,
    ) -> Vec<Duty> {
        let mut duties = Vec::new();
        for (link, why) in links {
            if let Some(gone) = self.links.remove(&link) {
                self.release(link, &gone);
                duties.push(Duty::Close { link, why });
            }
        }
        duties
    }

    /// Notes at the places of a link's peer that it is gone.
    pub(super) fn release(&mut self, link: LinkId, gone: &Link) {
        let now = self.now;
        if let Some(peer) = gone.peer {
            for (place, attempts) in &mut self.places {
                if place.signer == peer.signer {
                    attempts.free_since = now;
                }
            }
        }
        let Some(place) = gone.place else {
            return;
        };
        let wait = match (gone.peer, self.places.get(&place)) {
            (None, Some(attempts)) => self.backoff(attempts.failures),
            _ => self.backoff(0),
        };
        let Some(attempts) = self.places.get_mut(&place) else {
            return;
        };
        if attempts.link != Some(link) {
            return;
        }
        attempts.link = None;
        attempts.due = now.after(wait);
        attempts.free_since = now;
        if gone.peer.is_none() {
            attempts.failures = attempts.failures.saturating_add(1);
        }
    }

    /// Gives up links to whoever is not among `members`.
    pub(super) fn drop_strangers_to(
        &mut self,
        members: &BTreeMap<XOnlyPublicKey, usize>,
    ) -> Vec<Duty> {
        let gone: Vec<_> = self
            .links
            .iter()
            .filter_map(|(&id, link)| {
                let signer = match (link.peer, link.place) {
                    (Some(peer), _) => peer.signer,
                    (None, Some(place)) => place.signer,
                    (None, None) => return None,
                };
                let stays = signer == self.me.signer || members.contains_key(&signer);
                (!stays).then_some((id, Unlinked::NotAMember))
            })
            .collect();
        self.give_up(gone)
    }
}
