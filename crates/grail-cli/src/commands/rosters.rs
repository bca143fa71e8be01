//! `grail rosters`: every roster that the bridge had, and whether each followed from the one
//! before.

use std::collections::BTreeSet;

use bitcoin::{Address, Network, XOnlyPublicKey};
use grail_api::RosterRecord;
use grail_policy::adoption::AdoptedRoster;
use grail_wallet::history::{RosterHistory, follow};

use crate::arguments;
use crate::failure::Failure;
use crate::home::write_new_json;
use crate::progress::Progress;
use crate::report::{RosterEpochReport, RostersReport};
use crate::session::Session;
use crate::session::follow::{InBlock, mined, records};

/// Every roster so far.
pub fn rosters(
    session: &mut Session,
    asked: &arguments::Rosters,
    progress: &mut dyn Progress,
) -> Result<RostersReport, Failure> {
    let protocol = session.protocol()?;
    let bridge = *protocol.bridge();
    let client = session.api()?;
    let records = records(&client, progress)?;
    let adopted = follow(&bridge, &records)?;
    for former in &adopted {
        session.remember_vault(&former.vault().script_pubkey);
    }
    let has_node = session.has_node();
    let mut known = BTreeSet::new();
    let mut epochs = Vec::with_capacity(records.len());
    for (record, roster) in records.iter().zip(&adopted) {
        let block = if has_node {
            match mined(session.node()?, record)? {
                InBlock::Mined => "mined",
                InBlock::Unconfirmed => "unconfirmed",
            }
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
    if let Some(to) = &asked.to {
        write_new_json(to, &RosterHistory { rosters: records })?;
    }
    let file = asked.to.as_ref().map(|to| to.display().to_string());
    Ok(RostersReport { epochs, file })
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
        serves_until_height: record.serves_until_height,
    }
}
