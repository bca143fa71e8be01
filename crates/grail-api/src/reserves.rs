//! `GET /v1/reserves`.

use bitcoin::{BlockHash, OutPoint};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is locked against what exists, as of a block. Anyone can recompute it from the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reserves {
    /// Coins at vault outputs, without the coin under the NFT and without donations.
    pub vault_sat: u64,
    /// zkBTC in existence, by the roster NFT's state.
    pub supply_sat: u64,
    /// Coins sent to the vault outside a settlement.
    pub donations_sat: u64,
    /// Coins left at addresses of former rosters. They back nothing.
    #[serde(default)]
    pub former_sat: u64,
    /// Height from which coins at the vault's address are counted: nobody watched it before it was
    /// the vault's. Older ones are nobody's reserve.
    #[serde(default)]
    pub since_height: u32,
    /// Where the roster NFT is.
    #[schema(value_type = String)]
    pub nft_outpoint: OutPoint,
    /// The vault's outputs, then donations, each largest first; at most 1,000, while the sums hold
    /// all.
    pub outpoints: Vec<VaultOutput>,
    /// Height that this is as of.
    pub height: u32,
    /// Block that this is as of.
    #[schema(value_type = String)]
    pub block_hash: BlockHash,
}

/// An output at the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultOutput {
    /// Where.
    #[schema(value_type = String)]
    pub outpoint: OutPoint,
    /// How much.
    pub amount_sat: u64,
}
