//! The wallet's own payments: alive until a block has them for good.
//!
//! A payment that is out cannot be taken back by forgetting it: a node that restarted without its
//! mempool does not know it, others do. So it stays pending, its coins stay spent, and it is handed
//! to the node again at each sync. Somebody else's payment that vanishes is forgotten: whoever made
//! it looks after it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bdk_wallet::chain::{ChainPosition, ConfirmationBlockTime};
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

/// What the wallet counts, each with the height of its block.
type Counted = HashMap<Txid, Option<u32>>;

/// What there is, by the wallet and by the node.
struct Seen<'a> {
    counted: Counted,
    present: &'a HashSet<Txid>,
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
    let seen = Seen {
        counted: wallet.counted(),
        present,
    };
    let mut due: Vec<Arc<Transaction>> = Vec::new();
    for payment in &payments {
        let txid = payment.transaction.compute_txid();
        match wallet.stand(&payment.transaction, &seen) {
            Stand::Decided { confirmations } if confirmations >= KEPT_CONFIRMATIONS => {
                wallet.payments.forget(&txid)?;
            }
            Stand::Open if !present.contains(&txid) => {
                add_with_ancestors(wallet, &seen, &payment.transaction, &mut due);
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
    wallet.evict(&gone);
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
    for found in wallet.transactions() {
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
    seen: &Seen<'_>,
    transaction: &Transaction,
    due: &mut Vec<Arc<Transaction>>,
) {
    let mut family = vec![Arc::new(transaction.clone())];
    let mut next = 0;
    while let Some(child) = family.get(next).cloned() {
        next += 1;
        for input in &child.input {
            let txid = input.previous_output.txid;
            let is_away = seen.counted.get(&txid) == Some(&None) && !seen.present.contains(&txid);
            let parent = is_away.then(|| wallet.transaction(&txid)).flatten();
            if let Some(parent) = parent
                && family.len() < ANCESTORS_MAX
            {
                family.push(parent);
            }
        }
    }
    for member in family.into_iter().rev() {
        if !due.contains(&member) {
            due.push(member);
        }
    }
}

/// Again and again, as long as one more is taken: some build on others.
fn hand_over<C: Chain>(
    wallet: &mut Wallet,
    chain: &C,
    mut due: Vec<Arc<Transaction>>,
    now: u64,
    progress: &mut dyn Progress,
) -> Result<(), WalletError> {
    loop {
        let mut left = Vec::new();
        for transaction in &due {
            let sent = chain.send(transaction);
            match sent {
                Ok(_) | Err(SendError::AlreadyConfirmed | SendError::AlreadyInMempool) => (),
                Err(SendError::MissingInputs { .. }) if wallet.spends_own(transaction) => {
                    left.push(Arc::clone(transaction));
                }
                // A deposit that was taken back, by this or by another transaction: no coin of the
                // wallet's is at stake.
                Err(SendError::MissingInputs { .. }) => {
                    let txid = transaction.compute_txid();
                    wallet.payments.forget(&txid)?;
                    wallet.evict(&[(txid, now)]);
                    continue;
                }
                Err(error) => progress.note(not_relayed(transaction, &error.to_string())),
            }
            wallet.see(Arc::clone(transaction), now);
        }
        if left.len() == due.len() {
            for transaction in &left {
                let why = "the node does not know what it spends";
                progress.note(not_relayed(transaction, why));
            }
            return Ok(());
        }
        due = left;
    }
}

fn not_relayed(transaction: &Transaction, why: &str) -> Note {
    Note::new(
        "payment-not-relayed",
        format!(
            "the node does not take the payment {} at present: {why}. Others may know it: its coins stay reserved, and \
             it is handed over again each time; `grail bump` raises its fee",
            transaction.compute_txid()
        ),
    )
}

impl Wallet {
    /// What the wallet counts and no block has.
    pub(super) fn unconfirmed(&self) -> HashSet<Txid> {
        self.transactions()
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

    /// What the wallet counts, each with the height of its block.
    fn counted(&self) -> Counted {
        let height = |position: &ChainPosition<_>| match position {
            ChainPosition::Confirmed { anchor, .. } => Some(height_of(anchor)),
            ChainPosition::Unconfirmed { .. } => None,
        };
        self.transactions()
            .map(|known| (known.tx_node.txid, height(&known.chain_position)))
            .collect()
    }

    fn stand(&self, transaction: &Transaction, seen: &Seen<'_>) -> Stand {
        let txid = transaction.compute_txid();
        let mut stand = Stand::Open;
        let rivals = transaction
            .input
            .iter()
            .flat_map(|input| self.bdk.tx_graph().outspends(input.previous_output));
        for rival in std::iter::once(&txid).chain(rivals) {
            match seen.counted.get(rival) {
                Some(Some(height)) => {
                    return Stand::Decided {
                        confirmations: grail_chain::confirmations(self.tip().height, *height),
                    };
                }
                // Of two seen in one second the wallet may count the other.
                counted
                    if *rival != txid && (counted.is_some() || seen.present.contains(rival)) =>
                {
                    stand = Stand::Replaced;
                }
                _ => (),
            }
        }
        stand
    }
}

const fn height_of(anchor: &ConfirmationBlockTime) -> u32 {
    anchor.block_id.height
}
