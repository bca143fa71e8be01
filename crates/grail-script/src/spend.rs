//! How outputs are spent: by a roster's leaf, by a group key, by the user's leaf.
//!
//! A spend knows what its input's witness weighs and how it is put together; its digest comes from
//! [`Sighashes`](crate::Sighashes). Made by the trees alone.

use std::collections::BTreeMap;

use bitcoin::{
    ScriptBuf, TapLeafHash, TapNodeHash, TapTweakHash, Weight, Witness, XOnlyPublicKey,
    key::TweakedPublicKey,
    secp256k1::{Message, Scalar, Secp256k1, Verification, schnorr::Signature},
    taproot::{ControlBlock, LeafVersion, TaprootSpendInfo},
};
use grail_types::{Roster, SignerIndex};

use crate::{
    internal_key::GroupKey,
    weight::{self, SIGNATURE_BYTES},
    witness::WitnessError,
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

    /// The witness from signatures of single signers, which the caller has verified; a spend by
    /// the group key cannot be completed so.
    pub fn quorum_witness(
        &self,
        signatures: &BTreeMap<SignerIndex, Signature>,
    ) -> Result<Witness, WitnessError> {
        match self {
            Self::Leaf(spend) => spend.witness(signatures),
            Self::Key(_) => Err(WitnessError::NeedsGroupSignature),
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
pub(crate) struct Leaf {
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

    /// Sizes of the items that prove the leaf: script and control block.
    fn sizes(&self) -> [usize; 2] {
        [self.script.len(), self.control_block.size()]
    }

    fn push_to(&self, witness: &mut Witness) {
        witness.push(self.script.as_bytes());
        witness.push(self.control_block.serialize());
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

    /// The leaf script.
    pub fn script(&self) -> &ScriptBuf {
        &self.leaf.script
    }

    /// Proof that the leaf is in the output's tree.
    pub fn control_block(&self) -> &ControlBlock {
        &self.leaf.control_block
    }

    pub(crate) fn leaf_hash(&self) -> TapLeafHash {
        self.leaf.hash
    }

    /// Weight of the whole witness: `threshold` signatures, empty places, script, control block.
    pub fn witness_weight(&self) -> Weight {
        let empty = self.signers.saturating_sub(self.threshold);
        let signatures = std::iter::repeat_n(SIGNATURE_BYTES, self.threshold);
        let places = signatures.chain(std::iter::repeat_n(0, empty));
        weight::witness(places.chain(self.leaf.sizes()))
    }

    /// The witness with the first `threshold` signatures in roster order; BIP-342 demands that
    /// every other signer's place is empty. Surplus signatures are left out, since `NUMEQUAL` wants
    /// the exact number. The caller has verified the signatures.
    pub fn witness(
        &self,
        signatures: &BTreeMap<SignerIndex, Signature>,
    ) -> Result<Witness, WitnessError> {
        if signatures.len() < self.threshold {
            return Err(WitnessError::TooFew {
                expected: self.threshold,
                got: signatures.len(),
            });
        }
        let first = || signatures.iter().take(self.threshold);
        let is_stranger = |index: SignerIndex| usize::from(index.0) >= self.signers;
        if let Some((stranger, _)) = first().find(|(index, _)| is_stranger(**index)) {
            return Err(WitnessError::UnknownSigner(*stranger));
        }
        let chosen: BTreeMap<usize, &Signature> = first()
            .map(|(index, signature)| (usize::from(index.0), signature))
            .collect();
        let mut witness = Witness::new();
        // The script pops the first key's signature first, so it lies on top: reverse order.
        for index in (0..self.signers).rev() {
            match chosen.get(&index) {
                Some(signature) => witness.push(signature.as_ref()),
                None => witness.push([]),
            }
        }
        self.leaf.push_to(&mut witness);
        Ok(witness)
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

    /// The witness, if `signature` is the group's for `sighash`.
    pub fn witness<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        sighash: &Message,
        signature: &Signature,
    ) -> Result<Witness, WitnessError> {
        secp.verify_schnorr(signature, sighash, &self.output_key())
            .map_err(|_| WitnessError::InvalidGroupSignature)?;
        Ok(Witness::from_slice(&[signature.as_ref()]))
    }
}

/// The user's way to spend a deposit after its delay. No roster's: nothing that completes
/// settlements takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReclaimSpend {
    leaf: Leaf,
}

impl ReclaimSpend {
    pub(crate) fn new(leaf: Leaf) -> Self {
        Self { leaf }
    }

    /// The leaf script.
    pub fn script(&self) -> &ScriptBuf {
        &self.leaf.script
    }

    /// Proof that the leaf is in the output's tree.
    pub fn control_block(&self) -> &ControlBlock {
        &self.leaf.control_block
    }

    pub(crate) fn leaf_hash(&self) -> TapLeafHash {
        self.leaf.hash
    }

    /// Weight of the whole witness: signature, script, control block.
    pub fn witness_weight(&self) -> Weight {
        weight::witness([SIGNATURE_BYTES].into_iter().chain(self.leaf.sizes()))
    }

    pub(crate) fn witness(&self, signature: &Signature) -> Witness {
        let mut witness = Witness::from_slice(&[signature.as_ref()]);
        self.leaf.push_to(&mut witness);
        witness
    }
}
