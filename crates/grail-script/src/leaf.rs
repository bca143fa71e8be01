//! Tapscript leaves.

use std::sync::OnceLock;

use bitcoin::{
    ScriptBuf, XOnlyPublicKey,
    opcodes::all::{OP_CHECKSIG, OP_CHECKSIGADD, OP_CSV, OP_DROP, OP_NUMEQUAL},
    script::Builder,
};
use grail_types::{RequestId, Roster, Terms};

/// The point without known discrete logarithm that BIP-341 suggests as internal key, so that no key path exists.
const NUMS: [u8; 32] = [
    0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e,
    0x07, 0x8a, 0x5a, 0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
];

/// BIP-341's NUMS point as an x-only key.
pub fn nums_key() -> XOnlyPublicKey {
    // Finding the point takes a square root, and every deposit of a settlement asks for it.
    static KEY: OnceLock<XOnlyPublicKey> = OnceLock::new();
    *KEY.get_or_init(|| {
        XOnlyPublicKey::from_slice(&NUMS).expect("the constant of BIP-341 is a curve point")
    })
}

/// `multi_a(threshold, signers)` of BIP-387: `<key> CHECKSIG (<key> CHECKSIGADD)* <threshold> NUMEQUAL`, keys in
/// roster order.
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
