//! A payment of the wallet's own that no block has, as it is needed to pay it anew with more fee.

use std::sync::Arc;

use bdk_wallet::chain::ChainPosition;
use bitcoin::{OutPoint, Transaction, Txid};
use grail_wallet::bump::Waiting;
use grail_wallet::charms::Carried;
use grail_wallet::holdings::Coin;
use grail_wallet::seed::Branch;

use super::{Wallet, WalletError};
use crate::failure::Failure;

impl Wallet {
    /// The payment of this name, if it waits for a block and nothing of the wallet's builds on it.
    pub fn waiting_payment(&self, txid: &Txid) -> Result<Arc<Transaction>, Failure> {
        let Some(known) = self.bdk.get_tx(*txid) else {
            return Err(Failure::new(
                "bump-unknown",
                format!("{txid} is no payment that this wallet waits for"),
            ));
        };
        if let ChainPosition::Confirmed { anchor, .. } = known.chain_position {
            return Err(Failure::new(
                "bump-confirmed",
                format!("{txid} is in block {} already", anchor.block_id.height),
            ));
        }
        // The replacement makes other outputs: what spends those of the old one would be lost, and
        // what it paid with it.
        let children = (0_u32..)
            .zip(&known.tx_node.tx.output)
            .find_map(|(vout, _)| {
                let spenders = self.bdk.tx_graph().outspends(OutPoint::new(*txid, vout));
                spenders
                    .iter()
                    .find(|spender| self.bdk.get_tx(**spender).is_some())
            });
        match children {
            Some(child) => Err(Failure::new(
                "bump-built-upon",
                format!("{child} builds on that payment: bump that one, which pays for both"),
            )),
            None => Ok(Arc::clone(&known.tx_node.tx)),
        }
    }

    /// What it takes to pay `transaction` anew. A coin that the wallet does not know is left out.
    pub fn waiting<'a>(&mut self, transaction: &'a Transaction) -> Waiting<'a> {
        let coins = transaction
            .input
            .iter()
            .filter_map(|input| self.own_coin(input.previous_output))
            .collect();
        Waiting {
            transaction,
            coins,
            has_change: self.has_change(transaction),
        }
    }

    fn own_coin(&self, outpoint: OutPoint) -> Option<Coin> {
        let output = self.bdk.tx_graph().get_txout(outpoint)?.clone();
        let (branch, index) = self.key_of(&output.script_pubkey)?;
        Some(Coin {
            outpoint,
            output,
            branch,
            index,
            // It was spendable when it was spent.
            confirmations: 0,
            is_coinbase: false,
        })
    }

    fn has_change(&mut self, transaction: &Transaction) -> bool {
        let Some((vout, last)) = (0_u32..).zip(&transaction.output).last() else {
            return false;
        };
        let is_change = self
            .key_of(&last.script_pubkey)
            .is_some_and(|(branch, _)| branch == Branch::Change);
        is_change && matches!(self.carried(transaction, vout), Carried::Nothing(_))
    }

    /// From now on `replaced` is not counted, whichever of the two a block takes.
    pub fn note_replaced(&mut self, replaced: Txid, at: u64) -> Result<(), WalletError> {
        self.evict(&[(replaced, at)]);
        self.save()
    }
}
