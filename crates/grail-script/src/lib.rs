//! Scripts of Grail: the vault's and deposits' taproot trees, what signs them, what they weigh.
//!
//! Every output that a roster can spend has one of the templates here; operators recompute a
//! template from typed values and compare, they never parse a script that somebody else made.

mod internal_key;
mod leaf;
mod reclaim;
mod sighash;
mod spend;
mod tree;
pub mod weight;
mod witness;

pub use internal_key::{GroupKey, InternalKey, NumsAsGroupKey, nums_key};
pub use leaf::{deposit_request, quorum_leaf};
pub use reclaim::{Reclaim, ReclaimError};
pub use sighash::{SighashError, Sighashes};
pub use spend::{KeySpend, LeafSpend, ReclaimSpend, Spend};
#[cfg(feature = "test-action")]
pub use tree::ProbeTree;
pub use tree::{DepositTree, VaultTree};
pub use witness::{WitnessError, verify_signature};
