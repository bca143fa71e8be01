//! Settlements: the roster NFT, the vault, and one deposit and one output per request.

use std::sync::Arc;

use bitcoin::{
    Amount, Transaction, TxOut,
    secp256k1::{Secp256k1, Verification},
};
use charms_data::{App, Data};
use grail_bridge_contract::{Action as ContractAction, RosterState};
use grail_script::{InternalKey, Spend, VaultTree};
use grail_spell::{BridgeCharms, bridge_charms, nft_app, token_app};
use grail_types::{Bridge, RequestId, Roster};
use grail_wire::{Proposal, SettlementRequest};

use crate::{
    approve::{Signing, SigningInput},
    claims::{Claims, Section},
    fee::check_fee,
    outline::{Framed, Outline, Spent},
    refusal::Refusal,
};

mod books;
mod items;
mod nft;
mod vault;

use books::{Effect, check_books, check_limits};
use items::{Item, check_deposit, check_terms};

/// A settlement that obeys the rules.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// What is signed.
    pub signing: Signing,
    /// The roster that holds NFT and vault.
    pub roster: Arc<Roster>,
    /// The NFT's state before.
    pub before: RosterState,
    /// The NFT's state after.
    pub after: RosterState,
    /// What each request contributes, in order.
    pub items: Vec<ItemOutcome>,
    /// What the prover gets, in an output that the proof does not commit to; zero without one. The
    /// shares less this are the miners'.
    pub prover_fee: Amount,
}

/// A request within a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemOutcome {
    /// The request.
    pub request: RequestId,
    /// zkBTC minted for it, satoshis.
    pub minted: u64,
    /// zkBTC burned for it, satoshis.
    pub burned: u64,
    /// Its share of the fee.
    pub fee_share: Amount,
}

/// What every step of the decision looks at.
struct Case<'a> {
    transaction: &'a Transaction,
    requests: &'a SettlementRequest,
    outline: Outline,
    framed: Framed,
    proposal: &'a Proposal,
    bridge: &'a Bridge,
}

/// Exactly the apps and public inputs of a settlement. That the contract ran is not shown by the
/// action but by the NFT's serial (ADR 2).
fn apps(bridge: &Bridge) -> [(App, Data); 2] {
    [
        (nft_app(&bridge.app), ContractAction::Settle.to_data()),
        (token_app(&bridge.app), Data::empty()),
    ]
}

impl Settlement {
    pub(crate) fn judge<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &Proposal,
        requests: &SettlementRequest,
        bridge: &Bridge,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        let framed = outline.framed(&proposal.transaction, &proposal.params, &apps(bridge))?;
        let case = Case {
            transaction: &proposal.transaction,
            requests,
            outline,
            framed,
            proposal,
            bridge,
        };
        case.judge(secp)
    }
}

impl Case<'_> {
    fn judge<C: Verification>(self, secp: &Secp256k1<C>) -> Result<Settlement, Refusal> {
        let params = &self.proposal.params;
        let before = nft::state(&self)?;
        let roster = Arc::new(nft::roster(&before, self.proposal.epoch)?);
        let tree = VaultTree::new(secp, InternalKey::Nums, &roster);
        nft::check_vault_script(&self.outline, &before, &tree)?;
        check_terms(&self.requests.requests, self.bridge, params, &roster, &tree)?;
        let after = nft::output(&self, &before, &tree)?;

        let vault_coin = vault::coin(&self.outline, &tree);
        if self.requests.requests.is_empty() {
            return Err(Refusal::Empty);
        }
        vault::check_spent(&self, &before, &tree)?;
        let deposits = self.deposits(vault_coin.is_some())?;
        let vault_in = vault_coin.map_or(Amount::ZERO, |spent| spent.output.value);
        let vault_out = vault::output(&self, &tree)?;
        let item_outputs = self.item_outputs(vault_out.is_some())?;

        let mut claims = Claims::on(self.transaction);
        claims.inputs(Section::Bridge, 0..self.transaction.input.len())?;
        claims.outputs(Section::Bridge, 0..self.framed.committed)?;
        claims.outputs(
            Section::Frame,
            self.framed.committed..self.transaction.output.len(),
        )?;
        claims.finish()?;

        let roster_input = || SigningInput {
            spend: Spend::Leaf(tree.leaf.clone()),
            roster: Arc::clone(&roster),
        };
        let mut inputs = vec![roster_input()];
        inputs.extend(vault_coin.map(|_| roster_input()));
        let mut items = Vec::with_capacity(self.requests.requests.len());
        let pairs = self
            .requests
            .requests
            .iter()
            .zip(deposits)
            .zip(item_outputs);
        for ((terms, (input_index, spent)), (output_index, output)) in pairs {
            let tree = check_deposit(secp, terms, &roster, input_index, spent)?;
            let item = Item {
                terms,
                tree,
                input_index,
                spent,
                output_index,
                output,
                carried: self.output_charms(output_index)?,
            };
            let effect = item.check(params)?;
            items.push(ItemOutcome {
                request: item.tree.request,
                minted: effect.minted,
                burned: effect.burned,
                fee_share: effect.share,
            });
            inputs.push(SigningInput {
                spend: Spend::Leaf(item.tree.leaf),
                roster: Arc::clone(&roster),
            });
        }
        let total = Effect::total(&items)?;
        check_books(&before, &after, vault_in, vault_out, total)?;
        check_limits(&self, &before, &after, total)?;
        let (fee, prover_fee) = self.split_shares(&tree, total)?;
        let weight = check_fee(self.transaction, params, &inputs, fee)?;
        Ok(Settlement {
            signing: Signing {
                transaction: self.transaction.clone(),
                prevouts: self
                    .outline
                    .spent
                    .into_iter()
                    .map(|spent| spent.output)
                    .collect(),
                inputs,
                fee,
                weight,
            },
            roster,
            before,
            after,
            items,
            prover_fee,
        })
    }

    /// The deposits with their positions: all inputs after the NFT and the vault's coin, one per
    /// request.
    fn deposits(&self, has_vault: bool) -> Result<Vec<(usize, &Spent)>, Refusal> {
        let requests = self.requests.requests.len();
        let first = if has_vault { 2 } else { 1 };
        let deposits: Vec<_> = self.outline.spent.iter().enumerate().skip(first).collect();
        if deposits.len() == requests {
            return Ok(deposits);
        }
        // One too many may well be a second coin at the vault's address: nobody's request may pay
        // for it.
        Err(Refusal::WrongCount {
            what: "deposit inputs",
            expected: requests,
            got: deposits.len(),
        })
    }

    /// The requests' outputs with their positions: all after the vault's that the spell commits to.
    fn item_outputs(&self, has_vault: bool) -> Result<Vec<(usize, &TxOut)>, Refusal> {
        let first = if has_vault { 2 } else { 1 };
        let outputs: Vec<_> = self
            .transaction
            .output
            .iter()
            .enumerate()
            .take(self.framed.committed)
            .skip(first)
            .collect();
        let expected = self.requests.requests.len();
        if outputs.len() == expected {
            return Ok(outputs);
        }
        Err(Refusal::WrongCount {
            what: "request outputs",
            expected,
            got: outputs.len(),
        })
    }

    /// What the shares pay: miners and prover.
    fn split_shares(&self, vault: &VaultTree, total: Effect) -> Result<(Amount, Amount), Refusal> {
        // With the NFT's coin unchanged and the books balanced, inputs less the outputs that the
        // spell commits to are exactly the shares: the prover is paid out of them, and so
        // within the requests' caps.
        let prover_fee = self.framed.prover_fee.unwrap_or(Amount::ZERO);
        let uncommitted = self.transaction.output.get(self.framed.committed);
        if uncommitted.is_some_and(|output| output.script_pubkey == vault.script_pubkey) {
            return Err(Refusal::ProverFee {
                got: prover_fee,
                reason: "it pays the vault, where the books do not count it",
            });
        }
        let fee = total
            .share
            .checked_sub(prover_fee)
            .ok_or(Refusal::ProverFee {
                got: prover_fee,
                reason: "the requests pay less in all",
            })?;
        Ok((fee, prover_fee))
    }

    fn output_charms(&self, output_index: usize) -> Result<BridgeCharms, Refusal> {
        let vout = u32::try_from(output_index).map_err(|_| Refusal::Overflow)?;
        Ok(bridge_charms(
            &self.framed.spell.charms_at(vout),
            &self.bridge.app,
        ))
    }
}
