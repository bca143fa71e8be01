//! Which instance votes for its operator: the one that more than half of the other operators let.
//!
//! It keeps two sound clones from voting both, and lets another take over from a silent one. That
//! is for progress: an instance that is paused while it holds a lease may vote behind its successor
//! and is then one of the rolled-back that the log's quorum bears (ADR 34).

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::XOnlyPublicKey;

use crate::{Peer, Quorum};

/// How long a grant lasts, on the clock of whoever gives it.
pub const LEASE_MS: u64 = 10_000;
/// How long its holder goes by it, on its own clock and from when it asked: clocks that run apart
/// by less than a tenth do not give one vote to two.
pub const LEASE_HELD_MS: u64 = 9_000;
/// How often a holder asks again.
pub const LEASE_RENEWED_MS: u64 = 2_000;

/// What an instance has been granted by others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    number: u64,
    asked_ms: Option<u64>,
    granted: BTreeSet<XOnlyPublicKey>,
    until_ms: u64,
}

impl Lease {
    /// Whether it may vote.
    pub const fn is_held(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// The number to ask by, if it is time to.
    pub fn ask(&mut self, now_ms: u64) -> Option<u64> {
        let due = self
            .asked_ms
            .is_none_or(|asked| now_ms >= asked.saturating_add(LEASE_RENEWED_MS));
        if !due {
            return None;
        }
        self.number = self.number.saturating_add(1);
        self.asked_ms = Some(now_ms);
        self.granted.clear();
        Some(self.number)
    }

    /// Counts a grant of another operator.
    pub fn grant(&mut self, quorum: &Quorum, operator: XOnlyPublicKey, number: u64) {
        let Some(asked) = self.asked_ms.filter(|_| number == self.number) else {
            return;
        };
        self.granted.insert(operator);
        if self.granted.len() >= quorum.most_others() {
            self.until_ms = asked.saturating_add(LEASE_HELD_MS);
        }
    }
}

/// What an instance has granted to others' instances.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grants {
    /// An instance does not know what its operator's vote granted before it started.
    from_ms: u64,
    granted: BTreeMap<XOnlyPublicKey, (XOnlyPublicKey, u64)>,
}

impl Grants {
    /// Of an instance that starts now.
    pub const fn since(now_ms: u64) -> Self {
        Self {
            from_ms: now_ms.saturating_add(LEASE_MS),
            granted: BTreeMap::new(),
        }
    }

    /// Grants `peer` its operator's vote, unless another instance may still hold it. Whoever calls
    /// has seen that the operator is a member, which bounds the list.
    pub fn grant(&mut self, peer: &Peer, now_ms: u64) -> bool {
        if now_ms < self.from_ms {
            return false;
        }
        let held = self.granted.get(&peer.operator);
        if held.is_some_and(|(instance, until)| *instance != peer.instance && now_ms < *until) {
            return false;
        }
        let until = now_ms.saturating_add(LEASE_MS);
        self.granted.insert(peer.operator, (peer.instance, until));
        true
    }

    /// Of an instance that answers at once: for the models, which must find what breaks.
    #[cfg(test)]
    pub(crate) const fn at_once() -> Self {
        Self {
            from_ms: 0,
            granted: BTreeMap::new(),
        }
    }

    /// Forgets operators that are no members any more.
    pub fn retain(&mut self, is_member: impl Fn(&XOnlyPublicKey) -> bool) {
        self.granted.retain(|operator, _| is_member(operator));
    }
}
