//! The inputs or the outputs of a transaction, each with its charms and its coin.
//!
//! Owns the pairing: whoever holds [`Items`] has a coin for every charm string.

use charms_data::{App, Charms, NativeOutput, Transaction};

use crate::{
    RosterState,
    violation::{Side, Violation},
};

/// One side of a transaction, in order.
pub struct Items<'a> {
    side: Side,
    items: Vec<(&'a Charms, &'a NativeOutput)>,
}

/// The roster NFT where it was found.
pub struct PlacedNft {
    pub index: usize,
    pub state: RosterState,
}

/// Pairs charms with coins on both sides; refuses missing, surplus and foreign coins.
pub fn sides(tx: &Transaction) -> Result<(Items<'_>, Items<'_>), Violation> {
    let charms_in = tx.ins.iter().map(|(_, charms)| charms).collect();
    let charms_out = tx.outs.iter().collect();
    Ok((
        Items::pair(Side::In, charms_in, tx.coin_ins.as_deref())?,
        Items::pair(Side::Out, charms_out, tx.coin_outs.as_deref())?,
    ))
}

impl<'a> Items<'a> {
    fn pair(
        side: Side,
        charms: Vec<&'a Charms>,
        coins: Option<&'a [NativeOutput]>,
    ) -> Result<Self, Violation> {
        let coins = coins.ok_or(Violation::CoinsMissing(side))?;
        if charms.len() != coins.len() {
            return Err(Violation::CoinCount {
                side,
                expected: charms.len(),
                got: coins.len(),
            });
        }
        // Charms gives every coin of another ledger a content and no coin of Bitcoin one. There, `dest` is an
        // address in that ledger's encoding, which could equal a vault script byte for byte. A
        // null content counts as none, because it reads back as none once encoded for the wasm.
        let foreign = |coin: &NativeOutput| coin.content.as_ref().is_some_and(|it| !it.is_empty());
        if coins.iter().any(foreign) {
            return Err(Violation::ForeignCoin(side));
        }
        Ok(Self {
            side,
            items: charms.into_iter().zip(coins).collect(),
        })
    }

    /// Whether any item carries a charm of `app`.
    pub fn carries(&self, app: &App) -> bool {
        self.nft_count(app) > 0
    }

    /// Whether any coin is at `script`.
    pub fn pays(&self, script: &[u8]) -> bool {
        self.items.iter().any(|(_, coin)| coin.dest == script)
    }

    /// How many items carry a charm of `app`.
    pub fn nft_count(&self, app: &App) -> usize {
        self.items
            .iter()
            .filter(|(charms, _)| charms.contains_key(app))
            .count()
    }

    /// The only roster NFT of this side, on the vault script of its own state.
    pub fn the_nft(&self, nft: &App) -> Result<PlacedNft, Violation> {
        let side = self.side;
        let mut found = self
            .items
            .iter()
            .enumerate()
            .filter_map(|(index, (charms, coin))| charms.get(nft).map(|data| (index, data, coin)));
        let (Some((index, data, coin)), None) = (found.next(), found.next()) else {
            return Err(Violation::NftCount {
                side,
                expected: 1,
                got: self.nft_count(nft),
            });
        };
        let state =
            RosterState::from_data(data).map_err(|error| Violation::State { side, error })?;
        if coin.dest != state.vault_script {
            return Err(Violation::NftNotAtVault(side));
        }
        Ok(PlacedNft { index, state })
    }

    /// zkBTC does not belong on a vault coin: nobody could own it there, and a settlement that spent it would
    /// decide by itself who gets the bitcoin that it stands for.
    pub fn refuse_tokens_at(&self, token: &App, script: &[u8]) -> Result<(), Violation> {
        let found = self
            .items
            .iter()
            .any(|(charms, coin)| coin.dest == script && charms.contains_key(token));
        if found {
            Err(Violation::TokensAtVault(self.side))
        } else {
            Ok(())
        }
    }

    /// Satoshis at `script`, without the coin under the NFT.
    ///
    /// The NFT's coin is carriage, not reserve, on both sides alike. Coins that carry charms of other apps do
    /// count: anyone can send such a coin to the vault, and if it counted only once stripped of its charm, the
    /// stripping would let its value be minted against.
    pub fn sum_vault(&self, nft: &App, script: &[u8]) -> Result<u64, Violation> {
        self.items
            .iter()
            .filter(|(charms, coin)| coin.dest == script && !charms.contains_key(nft))
            .try_fold(0_u64, |sum, (_, coin)| sum.checked_add(coin.amount))
            .ok_or(Violation::CoinOverflow(self.side))
    }
}
