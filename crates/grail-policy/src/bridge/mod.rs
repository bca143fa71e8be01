//! What every transaction of the bridge has: the roster NFT on input and output 0, and the vault
//! behind it.

use std::sync::Arc;

use bitcoin::{
    Transaction, TxIn,
    secp256k1::{Secp256k1, Verification},
};
use charms_data::Data;
use grail_bridge_contract::{Action, RosterState};
use grail_script::{InternalKey, Spend, VaultTree};
use grail_spell::{BridgeCharms, bridge_charms, nft_app, token_app};
use grail_types::{Age, Bridge, Roster};
use grail_wire::Proposal;

use crate::{
    approve::{Signing, SigningInput},
    claims::{Claims, Section},
    fee::check_fee,
    outline::{Framed, Outline},
    refusal::Refusal,
};

pub(crate) mod deposit;
pub(crate) mod nft;
pub(crate) mod sponsors;
pub(crate) mod vault;

/// What every step of a decision looks at.
pub(crate) struct Case<'a> {
    pub transaction: &'a Transaction,
    pub outline: Outline,
    pub framed: Framed,
    pub proposal: &'a Proposal,
    pub bridge: &'a Bridge,
}

/// Who holds NFT and vault until the transaction is mined.
pub(crate) struct Held {
    /// What the NFT says.
    pub before: RosterState,
    pub roster: Arc<Roster>,
    pub tree: VaultTree,
}

impl<'a> Case<'a> {
    /// A transaction whose spell names exactly the bridge's two apps and asks the contract for
    /// `action`. That the contract ran is not shown by that but by the NFT's serial (ADR 2).
    pub(crate) fn read(
        proposal: &'a Proposal,
        bridge: &'a Bridge,
        outline: Outline,
        action: Action,
    ) -> Result<Self, Refusal> {
        let apps = [
            (nft_app(&bridge.app), action.to_data()),
            (token_app(&bridge.app), Data::empty()),
        ];
        let framed = outline.framed(&proposal.transaction, &proposal.params, &apps)?;
        Ok(Self {
            transaction: &proposal.transaction,
            outline,
            framed,
            proposal,
            bridge,
        })
    }

    /// The state that the NFT brings, and the roster that it names.
    pub(crate) fn held<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<Held, Refusal> {
        let before = nft::state(self)?;
        let roster = Arc::new(nft::roster(&before, self.proposal.epoch)?);
        let tree = VaultTree::new(secp, InternalKey::Nums, &roster, &self.proposal.governance);
        nft::check_vault_script(&self.outline, &before, &tree)?;
        Ok(Held {
            before,
            roster,
            tree,
        })
    }

    /// All inputs and outputs are the bridge's, but for those that frame the spell.
    pub(crate) fn claim_all(&self) -> Result<(), Refusal> {
        let mut claims = Claims::on(self.transaction);
        let (committed, outputs) = (self.framed.committed, self.transaction.output.len());
        claims.inputs(Section::Bridge, 0..self.transaction.input.len())?;
        claims.outputs(Section::Bridge, 0..committed)?;
        claims.outputs(Section::Frame, committed..outputs)?;
        claims.finish()
    }

    /// No other input claims an age than the one at `aged`.
    pub(crate) fn check_ages(&self, aged: Option<usize>) -> Result<(), Refusal> {
        let claims = |(index, input): (usize, &TxIn)| {
            Some(index) != aged && Age::from_sequence(input.sequence) != Some(Age(0))
        };
        if self.transaction.input.iter().enumerate().any(claims) {
            return Err(Refusal::MalformedTransaction("sequence must be 0xfffffffd"));
        }
        Ok(())
    }

    /// What is signed, once it is known what the miners get.
    pub(crate) fn signing(
        self,
        inputs: Vec<SigningInput>,
        fee: bitcoin::Amount,
    ) -> Result<Signing, Refusal> {
        let weight = check_fee(self.transaction, &self.proposal.params, &inputs, fee)?;
        let spent = self.outline.spent.into_iter();
        Ok(Signing {
            transaction: self.transaction.clone(),
            prevouts: spent.map(|spent| spent.output).collect(),
            inputs,
            fee,
            weight,
        })
    }

    pub(crate) fn output_charms(&self, output_index: usize) -> Result<BridgeCharms, Refusal> {
        let vout = u32::try_from(output_index).map_err(|_| Refusal::Overflow)?;
        Ok(bridge_charms(
            &self.framed.spell.charms_at(vout),
            &self.bridge.app,
        ))
    }
}

impl Held {
    /// An input at the vault's address.
    pub(crate) fn vault_input(&self) -> SigningInput {
        SigningInput {
            spend: Spend::Leaf(self.tree.leaf.clone()),
            roster: Arc::clone(&self.roster),
        }
    }
}
