//! How far a node has come and whom it knows, by its own word.
//!
//! A node that is still reading the chain has nothing wrong to say, and nothing of today.

use serde::Deserialize;

/// Blocks that a node may be behind the headers it has seen and still count as caught up: a block
/// or two are always on their way, and the end of a losing branch is never fetched.
const BLOCKS_BEHIND_MAX: u32 = 6;

/// How far a node has come, by its own word.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeState {
    /// Its name for its network: `main`, `testnet4`, `signet` or `regtest`.
    pub chain: String,
    /// Height of its best block.
    pub blocks: u32,
    /// Height of the best header that it has seen.
    pub headers: u32,
    /// Whether it is in its first download, or its newest block is older than a day.
    #[serde(rename = "initialblockdownload")]
    pub is_in_initial_download: bool,
}

/// Whom a node can tell of what it is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Company {
    /// Whether it may speak to others at all.
    #[serde(rename = "networkactive")]
    pub is_active: bool,
    /// Others that it is connected to.
    pub connections: u32,
}

impl NodeState {
    /// Whether what the node says of the chain is about now.
    pub fn has_caught_up(&self) -> bool {
        !self.is_in_initial_download
            && self.headers.saturating_sub(self.blocks) <= BLOCKS_BEHIND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_caught_up_when_it_is_near_the_headers_it_knows() {
        let state = |blocks, is_in_initial_download| NodeState {
            chain: "regtest".to_owned(),
            blocks,
            headers: 100,
            is_in_initial_download,
        };
        assert!(state(100, false).has_caught_up());
        assert!(state(94, false).has_caught_up());
        assert!(!state(93, false).has_caught_up());
        assert!(!state(100, true).has_caught_up());
    }
}
