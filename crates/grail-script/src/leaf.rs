//! Tapscript leaves.

use bitcoin::{
    ScriptBuf,
    opcodes::all::{OP_CHECKSIG, OP_CHECKSIGADD, OP_CSV, OP_DROP, OP_NUMEQUAL},
    script::Builder,
};
use grail_types::{RequestId, Roster, Terms};

/// `multi_a(threshold, signers)` of BIP-387: `<key> CHECKSIG (<key> CHECKSIGADD)* <threshold>
/// NUMEQUAL`, keys in roster order.
pub fn quorum_leaf(roster: &Roster) -> ScriptBuf {
    quorum(Builder::new(), roster).into_script()
}

/// `<commitment> DROP multi_a(...)`: the roster's way to spend a deposit.
pub(crate) fn deposit_leaf(roster: &Roster, commitment: RequestId) -> ScriptBuf {
    let start = Builder::new().push_slice(commitment.0).push_opcode(OP_DROP);
    quorum(start, roster).into_script()
}

/// `<delay> CSV DROP <user key> CHECKSIG`: the user's way out.
pub(crate) fn reclaim_leaf(terms: &Terms) -> ScriptBuf {
    Builder::new()
        .push_int(i64::from(terms.reclaim_delay))
        .push_opcode(OP_CSV)
        .push_opcode(OP_DROP)
        .push_x_only_key(&terms.reclaim_key)
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

fn quorum(start: Builder, roster: &Roster) -> Builder {
    roster
        .signers()
        .iter()
        .enumerate()
        .fold(start, |script, (index, signer)| {
            let check = if index == 0 {
                OP_CHECKSIG
            } else {
                OP_CHECKSIGADD
            };
            script.push_x_only_key(signer).push_opcode(check)
        })
        .push_int(i64::from(roster.threshold().0))
        .push_opcode(OP_NUMEQUAL)
}
