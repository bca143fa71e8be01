//! A second action, for the tests alone: coins at a roster's probe address move to that address
//! again.
//!
//! It shows that an action is a folder, a variant and a message, and that whatever is not the
//! bridge's can be decided beside it. No production binary is built with it.

use std::sync::Arc;

use bitcoin::{
    Amount, TxOut,
    secp256k1::{Secp256k1, Verification},
};
use grail_script::{ProbeTree, Spend};
use grail_spell::BridgeCharms;
use grail_wire::{ProbeRequest, Proposal};

use crate::{
    approve::{Signing, SigningInput},
    claims::{Claims, Section},
    fee::check_fee,
    outline::Outline,
    refusal::Refusal,
};

/// Probe coins that move as they may.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What is signed.
    pub signing: Signing,
}

impl Probe {
    pub(crate) fn judge<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &Proposal,
        request: &ProbeRequest,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        let transaction = &proposal.transaction;
        // The roster is a hint: coins at its address are spent by its signers, and a made-up one
        // opens only what its inventor paid there.
        let roster = Arc::new(request.roster.clone());
        let tree = ProbeTree::new(secp, &roster);
        if roster.epoch() != proposal.epoch {
            return Err(Refusal::WrongEpoch {
                expected: roster.epoch(),
                got: proposal.epoch,
            });
        }
        let mut claims = Claims::on(transaction);
        for (input_index, spent) in outline.spent.iter().enumerate() {
            if spent.output.script_pubkey != tree.script_pubkey {
                return Err(Refusal::UnknownTemplate { input_index });
            }
            if spent.carried != BridgeCharms::Nothing {
                return Err(Refusal::UnexpectedCharms { input_index });
            }
            claims.inputs(Section::Probe, input_index..input_index.saturating_add(1))?;
        }
        for (index, output) in transaction.output.iter().enumerate() {
            if output.script_pubkey == tree.script_pubkey {
                claims.outputs(Section::Probe, index..index.saturating_add(1))?;
            }
        }
        claims.finish()?;
        let prevouts: Vec<_> = outline
            .spent
            .into_iter()
            .map(|spent| spent.output)
            .collect();
        let fee = sum(&prevouts)?
            .checked_sub(sum(&transaction.output)?)
            .ok_or(Refusal::Overflow)?;
        let inputs: Vec<_> = prevouts
            .iter()
            .map(|_| SigningInput {
                spend: Spend::Leaf(tree.leaf.clone()),
                roster: Arc::clone(&roster),
            })
            .collect();
        let weight = check_fee(transaction, &proposal.params, &inputs, fee)?;
        Ok(Self {
            signing: Signing {
                transaction: transaction.clone(),
                prevouts,
                inputs,
                fee,
                weight,
            },
        })
    }
}

fn sum(outputs: &[TxOut]) -> Result<Amount, Refusal> {
    outputs
        .iter()
        .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value))
        .ok_or(Refusal::Overflow)
}
