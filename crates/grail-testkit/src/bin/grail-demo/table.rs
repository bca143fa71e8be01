//! The transactions of the bridge as a table, and its books; both from the chain alone.

use bitcoin::Amount;
use grail_audit::{Settlement, Step};
use grail_testkit::Audit;

/// Lines of a table.
pub fn transactions(audit: &Audit) -> Vec<String> {
    let mut lines = vec![format!(
        "  {:<11} {:<18} {:>6} {:>7} {:>7} {:>7} {:>11}  {:>6}",
        "kind", "transaction", "inputs", "outputs", "vB", "fee sat", "requests", "height"
    )];
    lines.extend(audit.steps.iter().map(line));
    lines
}

fn line(step: &Step) -> String {
    let requests = step.settlement().map_or_else(|| "-".to_owned(), requests);
    let txid = step.txid.to_string();
    let short = format!("{}…", txid.get(..16).unwrap_or(&txid));
    let fee = step.fee.map_or(0, Amount::to_sat);
    let (inputs, outputs) = (step.input_count, step.output_count);
    format!(
        "  {:<11} {short:<18} {inputs:>6} {outputs:>7} {:>7} {fee:>7} {requests:>11}  {:>6}",
        step.kind.name(),
        step.vsize,
        step.height
    )
}

fn requests(settlement: &Settlement) -> String {
    let (peg_ins, peg_outs) = (settlement.peg_ins.count, settlement.peg_outs.count);
    format!("{peg_ins} in {peg_outs} out")
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
