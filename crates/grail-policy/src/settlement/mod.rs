//! Settlements: the roster NFT, the vault, and one deposit and one output per request. Deposits may
//! be of a former roster: each input is its own roster's to sign, and counts with all others alone.

use std::sync::Arc;

use bitcoin::{
    Amount, TxOut,
    secp256k1::{Secp256k1, Verification},
};
use grail_bridge_contract::{Action, RosterState};
use grail_script::{Spend, VaultTree};
use grail_types::{Bridge, RequestId, Roster, Terms};
use grail_wire::{Proposal, SettlementRequest};

use crate::{
    approve::{Signing, SigningInput},
    bridge::{
        Case, Held,
        deposit::{Holders, check_address},
        nft, vault,
    },
    outline::{Outline, Spent},
    refusal::Refusal,
};

mod books;
mod items;

use books::{Effect, check_books, check_limits};
use items::{Item, check_terms};

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

/// A settlement, and what every transaction of the bridge has.
struct Requested<'a> {
    case: Case<'a>,
    requests: &'a [Terms],
    former: Option<&'a Roster>,
}

impl Settlement {
    pub(crate) fn judge<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &Proposal,
        requests: &SettlementRequest,
        bridge: &Bridge,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        let requested = Requested {
            case: Case::read(proposal, bridge, outline, Action::Settle)?,
            requests: &requests.requests,
            former: requests.former.as_ref().map(|shown| &shown.0),
        };
        requested.judge(secp)
    }
}

impl Requested<'_> {
    fn judge<C: Verification>(self, secp: &Secp256k1<C>) -> Result<Settlement, Refusal> {
        let Self {
            case,
            requests,
            former,
        } = &self;
        let (params, bridge) = (&case.proposal.params, case.bridge);
        let held = case.held(secp)?;
        let Held {
            before,
            roster,
            tree,
        } = &held;
        let holders = Holders::new(roster, *former, requests)?;
        check_terms(requests, bridge, params, &holders, tree)?;
        let after = nft::output(case, before, tree)?;
        if after
            != (RosterState {
                serial: after.serial,
                supply: after.supply,
                outflow: after.outflow,
                ..before.clone()
            })
        {
            return Err(Refusal::RosterChanged);
        }

        let vault_coin = vault::coin(&case.outline, tree);
        if requests.is_empty() {
            return Err(Refusal::Empty);
        }
        vault::check_spent(case, before, tree)?;
        let deposits = self.deposits(vault_coin.is_some())?;
        let vault_in = vault_coin.map_or(Amount::ZERO, |spent| spent.output.value);
        let vault_out = vault::output(case, tree, requests.len())?;
        let item_outputs = self.item_outputs(vault_out.is_some())?;

        case.claim_all()?;

        let mut inputs = vec![held.vault_input()];
        inputs.extend(vault_coin.map(|_| held.vault_input()));
        let mut items = Vec::with_capacity(requests.len());
        let pairs = requests.iter().zip(deposits).zip(item_outputs);
        for ((terms, (input_index, spent)), (output_index, output)) in pairs {
            let roster = holders.of(terms)?;
            let tree = check_address(secp, terms, roster, input_index, spent)?;
            let item = Item {
                terms,
                tree,
                input_index,
                spent,
                output_index,
                output,
                carried: case.output_charms(output_index)?,
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
                roster: Arc::clone(roster),
            });
        }
        let total = Effect::total(&items)?;
        check_books(before, &after, vault_in, vault_out, total)?;
        check_limits(case, before, &after, total)?;
        let (fee, prover_fee) = self.split_shares(tree, total)?;
        Ok(Settlement {
            signing: self.case.signing(inputs, fee)?,
            roster: held.roster,
            before: held.before,
            after,
            items,
            prover_fee,
        })
    }

    /// The deposits with their positions: all inputs after the NFT and the vault's coin, one per
    /// request.
    fn deposits(&self, has_vault: bool) -> Result<Vec<(usize, &Spent)>, Refusal> {
        let requests = self.requests.len();
        let first = if has_vault { 2 } else { 1 };
        let deposits: Vec<_> = self
            .case
            .outline
            .spent
            .iter()
            .enumerate()
            .skip(first)
            .collect();
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
            .case
            .transaction
            .output
            .iter()
            .enumerate()
            .take(self.case.framed.committed)
            .skip(first)
            .collect();
        let expected = self.requests.len();
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
        let prover_fee = self.case.framed.prover_fee.unwrap_or(Amount::ZERO);
        let uncommitted = self.case.transaction.output.get(self.case.framed.committed);
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
}
