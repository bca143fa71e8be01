//! Taproot outputs of Grail: internal key and leaves, from typed values.

use bitcoin::{
    ScriptBuf,
    secp256k1::{Secp256k1, Verification},
    taproot::TaprootBuilder,
};
use grail_types::{Bridge, Governance, OrderTerms, RequestId, Roster, Terms, ZkApp};

use crate::{
    internal_key::InternalKey,
    leaf::{deposit_leaf, home_leaf, last_resort_leaf, quorum_leaf, reclaim_leaf},
    spend::{KeySpend, LastResort, Leaf, LeafSpend},
};

/// The Grail address of an epoch: a leaf for the roster, and one for the administrators once the
/// coin is [`LAST_RESORT_AGE`](crate::LAST_RESORT_AGE) blocks old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultTree {
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend by its leaf.
    pub leaf: LeafSpend,
    /// The group's spend by its key, if the internal key is a group's.
    pub key: Option<KeySpend>,
    /// The administrators' leaf. No roster's: no signer signs by it.
    pub last_resort: LastResort,
}

impl VaultTree {
    /// The vault of `roster` under `governance`: the one whose hash is in the NFT's state. Whoever
    /// names a group key answers for its being the roster's.
    pub fn new<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        roster: &Roster,
        governance: &Governance,
    ) -> Self {
        let leaves = [(1, quorum_leaf(roster)), (1, last_resort_leaf(governance))];
        let tree = Tree::new(secp, internal_key, leaves);
        let [leaf, last_resort] = tree.leaves;
        Self {
            script_pubkey: tree.script_pubkey,
            leaf: LeafSpend::new(leaf, roster),
            key: tree.key,
            last_resort: LastResort::new(last_resort, governance),
        }
    }
}

/// A deposit's output: one leaf for the roster, which carries the commitment to the terms, one for
/// the user after the delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositTree {
    /// The request it serves.
    pub request: RequestId,
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend by its leaf.
    pub leaf: LeafSpend,
    /// The group's spend by its key, if the internal key is a group's.
    pub key: Option<KeySpend>,
    /// The user's leaf. No roster's: nothing that completes settlements takes it.
    pub reclaim: Leaf,
}

impl DepositTree {
    /// The deposit output for `terms` held by `roster`. The caller makes sure that `terms.epoch` is
    /// the roster's, and that a group key is the roster's too.
    pub fn new<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        terms: &Terms,
        roster: &Roster,
    ) -> Self {
        let reclaim = reclaim_leaf(&terms.reclaim_key, terms.reclaim_delay);
        Self::of(secp, internal_key, terms.id(), reclaim, roster)
    }

    /// The deposit output of an order for a zk-app: the same tree, under a commitment of another
    /// domain. The caller makes sure of the same.
    pub fn of_order<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        terms: &OrderTerms,
        roster: &Roster,
    ) -> Self {
        let reclaim = reclaim_leaf(&terms.reclaim_key, terms.reclaim_delay);
        Self::of(secp, internal_key, terms.id(), reclaim, roster)
    }

    fn of<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        request: RequestId,
        reclaim: ScriptBuf,
        roster: &Roster,
    ) -> Self {
        let leaves = [(1, deposit_leaf(roster, request)), (1, reclaim)];
        let tree = Tree::new(secp, internal_key, leaves);
        let [leaf, reclaim] = tree.leaves;
        Self {
            request,
            script_pubkey: tree.script_pubkey,
            leaf: LeafSpend::new(leaf, roster),
            key: tree.key,
            reclaim,
        }
    }
}

/// A zk-app's home: where its coins lie in an epoch. The roster's leaf alone, which names the app:
/// pooled coins have no one owner who could take them back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeTree {
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend by its leaf.
    pub leaf: LeafSpend,
    /// The group's spend by its key, if the internal key is a group's.
    pub key: Option<KeySpend>,
}

impl HomeTree {
    /// The home of `app` on `bridge` under `roster`. The caller makes sure that a group key is the
    /// roster's.
    pub fn new<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        app: &ZkApp,
        bridge: &Bridge,
        roster: &Roster,
    ) -> Self {
        let tree = Tree::new(
            secp,
            internal_key,
            [(0, home_leaf(roster, app.home(bridge)))],
        );
        let [leaf] = tree.leaves;
        Self {
            script_pubkey: tree.script_pubkey,
            leaf: LeafSpend::new(leaf, roster),
            key: tree.key,
        }
    }
}

/// A coin of a roster that no action of the bridge knows: what the tests' second action moves.
#[cfg(feature = "test-action")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTree {
    /// Output script.
    pub script_pubkey: ScriptBuf,
    /// The roster's spend.
    pub leaf: LeafSpend,
}

#[cfg(feature = "test-action")]
impl ProbeTree {
    /// The probe address of `roster`.
    pub fn new<C: Verification>(secp: &Secp256k1<C>, roster: &Roster) -> Self {
        // A commitment to no terms: no deposit has this leaf, and the vault has none.
        let tag = grail_types::TaggedHasher::new("grail/probe/v1").finish();
        let tree = Tree::new(
            secp,
            InternalKey::Nums,
            [(0, deposit_leaf(roster, RequestId(tag)))],
        );
        let [leaf] = tree.leaves;
        Self {
            script_pubkey: tree.script_pubkey,
            leaf: LeafSpend::new(leaf, roster),
        }
    }
}

/// An output and its leaves in the order given.
pub(crate) struct Tree<const LEAVES: usize> {
    pub(crate) script_pubkey: ScriptBuf,
    key: Option<KeySpend>,
    pub(crate) leaves: [Leaf; LEAVES],
}

impl<const LEAVES: usize> Tree<LEAVES> {
    /// From leaves with their depths, left to right. The depths are this module's own and make a
    /// complete binary tree; all leaves are different.
    pub(crate) fn new<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        leaves: [(u8, ScriptBuf); LEAVES],
    ) -> Self {
        let info = leaves
            .iter()
            .try_fold(TaprootBuilder::new(), |tree, (depth, script)| {
                tree.add_leaf(*depth, script.clone())
            })
            .expect("the depths make a tree")
            .finalize(secp, internal_key.point())
            .expect("the tree is complete");
        Self {
            script_pubkey: ScriptBuf::new_p2tr_tweaked(info.output_key()),
            key: match internal_key {
                InternalKey::Nums => None,
                InternalKey::Group(group_key) => Some(KeySpend::new(group_key, &info)),
            },
            leaves: leaves.map(|(_, script)| Leaf::new(&info, script)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{XOnlyPublicKey, script::Builder};

    use super::*;

    #[test]
    fn a_further_leaf_is_an_addition_to_the_list() {
        let secp = Secp256k1::new();
        let number = |number| Builder::new().push_int(number).into_script();
        let leaves = [(1, number(2)), (2, number(3)), (2, number(4))];
        let tree = Tree::new(&secp, InternalKey::Nums, leaves);
        let output_key = XOnlyPublicKey::from_slice(&tree.script_pubkey.as_bytes()[2..]).unwrap();
        for (spend, (depth, value)) in tree.leaves.into_iter().zip([(1, 2), (2, 3), (2, 4)]) {
            let block = spend.control_block();
            assert_eq!(*spend.script(), number(value));
            assert_eq!(block.merkle_branch.len(), depth);
            assert!(block.verify_taproot_commitment(&secp, output_key, spend.script()));
        }
    }
}
