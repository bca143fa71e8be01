//! Taproot outputs that a roster can spend.

use bitcoin::{
    ScriptBuf, TapLeafHash, Weight,
    secp256k1::{Secp256k1, Verification},
    taproot::{ControlBlock, LeafVersion, TaprootBuilder, TaprootSpendInfo},
};
use grail_types::{RequestId, Roster, Terms};

use crate::{
    leaf::{deposit_leaf, nums_key, quorum_leaf, reclaim_leaf},
    witness::quorum_witness_weight,
};

/// How a roster spends one output: everything to sign it and to complete its witness.
///
/// A type of its own, so that a key path (FROST) can become a second variant without touching its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSpend {
    leaf: ScriptBuf,
    leaf_hash: TapLeafHash,
    control_block: ControlBlock,
}

impl RosterSpend {
    fn new(info: &TaprootSpendInfo, leaf: ScriptBuf) -> Self {
        let versioned = (leaf, LeafVersion::TapScript);
        let control_block = info
            .control_block(&versioned)
            .expect("the leaf was put into this tree by the caller");
        let leaf_hash = TapLeafHash::from_script(&versioned.0, LeafVersion::TapScript);
        Self {
            leaf: versioned.0,
            leaf_hash,
            control_block,
        }
    }

    /// The leaf script.
    pub fn leaf(&self) -> &ScriptBuf {
        &self.leaf
    }

    /// BIP-341 hash of the leaf.
    pub fn leaf_hash(&self) -> TapLeafHash {
        self.leaf_hash
    }

    /// Proof that the leaf is in the output's tree.
    pub fn control_block(&self) -> &ControlBlock {
        &self.control_block
    }

    /// Weight of the whole witness once `roster`'s quorum signed with default sighashes.
    pub fn witness_weight(&self, roster: &Roster) -> Weight {
        quorum_witness_weight(roster, self.leaf.len(), self.control_block.size())
    }
}

/// The Grail address of an epoch: NUMS internal key, one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultTree {
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend.
    pub spend: RosterSpend,
}

impl VaultTree {
    /// The vault of `roster`.
    pub fn new<C: Verification>(secp: &Secp256k1<C>, roster: &Roster) -> Self {
        let leaf = quorum_leaf(roster);
        let info = TaprootBuilder::new()
            .add_leaf(0, leaf.clone())
            .expect("a single leaf at depth 0 is a complete tree")
            .finalize(secp, nums_key())
            .expect("the tree is complete");
        Self {
            script_pubkey: ScriptBuf::new_p2tr_tweaked(info.output_key()),
            spend: RosterSpend::new(&info, leaf),
        }
    }
}

/// A deposit's output: NUMS internal key; one leaf for the roster, which carries the commitment to the terms,
/// one for the user after the delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositTree {
    /// The request it serves.
    pub request: RequestId,
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend.
    pub spend: RosterSpend,
    /// The user's leaf.
    pub reclaim_leaf: ScriptBuf,
    /// Proof that the user's leaf is in the tree.
    pub reclaim_control_block: ControlBlock,
}

impl DepositTree {
    /// The deposit output for `terms` held by `roster`. The caller makes sure that `terms.epoch` is the roster's.
    pub fn new<C: Verification>(secp: &Secp256k1<C>, terms: &Terms, roster: &Roster) -> Self {
        let request = terms.id();
        let leaf = deposit_leaf(roster, request);
        let reclaim_leaf = reclaim_leaf(terms);
        let info = TaprootBuilder::new()
            .add_leaf(1, leaf.clone())
            .and_then(|tree| tree.add_leaf(1, reclaim_leaf.clone()))
            .expect("two leaves at depth 1 are a complete tree")
            .finalize(secp, nums_key())
            .expect("the tree is complete");
        let reclaim = RosterSpend::new(&info, reclaim_leaf);
        Self {
            request,
            script_pubkey: ScriptBuf::new_p2tr_tweaked(info.output_key()),
            spend: RosterSpend::new(&info, leaf),
            reclaim_leaf: reclaim.leaf,
            reclaim_control_block: reclaim.control_block,
        }
    }
}
