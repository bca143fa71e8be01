//! Why an output is or is not counted in the balance.
//!
//! Decides nothing: whether an output counts is read off the wallet's holdings, from which the
//! balance is summed, and what it carries is [`Carried`]'s word, by which they were sorted. So an
//! explanation cannot disagree with the balance.

use bitcoin::{Amount, Transaction, Txid};

use crate::charms::Carried;
use crate::holdings::{Balance, Coin, Holding};
use crate::seed::Branch;

/// Where an output stands with the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Among its unspent outputs.
    Held(Holding),
    /// Does not pay to it.
    Foreign,
    /// Pays to it, and is not among its unspent outputs.
    Lost {
        /// Chain and index of its key, where the wallet knows them.
        key: Option<(Branch, u32)>,
        /// What became of it.
        fate: Fate,
    },
}

/// What became of an output that the wallet has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its transaction is neither in the chain nor in the mempool.
    TransactionGone,
    /// Spent.
    SpentBy {
        /// By this transaction.
        txid: Txid,
        /// In this block; `None` while in none.
        height: Option<u32>,
    },
    /// Spent by a transaction that is not kept.
    SpentUnkept,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable.
    pub code: &'static str,
    /// In words.
    pub text: String,
}

/// A side of the balance, and how much of it is an output's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// `btc`, `btc-pending`, `zkbtc`, `zkbtc-pending`, `under-zkbtc` or `set-aside`.
    pub name: &'static str,
    /// Of zkBTC or of BTC.
    pub amount: Amount,
}

/// Why an output counts as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Its coin; `None` where its transaction has no such output.
    pub amount: Option<Amount>,
    /// What the balance counts of it: nothing when empty.
    pub counted: Vec<Counted>,
    /// In the order of judgement; the last one is about what it carries.
    pub reasons: Vec<Reason>,
}

impl Explanation {
    /// An output that its transaction does not have.
    pub fn no_such_output(transaction: &Transaction) -> Self {
        let mut explanation = Self::default();
        let count = transaction.output.len();
        explanation.because(
            "no-such-output",
            format!("its transaction has {count} outputs"),
        );
        explanation
    }

    /// Adds a reason.
    pub fn because(&mut self, code: &'static str, text: impl Into<String>) {
        self.reasons.push(Reason {
            code,
            text: text.into(),
        });
    }
}

/// Explains an output of this amount that carries this. What is held carries what it is held as.
pub fn explain(amount: Amount, standing: &Standing, carried: &Carried) -> Explanation {
    let mut explanation = Explanation {
        amount: Some(amount),
        ..Explanation::default()
    };
    match standing {
        Standing::Held(holding) => {
            let coin = holding.coin();
            owned(coin.branch, coin.index, &mut explanation);
            explanation.because("unspent", "no transaction that the wallet knows spends it");
            depth(coin, &mut explanation);
            explanation.counted = counted(holding);
        }
        Standing::Foreign => explanation.because(
            "foreign-script",
            "does not pay to an address of this wallet",
        ),
        Standing::Lost { key, fate } => {
            if let Some((branch, index)) = key {
                owned(*branch, *index, &mut explanation);
            }
            lost(fate, &mut explanation);
        }
    }
    explanation.because(carried.code(), carried.to_string());
    explanation
}

fn owned(branch: Branch, index: u32, explanation: &mut Explanation) {
    let chain = match branch {
        Branch::Receive => "receiving",
        Branch::Change => "change",
        Branch::Request => "request",
    };
    explanation.because(
        "own-script",
        format!("pays to {chain} address {index} of this wallet"),
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

fn lost(fate: &Fate, explanation: &mut Explanation) {
    match fate {
        Fate::TransactionGone => explanation.because(
            "transaction-gone",
            "its transaction is neither in the chain nor in the mempool: replaced, or dropped",
        ),
        Fate::SpentBy {
            txid,
            height: Some(height),
        } => explanation.because("spent", format!("spent by {txid} in block {height}")),
        Fate::SpentBy { txid, height: None } => {
            explanation.because("spent", format!("spent by {txid}, not in a block yet"));
        }
        Fate::SpentUnkept => explanation.because(
            "spent",
            "spent by a transaction that the wallet has not kept",
        ),
    }
}

/// What the balance counts of a holding: the balance itself, of this one alone.
fn counted(holding: &Holding) -> Vec<Counted> {
    let balance = Balance::of([holding]);
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
        .filter(|(_, amount)| *amount > Amount::ZERO)
        .map(|(name, amount)| Counted { name, amount })
        .collect()
}
