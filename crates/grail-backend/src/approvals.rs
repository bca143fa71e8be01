//! What the policy approved last in this process.
//!
//! The dry run approves what operators are asked, and their answers are checked against what it approved. Both happen in
//! the process that did the dry run, but for restarts: then, or when another process did it, the policy is run again.
//! An entry is found by the hash of the very bytes that were approved.

use std::sync::{Mutex, PoisonError};

use grail_policy::{Approved, Settlement};
use grail_signer::ProposalId;

/// The newest approval. There is one settlement under way at a time, so one place is enough; a miss costs a dozen
/// milliseconds.
#[derive(Debug, Default)]
pub struct Approvals(Mutex<Option<(ProposalId, Approved<Settlement>)>>);

impl Approvals {
    /// Keeps an approval in place of the one before.
    pub fn keep(&self, proposal: ProposalId, approved: Approved<Settlement>) {
        // A whole value replaced, valid after any panic.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((proposal, approved));
    }

    /// Takes out the approval of these very bytes.
    pub fn take(&self, proposal: &ProposalId) -> Option<Approved<Settlement>> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest
            .take_if(|(known, _)| known == proposal)
            .map(|(_, approved)| approved)
    }
}
