//! Which instance of an operator votes: asking others, and answering them.

use bitcoin::XOnlyPublicKey;

use super::{Node, Peer, Standing, To};
use crate::{Message, lease::LEASE_MS};

impl Node {
    /// Asks the others for this operator's vote, unless another of its instances has it.
    pub(super) fn ask_lease(&mut self) {
        let may =
            self.standing == Standing::Ready && self.state.member(&self.me.operator).is_some();
        if !may || self.sibling(|_, votes| votes) {
            return;
        }
        if let Some(number) = self.lease.ask(self.now_ms) {
            self.send(To::All, &Message::AskLease { number });
        }
    }

    pub(super) fn see_lease_asked(&mut self, from: &Peer, number: u64) {
        let is_other = from.operator != self.me.operator;
        let members = [&from.operator, &self.me.operator];
        let are_members = members.iter().all(|it| self.state.member(it).is_some());
        if is_other && are_members && self.speaks() && self.grants.grant(from, self.now_ms) {
            let instance = from.instance;
            self.send(To::One(*from), &Message::GrantLease { instance, number });
        }
    }

    pub(super) fn see_lease_granted(
        &mut self,
        from: &Peer,
        instance: &XOnlyPublicKey,
        number: u64,
    ) {
        let is_other = from.operator != self.me.operator;
        let is_member = self.state.roster().position(&from.operator).is_some();
        if *instance == self.me.instance && is_other && is_member {
            let quorum = *self.state.quorum();
            self.lease.grant(&quorum, from.operator, number);
        }
    }

    /// Whether this instance answers for its operator. After a general restart none votes: then the
    /// one with the least key of those that are there does.
    fn speaks(&self) -> bool {
        let me = self.me.instance.serialize();
        self.lease.is_held(self.now_ms)
            || !self.sibling(|instance, votes| votes || instance.serialize() < me)
    }

    /// Whether another instance of this operator was heard lately of which that holds.
    fn sibling(&self, holds: impl Fn(&XOnlyPublicKey, bool) -> bool) -> bool {
        self.health.of(&self.me.operator).any(|(instance, report)| {
            *instance != self.me.instance
                && self.now_ms < report.heard_ms.saturating_add(LEASE_MS)
                && holds(instance, report.view.votes)
        })
    }
}
