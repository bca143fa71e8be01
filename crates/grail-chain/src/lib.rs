//! Bitcoin as the backend sees it: a port to a chain, its Bitcoin Core adapter, several nodes as
//! one chain, and a reader that follows reorgs.
//!
//! Owns the questions put to a node and the meaning of its answers. Trusts the node for liveness
//! only: what the node says can delay Grail, and can never make an operator sign, since operators
//! are shown transactions and not chain views. Never stores, signs, or retries.
//!
//! Everything here blocks; async callers use a blocking thread.

mod chain;
mod core;
mod error;
mod node_state;
mod nodes;
mod package;
mod reject;
mod rpc;
mod scanner;

pub use chain::{
    BlockOutput, BlockSource, Chain, HeaderAt, MempoolKin, Spent, Tested, TxOutStatus, Verdict,
    View, fee_at, outputs,
};
pub use core::BitcoinCore;
pub use error::{ChainError, ErrorKind, SendError};
pub use grail_flow::{BlockRef, confirmations};
pub use node_state::{Company, NodeState};
pub use nodes::{Best, Node, Nodes};
pub use reject::RejectReason;
pub use rpc::{Auth, CALL_TIMEOUT, RpcClient};
pub use scanner::{CURSOR_BLOCKS_MAX, Cursor, CursorGap, ScanError, Step, next_step};
