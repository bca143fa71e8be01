//! What the policy found right last in this process.
//!
//! The dry run judges what operators are asked, and their answers are checked against what it
//! found. Both happen in the process that did the dry run, but for restarts: then, or when another
//! process did it, the policy is run again. An entry is found by the hash of the very bytes that
//! were judged.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use grail_policy::{Decision, Judged};
use grail_wire::ProposalId;

/// The newest decision. There is one settlement under way at a time, so one place is enough; a miss
/// costs a dozen milliseconds.
#[derive(Debug, Default)]
pub struct Approvals {
    newest: Mutex<Option<(ProposalId, Judged<Decision>)>>,
    misses: AtomicU64,
}

impl Approvals {
    /// Keeps a decision in place of the one before.
    pub fn keep(&self, proposal: ProposalId, judged: Judged<Decision>) {
        // A whole value replaced, valid after any panic.
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some((proposal, judged));
    }

    /// Takes out the decision on these very bytes.
    pub fn take(&self, proposal: &ProposalId) -> Option<Judged<Decision>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let found = newest.take_if(|(known, _)| known == proposal);
        if found.is_none() {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        found.map(|(_, judged)| judged)
    }

    /// How often a decision was asked for that was not there, so that the policy was run again.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}
