//! `grail wallet explain`: why an output is or is not counted in the balance.
//!
//! Decides nothing: whether an output counts is read off the wallet's holdings, from which the balance is summed, and what it
//! carries is [`Carried`]'s word, by which they were sorted. So an explanation cannot disagree with the balance.

use std::sync::Arc;

use bdk_wallet::KeychainKind;
use bdk_wallet::chain::ChainPosition;
use bitcoin::{OutPoint, Transaction, Txid};
use grail_chain::{BitcoinCore, Chain, View};

use crate::failure::Failure;
use crate::holdings::{Balance, Coin, Holding};
use crate::progress::Progress;
use crate::report::{Counted, Explanation, PlaceView, Reason, SpellSummary};
use crate::roster::transaction_of;
use crate::seed::Branch;
use crate::session::Session;
use crate::wallet::Wallet;

/// Explains an output. With a node, as of now; without one, as of the last time.
pub fn explain(
    session: &mut Session,
    outpoint: OutPoint,
    progress: &mut dyn Progress,
) -> Result<Explanation, Failure> {
    let has_node = session.has_node();
    if has_node {
        session.sync(progress)?;
    }
    let known = session.wallet.bdk().tx_graph().get_tx(outpoint.txid);
    let transaction = match known {
        Some(transaction) => Some(transaction),
        None if has_node => find(session.node()?, outpoint)?.map(Arc::new),
        None => None,
    };
    let height = session.wallet.tip().height;
    let mut explanation = Explanation::new(outpoint.to_string(), height);
    let Some(transaction) = transaction else {
        explanation.because(
            "unknown-output",
            if has_node {
                "neither the wallet nor the node's unspent outputs know it: it never existed, or was spent long ago"
            } else {
                "the wallet does not know its transaction, and no node is named to ask: give --node"
            },
        );
        return Ok(explanation);
    };
    describe(
        &mut session.wallet,
        &transaction,
        outpoint,
        &mut explanation,
    );
    Ok(explanation)
}

/// A transaction that the node still has an unspent output of, or has in its mempool.
fn find(node: &BitcoinCore, outpoint: OutPoint) -> Result<Option<Transaction>, Failure> {
    if let Some(transaction) = node.mempool_tx(&outpoint.txid)? {
        return Ok(Some(transaction));
    }
    match node.tx_out(&outpoint, View::Confirmed)? {
        Some(status) => Ok(transaction_of(node, outpoint, &status)?),
        None => Ok(None),
    }
}

/// Explains an output of `transaction` by what the wallet knows.
pub fn describe(
    wallet: &mut Wallet,
    transaction: &Transaction,
    outpoint: OutPoint,
    explanation: &mut Explanation,
) {
    let output = usize::try_from(outpoint.vout)
        .ok()
        .and_then(|vout| transaction.output.get(vout));
    let Some(output) = output else {
        let count = transaction.output.len();
        explanation.because(
            "no-such-output",
            format!("its transaction has {count} outputs"),
        );
        return;
    };
    explanation.amount_sat = Some(output.value.to_sat());
    let holding = wallet
        .holdings()
        .into_iter()
        .find(|holding| holding.coin().outpoint == outpoint);
    match &holding {
        Some(holding) => {
            owned(holding.coin(), explanation);
            explanation.because("unspent", "no transaction that the wallet knows spends it");
            depth(holding.coin(), explanation);
        }
        None => missing(
            wallet,
            outpoint,
            output.script_pubkey.as_script(),
            explanation,
        ),
    }
    let carried = holding.as_ref().map_or_else(
        || wallet.carried(transaction, outpoint.vout),
        Holding::carried,
    );
    explanation.because(carried.code(), carried.to_string());
    explanation.spell = carried.spell().map(|spell| SpellSummary {
        version: spell.version,
        is_mock: spell.is_mock,
        place: match spell.place {
            grail_spell::Place::OpReturn { output_index } => PlaceView::OpReturn { output_index },
            grail_spell::Place::Witness => PlaceView::Witness {
                input_index: transaction.input.len().saturating_sub(1),
            },
        },
        apps: carried.apps().iter().map(ToString::to_string).collect(),
    });
    explanation.token_sat = carried.zkbtc().map(bitcoin::Amount::to_sat);
    explanation.counted = counted(holding.as_ref());
}

fn owned(coin: &Coin, explanation: &mut Explanation) {
    let chain = match coin.branch {
        Branch::Receive => "receiving",
        Branch::Change => "change",
    };
    explanation.because(
        "own-script",
        format!("pays to {chain} address {} of this wallet", coin.index),
    );
}

fn depth(coin: &Coin, explanation: &mut Explanation) {
    let confirmations = coin.confirmations;
    match (confirmations, coin.is_spendable()) {
        (0, true) => explanation.because(
            "unconfirmed-change",
            "not in a block yet, but the wallet's own change, which nobody else can double-spend",
        ),
        (0, false) => explanation.because("unconfirmed", "not in a block yet"),
        (_, false) => explanation.because(
            "immature",
            format!("made by a coinbase with {confirmations} of 100 confirmations"),
        ),
        (_, true) => explanation.because("confirmed", format!("{confirmations} confirmations")),
    }
}

/// An output that is not among the holdings: somebody else's, spent, or of a transaction that is gone.
fn missing(
    wallet: &Wallet,
    outpoint: OutPoint,
    script: &bitcoin::Script,
    explanation: &mut Explanation,
) {
    if !wallet.is_mine(script) {
        explanation.because(
            "foreign-script",
            "does not pay to an address of this wallet",
        );
        return;
    }
    let bdk = wallet.bdk();
    if let Some((chain, index)) = bdk.derivation_of_spk(script.to_owned()) {
        let chain = match chain {
            KeychainKind::External => "receiving",
            KeychainKind::Internal => "change",
        };
        explanation.because(
            "own-script",
            format!("pays to {chain} address {index} of this wallet"),
        );
    }
    if bdk.get_tx(outpoint.txid).is_none() {
        explanation.because(
            "transaction-gone",
            "its transaction is neither in the chain nor in the mempool: replaced, or dropped",
        );
        return;
    }
    match spender(wallet, outpoint) {
        Some((txid, Some(height))) => {
            explanation.because("spent", format!("spent by {txid} in block {height}"));
        }
        Some((txid, None)) => {
            explanation.because("spent", format!("spent by {txid}, not in a block yet"));
        }
        None => explanation.because(
            "spent",
            "spent by a transaction that the wallet has not kept",
        ),
    }
}

/// The transaction that spends an output in the wallet's view of the chain.
fn spender(wallet: &Wallet, outpoint: OutPoint) -> Option<(Txid, Option<u32>)> {
    let bdk = wallet.bdk();
    bdk.tx_graph()
        .outspends(outpoint)
        .iter()
        .filter_map(|txid| bdk.get_tx(*txid))
        .map(|spender| {
            let height = match &spender.chain_position {
                ChainPosition::Confirmed { anchor, .. } => Some(anchor.block_id.height),
                ChainPosition::Unconfirmed { .. } => None,
            };
            (spender.tx_node.txid, height)
        })
        .next()
}

/// What the balance counts of a holding: the balance itself, of this one alone.
fn counted(holding: Option<&Holding>) -> Vec<Counted> {
    let balance = Balance::of(holding);
    let sides = [
        ("btc", balance.btc),
        ("btc-pending", balance.btc_pending),
        ("zkbtc", balance.zkbtc),
        ("zkbtc-pending", balance.zkbtc_pending),
        ("under-zkbtc", balance.carriers),
        ("set-aside", balance.set_aside),
    ];
    sides
        .into_iter()
        .filter(|(_, amount)| *amount > bitcoin::Amount::ZERO)
        .map(|(name, amount)| Counted {
            name,
            sat: amount.to_sat(),
        })
        .collect()
}

impl Explanation {
    fn because(&mut self, code: &'static str, text: impl Into<String>) {
        self.reasons.push(Reason {
            code,
            text: text.into(),
        });
    }
}
