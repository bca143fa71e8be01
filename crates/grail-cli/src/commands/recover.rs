//! `grail recover`: what the words alone find, from a full node.
//!
//! Reads the chain anew: addresses, zkBTC, and the rosters that blocks show. Then looks among the
//! unspent outputs for deposits of requests that this wallet may have made. Believes the node for
//! the chain, and the API for nothing: its rosters are hints, which can at most cost time.

mod hints;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use bitcoin::{Amount, Script, ScriptBuf, Transaction};
use grail_api::CheckedReceipt;
use grail_attest::Protocol;
use grail_chain::{BitcoinCore, BlockSource as _, Chain as _, ChainError};
use grail_types::Roster;
use grail_wallet::fee_cap::FEE_CAP_RUNGS;
use grail_wallet::receipt::StoredReceipt;
use grail_wallet::reclaim::Deposit;
use grail_wallet::recovery::{Candidate, Era, SCRIPTS_MAX, Search, WINDOWS_USUAL, eras};
use grail_wallet::slot::{SlotKeys, WINDOW_BLOCKS, window_of};

use self::hints::{Hint, add_delays, hints};
use crate::arguments;
use crate::failure::Failure;
use crate::home::read_json;
use crate::node::{Unspent, scan_settled};
use crate::progress::Progress;
use crate::report::{Recovered, RecoveredDeposit};
use crate::session::{Session, Settings, now};

/// Addresses that are looked for: as `grail rescan` does.
const LOOK_AHEAD: u32 = 1_000;
/// Scripts of one scan: four megabytes of question. A scan takes as long for one script.
const BATCH_SCRIPTS: usize = 50_000;
/// Finds what the words alone find.
pub fn recover(
    settings: &Settings,
    asked: &arguments::Recover,
    progress: &mut dyn Progress,
) -> Result<Recovered, Failure> {
    let mut session = Session::open(settings.clone())?;
    // A node that cannot be asked must not cost what is known.
    session.node()?;
    let protocol = protocol(&mut session, asked)?;
    let config = session.home.config();
    let from_height = asked.from_height.unwrap_or(config.birthday_height).max(1);
    let look_ahead = asked
        .look_ahead
        .unwrap_or(LOOK_AHEAD.max(config.look_ahead));
    session.home.look_anew(from_height, look_ahead)?;
    drop(session);

    let mut session = Session::open(settings.clone())?;
    session.wallet.note_rosters(protocol.clone());
    session.sync(progress)?;
    let tip = session.wallet.tip().height;
    session
        .home
        .slots()
        .begin(window_of(tip).saturating_add(1))?;
    let search = search(&session, asked, &protocol, from_height, progress)?;
    let (found, scanned_height) = scan(&session, &search, progress)?;
    let mut deposits = Vec::with_capacity(found.len());
    for (candidate, unspent) in &found {
        deposits.push(keep(&mut session, &search, candidate, unspent)?);
    }
    let balance = session.wallet.balance();
    Ok(Recovered {
        from_height,
        height: tip,
        address_count: session.wallet.addresses().receive,
        looked_for_count: session.wallet.horizon(),
        requests_from_height: search.windows.start().saturating_mul(WINDOW_BLOCKS),
        script_count: search.count(),
        roster_count: search.eras.len(),
        scanned_height,
        deposits,
        btc_sat: balance.btc.to_sat(),
        btc_pending_sat: balance.btc_pending.to_sat(),
        zkbtc_sat: balance.zkbtc.to_sat(),
        zkbtc_pending_sat: balance.zkbtc_pending.to_sat(),
    })
}

/// The pinned bridge; else the one of the file, else the API's, which is pinned now.
fn protocol(session: &mut Session, asked: &arguments::Recover) -> Result<Protocol, Failure> {
    if session.pinned_protocol().is_none()
        && let Some(file) = &asked.protocol
    {
        session.home.pin_protocol(&read_json(file)?)?;
        if let Some(pinned) = session.home.protocol()? {
            return Ok(pinned);
        }
    }
    if session.pinned_protocol().is_none() && !session.has_api() {
        return Err(Failure::new(
            "recover-no-bridge",
            "which bridge? give --protocol FILE, or --api once",
        ));
    }
    session.protocol()
}

fn search(
    session: &Session,
    asked: &arguments::Recover,
    protocol: &Protocol,
    from_height: u32,
    progress: &mut dyn Progress,
) -> Result<Search, Failure> {
    // A request may be made above the newest block that this node has.
    let last = window_of(session.wallet.tip().height).saturating_add(1);
    let first = match asked.from_height {
        Some(height) => window_of(height),
        None => window_of(from_height).max(last.saturating_sub(WINDOWS_USUAL)),
    };
    let destination = match &asked.to {
        None => None,
        Some(to) => Some(session.recipient_offline(to)?.try_into().map_err(
            |error: grail_types::DestinationError| {
                Failure::new("unsupported-address", error.to_string())
            },
        )?),
    };
    let mut fee_caps = FEE_CAP_RUNGS.to_vec();
    fee_caps.extend(asked.fee_cap.filter(|cap| !FEE_CAP_RUNGS.contains(cap)));
    let usual = protocol.params().reclaim_delay_min;
    let hints = hints(session, progress);
    // Of what the bridge went by before too, as far as this folder knows: a request is made with
    // the shortest delay of its time.
    let mut delays = vec![usual];
    let before = session
        .known_protocols()
        .map(|it| it.params().reclaim_delay_min);
    for delay in before.chain(asked.reclaim_delay) {
        if !delays.contains(&delay) {
            delays.push(delay);
        }
    }
    let mut search = Search {
        bridge: *protocol.bridge(),
        windows: first..=last,
        fee_caps,
        delays,
        destination,
        eras: all_eras(session, last, &hints)?,
    };
    if search.count() > SCRIPTS_MAX {
        return Err(Failure::new(
            "recover-too-much",
            format!(
                "expected at most {SCRIPTS_MAX} scripts to look for, got {}: begin later, with --from-height",
                search.count()
            ),
        ));
    }
    add_delays(&mut search, &hints, progress);
    Ok(search)
}

/// The rosters that blocks show, then those of receipts and of the API, which may be of any time.
fn all_eras(session: &Session, last: u32, said: &[Hint]) -> Result<Vec<Era>, Failure> {
    let mut eras = eras(session.wallet.rosters_noted(), last);
    let is_whole = eras.iter().any(|era| era.roster.epoch().0 == 0);
    let receipts = session.home.receipts()?.receipts;
    let mut hints: Vec<Roster> = receipts
        .iter()
        .map(|(_, receipt)| receipt.roster().clone())
        .collect();
    // From the deployment on, blocks have shown every one.
    if !is_whole {
        hints.extend(said.iter().filter_map(|hint| hint.roster.clone()));
    }
    for roster in hints {
        if eras.iter().all(|era| era.roster != roster) {
            eras.push(Era {
                roster,
                windows: any_time(last),
            });
        }
    }
    if eras.is_empty() {
        return Err(Failure::new(
            "recover-no-roster",
            "no block that was read shows a roster of the bridge: begin before its deployment, or before its newest \
             settlement, with --from-height, or give --api",
        ));
    }
    Ok(eras)
}

const fn any_time(last: u32) -> RangeInclusive<u32> {
    0..=last
}

/// Every unspent output at the address of a candidate, and the lowest height of the scans.
fn scan(
    session: &Session,
    search: &Search,
    progress: &mut dyn Progress,
) -> Result<(Vec<(Candidate, Unspent)>, u32), Failure> {
    let node = session.patient_node()?;
    let keys = SlotKeys::new(&session.secp, &*session.home.seed()?);
    let (mut found, mut height) = (Vec::new(), session.wallet.tip().height);
    let (mut done, total) = (0_u64, search.count());
    let mut candidates = search.candidates(&session.secp, &keys).peekable();
    while candidates.peek().is_some() {
        progress.step("looking for deposits", done, total);
        let batch: HashMap<ScriptBuf, Candidate> = candidates
            .by_ref()
            .take(BATCH_SCRIPTS)
            .filter_map(|candidate| Some((search.script(&session.secp, &candidate)?, candidate)))
            .collect();
        let scripts: Vec<&Script> = batch.keys().map(ScriptBuf::as_script).collect();
        let answer = scan_settled(&node, &scripts)?;
        height = height.min(answer.height);
        done = done.saturating_add(batch.len() as u64);
        // A node may say anything: what was not asked for is nobody's.
        found.extend(answer.unspents.into_iter().filter_map(|unspent| {
            let candidate = batch.get::<Script>(&unspent.script)?;
            Some((candidate.clone(), unspent))
        }));
    }
    progress.end();
    Ok((found, height))
}

/// Writes the receipt of a deposit that was found, and says what it carries.
fn keep(
    session: &mut Session,
    search: &Search,
    candidate: &Candidate,
    unspent: &Unspent,
) -> Result<RecoveredDeposit, Failure> {
    let receipt = search
        .receipt(candidate)
        .ok_or_else(|| Failure::new("recover-no-roster", "a deposit without a roster"))?;
    let checked = receipt.check()?;
    // One that is there may say more: how it was stored, and when.
    if session.home.receipt(&checked.request()).is_err() {
        session.home.save_receipt(&StoredReceipt {
            receipt,
            slot: Some(candidate.slot),
            reclaim_key_index: None,
            stored_at: now(),
        })?;
    }
    session.wallet.take_slot(candidate.slot)?;
    let transaction = made_by(session.node()?, unspent)?;
    let outpoint = unspent.outpoint();
    let deposit = match &transaction {
        Some(transaction) => {
            let carried = session.wallet.carried(transaction, outpoint.vout);
            let read = Deposit::from_transaction(&checked, transaction, outpoint.vout, carried)?;
            Some(read)
        }
        None => None,
    };
    Ok(report(&checked, unspent, deposit.as_ref()))
}

fn report(
    receipt: &CheckedReceipt,
    unspent: &Unspent,
    deposit: Option<&Deposit>,
) -> RecoveredDeposit {
    let delay = deposit.map_or(receipt.terms().reclaim_delay, |deposit| {
        deposit.confirmations_needed(receipt)
    });
    RecoveredDeposit {
        id: receipt.request().to_string(),
        kind: receipt.receipt().kind.to_string(),
        outpoint: unspent.outpoint().to_string(),
        amount_sat: unspent.amount.to_sat(),
        token_sat: deposit
            .and_then(|deposit| deposit.carried.zkbtc())
            .map(Amount::to_sat),
        carries: deposit.map_or("transaction-not-read", |deposit| deposit.carried.code()),
        height: unspent.height,
        reclaimable_at_height: unspent.height.saturating_add(u32::from(delay)),
    }
}

/// The transaction that made an output: without it nothing is known of what the output carries. A
/// node that has pruned its block does not have it.
fn made_by(node: &BitcoinCore, unspent: &Unspent) -> Result<Option<Transaction>, Failure> {
    let Some(block) = node.block_hash(unspent.height)? else {
        return Ok(None);
    };
    match node.tx_in_block(&unspent.outpoint().txid, &block) {
        Err(ChainError::Unavailable { .. } | ChainError::NotKept { .. }) => Ok(None),
        answer => Ok(answer?),
    }
}
