//! The commands, one file each: what is asked of node and API, in which order, and the answer.

mod address;
mod auditor;
mod balance;
mod bump;
mod explain;
mod init;
mod list;
mod peg;
mod receipts;
mod reclaim;
mod rescan;
mod reserves;
mod roster;
mod rosters;
mod send;
mod spell_verify;
mod status;

pub use address::address;
pub use auditor::{Question, audit, read_chain};
pub use balance::balance;
pub use bump::bump;
pub use explain::explain;
pub use init::init;
pub use list::list;
pub use peg::{peg_in, peg_out};
pub use receipts::receipts;
pub use reclaim::reclaim;
pub use rescan::rescan;
pub use reserves::reserves;
pub use roster::roster;
pub use rosters::rosters;
pub use send::{send, send_zkbtc};
pub use spell_verify::{FILE_BYTES_MAX, verify};
pub use status::{status, watch};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::session::Session;

/// With a node, up to date; without one, as of the last time.
fn refresh(session: &mut Session, progress: &mut dyn Progress) -> Result<(), Failure> {
    if session.has_api() && session.pinned_protocol().is_none() {
        session.protocol()?;
    }
    if session.has_node() {
        session.sync(progress)?;
    }
    Ok(())
}
