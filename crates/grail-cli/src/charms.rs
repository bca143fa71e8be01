//! What an output carries besides its coin.
//!
//! Owns the verdict. Every spell is verified before it is believed, and a transaction that claims to carry a spell which
//! does not verify (unknown version, false proof, mock outside regtest) spoils all its outputs: they are neither zkBTC
//! nor plain BTC, because a newer program may see charms there that this one would destroy.

use std::collections::HashMap;
use std::rc::Rc;

use bitcoin::{Amount, Transaction, Txid};
use grail_spell::{BridgeCharms, PrevTx};
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
    bridge: Option<BridgeApp>,
    mock: Option<MockAllowed>,
    read: HashMap<Txid, Rc<PrevTx>>,
}

impl CharmReader {
    /// For a network; without a bridge no charm is zkBTC.
    pub fn new(network: Network, bridge: Option<&BridgeApp>) -> Self {
        Self {
            bridge: bridge.copied(),
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
        let Some(bridge) = &self.bridge else {
            let is_plain = previous.charms_at(vout).is_empty();
            return if is_plain {
                Carried::Nothing
            } else {
                Carried::Other
            };
        };
        match previous.bridge_charms(vout, bridge) {
            BridgeCharms::Nothing => Carried::Nothing,
            BridgeCharms::Token(amount @ 1..) => Carried::ZkBtc(Amount::from_sat(amount)),
            // Zero: not what any honest spell makes.
            BridgeCharms::Token(0) | BridgeCharms::Nft(_) | BridgeCharms::Other => Carried::Other,
        }
    }

    fn previous(&mut self, transaction: &Transaction) -> Rc<PrevTx> {
        let mock = self.mock;
        let read = self
            .read
            .entry(transaction.compute_txid())
            .or_insert_with(|| Rc::new(PrevTx::read_committed(transaction, mock)));
        Rc::clone(read)
    }
}
