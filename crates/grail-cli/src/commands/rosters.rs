//! `grail rosters`: every roster that the bridge had, and whether each followed from the one
//! before.

use std::collections::BTreeSet;

use bitcoin::{Address, Network, XOnlyPublicKey};
use grail_api::client::Client;
use grail_api::{PageQuery, RosterRecord};
use grail_chain::{BitcoinCore, Chain};
use grail_policy::adoption::AdoptedRoster;
use grail_types::Epoch;
use grail_wallet::history::follow;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::{RosterEpochReport, RostersReport};
use crate::session::Session;

/// More rosters than any bridge will have: one an hour for a year.
const EPOCHS_MAX: u64 = 8_760;

/// Every roster so far.
pub fn rosters(
    session: &mut Session,
    progress: &mut dyn Progress,
) -> Result<RostersReport, Failure> {
    let protocol = session.protocol()?;
    let bridge = *protocol.bridge();
    let client = session.api()?;
    let newest = newest_epoch(&client)?;
    let count = newest.0.saturating_add(1);
    let mut records = Vec::new();
    for epoch in 0..count {
        progress.step("reading rosters", epoch, count);
        records.push(client.roster_of(Epoch(epoch))?);
    }
    progress.end();
    let adopted = follow(&bridge, &records)?;
    for former in &adopted {
        session.remember_vault(&former.vault().script_pubkey);
    }
    let has_node = session.has_node();
    let mut known = BTreeSet::new();
    let mut epochs = Vec::with_capacity(records.len());
    for (record, roster) in records.iter().zip(&adopted) {
        let block = if has_node {
            mined(session.node()?, record)?
        } else {
            "not-checked"
        };
        epochs.push(report(
            record,
            roster,
            &mut known,
            block,
            bridge.network.into(),
        ));
    }
    Ok(RostersReport { epochs })
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
fn mined(node: &BitcoinCore, record: &RosterRecord) -> Result<&'static str, Failure> {
    let Some(block) = record.block_hash else {
        return Ok("unconfirmed");
    };
    let in_chain = node
        .header(&block)?
        .is_some_and(|header| header.is_in_best_chain);
    if in_chain && node.tx_in_block(&record.txid, &block)?.is_some() {
        Ok("mined")
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

fn report(
    record: &RosterRecord,
    adopted: &AdoptedRoster,
    known: &mut BTreeSet<XOnlyPublicKey>,
    block: &str,
    network: Network,
) -> RosterEpochReport {
    let roster = adopted.roster();
    let fresh = roster.signers().iter().filter(|key| !known.contains(key));
    let fresh = fresh.count();
    *known = roster.signers().iter().copied().collect();
    let address = Address::from_script(&adopted.vault().script_pubkey, network);
    RosterEpochReport {
        epoch: roster.epoch().0,
        threshold: roster.threshold().0,
        signer_count: roster.signers().len(),
        new_key_count: fresh,
        address: address.map_or_else(|error| error.to_string(), |address| address.to_string()),
        txid: adopted.txid().to_string(),
        height: record.height,
        block: block.to_owned(),
    }
}
