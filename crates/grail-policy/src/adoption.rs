//! Which roster to believe: from a pinned genesis, one witnessed rotation after the other.
//!
//! A spell's proof shows that the contract agreed, not that anybody consented ([`Claimed`]). So a
//! roster is adopted in two ways only. The first is the one that a transaction made which whoever
//! adopts has pinned by its id. The next is the one that a transaction made which a quorum of the
//! roster before it signed: the witness is checked here as consensus does, natively.
//!
//! Owns the rules of adoption. Trusts the pin and the bridge that the caller knows from birth;
//! every byte of a transaction is foreign. No clock, chain view or memory takes part.
//!
//! It never shows that a transaction is in a block. A rotation that a quorum signed and nobody
//! mined looks alike, also where it is one of two that the quorum signed. For every step but the
//! newest the next one stands in: a quorum of its roster went on from there. The newest needs
//! headers, and does not count for money before them. Nor does it look at other inputs' witnesses.
//!
//! [`Claimed`]: grail_spell::Claimed

mod error;
mod handover;

use bitcoin::secp256k1::{Message, Secp256k1, Verification, schnorr::Signature};
use bitcoin::{TxIn, Txid, Witness};
use grail_script::{InternalKey, Sighashes, VaultTree};
use grail_spell::{BridgeCharms, Previous, deployment_identity};
use grail_types::{Bridge, Epoch, Governance, MockAllowed, ParamsHash, Roster, SignerIndex};

use crate::roster::roster_of;

pub use error::AdoptionError;
pub use grail_wire::HANDOVER_MAX_BYTES;
pub use handover::{Handover, HandoverError};

/// The id of the transaction that deployed the bridge, pinned by whoever adopts. The bridge's
/// identity does not do: it pins an output, which anybody can spend in a transaction that no block
/// will ever hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis(pub Txid);

/// A roster that follows from a pinned genesis by the consent of every roster before it. Made by
/// [`adopt_genesis`] and [`adopt_next`] only. That its transaction is in a block is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AdoptedRoster {
    bridge: Bridge,
    roster: Roster,
    governance: Governance,
    params_hash: ParamsHash,
    vault: VaultTree,
    txid: Txid,
}

impl AdoptedRoster {
    /// The roster.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Its number.
    pub const fn epoch(&self) -> Epoch {
        self.roster.epoch()
    }

    /// Its administrators: those whose hash is in the NFT's state.
    pub const fn governance(&self) -> &Governance {
        &self.governance
    }

    /// Hash of the parameters that its NFT is bound to. Parameters of that hash count from here on.
    pub const fn params_hash(&self) -> ParamsHash {
        self.params_hash
    }

    /// Its vault.
    pub const fn vault(&self) -> &VaultTree {
        &self.vault
    }

    /// The transaction that made it, for whoever looks for it in a block.
    pub const fn txid(&self) -> Txid {
        self.txid
    }
}

/// The first roster: the one that the pinned transaction made. What it spends need not be shown.
pub fn adopt_genesis<C: Verification>(
    secp: &Secp256k1<C>,
    bridge: &Bridge,
    genesis: &Genesis,
    deployment: &Handover,
) -> Result<AdoptedRoster, AdoptionError> {
    let consented = Consented::by_pin(bridge, genesis, deployment)?;
    consented.adopt(secp, bridge)
}

/// The roster after `adopted`, if a quorum of it signed the transaction that hands over.
pub fn adopt_next<C: Verification>(
    secp: &Secp256k1<C>,
    bridge: &Bridge,
    adopted: &AdoptedRoster,
    step: &Handover,
) -> Result<AdoptedRoster, AdoptionError> {
    if adopted.bridge != *bridge {
        return Err(AdoptionError::WrongBridge);
    }
    let next = Consented::by_quorum(secp, adopted, step)?.adopt(secp, bridge)?;
    let (before, got) = (adopted.epoch(), next.epoch());
    if before.0.checked_add(1) == Some(got.0) {
        Ok(next)
    } else {
        Err(AdoptionError::WrongEpoch { before, got })
    }
}

/// A transaction that those consented to who could: what it claims counts.
struct Consented<'a>(&'a Handover);

impl<'a> Consented<'a> {
    fn by_pin(
        bridge: &Bridge,
        genesis: &Genesis,
        deployment: &'a Handover,
    ) -> Result<Self, AdoptionError> {
        let transaction = &deployment.transaction;
        let (expected, got) = (genesis.0, transaction.compute_txid());
        if got != expected {
            return Err(AdoptionError::NotGenesis { expected, got });
        }
        let first = transaction.input.first().map(|input| input.previous_output);
        if first.map(deployment_identity) != Some(bridge.app.identity) {
            return Err(AdoptionError::WrongIdentity);
        }
        Ok(Self(deployment))
    }

    fn by_quorum<C: Verification>(
        secp: &Secp256k1<C>,
        adopted: &AdoptedRoster,
        step: &'a Handover,
    ) -> Result<Self, AdoptionError> {
        let transaction = &step.transaction;
        let scripted = |input: &TxIn| !input.script_sig.is_empty();
        if let Some(input_index) = transaction.input.iter().position(scripted) {
            return Err(AdoptionError::ScriptSig { input_index });
        }
        let (expected, got) = (transaction.input.len(), step.spent.len());
        if got != expected {
            return Err(AdoptionError::SpentCount { expected, got });
        }
        let (Some(first), Some(spent)) = (transaction.input.first(), step.spent.first()) else {
            return Err(AdoptionError::NotVault(adopted.epoch()));
        };
        if spent.script_pubkey != adopted.vault.script_pubkey {
            return Err(AdoptionError::NotVault(adopted.epoch()));
        }
        let signatures = signatures(adopted, &first.witness)?;
        let digest = digest(adopted, step);
        for (signer, signature) in signatures {
            let invalid = AdoptionError::SignatureInvalid(signer);
            let key = adopted.roster.signer(signer).ok_or(invalid.clone())?;
            secp.verify_schnorr(&signature, &digest, key)
                .map_err(|_| invalid)?;
        }
        Ok(Self(step))
    }

    /// The roster on output 0. The contract does no curve arithmetic, so keys and address are
    /// checked here.
    fn adopt<C: Verification>(
        self,
        secp: &Secp256k1<C>,
        bridge: &Bridge,
    ) -> Result<AdoptedRoster, AdoptionError> {
        let mock = MockAllowed::on(bridge.network);
        let Self(step) = self;
        let read = Previous::read(&step.transaction, &[0], &bridge.app, mock);
        let nft = read.spent(0).ok_or(AdoptionError::NftMissing)?;
        let BridgeCharms::Nft(state) = nft.carried.clone() else {
            return Err(AdoptionError::NftMissing);
        };
        let state = state?.with_consent_shown();
        let roster = roster_of(&state).map_err(AdoptionError::RosterInvalid)?;
        if state.governance != step.governance.hash() {
            return Err(AdoptionError::WrongGovernance);
        }
        let vault = VaultTree::new(secp, InternalKey::Nums, &roster, &step.governance);
        if state.vault_script != vault.script_pubkey.as_bytes() {
            return Err(AdoptionError::WrongVaultScript);
        }
        if nft.output.script_pubkey != vault.script_pubkey {
            return Err(AdoptionError::NftElsewhere);
        }
        Ok(AdoptedRoster {
            bridge: *bridge,
            roster,
            governance: step.governance.clone(),
            params_hash: ParamsHash(state.params_hash),
            vault,
            txid: read.txid(),
        })
    }
}

/// The signatures of a witness that is a quorum's in every byte but theirs.
fn signatures(
    adopted: &AdoptedRoster,
    witness: &Witness,
) -> Result<Vec<(SignerIndex, Signature)>, AdoptionError> {
    if witness.taproot_annex().is_some() {
        return Err(AdoptionError::Annex);
    }
    let leaf = adopted.vault.leaf.leaf();
    let items: Vec<&[u8]> = witness.iter().collect();
    let wrong_length = || AdoptionError::WitnessLength {
        expected: adopted.roster.signers().len().saturating_add(2),
        got: items.len(),
    };
    let [places @ .., script, control_block] = items.as_slice() else {
        return Err(wrong_length());
    };
    if places.len() != adopted.roster.signers().len() {
        return Err(wrong_length());
    }
    if *script != leaf.script().as_bytes() || *control_block != leaf.control_block().serialize() {
        return Err(AdoptionError::WrongLeaf);
    }
    // The script pops the first signer's signature first: the places are in reverse order.
    let signatures = (0_u16..)
        .map(SignerIndex)
        .zip(places.iter().rev())
        .filter(|(_, place)| !place.is_empty())
        .map(|(signer, place)| match Signature::from_slice(place) {
            Ok(signature) => Ok((signer, signature)),
            Err(_) => Err(AdoptionError::SignatureForm {
                signer,
                got: place.len(),
            }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (expected, got) = (usize::from(adopted.roster.threshold().0), signatures.len());
    if got != expected {
        return Err(AdoptionError::SignatureCount { expected, got });
    }
    Ok(signatures)
}

/// What the quorum signed. It commits to the amount and the script of all that is spent (BIP-341),
/// so a signer that looked at the true ones has signed no other than those.
fn digest(adopted: &AdoptedRoster, step: &Handover) -> Message {
    Sighashes::new(&step.transaction, &step.spent)
        .of_leaf(0, adopted.vault.leaf.leaf())
        .expect("there is an input 0, and one output spent per input")
}
