//! The commands, one file each: what is asked of node and API, in which order, and the answer.

mod address;
mod attest;
mod auditor;
mod balance;
mod bridge;
mod bump;
mod explain;
mod explain_step;
mod init;
mod list;
pub mod operator;
mod passphrase;
mod peg;
mod receipts;
mod receipts_send;
mod reclaim;
mod recover;
mod rescan;
mod reserves;
mod roster;
mod rosters;
mod send;
mod spell_verify;
mod status;
mod words;

pub use address::address;
pub use attest::verify_evidence;
pub use auditor::{Question, audit, read_chain};
pub use balance::balance;
pub use bridge::bridge;
pub use bump::bump;
pub use explain::explain;
pub use explain_step::explain_transaction;
pub use init::init;
pub use list::list;
pub use passphrase::{remove_passphrase, set_passphrase};
pub use peg::{peg_in, peg_out};
pub use receipts::receipts;
pub use receipts_send::send_receipts;
pub use reclaim::reclaim;
pub use recover::recover;
pub use rescan::rescan;
pub use reserves::reserves;
pub use roster::roster;
pub use rosters::rosters;
pub use send::{send, send_zkbtc};
pub use spell_verify::{FILE_BYTES_MAX, verify};
pub use status::{status, watch};
pub use words::words;

use crate::failure::Failure;
use crate::progress::{Note, Progress};
use crate::session::Session;

/// What is zkBTC, where that can be known; then [`follow`].
fn refresh(session: &mut Session, progress: &mut dyn Progress) -> Result<(), Failure> {
    let may_pin = !session.home.is_only_read();
    if may_pin && session.has_api() && session.pinned_protocol().is_none() {
        session.protocol()?;
    }
    follow(session, progress)
}

/// With a node, up to date; without one, or beside another command, as of the last time.
fn follow(session: &mut Session, progress: &mut dyn Progress) -> Result<(), Failure> {
    if session.home.is_only_read() {
        progress.note(Note::new(
            "wallet-busy",
            format!(
                "another grail command uses the wallet: this is as of block {}",
                session.wallet.tip().height
            ),
        ));
        return Ok(());
    }
    if session.has_node() {
        session.sync(progress)?;
    }
    Ok(())
}
