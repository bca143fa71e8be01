//! The wallet's unspent outputs, sorted by what they carry.
//!
//! Owns the types that keep charms from being spent as plain BTC: whatever pays with BTC takes
//! [`PlainCoin`], and only [`classify`] makes one, after the output's transaction was read and
//! found to put nothing on it.

use bitcoin::{Amount, OutPoint, Transaction, TxOut};

use grail_spell::SpellError;

use crate::charms::{Carried, CharmReader, NoCharms, OtherCharms, Token};
use crate::seed::Branch;

/// Confirmations before a coinbase output may be spent.
const COINBASE_MATURITY: u32 = 100;

/// An unspent output of the wallet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where.
    pub outpoint: OutPoint,
    /// The output.
    pub output: TxOut,
    /// Which chain of keys it is on.
    pub branch: Branch,
    /// Index of its key.
    pub index: u32,
    /// 0 while not in a block.
    pub confirmations: u32,
    /// Whether a coinbase made it.
    pub is_coinbase: bool,
}

impl Coin {
    /// Whether it may be spent now: in a block (a hundred deep for a coinbase), or the wallet's own
    /// change, which nobody else can double-spend.
    pub fn is_spendable(&self) -> bool {
        if self.is_coinbase {
            self.confirmations >= COINBASE_MATURITY
        } else {
            self.confirmations > 0 || self.branch == Branch::Change
        }
    }
}

/// A coin that carries nothing: may be spent as BTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainCoin {
    coin: Coin,
    why: NoCharms,
}

impl PlainCoin {
    /// The coin.
    pub fn coin(&self) -> &Coin {
        &self.coin
    }
}

/// A coin that carries zkBTC and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCoin {
    coin: Coin,
    token: Token,
}

impl TokenCoin {
    /// The coin under the zkBTC.
    pub fn coin(&self) -> &Coin {
        &self.coin
    }

    /// The zkBTC.
    pub fn amount(&self) -> Amount {
        self.token.amount
    }
}

/// An unspent output and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Plain BTC.
    Plain(PlainCoin),
    /// zkBTC.
    ZkBtc(TokenCoin),
    /// Charms that this wallet cannot move: left alone.
    Other(Coin, OtherCharms),
    /// A spell that does not verify: left alone.
    Unverified(Coin, SpellError),
}

impl Holding {
    /// The coin, whatever it carries.
    pub fn coin(&self) -> &Coin {
        match self {
            Self::Plain(plain) => &plain.coin,
            Self::ZkBtc(token) => &token.coin,
            Self::Other(coin, _) | Self::Unverified(coin, _) => coin,
        }
    }

    /// The verdict that put it here.
    pub fn carried(&self) -> Carried {
        match self {
            Self::Plain(plain) => Carried::Nothing(plain.why.clone()),
            Self::ZkBtc(token) => Carried::ZkBtc(token.token.clone()),
            Self::Other(_, other) => Carried::Other(other.clone()),
            Self::Unverified(_, error) => Carried::Unverified(error.clone()),
        }
    }
}

/// Sorts a coin by what `transaction`, which makes it, puts on it.
pub fn classify(reader: &mut CharmReader, coin: Coin, transaction: &Transaction) -> Holding {
    match reader.carried(transaction, coin.outpoint.vout) {
        Carried::Nothing(why) => Holding::Plain(PlainCoin { coin, why }),
        Carried::ZkBtc(token) => Holding::ZkBtc(TokenCoin { coin, token }),
        Carried::Other(other) => Holding::Other(coin, other),
        Carried::Unverified(error) => Holding::Unverified(coin, error),
    }
}

/// Sums of the wallet's holdings, BTC and zkBTC apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Plain BTC that may be spent now.
    pub btc: Amount,
    /// Plain BTC that is not in a block yet, or in a young coinbase.
    pub btc_pending: Amount,
    /// zkBTC that may be spent now.
    pub zkbtc: Amount,
    /// zkBTC that is not in a block yet.
    pub zkbtc_pending: Amount,
    /// Coins under zkBTC: move with it.
    pub carriers: Amount,
    /// Coins under charms that this wallet does not know or that do not verify: never spent.
    pub set_aside: Amount,
}

impl Balance {
    /// The sums of these.
    pub fn of<'a>(holdings: impl IntoIterator<Item = &'a Holding>) -> Self {
        let mut balance = Self::default();
        for holding in holdings {
            let coin = holding.coin();
            let value = coin.output.value;
            let spendable = coin.is_spendable();
            match holding {
                Holding::Plain(_) if spendable => add(&mut balance.btc, value),
                Holding::Plain(_) => add(&mut balance.btc_pending, value),
                Holding::ZkBtc(token) => {
                    let side = if spendable {
                        &mut balance.zkbtc
                    } else {
                        &mut balance.zkbtc_pending
                    };
                    add(side, token.amount());
                    add(&mut balance.carriers, value);
                }
                Holding::Other(..) | Holding::Unverified(..) => add(&mut balance.set_aside, value),
            }
        }
        balance
    }
}

/// What a node, or a mock spell on regtest, claims may be anything.
fn add(sum: &mut Amount, amount: Amount) {
    *sum = sum.checked_add(amount).unwrap_or(Amount::MAX);
}
