//! The coin that counts the notice of a rotation.

use bitcoin::{
    ScriptBuf,
    secp256k1::{Secp256k1, Verification},
};
use grail_types::Roster;

use crate::{internal_key::InternalKey, leaf::notice_leaf, spend::LeafSpend, tree::Tree};

/// A notice coin's output: one leaf, the roster's, which opens once the coin is `wait` blocks old
/// (BIP 68, BIP 112). There is no key path, by which the age would not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeTree {
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend.
    pub leaf: LeafSpend,
}

impl NoticeTree {
    /// The coin of the announcement that `commitment` names
    /// ([`notice_commitment`](grail_types::notice_commitment)), held by the roster that announces.
    pub fn new<C: Verification>(
        secp: &Secp256k1<C>,
        roster: &Roster,
        wait: u16,
        commitment: [u8; 32],
    ) -> Self {
        let leaf = notice_leaf(roster, wait, commitment);
        let tree = Tree::new(secp, InternalKey::Nums, [(0, leaf)]);
        let [leaf] = tree.leaves;
        Self {
            script_pubkey: tree.script_pubkey,
            leaf: LeafSpend::new(leaf, roster),
        }
    }
}
