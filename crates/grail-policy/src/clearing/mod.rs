//! Clearings: orders of one zk-app, executed beside its main cell (ADR 42,
//! `docs/spec/clearings.md`).
//!
//! Operators know nothing of what an app does with what it holds: its contract says that, and the
//! spell's proof that the contract ran. They look at what no contract sees, the facts, and sign
//! only where the contract was shown the same; and they hold the transaction to what each order's
//! owner asked for, whatever the contract says. So an app endangers who pools in it, and nobody
//! else.
//!
//! The roster NFT takes no part. The roster is a hint that is derived into every script that is
//! spent: a made-up one opens what its inventor paid there. The parameters are a hint too, and only
//! tighten what is constant here: whatever else a clearing may do is in each order's own terms.

use std::sync::Arc;

use bitcoin::{
    Amount, TxOut,
    secp256k1::{Secp256k1, Verification},
};
use grail_script::{DepositTree, HomeTree, InternalKey, Spend};
use grail_types::{Bridge, Network, RequestId, Roster, ZkApp};
use grail_wire::{ClearingRequest, Proposal};

use crate::{
    approve::{Signing, SigningInput},
    claims::{Claims, Section},
    fee::check_fee,
    outline::{Framed, Outline, Spent},
    refusal::Refusal,
};

mod apps;
mod cells;
mod facts;
mod orders;

/// A clearing that obeys the rules.
#[derive(Clone, Debug)]
pub struct Clearing {
    /// What is signed.
    pub signing: Signing,
    /// Whose orders.
    pub app: ZkApp,
    /// What each order pays, in order.
    pub orders: Vec<(RequestId, Amount)>,
    /// Hash of what the contract was shown, as the operators saw it.
    pub facts: [u8; 32],
    /// What the prover gets; zero without an output of its own. The shares less this are the
    /// miners'.
    pub prover_fee: Amount,
}

/// What every rule of a clearing looks at.
struct Scene<'a> {
    proposal: &'a Proposal,
    request: &'a ClearingRequest,
    bridge: &'a Bridge,
    outline: Outline,
    framed: Framed,
    roster: Arc<Roster>,
    home: HomeTree,
    /// How many inputs are the app's.
    cells_in: usize,
    /// How many outputs are the app's.
    cells_out: usize,
}

/// An order beside its deposit and its output.
struct Placed<'a> {
    order: &'a grail_wire::PlacedOrder,
    terms: grail_types::OrderTerms,
    tree: DepositTree,
    input_index: usize,
    spent: &'a Spent,
    output_index: usize,
    output: &'a TxOut,
}

impl Clearing {
    pub(crate) fn judge<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &Proposal,
        request: &ClearingRequest,
        bridge: &Bridge,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        check_enabled(bridge.network)?;
        let scene = Scene::read(secp, proposal, request, bridge, outline)?;
        apps::check(&scene)?;
        cells::check(&scene)?;
        let placed = scene.placed(secp)?;
        orders::check(secp, &scene, &placed)?;
        let facts = facts::check(&scene, &placed)?;
        let (fee, prover_fee) = scene.split_shares()?;
        scene.claim_all()?;

        let shares = placed
            .iter()
            .map(|it| (it.tree.request, it.order.fee_share));
        let orders = shares.collect();
        let at_home = SigningInput {
            spend: Spend::Leaf(scene.home.leaf.clone()),
            roster: Arc::clone(&scene.roster),
        };
        let mut inputs = vec![at_home; scene.cells_in];
        inputs.extend(placed.into_iter().map(|it| SigningInput {
            spend: Spend::Leaf(it.tree.leaf),
            roster: Arc::clone(&scene.roster),
        }));
        let transaction = &proposal.transaction;
        let weight = check_fee(transaction, &proposal.params, &inputs, fee)?;
        let spent = scene.outline.spent.into_iter();
        Ok(Self {
            signing: Signing {
                transaction: transaction.clone(),
                prevouts: spent.map(|spent| spent.output).collect(),
                inputs,
                fee,
                weight,
            },
            app: request.app,
            orders,
            facts,
            prover_fee,
        })
    }
}

/// Where real money is at stake no operator signs for an app before somebody outside has looked at
/// these rules. A constant, since parameters that nothing binds could not hold anybody back.
fn check_enabled(network: Network) -> Result<(), Refusal> {
    match network {
        Network::Regtest | Network::Signet | Network::Testnet4 => Ok(()),
        Network::Mainnet => Err(Refusal::AppsDisabled),
    }
}

impl<'a> Scene<'a> {
    fn read<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &'a Proposal,
        request: &'a ClearingRequest,
        bridge: &'a Bridge,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        let roster = Arc::new(request.roster.0.clone());
        // The declared epoch is in the proposal's name, and so in every answer.
        if roster.epoch() != proposal.epoch {
            return Err(Refusal::WrongEpoch {
                expected: roster.epoch(),
                got: proposal.epoch,
            });
        }
        if request.orders.is_empty() {
            return Err(Refusal::Empty);
        }
        let transaction = &proposal.transaction;
        let spell = outline.spell(transaction)?;
        let framed = Framed::new(spell, transaction, &proposal.params)?;
        let inputs = transaction.input.len();
        let cells_in = beside_orders("inputs", inputs, request)?;
        let cells_out = beside_orders("outputs in the spell", framed.committed, request)?;
        let home = HomeTree::new(secp, InternalKey::Nums, &request.app, bridge, &roster);
        Ok(Self {
            proposal,
            request,
            bridge,
            outline,
            framed,
            roster,
            home,
            cells_in,
            cells_out,
        })
    }

    /// Each order with its deposit and its output, by position: nobody names an index.
    fn placed<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<Vec<Placed<'_>>, Refusal> {
        let deposits = self.outline.spent.iter().enumerate().skip(self.cells_in);
        let outputs = self.proposal.transaction.output.iter().enumerate();
        let outputs = outputs.skip(self.cells_out);
        let orders = self.request.orders.iter();
        orders
            .zip(deposits.zip(outputs))
            .map(|(order, ((input_index, spent), (output_index, output)))| {
                let terms = self.request.terms(order, self.bridge);
                let tree = DepositTree::of_order(secp, InternalKey::Nums, &terms, &self.roster);
                if tree.script_pubkey != spent.output.script_pubkey {
                    return Err(Refusal::DepositMismatch {
                        input_index,
                        request: tree.request,
                    });
                }
                Ok(Placed {
                    order,
                    terms,
                    tree,
                    input_index,
                    spent,
                    output_index,
                    output,
                })
            })
            .collect()
    }

    /// The miners' part and the prover's. What comes in and does not go out is exactly what the
    /// orders pay, so that nothing that the app holds pays for anything.
    fn split_shares(&self) -> Result<(Amount, Amount), Refusal> {
        let shares = sum(self.request.orders.iter().map(|order| order.fee_share))?;
        let spent = sum(self.outline.spent.iter().map(|spent| spent.output.value))?;
        let committed = self.proposal.transaction.output.iter();
        let committed = committed.take(self.framed.committed);
        let made = sum(committed.map(|output| output.value))?;
        let expected = made.checked_add(shares).ok_or(Refusal::Overflow)?;
        if spent != expected {
            return Err(Refusal::FeeMismatch {
                expected: shares,
                spent,
                made,
            });
        }
        let prover_fee = self.framed.prover_fee.unwrap_or(Amount::ZERO);
        let fee = shares.checked_sub(prover_fee).ok_or(Refusal::ProverFee {
            got: prover_fee,
            reason: "the orders pay less in all",
        })?;
        Ok((fee, prover_fee))
    }

    fn claim_all(&self) -> Result<(), Refusal> {
        let transaction = &self.proposal.transaction;
        let mut claims = Claims::on(transaction);
        let (committed, outputs) = (self.framed.committed, transaction.output.len());
        claims.inputs(Section::App, 0..transaction.input.len())?;
        claims.outputs(Section::App, 0..committed)?;
        claims.outputs(Section::Frame, committed..outputs)?;
        claims.finish()
    }
}

/// How many of `all` are not an order's: at least the main cell.
fn beside_orders(
    what: &'static str,
    all: usize,
    request: &ClearingRequest,
) -> Result<usize, Refusal> {
    let orders = request.orders.len();
    match all.checked_sub(orders) {
        Some(cells) if cells > 0 => Ok(cells),
        _ => Err(Refusal::WrongCount {
            what,
            expected: orders.saturating_add(1),
            got: all,
        }),
    }
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Result<Amount, Refusal> {
    amounts
        .try_fold(Amount::ZERO, Amount::checked_add)
        .ok_or(Refusal::Overflow)
}
