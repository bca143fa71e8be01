//! Tapscript leaves.

use bitcoin::{
    Script, ScriptBuf, XOnlyPublicKey,
    opcodes::all::{OP_CHECKSIG, OP_CHECKSIGADD, OP_CSV, OP_DROP, OP_NUMEQUAL},
    script::Builder,
};
use grail_types::{Governance, HomeId, RequestId, Roster};

/// `multi_a(threshold, signers)` of BIP-387: `<key> CHECKSIG (<key> CHECKSIGADD)* <threshold>
/// NUMEQUAL`, keys in roster order.
pub fn quorum_leaf(roster: &Roster) -> ScriptBuf {
    quorum(Builder::new(), roster).into_script()
}

/// Blocks that a vault's coin must have lain untouched before its administrators can take it: a
/// year. Each settlement makes the coin anew (ADR 26).
pub const LAST_RESORT_AGE: u16 = 52_560;

/// `<52560> CSV DROP multi_a(L, administrators)`: the way out of a vault whose roster is gone.
pub(crate) fn last_resort_leaf(governance: &Governance) -> ScriptBuf {
    let start = Builder::new()
        .push_int(i64::from(LAST_RESORT_AGE))
        .push_opcode(OP_CSV)
        .push_opcode(OP_DROP);
    multi_a(start, governance.administrators(), governance.last_resort()).into_script()
}

/// `<commitment> DROP multi_a(...)`: the roster's way to spend a deposit.
pub(crate) fn deposit_leaf(roster: &Roster, request: RequestId) -> ScriptBuf {
    committed_leaf(roster, request.0)
}

/// `<home id> DROP multi_a(...)`: the roster's way to spend what a zk-app holds. The commitment is
/// of another domain than a request's.
pub(crate) fn home_leaf(roster: &Roster, home: HomeId) -> ScriptBuf {
    committed_leaf(roster, home.0)
}

fn committed_leaf(roster: &Roster, commitment: [u8; 32]) -> ScriptBuf {
    let start = Builder::new().push_slice(commitment).push_opcode(OP_DROP);
    quorum(start, roster).into_script()
}

/// The request that a deposit's leaf commits to, if `leaf` is a deposit leaf of `roster` in every
/// byte. That it is in an output's tree is the control block's to prove.
pub fn deposit_request(leaf: &Script, roster: &Roster) -> Option<RequestId> {
    // After the opcode that pushes as many bytes as a commitment has.
    let commitment = leaf.as_bytes().get(1..33)?.try_into().ok()?;
    let request = RequestId(commitment);
    (*deposit_leaf(roster, request) == *leaf).then_some(request)
}

/// `<wait> CSV DROP <commitment> DROP multi_a(...)`: the roster's, after `wait` blocks. Another
/// wait is another script, so nothing but the announced one opens it.
pub(crate) fn notice_leaf(roster: &Roster, wait: u16, commitment: [u8; 32]) -> ScriptBuf {
    let start = Builder::new()
        .push_int(i64::from(wait))
        .push_opcode(OP_CSV)
        .push_opcode(OP_DROP)
        .push_slice(commitment)
        .push_opcode(OP_DROP);
    quorum(start, roster).into_script()
}

/// `<delay> CSV DROP <user key> CHECKSIG`: the user's way out, after `delay` blocks.
pub(crate) fn reclaim_leaf(key: &XOnlyPublicKey, delay: u16) -> ScriptBuf {
    Builder::new()
        .push_int(i64::from(delay))
        .push_opcode(OP_CSV)
        .push_opcode(OP_DROP)
        .push_x_only_key(key)
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

fn quorum(start: Builder, roster: &Roster) -> Builder {
    multi_a(start, roster.signers(), roster.threshold().0.into())
}

fn multi_a(start: Builder, keys: &[XOnlyPublicKey], needed: usize) -> Builder {
    // A roster and a governance have at most 100 keys.
    let needed = i64::try_from(needed).expect("no more than there are keys");
    keys.iter()
        .enumerate()
        .fold(start, |script, (index, key)| {
            let check = if index == 0 {
                OP_CHECKSIG
            } else {
                OP_CHECKSIGADD
            };
            script.push_x_only_key(key).push_opcode(check)
        })
        .push_int(needed)
        .push_opcode(OP_NUMEQUAL)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::secp256k1::{Keypair, Secp256k1};
    use grail_types::{Epoch, Threshold};

    use super::*;

    fn roster(seeds: [u8; 4]) -> Roster {
        let secp = Secp256k1::new();
        let key = |seed| Keypair::from_seckey_slice(&secp, &[seed; 32]).unwrap();
        let mut keys = seeds.map(|seed| key(seed).x_only_public_key().0);
        keys.sort_by_key(bitcoin::XOnlyPublicKey::serialize);
        Roster::new(Epoch(0), keys.to_vec(), Threshold(3)).unwrap()
    }

    #[test]
    fn a_deposit_leaf_of_the_roster_names_its_request_and_nothing_else_does() {
        let (ours, theirs) = (roster([1, 2, 3, 4]), roster([1, 2, 3, 5]));
        let request = RequestId([7; 32]);
        let leaf = deposit_leaf(&ours, request);
        assert_eq!(deposit_request(&leaf, &ours), Some(request));
        assert_eq!(deposit_request(&leaf, &theirs), None);
        assert_eq!(deposit_request(&quorum_leaf(&ours), &ours), None);
        assert_eq!(deposit_request(Script::new(), &ours), None);
        let bytes = leaf.as_bytes();
        for index in 0..bytes.len() {
            let short = ScriptBuf::from_bytes(bytes[..index].to_vec());
            assert_eq!(deposit_request(&short, &ours), None, "{index} bytes");
            let mut other = bytes.to_vec();
            other[index] ^= 1;
            let expected = (1..33).contains(&index).then(|| {
                let commitment = other[1..33].try_into().unwrap();
                RequestId(commitment)
            });
            let got = deposit_request(&ScriptBuf::from_bytes(other), &ours);
            assert_eq!(got, expected, "byte {index}");
        }
    }
}
