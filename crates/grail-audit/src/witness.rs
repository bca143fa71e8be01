//! What a mined witness tells: which signers spent a roster's output, and whether a user took a
//! deposit back.
//!
//! Signatures are not verified again: the chain's consensus did, and under BIP-342 a signature that
//! is neither empty nor valid fails the script.

use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CSV, OP_DROP};
use bitcoin::script::Instruction;
use bitcoin::taproot::{ControlBlock, TAPROOT_ANNEX_PREFIX};
use bitcoin::{Script, ScriptBuf, TxIn, Witness};
use grail_script::{nums_key, quorum_leaf};
use grail_types::{Roster, SignerIndex};

/// `<32 bytes> DROP` in front of a quorum: a deposit's commitment.
const COMMITMENT_BYTES: usize = 34;
const PUSH_32: u8 = 0x20;

/// What a roster input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The roster NFT or a coin of the vault.
    Vault,
    /// A user's deposit.
    Deposit,
}

/// A roster input and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInput {
    /// Index of the input.
    pub input_index: usize,
    /// What it spends.
    pub role: Role,
    /// Who signed, by position in the roster, ascending.
    pub signers: Vec<SignerIndex>,
    /// How many had to.
    pub threshold: usize,
}

/// A roster and the leaf that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct KnownRoster {
    roster: Roster,
    leaf: ScriptBuf,
}

impl KnownRoster {
    pub(crate) fn new(roster: Roster) -> Self {
        Self {
            leaf: quorum_leaf(&roster),
            roster,
        }
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Who signed an input of this roster's; none when it spends something else.
    pub(crate) fn signed(&self, input_index: usize, input: &TxIn) -> Option<SignedInput> {
        let leaf = input.witness.taproot_leaf_script()?;
        let role = self.role(leaf.script)?;
        Some(SignedInput {
            input_index,
            role,
            signers: self.signers(&input.witness),
            threshold: usize::from(self.roster.threshold().0),
        })
    }

    fn role(&self, script: &Script) -> Option<Role> {
        if *script == *self.leaf {
            return Some(Role::Vault);
        }
        let (commitment, quorum) = script.as_bytes().split_at_checked(COMMITMENT_BYTES)?;
        let is_commitment = commitment.first() == Some(&PUSH_32)
            && commitment.last() == Some(&OP_DROP.to_u8())
            && *quorum == *self.leaf.as_bytes();
        is_commitment.then_some(Role::Deposit)
    }

    /// The script pops the first signer's signature first: the stack has them in reverse order.
    fn signers(&self, witness: &Witness) -> Vec<SignerIndex> {
        let has_annex = witness
            .last()
            .is_some_and(|item| item.first() == Some(&TAPROOT_ANNEX_PREFIX));
        // Behind the signatures: script, control block.
        let behind = if has_annex { 3 } else { 2 };
        let count = witness.len().saturating_sub(behind);
        if count != self.roster.signers().len() {
            return Vec::new();
        }
        let mut signers: Vec<SignerIndex> = witness
            .iter()
            .take(count)
            .zip((0..count).rev())
            .filter(|(signature, _)| !signature.is_empty())
            .filter_map(|(_, index)| u16::try_from(index).ok().map(SignerIndex))
            .collect();
        signers.sort();
        signers
    }
}

/// Whether an input goes the user's way out of a deposit, by its shape: internal key NUMS, two
/// leaves, and this one `<delay> CSV DROP <key> CHECKSIG`. Whose deposit it was only the terms
/// tell.
pub(crate) fn is_reclaim(input: &TxIn) -> bool {
    input.sequence.is_relative_lock_time()
        && input
            .witness
            .taproot_leaf_script()
            .is_some_and(|leaf| is_reclaim_leaf(leaf.script))
        && input
            .witness
            .taproot_control_block()
            .and_then(|bytes| ControlBlock::decode(bytes).ok())
            .is_some_and(|control| {
                control.internal_key == nums_key() && control.merkle_branch.len() == 1
            })
}

fn is_reclaim_leaf(script: &Script) -> bool {
    let mut instructions = script.instructions();
    // The delay is pushed as a number: of one byte as an opcode, else as bytes.
    let begins = instructions.next().is_some_and(|first| first.is_ok());
    let rest: Option<Vec<Instruction<'_>>> = instructions.take(5).map(Result::ok).collect();
    begins
        && matches!(
            rest.as_deref(),
            Some([
                Instruction::Op(OP_CSV),
                Instruction::Op(OP_DROP),
                Instruction::PushBytes(key),
                Instruction::Op(OP_CHECKSIG),
            ]) if key.len() == 32
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::Sequence;
    use bitcoin::secp256k1::{Keypair, Secp256k1};
    use bitcoin::taproot::{LeafVersion, TaprootBuilder};
    use grail_script::{DepositTree, InternalKey};
    use grail_types::{Epoch, Kind, Network, RequestId, Terms, Threshold};

    use super::*;

    fn roster() -> Roster {
        let secp = Secp256k1::new();
        let mut signers: Vec<_> = (1..=4)
            .map(|n| Keypair::from_seckey_slice(&secp, &[n; 32]).unwrap())
            .map(|pair| pair.x_only_public_key().0)
            .collect();
        signers.sort_by_key(bitcoin::XOnlyPublicKey::serialize);
        Roster::new(Epoch(0), signers, Threshold(3)).unwrap()
    }

    fn terms() -> Terms {
        let key = roster().signers()[0];
        Terms {
            kind: Kind::PegIn,
            network: Network::Regtest,
            bridge: grail_types::BridgeApp {
                identity: [1; 32],
                vk: [2; 32],
            },
            destination: ScriptBuf::new_p2tr(&Secp256k1::new(), key, None)
                .try_into()
                .unwrap(),
            fee_cap: bitcoin::Amount::from_sat(1_000),
            epoch: Epoch(0),
            reclaim_key: key,
            reclaim_delay: 1_008,
            nonce: [9; 16],
        }
    }

    fn signed_by(places: [bool; 4], leaf: &Script, annex: Option<&[u8]>) -> TxIn {
        let mut witness = Witness::new();
        for signed in places.iter().rev() {
            witness.push(if *signed { vec![7; 64] } else { Vec::new() });
        }
        witness.push(leaf.as_bytes());
        witness.push([0xc0; 33]);
        if let Some(annex) = annex {
            witness.push(annex);
        }
        TxIn {
            witness,
            ..TxIn::default()
        }
    }

    fn indexes(input: &TxIn) -> Option<(Role, Vec<u16>)> {
        let known = KnownRoster::new(roster());
        let signed = known.signed(0, input)?;
        Some((signed.role, signed.signers.iter().map(|s| s.0).collect()))
    }

    #[test]
    fn tells_who_signed_a_vault_coin_and_a_deposit() {
        let leaf = quorum_leaf(&roster());
        let places = [true, false, true, true];
        assert_eq!(
            indexes(&signed_by(places, &leaf, None)),
            Some((Role::Vault, vec![0, 2, 3]))
        );
        assert_eq!(
            indexes(&signed_by(places, &leaf, Some(&[0x50, 1]))),
            Some((Role::Vault, vec![0, 2, 3]))
        );
        let secp = Secp256k1::verification_only();
        let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster());
        assert_eq!(
            indexes(&signed_by(places, deposit.leaf.script(), None)),
            Some((Role::Deposit, vec![0, 2, 3]))
        );
        assert_eq!(indexes(&signed_by(places, Script::new(), None)), None);
        let _: RequestId = deposit.request;
    }

    #[test]
    fn counts_no_signer_on_a_stack_of_another_size() {
        let leaf = quorum_leaf(&roster());
        let mut input = signed_by([true; 4], &leaf, None);
        let mut items: Vec<Vec<u8>> = input.witness.to_vec();
        items.remove(0);
        input.witness = Witness::from_slice(&items);
        assert_eq!(indexes(&input), Some((Role::Vault, Vec::new())));
    }

    #[test]
    fn knows_a_reclaim_by_its_whole_shape() {
        let secp = Secp256k1::new();
        let leaf = |opcode| {
            bitcoin::script::Builder::new()
                .push_int(1_008)
                .push_opcode(OP_CSV)
                .push_opcode(opcode)
                .push_x_only_key(&terms().reclaim_key)
                .push_opcode(OP_CHECKSIG)
                .into_script()
        };
        let input = |leaf: ScriptBuf, internal, sequence| {
            let tree = TaprootBuilder::new()
                .add_leaf(1, quorum_leaf(&roster()))
                .unwrap()
                .add_leaf(1, leaf.clone())
                .unwrap()
                .finalize(&secp, internal)
                .unwrap();
            let versioned = (leaf, LeafVersion::TapScript);
            let control = tree.control_block(&versioned).unwrap().serialize();
            TxIn {
                sequence,
                witness: Witness::from_slice(&[&[7; 64], versioned.0.as_bytes(), &control]),
                ..TxIn::default()
            }
        };
        let delay = Sequence::from_height(1_008);
        assert!(is_reclaim(&input(leaf(OP_DROP), nums_key(), delay)));
        let own_key = terms().reclaim_key;
        for other in [
            input(leaf(OP_DROP), own_key, delay),
            input(leaf(OP_DROP), nums_key(), Sequence::MAX),
            input(leaf(OP_CSV), nums_key(), delay),
            input(quorum_leaf(&roster()), nums_key(), delay),
            TxIn::default(),
        ] {
            assert!(!is_reclaim(&other), "{other:?}");
        }
    }
}
