//! What an output carries besides its coin.
//!
//! Owns the verdict, which errs on the side of leaving an output alone. zkBTC is what operators take for zkBTC: read
//! from what the transaction's id commits to, without witnesses. Plain is only what carries nothing in that reading nor in
//! the one of Charms, which looks into witnesses too: old spells are there. And a transaction that claims to carry a
//! spell which does not verify (unknown version, false proof, mock outside regtest) spoils all its outputs, because a newer
//! program may see charms there that this one would destroy.

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
    read: HashMap<Txid, Rc<Readings>>,
}

/// A transaction as operators read it, and as Charms does.
#[derive(Debug)]
struct Readings {
    committed: PrevTx,
    compatible: PrevTx,
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
        let readings = self.readings(transaction);
        let verdict = self.verdict(&readings.committed, vout);
        match verdict {
            Carried::Nothing => self.verdict(&readings.compatible, vout).without_zkbtc(),
            other => other,
        }
    }

    fn verdict(&self, previous: &PrevTx, vout: u32) -> Carried {
        if let Some(error) = previous.rejected() {
            return Carried::Unverified(error.code());
        }
        if previous.charms_at(vout).is_empty() {
            return Carried::Nothing;
        }
        match self
            .bridge
            .map(|bridge| previous.bridge_charms(vout, &bridge))
        {
            Some(BridgeCharms::Token(amount @ 1..)) => Carried::ZkBtc(Amount::from_sat(amount)),
            _ => Carried::Other,
        }
    }

    fn readings(&mut self, transaction: &Transaction) -> Rc<Readings> {
        let mock = self.mock;
        let readings = self
            .read
            .entry(transaction.compute_txid())
            .or_insert_with(|| {
                Rc::new(Readings {
                    committed: PrevTx::read_committed(transaction, mock),
                    compatible: PrevTx::read(transaction.clone(), mock),
                })
            });
        Rc::clone(readings)
    }
}

impl Carried {
    /// zkBTC that only a witness speaks of is none that operators would take.
    fn without_zkbtc(self) -> Self {
        match self {
            Self::ZkBtc(_) => Self::Other,
            other => other,
        }
    }
}
