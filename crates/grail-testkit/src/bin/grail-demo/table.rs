//! The transactions of the bridge as a table, and its books; both from the chain alone.

use bitcoin::Amount;
use grail_testkit::{Audit, Entry, EntryKind};

/// Lines of a table.
pub fn transactions(audit: &Audit) -> Vec<String> {
    let mut lines = vec![format!(
        "  {:<15} {:<18} {:>6} {:>6} {:>7} {:>7} {:>9}  {}",
        "kind", "transaction", "inputs", "outputs", "vB", "fee sat", "requests", "height"
    )];
    lines.extend(audit.entries.iter().map(line));
    lines
}

fn line(entry: &Entry) -> String {
    let Entry {
        kind,
        txid,
        height,
        input_count,
        output_count,
        vsize,
        fee,
    } = entry;
    let requests = match kind {
        EntryKind::Settlement { peg_ins, peg_outs } => format!("{peg_ins} in {peg_outs} out"),
        EntryKind::Deployment | EntryKind::Transfer | EntryKind::Reclaim => "-".to_owned(),
    };
    let txid = txid.to_string();
    let short = format!("{}…", txid.get(..16).unwrap_or(&txid));
    let fee = fee.to_sat();
    format!(
        "  {:<15} {short:<18} {input_count:>6} {output_count:>7} {vsize:>7} {fee:>7} {requests:>9}  {height:>6}",
        kind.name()
    )
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
