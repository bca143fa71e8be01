//! Whose deposit a settlement's input is.
//!
//! Owns what a spent coin may say of itself. Trusts rows first, then a leaf that consensus has run.
//! Operators sign for deposits of whatever former roster they are shown (ADR 28), for who invents
//! one spends his own coins by it. So a deposit of a roster that never was, or of known terms under
//! another roster, is nobody's here: it counts in the books, and no request is told of it. It never
//! stands for a deposit at the address of a request in the rows.

use bitcoin::{
    Script, TxIn, Witness, XOnlyPublicKey,
    script::Instruction,
    secp256k1::{Secp256k1, Verification},
    taproot::{ControlBlock, LeafVersion},
};
use grail_flow::Deposit;
use grail_script::{DepositTree, InternalKey, deposit_request};
use grail_store::Reader;
use grail_types::{Epoch, RequestId, Roster, SIGNERS_MAX, Terms, Threshold};
use grail_witness::output_key;

use super::{Move, Strange};
use crate::backend::Backend;

/// What a deposit commits to.
pub(super) struct Whose {
    pub request: RequestId,
    /// What it must be paid by, where the terms are in the rows.
    pub terms: Option<Terms>,
}

impl Whose {
    /// Of the coin at `script` that an input spends.
    pub(super) async fn of(
        backend: &Backend,
        reader: &mut Reader,
        moved: &Move<'_>,
        (input_index, input): (usize, &TxIn),
        (deposit, script): (&Deposit, &Script),
    ) -> anyhow::Result<Result<Self, Strange>> {
        let known = reader.deposit(&deposit.outpoint).await?;
        let shown = Shown::of(&backend.secp, input, script);
        let of_row = known.map(|row| row.request);
        let Some(request) = of_row.or(shown.as_ref().map(|shown| shown.request)) else {
            return Ok(Err(Strange::NoDeposit(input_index)));
        };
        let Some(row) = reader.request(&request).await? else {
            let may_be = shown.is_some_and(|shown| shown.may_be_signed(moved));
            let terms = None;
            let whose = may_be.then_some(Self { request, terms });
            return Ok(whose.ok_or(Strange::NoDeposit(input_index)));
        };
        let is_own = row.deposit_script.as_script() == script;
        let is_nobodys =
            || shown.is_some_and(|shown| shown.is_under(backend, moved, &row.terms, script));
        if !is_own && !is_nobodys() {
            return Ok(Err(Strange::OtherAddress {
                input_index,
                request,
            }));
        }
        let terms = Some(row.terms);
        Ok(Ok(Self { request, terms }))
    }
}

/// A deposit leaf that a witness shows, and that is in the tree of the output which it spends.
/// Consensus has run it, so a leaf that is there is the one that was spent by.
struct Shown<'a> {
    leaf: &'a Script,
    request: RequestId,
    /// Who may spend it. The leaf has no epoch: this one's is not to be looked at.
    roster: Roster,
}

impl<'a> Shown<'a> {
    fn of<C: Verification>(secp: &Secp256k1<C>, input: &'a TxIn, script: &Script) -> Option<Self> {
        let (leaf, control_block) = leaf(&input.witness)?;
        let output_key = output_key(script).ok()??;
        if !control_block.verify_taproot_commitment(secp, output_key, leaf) {
            return None;
        }
        let roster = roster(leaf)?;
        let request = deposit_request(leaf, &roster)?;
        Some(Self {
            leaf,
            request,
            roster,
        })
    }

    /// Whether a quorum that keeps the rules can have signed for it, as far as can be seen without
    /// terms: a roster that is shown to signers is of an epoch that is over.
    fn may_be_signed(&self, moved: &Move<'_>) -> bool {
        let mut history = moved.rosters.all();
        history.any(|adopted| self.is_of(adopted.roster())) || moved.roster().epoch() > Epoch(0)
    }

    /// The same with terms: the output is theirs with this roster, which is today's, or shown for
    /// an epoch that is over.
    fn is_under(
        &self,
        backend: &Backend,
        moved: &Move<'_>,
        terms: &Terms,
        script: &Script,
    ) -> bool {
        let today = moved.roster();
        let is_signed = terms.epoch < today.epoch()
            || terms.epoch == today.epoch() && self.is_of(today.roster());
        let tree = DepositTree::new(&backend.secp, InternalKey::Nums, terms, &self.roster);
        is_signed && tree.script_pubkey.as_script() == script
    }

    fn is_of(&self, roster: &Roster) -> bool {
        deposit_request(self.leaf, roster).is_some()
    }
}

fn leaf(witness: &Witness) -> Option<(&Script, ControlBlock)> {
    let leaf = witness.taproot_leaf_script()?;
    let control_block = ControlBlock::decode(witness.taproot_control_block()?).ok()?;
    (leaf.version == LeafVersion::TapScript).then_some((leaf.script, control_block))
}

/// The keys and the number of a leaf that has the form of a deposit's: commitment and `DROP`, keys
/// and their checks, a number and its comparison. That nothing else is in it is for who makes it
/// again and compares.
fn roster(leaf: &Script) -> Option<Roster> {
    const AROUND: usize = 4;
    let most = SIGNERS_MAX.checked_mul(2)?.checked_add(AROUND)?;
    let read = leaf.instructions().take(most.checked_add(1)?);
    let read: Vec<Instruction<'_>> = read.collect::<Result<_, _>>().ok()?;
    let keys_end = read.len().checked_sub(2)?;
    let keys = read.get(2..keys_end)?.iter().step_by(2);
    let key =
        |read: &Instruction<'_>| XOnlyPublicKey::from_slice(read.push_bytes()?.as_bytes()).ok();
    let keys = keys.map(key).collect::<Option<Vec<_>>>()?;
    let threshold = u16::try_from(read.get(keys_end)?.script_num()?).ok()?;
    Roster::new(Epoch(0), keys, Threshold(threshold)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{Amount, ScriptBuf, secp256k1::Keypair};
    use grail_types::{BridgeApp, Kind, Network, SIGNERS_MIN};

    use super::*;

    fn terms(key: XOnlyPublicKey) -> Terms {
        let (identity, vk) = ([1; 32], [2; 32]);
        Terms {
            kind: Kind::PegIn,
            network: Network::Regtest,
            bridge: BridgeApp { identity, vk },
            destination: ScriptBuf::new_p2tr(&Secp256k1::new(), key, None)
                .try_into()
                .unwrap(),
            fee_cap: Amount::ZERO,
            epoch: Epoch(0),
            reclaim_key: key,
            reclaim_delay: 24,
            nonce: [0; 16],
        }
    }

    fn keys(count: usize) -> Vec<XOnlyPublicKey> {
        let secp = Secp256k1::new();
        let seeds = (1..=u8::try_from(count).unwrap()).map(|seed| [seed; 32]);
        let pairs = seeds.map(|seed| Keypair::from_seckey_slice(&secp, &seed).unwrap());
        let mut keys: Vec<_> = pairs.map(|pair| pair.x_only_public_key().0).collect();
        keys.sort_by_key(XOnlyPublicKey::serialize);
        keys
    }

    #[test]
    fn a_deposits_leaf_tells_its_roster_and_no_other_script_does() {
        let secp = Secp256k1::new();
        // Numbers above 16 are pushed in another way.
        for count in [SIGNERS_MIN, 4, 17, 33, SIGNERS_MAX] {
            let keys = keys(count);
            let terms = terms(keys[0]);
            let threshold = Threshold(u16::try_from(count / 2 + 1).unwrap());
            let expected = Roster::new(Epoch(0), keys, threshold).unwrap();
            let tree = DepositTree::new(&secp, InternalKey::Nums, &terms, &expected);
            let leaf = tree.leaf.script();
            assert_eq!(roster(leaf), Some(expected), "{count} keys");
            for other in [&tree.reclaim.script()[..], &leaf[33..]] {
                let read = roster(other);
                assert!(read.is_none_or(|read| deposit_request(other, &read).is_none()));
            }
            let longer = ScriptBuf::from_bytes([leaf.as_bytes(), &[0x51]].concat());
            let read = roster(&longer);
            assert!(read.is_none_or(|read| deposit_request(&longer, &read).is_none()));
        }
        assert_eq!(roster(Script::new()), None);
    }
}
