//! What the policy found right last in this process.
//!
//! The dry run judges what operators are asked, and their answers are checked against what it
//! found. Both happen in the process that did the dry run, but for restarts: then, or when another
//! process did it, the policy is run again. An entry is found by the hash of the very bytes that
//! were judged.

use std::sync::{Mutex, PoisonError};

use grail_policy::{Decision, Judged};
use grail_wire::ProposalId;

/// The newest decision. There is one settlement under way at a time, so one place is enough; a miss
/// costs a dozen milliseconds.
#[derive(Debug, Default)]
pub struct Approvals(Mutex<Option<(ProposalId, Judged<Decision>)>>);

impl Approvals {
    /// Keeps a decision in place of the one before.
    pub fn keep(&self, proposal: ProposalId, judged: Judged<Decision>) {
        // A whole value replaced, valid after any panic.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((proposal, judged));
    }

    /// Takes out the decision on these very bytes.
    pub fn take(&self, proposal: &ProposalId) -> Option<Judged<Decision>> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest
            .take_if(|(known, _)| known == proposal)
            .map(|(_, judged)| judged)
    }
}
