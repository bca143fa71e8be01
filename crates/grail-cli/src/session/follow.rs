//! What the bridge goes by today, for a wallet that has pinned what it went by before.
//!
//! A rotation may bring other parameters, images and administrators. The wallet takes them by
//! evidence alone: the rosters' own history from the deployment on (`grail_wallet::followed`), and
//! the roster NFT in the user's own node. The pin stays as it is; what was followed lies beside it.

use grail_api::client::Client;
use grail_api::{PageQuery, ProblemCode, RosterRecord};
use grail_attest::Protocol;
use grail_chain::{BitcoinCore, Chain};
use grail_types::Epoch;
use grail_wallet::followed::{Followed, MinedBy, follow_protocol};
use grail_wallet::history::HISTORY_BYTES_MAX;
use grail_wallet::roster::check_nft;

use super::{Session, served_protocol};
use crate::failure::Failure;
use crate::node::unspent_output;
use crate::progress::{Note, Progress};

/// More rosters than any bridge will have: one an hour for a year.
const EPOCHS_MAX: u64 = 8_760;

/// What a node says of a roster's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InBlock {
    /// A block of its chain holds it.
    Mined,
    /// The API names no block.
    Unconfirmed,
}

impl Session {
    /// What the bridge goes by now: what is known here if the API goes by the same, else what the
    /// rosters' history shows and the node confirms: that the newest roster holds the NFT. An
    /// API that goes by anything else is refused. Kept for the next command.
    pub fn protocol_of_now(&mut self, progress: &mut dyn Progress) -> Result<Protocol, Failure> {
        let known = self.protocol()?;
        let client = self.api()?;
        let served = served_protocol(&client)?;
        if served == known {
            return Ok(known);
        }
        let pinned = self.pinned_protocol().cloned().unwrap_or(known);
        // Without a chain of one's own anybody's deployment is as good as the one that was mined.
        if !self.has_node() {
            return Err(Failure::new(
                "params-changed",
                format!(
                    "the API goes by params {} and administrators that are not those that are known here ({}): to see \
                     whether a rotation brought them, give --node",
                    served.hash(),
                    pinned.hash()
                ),
            ));
        }
        let records = records(&client, progress).map_err(|failure| {
            let told = format!(
                "this wallet has pinned params {}, the API serves {}",
                pinned.hash(),
                served.hash()
            );
            no_history(failure, &told)
        })?;
        let followed = follow_protocol(&pinned, MinedBy::NodeAfterwards, served, &records)?;
        self.check_newest(&client, &followed, records.last())?;
        for former in followed.rosters() {
            self.remember_vault(&former.vault().script_pubkey);
        }
        self.know_protocol(followed.protocol());
        progress.note(told(&pinned, &followed));
        Ok(followed.protocol().clone())
    }

    /// The NFT lies where the newest roster's vault is, in the node's own chain.
    fn check_newest(
        &mut self,
        client: &Client,
        followed: &Followed,
        record: Option<&RosterRecord>,
    ) -> Result<(), Failure> {
        let outpoint = client.roster()?.nft_outpoint;
        let node = self.node()?;
        let unspent = unspent_output(node, outpoint)?;
        let roster = followed.newest().roster();
        let nft = check_nft(unspent.as_ref(), outpoint, roster, followed.protocol())?;
        if nft.confirmations > 0 {
            return Ok(());
        }
        // A settlement waits for its block: the hand-over before it must not.
        let is_mined = match record {
            Some(record) => mined(node, record)? == InBlock::Mined,
            None => false,
        };
        if is_mined {
            Ok(())
        } else {
            Err(Failure::new(
                "history-not-mined",
                format!(
                    "the hand-over to epoch {} is in no block yet: wait for one",
                    followed.newest().epoch()
                ),
            ))
        }
    }
}

/// An API that shows no history is one that goes by other parameters without evidence.
fn no_history(failure: Failure, told: &str) -> Failure {
    if failure.code == ProblemCode::NotFound.code() {
        return Failure::new(
            "params-changed",
            format!("{told}, and shows no rosters that lead there"),
        );
    }
    failure
}

fn told(pinned: &Protocol, followed: &Followed) -> Note {
    let now = followed.protocol();
    let mut changed = Vec::new();
    if now.hash() != pinned.hash() {
        changed.push(format!(
            "params {} in place of {}",
            now.hash(),
            pinned.hash()
        ));
    }
    if now.images() != pinned.images() {
        changed.push("other enclave images".to_owned());
    }
    if now.governance() != pinned.governance() {
        let governance = now.governance();
        let fresh = governance.newcomers_after(pinned.governance()).count();
        changed.push(format!(
            "other administrators: {} of {} must agree, {fresh} of them new",
            governance.threshold(),
            governance.administrators().len()
        ));
    }
    if changed.is_empty() {
        changed.push("what is pinned".to_owned());
    }
    Note::new(
        "protocol-followed",
        format!(
            "the roster of epoch {} goes by {}; every roster since epoch {}, which went by what is pinned, agreed",
            followed.newest().epoch(),
            changed.join("; "),
            followed.pinned()
        ),
    )
}

/// Every roster that the API shows, from the deployment's on.
pub fn records(client: &Client, progress: &mut dyn Progress) -> Result<Vec<RosterRecord>, Failure> {
    let newest = newest_epoch(client)?;
    let count = newest.0.saturating_add(1);
    let (mut records, mut length) = (Vec::new(), 0_usize);
    for epoch in 0..count {
        progress.step("reading rosters", epoch, count);
        let record = client.roster_of(Epoch(epoch))?;
        // What a record has besides is short, and what a stranger sends must end.
        length = length.saturating_add(record.transaction.len());
        if length > HISTORY_BYTES_MAX {
            return Err(Failure::new(
                "history-malformed",
                format!("expected a history of at most {HISTORY_BYTES_MAX} bytes"),
            ));
        }
        records.push(record);
    }
    progress.end();
    Ok(records)
}

/// The newest epoch, by the API's word: it can hide one, and not make one up.
fn newest_epoch(client: &Client) -> Result<Epoch, Failure> {
    let query = PageQuery {
        after: None,
        limit: Some(1),
    };
    let page = client.rosters(&query)?;
    let newest = page.items.first().map_or(Epoch(0), |newest| newest.epoch);
    if newest.0 < EPOCHS_MAX {
        return Ok(newest);
    }
    Err(Failure::new(
        "history-gap",
        format!("expected at most {EPOCHS_MAX} epochs, got {newest}"),
    ))
}

/// What the node says of the block in which the API sees a roster's transaction.
pub fn mined(node: &BitcoinCore, record: &RosterRecord) -> Result<InBlock, Failure> {
    let Some(block) = record.block_hash else {
        return Ok(InBlock::Unconfirmed);
    };
    let in_chain = node
        .header(&block)?
        .is_some_and(|header| header.is_in_best_chain);
    if in_chain && node.tx_in_block(&record.txid, &block)?.is_some() {
        Ok(InBlock::Mined)
    } else {
        Err(Failure::new(
            "history-not-mined",
            format!(
                "epoch {}: block {block} of the node's chain does not hold {}",
                record.epoch, record.txid
            ),
        ))
    }
}
