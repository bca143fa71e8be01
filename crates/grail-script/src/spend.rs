//! How outputs are spent: by a roster's leaf, by a group key.
//!
//! A spend knows what its input's witness weighs; its digest comes from
//! [`Sighashes`](crate::Sighashes), its witness is put together by `grail-witness`. Made by the
//! trees alone.

use bitcoin::{
    ScriptBuf, TapLeafHash, TapNodeHash, TapTweakHash, Weight, XOnlyPublicKey,
    key::TweakedPublicKey,
    secp256k1::Scalar,
    taproot::{ControlBlock, LeafVersion, TaprootSpendInfo},
};
use grail_types::{Governance, Roster};

use crate::{
    internal_key::GroupKey,
    weight::{self, SIGNATURE_BYTES},
};

/// How those who hold an output at a Grail address spend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spend {
    /// By a roster's leaf: the signatures of a quorum.
    Leaf(LeafSpend),
    /// By the group key: one signature.
    Key(KeySpend),
}

impl Spend {
    /// Weight of the input's whole witness once it is signed with default sighashes.
    pub fn witness_weight(&self) -> Weight {
        match self {
            Self::Leaf(spend) => spend.witness_weight(),
            Self::Key(spend) => spend.witness_weight(),
        }
    }
}

impl From<LeafSpend> for Spend {
    fn from(spend: LeafSpend) -> Self {
        Self::Leaf(spend)
    }
}

impl From<KeySpend> for Spend {
    fn from(spend: KeySpend) -> Self {
        Self::Key(spend)
    }
}

/// A leaf in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    script: ScriptBuf,
    hash: TapLeafHash,
    control_block: ControlBlock,
}

impl Leaf {
    /// `script` must be a leaf of the tree.
    pub(crate) fn new(info: &TaprootSpendInfo, script: ScriptBuf) -> Self {
        let versioned = (script, LeafVersion::TapScript);
        let control_block = info
            .control_block(&versioned)
            .expect("the leaf was put into this tree by the caller");
        let (script, version) = versioned;
        Self {
            hash: TapLeafHash::from_script(&script, version),
            script,
            control_block,
        }
    }

    /// The leaf script.
    pub fn script(&self) -> &ScriptBuf {
        &self.script
    }

    /// Proof that the leaf is in the output's tree.
    pub fn control_block(&self) -> &ControlBlock {
        &self.control_block
    }

    /// What a signature by this leaf commits to of it.
    pub(crate) fn hash(&self) -> TapLeafHash {
        self.hash
    }

    /// Weight of the whole witness of an input that is spent by this leaf: items of these sizes,
    /// script and control block.
    pub fn witness_weight(&self, items: impl IntoIterator<Item = usize>) -> Weight {
        let proof = [self.script.len(), self.control_block.size()];
        weight::witness(items.into_iter().chain(proof))
    }
}

/// A spend by a roster's leaf: everything to sign it and to complete its witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafSpend {
    leaf: Leaf,
    signers: usize,
    threshold: usize,
}

impl LeafSpend {
    pub(crate) fn new(leaf: Leaf, roster: &Roster) -> Self {
        Self {
            leaf,
            signers: roster.signers().len(),
            threshold: usize::from(roster.threshold().0),
        }
    }

    /// The leaf.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The leaf script.
    pub fn script(&self) -> &ScriptBuf {
        self.leaf.script()
    }

    /// Proof that the leaf is in the output's tree.
    pub fn control_block(&self) -> &ControlBlock {
        self.leaf.control_block()
    }

    /// How many signers have a place in the witness.
    pub fn signers(&self) -> usize {
        self.signers
    }

    /// How many of the places hold a signature, exactly.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Weight of the whole witness: `threshold` signatures, empty places, script, control block.
    pub fn witness_weight(&self) -> Weight {
        multi_a_weight(&self.leaf, self.signers, self.threshold)
    }
}

/// Of a witness with a place for each of `keys`, of which `needed` hold a signature.
fn multi_a_weight(leaf: &Leaf, keys: usize, needed: usize) -> Weight {
    let signatures = std::iter::repeat_n(SIGNATURE_BYTES, needed);
    let places = signatures.chain(std::iter::repeat_n(0, keys.saturating_sub(needed)));
    leaf.witness_weight(places)
}

/// The administrators' spend of a vault's coin that is old enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastResort {
    leaf: Leaf,
    administrators: usize,
    needed: usize,
}

impl LastResort {
    pub(crate) fn new(leaf: Leaf, governance: &Governance) -> Self {
        Self {
            leaf,
            administrators: governance.administrators().len(),
            needed: governance.last_resort(),
        }
    }

    /// The leaf.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// How many administrators have a place in the witness.
    pub fn administrators(&self) -> usize {
        self.administrators
    }

    /// How many of the places hold a signature, exactly.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Weight of the whole witness: `needed` signatures, empty places, script, control block.
    pub fn witness_weight(&self) -> Weight {
        multi_a_weight(&self.leaf, self.administrators, self.needed)
    }
}

/// A spend by the group key (BIP-341 key path).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpend {
    group_key: GroupKey,
    merkle_root: Option<TapNodeHash>,
    output_key: TweakedPublicKey,
}

impl KeySpend {
    pub(crate) fn new(group_key: GroupKey, info: &TaprootSpendInfo) -> Self {
        Self {
            group_key,
            merkle_root: info.merkle_root(),
            output_key: info.output_key(),
        }
    }

    /// The key that the signature must verify under: the group key, tweaked.
    pub fn output_key(&self) -> XOnlyPublicKey {
        self.output_key.to_x_only_public_key()
    }

    /// What the holders of the group key add to it, `H_TapTweak(key || root)`: it binds the
    /// signature to this output's tree.
    pub fn tweak(&self) -> Scalar {
        TapTweakHash::from_key_and_tweak(self.group_key.into(), self.merkle_root).to_scalar()
    }

    /// Weight of the whole witness: one signature.
    pub fn witness_weight(&self) -> Weight {
        weight::KEY_PATH_WITNESS
    }
}
