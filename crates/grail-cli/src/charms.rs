//! What an output carries besides its coin.
//!
//! Owns the verdict. Every spell is verified before it is believed, and a transaction that claims to carry a spell which
//! does not verify (unknown version, false proof, mock outside regtest) spoils all its outputs: they are neither zkBTC
//! nor plain BTC, because a newer program may see charms there that this one would destroy.

use std::collections::HashMap;
use std::rc::Rc;

use bitcoin::{Amount, Transaction, Txid};
use charms_data::App;
use grail_spell::{PrevTx, token_amount, token_app};
use grail_types::{BridgeApp, MockAllowed, Network};

/// What an output carries besides its coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing: plain BTC.
    Nothing,
    /// zkBTC of the wallet's bridge, and nothing else.
    ZkBtc(Amount),
    /// Charms that this wallet cannot move.
    Other,
    /// A claim that does not verify, with the code of its error.
    Unverified(&'static str),
}

/// Reads charms; remembers what it has verified.
#[derive(Debug)]
pub struct CharmReader {
    token: Option<App>,
    mock: Option<MockAllowed>,
    read: HashMap<Txid, Rc<PrevTx>>,
}

impl CharmReader {
    /// For a network; without a bridge no charm is zkBTC.
    pub fn new(network: Network, bridge: Option<&BridgeApp>) -> Self {
        Self {
            token: bridge.map(token_app),
            mock: MockAllowed::on(network),
            read: HashMap::new(),
        }
    }

    /// What output `vout` of `transaction` carries.
    pub fn carried(&mut self, transaction: &Transaction, vout: u32) -> Carried {
        let previous = self.previous(transaction);
        if let Some(error) = previous.rejected() {
            return Carried::Unverified(error.code());
        }
        let charms = previous.charms_at(vout);
        if charms.is_empty() {
            return Carried::Nothing;
        }
        let is_beamed = previous
            .spell()
            .is_some_and(|spell| spell.is_beamed_at(vout));
        match &self.token {
            Some(token) if charms.len() == 1 && charms.contains_key(token) && !is_beamed => {
                match token_amount(&charms, token) {
                    Ok(amount @ 1..) => Carried::ZkBtc(Amount::from_sat(amount)),
                    // Zero or no number: not what any honest spell makes.
                    _ => Carried::Other,
                }
            }
            _ => Carried::Other,
        }
    }

    fn previous(&mut self, transaction: &Transaction) -> Rc<PrevTx> {
        let mock = self.mock;
        let read = self
            .read
            .entry(transaction.compute_txid())
            .or_insert_with(|| Rc::new(PrevTx::read(transaction.clone(), mock)));
        Rc::clone(read)
    }
}
