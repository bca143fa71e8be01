//! Reserves recomputed from a node's unspent outputs: every one at the vault, and the roster NFT
//! among them.

use bitcoin::{Amount, OutPoint};
use grail_attest::Protocol;
use grail_chain::{BitcoinCore, BlockSource, Chain, ChainError};
use grail_types::Roster;
use grail_wallet::reserves::ChainReserves;
use grail_wallet::roster::{RosterFailure, nft_supply, vault_of};

use super::unspent_set::{ScanFailure, Unspent, UnspentSet, scan};

/// Most outputs at the vault that are looked through for the NFT.
const VAULT_OUTPUTS_MAX: usize = 100_000;

/// Why reserves cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ReservesError {
    /// The node.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Its scan.
    #[error(transparent)]
    Scan(#[from] ScanFailure),
    /// Nothing at the vault is the roster NFT.
    #[error("none of the {0} outputs at the vault holds the roster NFT of this roster")]
    NoNft(usize),
    /// The NFT is there, and disagrees.
    #[error(transparent)]
    Roster(#[from] RosterFailure),
    /// More outputs than are looked through.
    #[error("more than {VAULT_OUTPUTS_MAX} outputs at the vault")]
    TooMany,
    /// More money than there is.
    #[error("amounts overflow")]
    Overflow,
}

impl ReservesError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Chain(error) => error.code(),
            Self::Scan(error) => error.code(),
            Self::NoNft(_) => "nft-missing",
            Self::Roster(error) => error.code(),
            Self::TooMany => "too-many-outputs",
            Self::Overflow => "amounts-overflow",
        }
    }
}

failures!(ReservesError);

/// Scans the node's unspent outputs for the vault of `roster`. Takes minutes on a large chain.
/// `hint` is where the NFT may be: looked at first, believed no more than any other output. Coins
/// below `since_height` are left out, by the API's word: it can hide backing so, and show none.
pub fn chain_reserves(
    node: &BitcoinCore,
    roster: &Roster,
    protocol: &Protocol,
    hint: Option<OutPoint>,
    since_height: u32,
) -> Result<ChainReserves, ReservesError> {
    let vault = vault_of(roster, protocol);
    let answer = scan(node, [vault.as_script()])?;
    if answer.unspents.len() > VAULT_OUTPUTS_MAX {
        return Err(ReservesError::TooMany);
    }
    let (nft, supply) = find_nft(node, &answer, roster, protocol, hint)?;
    let outputs: Vec<(OutPoint, Amount)> = answer
        .unspents
        .iter()
        .filter(|unspent| unspent.script == vault && unspent.outpoint() != nft)
        .filter(|unspent| unspent.height >= since_height)
        .map(|unspent| (unspent.outpoint(), unspent.amount))
        .collect();
    let at_vault = ChainReserves::sum(&outputs).ok_or(ReservesError::Overflow)?;
    Ok(ChainReserves {
        supply,
        at_vault,
        nft_outpoint: nft,
        outputs,
        block_hash: answer.block_hash,
        height: answer.height,
    })
}

/// The NFT's coin has a fixed value, so few outputs are looked at.
fn find_nft(
    node: &BitcoinCore,
    answer: &UnspentSet,
    roster: &Roster,
    protocol: &Protocol,
    hint: Option<OutPoint>,
) -> Result<(OutPoint, Amount), ReservesError> {
    let mut candidates: Vec<&Unspent> = answer
        .unspents
        .iter()
        .filter(|unspent| unspent.amount == protocol.params().nft_carrier)
        .collect();
    candidates.sort_by_key(|unspent| Some(unspent.outpoint()) != hint);
    for candidate in candidates {
        let outpoint = candidate.outpoint();
        let Some(block) = node.block_hash(candidate.height)? else {
            continue;
        };
        let Some(transaction) = node.tx_in_block(&outpoint.txid, &block)? else {
            continue;
        };
        match nft_supply(&transaction, outpoint, roster, protocol) {
            Ok(supply) => return Ok((outpoint, supply)),
            Err(RosterFailure::NoNft { .. }) => (),
            Err(error) => return Err(error.into()),
        }
    }
    Err(ReservesError::NoNft(answer.unspents.len()))
}
