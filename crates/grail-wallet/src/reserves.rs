//! Reserves recomputed from chain data, and held against what the API says.

use bitcoin::{Amount, BlockHash, OutPoint};
use grail_api::Reserves;

/// What the chain says. Confirmed outputs only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReserves {
    /// zkBTC in existence, by the NFT.
    pub supply: Amount,
    /// Coins at the vault but the NFT's: what is locked, donations included.
    pub at_vault: Amount,
    /// Where the NFT is.
    pub nft_outpoint: OutPoint,
    /// Outputs at the vault but the NFT's.
    pub outputs: Vec<(OutPoint, Amount)>,
    /// As of this block.
    pub block_hash: BlockHash,
    /// Its height.
    pub height: u32,
}

impl ChainReserves {
    /// Whether every zkBTC is backed: the excess is donations. `None` when zkBTC exceeds what is
    /// locked.
    pub fn donations(&self) -> Option<Amount> {
        self.at_vault.checked_sub(self.supply)
    }

    /// The coins of these outputs; `None` past all money.
    pub fn sum(outputs: &[(OutPoint, Amount)]) -> Option<Amount> {
        outputs
            .iter()
            .try_fold(Amount::ZERO, |sum, (_, amount)| sum.checked_add(*amount))
    }

    /// Holds what the API says against this. `None` when it is as of another block: then neither
    /// confirms the other.
    pub fn compare(&self, said: &Reserves) -> Option<Agreement> {
        if self.block_hash != said.block_hash {
            return None;
        }
        let mut said_outputs: Vec<(OutPoint, u64)> = said
            .outpoints
            .iter()
            .map(|output| (output.outpoint, output.amount_sat))
            .collect();
        let mut found_outputs: Vec<(OutPoint, u64)> = self
            .outputs
            .iter()
            .map(|(outpoint, amount)| (*outpoint, amount.to_sat()))
            .collect();
        said_outputs.sort_unstable();
        found_outputs.sort_unstable();
        let is_same = said.supply_sat == self.supply.to_sat()
            && said.nft_outpoint == self.nft_outpoint
            && said_outputs == found_outputs;
        Some(if is_same {
            Agreement::Same
        } else {
            Agreement::Differs
        })
    }
}

/// What a comparison with the API's reserves shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Supply, NFT and every output are the same.
    Same,
    /// The API says something else than the chain.
    Differs,
}
