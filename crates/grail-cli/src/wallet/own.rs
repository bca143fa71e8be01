//! The wallet's own payments: alive until a block has them for good.
//!
//! A payment that is out cannot be taken back by forgetting it: a node that restarted without its
//! mempool does not know it, others do. So it stays pending, its coins stay spent, and it is handed
//! to the node again at each sync. Somebody else's payment that vanishes is forgotten: whoever made
//! it looks after it.

use std::collections::HashSet;
use std::sync::Arc;

use bdk_wallet::chain::ChainPosition;
use bitcoin::{Transaction, Txid};
use grail_chain::{Chain, SendError};

use super::{Wallet, WalletError};
use crate::home::OwnPayment;
use crate::progress::{Note, Progress};

/// Confirmations after which a payment's file goes: no reorg is as deep.
const KEPT_CONFIRMATIONS: u32 = 100;
/// Unconfirmed transactions behind a payment that are handed over before it.
const ANCESTORS_MAX: usize = 64;

/// Where a payment stands, by what the wallet has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// It, or another that spends one of its coins, is this deep in the chain.
    Decided { confirmations: u32 },
    /// Another that spends one of its coins is in the mempool in its place.
    Replaced,
    /// Nothing else spends its coins.
    Open,
}

/// Keeps own payments alive, forgets others that are gone. `present` are the node's unconfirmed
/// transactions.
pub(super) fn keep_alive<C: Chain>(
    wallet: &mut Wallet,
    chain: &C,
    present: &HashSet<Txid>,
    now: u64,
    progress: &mut dyn Progress,
) -> Result<(), WalletError> {
    let payments = own_payments(wallet, now, progress)?;
    let untold = payments.iter().filter(|payment| !payment.is_told);
    wallet
        .untold
        .extend(untold.map(|payment| payment.transaction.clone()));
    let mut due: Vec<Arc<Transaction>> = Vec::new();
    for payment in &payments {
        let txid = payment.transaction.compute_txid();
        match wallet.stand(&payment.transaction, &txid, present) {
            Stand::Decided { confirmations } if confirmations >= KEPT_CONFIRMATIONS => {
                wallet.payments.forget(&txid)?;
            }
            Stand::Open if !present.contains(&txid) => {
                add_with_ancestors(wallet, present, &payment.transaction, &mut due);
            }
            Stand::Decided { .. } | Stand::Replaced | Stand::Open => (),
        }
    }
    let kept: HashSet<Txid> = due.iter().map(|due| due.compute_txid()).collect();
    let gone: Vec<(Txid, u64)> = wallet
        .unconfirmed()
        .into_iter()
        .filter(|txid| !present.contains(txid) && !kept.contains(txid))
        .map(|txid| (txid, now))
        .collect();
    wallet.bdk.apply_evicted_txs(gone);
    hand_over(wallet, chain, due, now, progress)
}

/// The payments on disk, and those that an earlier release or another wallet of the same mnemonic
/// made: what spends the wallet's coins was signed with its key.
fn own_payments(
    wallet: &Wallet,
    now: u64,
    progress: &mut dyn Progress,
) -> Result<Vec<OwnPayment>, WalletError> {
    let (mut payments, strays) = wallet.payments.all()?;
    for stray in strays {
        progress.note(stray.note());
    }
    let known: HashSet<Txid> = payments
        .iter()
        .map(|payment| payment.transaction.compute_txid())
        .collect();
    for found in wallet.bdk.transactions() {
        let txid = found.tx_node.txid;
        if found.chain_position.is_confirmed()
            || known.contains(&txid)
            || !wallet.spends_own(&found.tx_node.tx)
        {
            continue;
        }
        let payment = OwnPayment {
            transaction: (*found.tx_node.tx).clone(),
            sent_at: now,
            is_told: true,
        };
        wallet.payments.keep(&payment)?;
        payments.push(payment);
    }
    Ok(payments)
}

/// A payment, behind what it builds on and the node does not have either.
fn add_with_ancestors(
    wallet: &Wallet,
    present: &HashSet<Txid>,
    transaction: &Transaction,
    due: &mut Vec<Arc<Transaction>>,
) {
    let mut family = vec![Arc::new(transaction.clone())];
    let mut next = 0;
    while let Some(child) = family.get(next).cloned() {
        next += 1;
        for input in &child.input {
            let txid = input.previous_output.txid;
            let parent = wallet
                .bdk
                .get_tx(txid)
                .filter(|parent| !parent.chain_position.is_confirmed() && !present.contains(&txid));
            if let Some(parent) = parent
                && family.len() < ANCESTORS_MAX
            {
                family.push(Arc::clone(&parent.tx_node.tx));
            }
        }
    }
    for member in family.into_iter().rev() {
        if !due.contains(&member) {
            due.push(member);
        }
    }
}

fn hand_over<C: Chain>(
    wallet: &mut Wallet,
    chain: &C,
    due: Vec<Arc<Transaction>>,
    now: u64,
    progress: &mut dyn Progress,
) -> Result<(), WalletError> {
    for transaction in due {
        let txid = transaction.compute_txid();
        match chain.send(&transaction) {
            Ok(_) | Err(SendError::AlreadyConfirmed | SendError::AlreadyInMempool) => (),
            // A deposit that was taken back, by this or by another transaction: no coin of the
            // wallet's is at stake.
            Err(SendError::MissingInputs { .. }) if !wallet.spends_own(&transaction) => {
                wallet.payments.forget(&txid)?;
                wallet.bdk.apply_evicted_txs([(txid, now)]);
                continue;
            }
            Err(error) => progress.note(Note::new(
                "payment-not-relayed",
                format!(
                    "the node does not take the payment {txid} at present: {error}. Others may know it: its coins \
                     stay reserved, and it is handed over again each time; `grail bump` raises its fee"
                ),
            )),
        }
        wallet.see(transaction, now);
    }
    Ok(())
}

impl Wallet {
    /// What the wallet counts and no block has.
    pub(super) fn unconfirmed(&self) -> HashSet<Txid> {
        self.bdk
            .transactions()
            .filter(|transaction| !transaction.chain_position.is_confirmed())
            .map(|transaction| transaction.tx_node.txid)
            .collect()
    }

    /// Whether an input is a coin of the wallet's: only its key can have signed that.
    fn spends_own(&self, transaction: &Transaction) -> bool {
        transaction.input.iter().any(|input| {
            let outpoint = input.previous_output;
            self.bdk
                .tx_graph()
                .get_txout(outpoint)
                .is_some_and(|output| self.is_mine(&output.script_pubkey))
        })
    }

    fn stand(&self, transaction: &Transaction, txid: &Txid, present: &HashSet<Txid>) -> Stand {
        let mut stand = Stand::Open;
        let rivals = transaction
            .input
            .iter()
            .flat_map(|input| self.bdk.tx_graph().outspends(input.previous_output));
        for rival in std::iter::once(txid).chain(rivals) {
            match self.bdk.get_tx(*rival).map(|known| known.chain_position) {
                Some(ChainPosition::Confirmed { anchor, .. }) => {
                    let height = anchor.block_id.height;
                    return Stand::Decided {
                        confirmations: grail_chain::confirmations(self.tip().height, height),
                    };
                }
                Some(ChainPosition::Unconfirmed { .. }) if rival != txid => stand = Stand::Replaced,
                // Of two seen in one second the wallet may count the other.
                _ if rival != txid && present.contains(rival) => stand = Stand::Replaced,
                _ => (),
            }
        }
        stand
    }
}
