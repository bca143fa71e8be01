//! The books as of a block.

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use grail_bridge_contract::RosterState;
use grail_types::BridgeApp;

use crate::finding::Finding;
use crate::step::PegTotal;

/// Who holds what, by the chain.
///
/// What holds as long as every rule is kept: the coins that settlements left at the vault are worth
/// `supply` and the donations that they merged; unspent zkBTC and what owners destroyed come to
/// `supply`.
#[derive(Clone, Debug)]
pub struct Books {
    /// The bridge.
    pub bridge: BridgeApp,
    /// The transaction that created the NFT.
    pub deployment: Txid,
    /// Where the roster NFT is; none when it is gone.
    pub nft: Option<OutPoint>,
    /// What it says, or said last.
    pub state: RosterState,
    /// Coins that settlements left at the vault.
    pub vault: BTreeMap<OutPoint, Amount>,
    /// Coins that came to the vault otherwise.
    pub donations: BTreeMap<OutPoint, Amount>,
    /// zkBTC by unspent output.
    pub tokens: BTreeMap<OutPoint, u64>,
    /// Donations that settlements merged into the vault, less backing that rotations left behind,
    /// in satoshis.
    pub merged: i128,
    /// zkBTC that owners destroyed outside settlements: its coins stay locked.
    pub burnt: u64,
}

/// What a transaction takes off the books.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    /// The input that spends the NFT.
    pub nft_input: Option<usize>,
    pub vault: u64,
    pub donations: PegTotal,
    pub tokens: u64,
    pub token_inputs: usize,
}

impl Books {
    /// Coins that settlements left at the vault.
    pub fn locked(&self) -> Amount {
        sum(&self.vault)
    }

    /// Coins given to the vault.
    pub fn donated(&self) -> Amount {
        sum(&self.donations)
    }

    /// zkBTC in unspent outputs, in satoshis.
    pub fn circulating(&self) -> u64 {
        self.tokens
            .values()
            .fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    /// Whether the books balance.
    ///
    /// # Errors
    /// The first line that does not.
    pub fn check(&self) -> Result<(), Finding> {
        if self.nft.is_none() {
            return Err(Finding::NftLost);
        }
        let (supply, vault) = (self.state.supply, self.locked().to_sat());
        if i128::from(vault) != i128::from(supply).saturating_add(self.merged) {
            return Err(Finding::SupplyNotVault {
                supply,
                vault,
                merged: self.merged,
            });
        }
        let circulating = self.circulating();
        if circulating.saturating_add(self.burnt) != supply {
            return Err(Finding::SupplyNotCirculating {
                supply,
                circulating,
                burnt: self.burnt,
            });
        }
        Ok(())
    }

    pub(crate) fn spend(&mut self, transaction: &Transaction) -> Spent {
        let mut spent = Spent::default();
        for (index, input) in transaction.input.iter().enumerate() {
            let outpoint = &input.previous_output;
            if self.nft.as_ref() == Some(outpoint) {
                spent.nft_input = Some(index);
            }
            if let Some(amount) = self.vault.remove(outpoint) {
                spent.vault = spent.vault.saturating_add(amount.to_sat());
            }
            if let Some(amount) = self.donations.remove(outpoint) {
                spent.donations.add(amount.to_sat());
            }
            if let Some(amount) = self.tokens.remove(outpoint) {
                spent.tokens = spent.tokens.saturating_add(amount);
                spent.token_inputs = spent.token_inputs.saturating_add(1);
            }
        }
        spent
    }
}

/// A forger's numbers may be any: past all money it stays there, and equals nothing.
fn sum(coins: &BTreeMap<OutPoint, Amount>) -> Amount {
    let total = coins
        .values()
        .fold(0_u64, |sum, amount| sum.saturating_add(amount.to_sat()));
    Amount::from_sat(total)
}
