//! BIP-341 by hand: tagged hashes, trees, tweaks and the signature message.

use bitcoin::{
    Script, ScriptBuf, Transaction, TxOut, XOnlyPublicKey,
    consensus::serialize,
    hashes::{Hash, sha256},
    secp256k1::{Parity, Scalar, Secp256k1},
};

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256::Hash::hash(bytes).to_byte_array()
}

pub fn tagged(tag: &str, bytes: &[u8]) -> [u8; 32] {
    let tag = sha256(tag.as_bytes());
    sha256(&[&tag, &tag, bytes].concat())
}

pub fn leaf_hash(version: u8, script: &Script) -> [u8; 32] {
    // Compact size and bytes of the script, as in a transaction.
    let script = serialize(&ScriptBuf::from(script));
    tagged("TapLeaf", &[[version].as_slice(), &script].concat())
}

pub fn branch_hash(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    tagged("TapBranch", &[a.min(b), a.max(b)].concat())
}

/// The output key of `internal` tweaked with a Merkle root, if there is one; none when `internal`
/// is no point.
pub fn output_key(internal: &[u8; 32], root: Option<[u8; 32]>) -> Option<(XOnlyPublicKey, Parity)> {
    let root = root.map(Vec::from).unwrap_or_default();
    let tweak = tagged("TapTweak", &[internal.as_slice(), &root].concat());
    XOnlyPublicKey::from_slice(internal)
        .ok()?
        .add_tweak(&Secp256k1::new(), &Scalar::from_be_bytes(tweak).ok()?)
        .ok()
}

pub fn p2tr(output_key: &XOnlyPublicKey) -> ScriptBuf {
    ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &output_key.serialize()].concat())
}

/// The root that a control block proves for a leaf, and whether all is well formed.
pub fn root_of(control_block: &[u8], leaf: [u8; 32]) -> Option<[u8; 32]> {
    let path = control_block.get(33..)?;
    if path.len() % 32 != 0 || path.len() > 128 * 32 {
        return None;
    }
    Some(path.chunks(32).fold(leaf, |node, sibling| {
        branch_hash(node, sibling.try_into().expect("chunks of 32"))
    }))
}

/// What a signature message is made for.
#[derive(Clone, Copy)]
pub struct Spend<'a> {
    pub transaction: &'a Transaction,
    pub prevouts: &'a [TxOut],
    pub input_index: usize,
    pub hash_type: u8,
    /// Hash of the leaf, in a script path spend.
    pub leaf: Option<[u8; 32]>,
}

impl Spend<'_> {
    /// `SigMsg`, with BIP-342's extension for a script path.
    pub fn message(&self) -> Vec<u8> {
        let tx = self.transaction;
        let input = &tx.input[self.input_index];
        let prevout = &self.prevouts[self.input_index];
        let anyone_can_pay = self.hash_type & 0x80 != 0;
        let outputs = self.hash_type & 3;
        let mut message = vec![self.hash_type];
        message.extend(tx.version.0.to_le_bytes());
        message.extend(tx.lock_time.to_consensus_u32().to_le_bytes());
        if !anyone_can_pay {
            let all = |bytes: Vec<Vec<u8>>| sha256(&bytes.concat());
            let inputs = &tx.input;
            message.extend(all(inputs
                .iter()
                .map(|input| serialize(&input.previous_output))
                .collect()));
            let amounts = self
                .prevouts
                .iter()
                .map(|prevout| serialize(&prevout.value));
            message.extend(all(amounts.collect()));
            let scripts = self.prevouts.iter();
            message.extend(all(scripts
                .map(|prevout| serialize(&prevout.script_pubkey))
                .collect()));
            message.extend(all(inputs
                .iter()
                .map(|input| serialize(&input.sequence))
                .collect()));
        }
        if outputs < 2 {
            message.extend(sha256(
                &tx.output.iter().map(serialize).collect::<Vec<_>>().concat(),
            ));
        }
        message.push(if self.leaf.is_some() { 2 } else { 0 });
        if anyone_can_pay {
            message.extend(serialize(&input.previous_output));
            message.extend(serialize(prevout));
            message.extend(serialize(&input.sequence));
        } else {
            message.extend(u32::try_from(self.input_index).unwrap().to_le_bytes());
        }
        if outputs == 3 {
            message.extend(sha256(&serialize(&tx.output[self.input_index])));
        }
        if let Some(leaf) = self.leaf {
            message.extend(leaf);
            message.push(0);
            message.extend(u32::MAX.to_le_bytes());
        }
        message
    }

    pub fn sighash(&self) -> [u8; 32] {
        tagged("TapSighash", &[[0].as_slice(), &self.message()].concat())
    }
}
