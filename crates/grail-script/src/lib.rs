//! Scripts of Grail: the vault's and deposits' taproot trees, what signs them, what they weigh.
//!
//! Every output that a roster can spend has one of the templates here; operators recompute a template from
//! typed values and compare, they never parse a script that somebody else made.

mod leaf;
mod reclaim;
mod sighash;
mod spend;
mod witness;

pub use leaf::{nums_key, quorum_leaf};
pub use reclaim::{Reclaim, ReclaimError};
pub use sighash::{SighashError, Sighashes};
pub use spend::{DepositTree, RosterSpend, VaultTree};
pub use witness::{WitnessError, quorum_witness, quorum_witness_weight, verify_signature};
