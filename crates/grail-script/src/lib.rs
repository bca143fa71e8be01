//! Scripts of Grail: the taproot trees of vault, deposits and zk-apps, what is signed to spend
//! them, what that weighs.
//!
//! Every output that a roster can spend has one of the templates here; operators recompute a
//! template from typed values and compare, they never parse a script that somebody else made.

mod internal_key;
mod leaf;
mod notice;
mod sighash;
mod spend;
mod tree;
pub mod weight;

pub use internal_key::{GroupKey, InternalKey, NumsAsGroupKey, nums_key};
pub use leaf::{LAST_RESORT_AGE, deposit_request, quorum_leaf};
pub use notice::NoticeTree;
pub use sighash::{SighashError, Sighashes};
pub use spend::{KeySpend, LastResort, Leaf, LeafSpend, Spend};
#[cfg(feature = "test-action")]
pub use tree::ProbeTree;
pub use tree::{DepositTree, HomeTree, VaultTree};
