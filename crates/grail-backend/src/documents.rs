//! Documents of rotations that were verified in this process.
//!
//! Anybody may ask where rotations stand, as often as he likes, and a document has up to a hundred
//! signatures. So what was verified once is found by the hash of its bytes, which nothing else has.
//! A miss costs the verification. Owns no word on whether a document is the bridge's next: that is
//! asked of the NFT's state each time.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bitcoin::hashes::{Hash as _, sha256};
use grail_api::{CheckedRotation, RotationDocument, RotationError};

use crate::{backend::Backend, rotations::ROTATIONS_MAX};

/// Documents kept: announcement and cancellation of each rotation that is shown. Each is as long as
/// the API takes one, and was signed by enough administrators.
const KEPT_MAX: usize = 2 * ROTATIONS_MAX as usize;

/// The documents that were verified last.
#[derive(Debug, Default)]
pub struct Documents {
    kept: Mutex<VecDeque<(sha256::Hash, Arc<CheckedRotation>)>>,
    verified: AtomicU64,
}

impl Documents {
    /// A document of this backend's bridge, with all signatures that it needs.
    pub fn verified(
        &self,
        backend: &Backend,
        text: &str,
    ) -> Result<Arc<CheckedRotation>, RotationError> {
        let hash = sha256::Hash::hash(text.as_bytes());
        if let Some(known) = self.find(&hash) {
            return Ok(known);
        }
        self.verified.fetch_add(1, Ordering::Relaxed);
        let rotation = RotationDocument::from_json(text.as_bytes())?.check(&backend.secp)?;
        rotation.check_bridge(backend.bridge())?;
        rotation.check_complete()?;
        let rotation = Arc::new(rotation);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((hash, Arc::clone(&rotation)));
        Ok(rotation)
    }

    /// How many were verified, and not found.
    pub fn verified_count(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    fn find(&self, hash: &sha256::Hash) -> Option<Arc<CheckedRotation>> {
        // Whole entries, valid after any panic.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(known, _)| known == hash);
        found.map(|(_, rotation)| Arc::clone(rotation))
    }
}
