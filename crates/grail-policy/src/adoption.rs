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

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::secp256k1::{Message, Secp256k1, Verification, schnorr::Signature};
use bitcoin::{Transaction, TxIn, TxOut, Txid, Witness, XOnlyPublicKey};
use grail_bridge_contract::RosterState;
use grail_script::{InternalKey, Sighashes, Spend, VaultTree, verify_signature};
use grail_spell::{BridgeCharms, PrevTx, deployment_identity};
use grail_types::{Bridge, Epoch, MockAllowed, ParamsHash, Roster, SignerIndex, Threshold};

pub use error::AdoptionError;

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

    /// Hash of the parameters that its NFT is bound to. Parameters of that hash count from here on.
    pub const fn params_hash(&self) -> ParamsHash {
        self.params_hash
    }

    /// The transaction that made it, for whoever looks for it in a block.
    pub const fn txid(&self) -> Txid {
        self.txid
    }
}

/// A rotation as it was mined, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The transaction, with the witness of its first input.
    pub transaction: Transaction,
    /// The transactions whose outputs it spends, each once, in any order. What an input spends is
    /// read from here, by computed ids; witnesses do not matter.
    pub previous: Vec<Transaction>,
}

/// The first roster: the one that the pinned transaction made.
pub fn adopt_genesis<C: Verification>(
    secp: &Secp256k1<C>,
    bridge: &Bridge,
    genesis: &Genesis,
    deployment: &Transaction,
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
struct Consented<'a>(&'a Transaction);

impl<'a> Consented<'a> {
    fn by_pin(
        bridge: &Bridge,
        genesis: &Genesis,
        deployment: &'a Transaction,
    ) -> Result<Self, AdoptionError> {
        let (expected, got) = (genesis.0, deployment.compute_txid());
        if got != expected {
            return Err(AdoptionError::NotGenesis { expected, got });
        }
        let first = deployment.input.first().map(|input| input.previous_output);
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
        let prevouts = prevouts(step)?;
        let (Some(first), Some(spent)) = (transaction.input.first(), prevouts.first()) else {
            return Err(AdoptionError::NotVault(adopted.epoch()));
        };
        if spent.script_pubkey != adopted.vault.script_pubkey {
            return Err(AdoptionError::NotVault(adopted.epoch()));
        }
        let signatures = signatures(adopted, &first.witness)?;
        let digest = digest(adopted, transaction, &prevouts);
        for (signer, signature) in signatures {
            verify_signature(secp, &adopted.roster, signer, &digest, &signature)
                .map_err(|_| AdoptionError::SignatureInvalid(signer))?;
        }
        Ok(Self(transaction))
    }

    /// The roster on output 0. The contract does no curve arithmetic, so keys and address are
    /// checked here.
    fn adopt<C: Verification>(
        self,
        secp: &Secp256k1<C>,
        bridge: &Bridge,
    ) -> Result<AdoptedRoster, AdoptionError> {
        let read = PrevTx::read_committed(self.0, MockAllowed::on(bridge.network));
        let state = match read.bridge_charms(0, &bridge.app) {
            BridgeCharms::Nft(state) => state?.with_consent_shown(),
            BridgeCharms::Nothing | BridgeCharms::Token(_) | BridgeCharms::Other => {
                return Err(AdoptionError::NftMissing);
            }
        };
        let roster = roster(&state)?;
        let vault = VaultTree::new(secp, InternalKey::Nums, &roster);
        if state.vault_script != vault.script_pubkey.as_bytes() {
            return Err(AdoptionError::WrongVaultScript);
        }
        let lies_at = read.output(0).map(|output| &output.script_pubkey);
        if lies_at != Some(&vault.script_pubkey) {
            return Err(AdoptionError::NftElsewhere);
        }
        Ok(AdoptedRoster {
            bridge: *bridge,
            roster,
            params_hash: ParamsHash(state.params_hash),
            vault,
            txid: read.txid(),
        })
    }
}

fn roster(state: &RosterState) -> Result<Roster, AdoptionError> {
    let signers = state
        .signers
        .iter()
        .map(|key| XOnlyPublicKey::from_slice(key))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| AdoptionError::RosterInvalid(error.to_string()))?;
    Roster::new(Epoch(state.epoch), signers, Threshold(state.threshold))
        .map_err(|error| AdoptionError::RosterInvalid(error.to_string()))
}

/// What each input spends, in order.
fn prevouts(step: &Handover) -> Result<Vec<TxOut>, AdoptionError> {
    let previous = step.previous.iter();
    let by_txid: BTreeMap<Txid, &Transaction> =
        previous.map(|made| (made.compute_txid(), made)).collect();
    let mut needed = BTreeSet::new();
    let spent = |(input_index, input): (usize, &TxIn)| {
        let outpoint = input.previous_output;
        needed.insert(outpoint.txid);
        by_txid
            .get(&outpoint.txid)
            .and_then(|made| made.output.get(usize::try_from(outpoint.vout).ok()?))
            .cloned()
            .ok_or(AdoptionError::PreviousMissing {
                input_index,
                outpoint,
            })
    };
    let inputs = step.transaction.input.iter().enumerate();
    let prevouts = inputs.map(spent).collect::<Result<_, _>>()?;
    // Each that is needed is there, so a longer list has one twice, or one that is not needed.
    if step.previous.len() > needed.len() {
        return Err(AdoptionError::PreviousExcess);
    }
    Ok(prevouts)
}

/// The signatures of a witness that is a quorum's in every byte but theirs.
fn signatures(
    adopted: &AdoptedRoster,
    witness: &Witness,
) -> Result<Vec<(SignerIndex, Signature)>, AdoptionError> {
    if witness.taproot_annex().is_some() {
        return Err(AdoptionError::Annex);
    }
    let leaf = &adopted.vault.leaf;
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

/// What the quorum signed: commits to all that is spent and all that is made.
fn digest(adopted: &AdoptedRoster, transaction: &Transaction, prevouts: &[TxOut]) -> Message {
    let spend = Spend::Leaf(adopted.vault.leaf.clone());
    Sighashes::new(transaction, prevouts)
        .of(0, &spend)
        .expect("there is an input 0, and one previous output per input")
}
