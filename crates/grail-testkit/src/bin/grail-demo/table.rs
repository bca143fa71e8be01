//! The transactions of the bridge as a table, and its books; both from the chain alone.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bitcoin::{Amount, OutPoint, Txid};
use grail_audit::{Settlement, Step};
use grail_bridge_contract::RosterState;
use grail_charms::roster_state;
use grail_spell::nft_app;
use grail_testkit::{Audit, Ledger};
use grail_types::Bridge;

/// Lines of a table. A step of a rotation is named by what it does to the NFT's state.
pub fn transactions(audit: &Audit, steps: &BTreeMap<Txid, &'static str>) -> Vec<String> {
    let mut lines = vec![format!(
        "  {:<11} {:<18} {:>6} {:>7} {:>7} {:>7} {:>11}  {:>6}",
        "kind", "transaction", "inputs", "outputs", "vB", "fee sat", "requests", "height"
    )];
    lines.extend(audit.steps.iter().map(|step| {
        let name = steps.get(&step.txid);
        line(step, name.copied())
    }));
    lines
}

fn line(step: &Step, rotates: Option<&'static str>) -> String {
    let settlement = step.settlement().filter(|_| rotates.is_none());
    let requests = settlement.map_or_else(|| "-".to_owned(), requests);
    let short = short(&step.txid);
    let fee = step.fee.map_or(0, Amount::to_sat);
    let (inputs, outputs) = (step.input_count, step.output_count);
    format!(
        "  {:<11} {short:<18} {inputs:>6} {outputs:>7} {:>7} {fee:>7} {requests:>11}  {:>6}",
        rotates.unwrap_or(step.kind.name()),
        step.vsize,
        step.height
    )
}

fn requests(settlement: &Settlement) -> String {
    let (peg_ins, peg_outs) = (settlement.peg_ins.count, settlement.peg_outs.count);
    format!("{peg_ins} in {peg_outs} out")
}

/// The steps of rotations among the transactions that moved the NFT, by the states around each.
pub fn rotation_steps(
    ledger: &Ledger,
    audit: &Audit,
    bridge: &Bridge,
) -> Result<BTreeMap<Txid, &'static str>> {
    let state = |at: OutPoint| -> Result<Option<RosterState>> {
        Ok(roster_state(&ledger.charms(&at), &nft_app(&bridge.app))?)
    };
    let mut found = BTreeMap::new();
    for step in audit
        .steps
        .iter()
        .filter(|step| step.settlement().is_some())
    {
        let made = ledger.transaction(&step.txid).context("a transaction")?;
        let first = made.input.first().context("an input")?;
        let before = state(first.previous_output)?.context("the NFT before")?;
        let after = state(OutPoint::new(step.txid, 0))?.context("the NFT after")?;
        let name = match (&before.next, &after.next) {
            (Some(_), None) if before.epoch != after.epoch => "execute",
            (Some(_), None) => "cancel",
            (None, Some(_)) => "announce",
            (Some(_), Some(_)) | (None, None) => continue,
        };
        found.insert(step.txid, name);
    }
    Ok(found)
}

/// Lines of a table of those steps: what each cost, and whose coins it took.
pub fn rotation(
    ledger: &Ledger,
    audit: &Audit,
    steps: &BTreeMap<Txid, &'static str>,
    sponsors: &BTreeMap<OutPoint, String>,
) -> Result<Vec<String>> {
    let mut lines = vec![format!(
        "  {:<11} {:<18} {:>7} {:>7} {:>7}  {}",
        "step", "transaction", "vB", "fee sat", "sat/vB", "paid by"
    )];
    for step in &audit.steps {
        let Some(name) = steps.get(&step.txid) else {
            continue;
        };
        let made = ledger.transaction(&step.txid).context("a transaction")?;
        let mut paid = Vec::new();
        for input in &made.input {
            if let Some(name) = sponsors.get(&input.previous_output) {
                let coin = ledger.output(&input.previous_output).context("a coin")?;
                paid.push(format!("{name}, {} sat", coin.value.to_sat()));
            }
        }
        let fee = step.fee.context("a fee")?.to_sat();
        // Tenths, rounded down: of money no more is said than there is.
        let tenths = fee.saturating_mul(10) / step.vsize.max(1) as u64;
        lines.push(format!(
            "  {name:<11} {:<18} {:>7} {fee:>7} {:>7}  {}",
            short(&step.txid),
            step.vsize,
            format!("{}.{}", tenths / 10, tenths % 10),
            paid.join("; ")
        ));
    }
    Ok(lines)
}

fn short(txid: &Txid) -> String {
    let txid = txid.to_string();
    format!("{}…", txid.get(..16).unwrap_or(&txid))
}

/// What the auditor says after its steps.
pub fn summary(told: &str) -> impl Iterator<Item = &str> {
    told.lines().skip_while(|line| !line.is_empty()).skip(1)
}

/// The books in words.
pub fn books(audit: &Audit) -> String {
    let btc = |amount: Amount| amount.to_string_in(bitcoin::Denomination::Bitcoin);
    format!(
        "supply {} zkBTC == vault {} BTC (in {} output(s)) == {} zkBTC in {} unspent outputs",
        btc(Amount::from_sat(audit.state.supply)),
        btc(audit.locked()),
        audit.vault.len(),
        btc(Amount::from_sat(audit.circulating())),
        audit.tokens.len(),
    )
}
