//! The ledger: what exists, what was published, and what must always be true of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{App, Ask, Charm, Coin, No, Outpoint, Place, Proposal, Record, SpellPlace};

/// A bridge's books, kept from what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    pub record: Record,
    /// Every vault script that the bridge has had.
    pub homes: BTreeSet<Place>,
    /// Satoshis that reached a home without a mint against them.
    pub donated: u128,
}

/// A transaction that was published: its inputs, and where its spell is.
#[derive(Clone, Debug)]
pub struct Published {
    pub ins: Vec<Outpoint>,
    pub outs: Vec<Coin>,
    pub spell: SpellPlace,
}

/// Everything there is.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub coins: BTreeMap<Outpoint, Coin>,
    pub txs: Vec<Published>,
    pub bridges: BTreeMap<Outpoint, Books>,
}

pub type Coins = BTreeMap<Outpoint, Coin>;

impl Ledger {
    /// Would Bitcoin take it? Its inputs are there, as shown, and pay for the outputs.
    pub fn spendable(&self, proposal: &Proposal) -> Result<(), No> {
        let mut seen = BTreeSet::new();
        for spent in &proposal.ins {
            if self.coins.get(&spent.outpoint) != Some(&spent.coin) {
                return Err("an input is not what the ledger holds");
            }
            if !seen.insert(spent.outpoint) {
                return Err("an input is spent twice");
            }
        }
        if proposal.ins.is_empty() {
            return Err("nothing is spent");
        }
        let paid_in: u128 = proposal.ins.iter().map(|it| u128::from(it.coin.sats)).sum();
        let paid_out: u128 = proposal.outs.iter().map(|it| u128::from(it.sats)).sum();
        if paid_out > paid_in {
            return Err("outputs exceed inputs");
        }
        Ok(())
    }

    /// Would honest signers sign? They spend from a home only where its bridge's NFT moves, only
    /// from the present one, and they announce no rotation to a place that is none: of what a hash
    /// promises the contract sees nothing.
    pub fn signed(&self, proposal: &Proposal) -> Result<(), No> {
        for (bridge, _) in asked_nfts(proposal)
            .iter()
            .filter(|it| it.1 == Ask::Announce)
        {
            let notes = proposal.outs.iter();
            let mut notes = notes.filter_map(|coin| coin.charms.get(&App::Nft(*bridge)));
            let Some((Charm::Record(record), books)) = notes.next().zip(self.bridges.get(bridge))
            else {
                continue;
            };
            let to = record.next.as_ref().map(|next| &next.promise.home);
            let is_new = |home: &&Place| home.0.len() == 34 && !books.homes.contains(*home);
            if to.is_none_or(|home| *home != books.record.home && !is_new(&home)) {
                return Err("an announcement that nobody can execute");
            }
        }
        for spent in &proposal.ins {
            for (bridge, books) in &self.bridges {
                if !books.homes.contains(&spent.coin.at) {
                    continue;
                }
                if !proposal.moves(*bridge) {
                    return Err("a home's coin leaves where its NFT does not move");
                }
                if spent.coin.at != books.record.home {
                    return Err("a former home's coin is spent");
                }
            }
        }
        Ok(())
    }

    /// Enters a transaction; call it after three times yes.
    pub fn publish(&mut self, proposal: &Proposal) -> usize {
        for (bridge, ask) in asked_nfts(proposal) {
            let Some(Charm::Record(record)) = proposal
                .outs
                .iter()
                .find_map(|coin| coin.charms.get(&App::Nft(bridge)))
            else {
                continue;
            };
            let found = self.coins.iter().filter(|(_, coin)| {
                coin.at == record.home && !coin.charms.contains_key(&App::Nft(bridge))
            });
            let waiting: u128 = found.map(|(_, coin)| u128::from(coin.sats)).sum();
            let books = self.bridges.entry(bridge).or_insert_with(|| Books {
                record: record.clone(),
                homes: BTreeSet::new(),
                donated: 0,
            });
            if books.homes.insert(record.home.clone()) {
                books.donated += waiting;
            }
            if ask != Ask::Nothing {
                books.record = record.clone();
            }
        }
        for (bridge, books) in &mut self.bridges {
            let settled = proposal.moves(*bridge);
            let gifts = proposal.outs.iter().filter(|coin| {
                books.homes.contains(&coin.at)
                    && !coin.charms.contains_key(&App::Nft(*bridge))
                    && !(settled && coin.at == books.record.home)
            });
            books.donated += gifts.map(|coin| u128::from(coin.sats)).sum::<u128>();
        }
        let charms = proposal.outs.iter().any(|coin| !coin.charms.is_empty());
        self.enter(Published {
            ins: proposal.ins.iter().map(|spent| spent.outpoint).collect(),
            outs: proposal.outs.clone(),
            spell: if charms {
                SpellPlace::Output { version: 15 }
            } else {
                SpellPlace::Nowhere
            },
        })
    }

    /// Enters a transaction as it is.
    pub fn enter(&mut self, published: Published) -> usize {
        let tx = self.txs.len();
        for spent in &published.ins {
            self.coins.remove(spent);
        }
        for (vout, coin) in (0..).zip(&published.outs) {
            self.coins.insert(Outpoint { tx, vout }, coin.clone());
        }
        self.txs.push(published);
        tx
    }

    /// What must always be true of the whole ledger.
    pub fn audit(&self) -> Result<(), String> {
        for (bridge, books) in &self.bridges {
            let supply = u128::from(books.record.supply);
            let tokens = tokens(&self.coins, *bridge);
            if tokens != Ok(supply) {
                return Err(format!("{tokens:?} zkBTC exist, the NFT says {supply}"));
            }
            let all: u128 = books
                .homes
                .iter()
                .map(|home| reserve(&self.coins, home, *bridge))
                .sum();
            if all != supply + books.donated {
                return Err(format!(
                    "homes hold {all}, supply is {supply}, donated were {}",
                    books.donated
                ));
            }
            let now = reserve(&self.coins, &books.record.home, *bridge);
            if now < supply {
                return Err(format!("the vault holds {now} for a supply of {supply}"));
            }
            let mut nfts = self
                .coins
                .values()
                .filter_map(|coin| Some((&coin.at, coin.charms.get(&App::Nft(*bridge))?)));
            let (Some((at, Charm::Record(record))), None) = (nfts.next(), nfts.next()) else {
                return Err("not one NFT".into());
            };
            if *record != books.record || *at != record.home {
                return Err(format!("the NFT says {record:?} at {at:?}"));
            }
        }
        Ok(())
    }
}

fn asked_nfts(proposal: &Proposal) -> Vec<(Outpoint, Ask)> {
    let nft = |(app, ask): (&App, &Ask)| match app {
        App::Nft(bridge) => Some((*bridge, *ask)),
        _ => None,
    };
    proposal.asks.iter().filter_map(nft).collect()
}

pub fn tokens(coins: &Coins, bridge: Outpoint) -> Result<u128, No> {
    let mut sum = 0;
    for charm in coins
        .values()
        .filter_map(|coin| coin.charms.get(&App::Zkbtc(bridge)))
    {
        match charm {
            Charm::Amount(amount) => sum += u128::from(*amount),
            _ => return Err("zkBTC that is no amount"),
        }
    }
    Ok(sum)
}

/// Satoshis at `home`, without the coin under the NFT.
pub fn reserve(coins: &Coins, home: &Place, bridge: Outpoint) -> u128 {
    coins
        .values()
        .filter(|coin| coin.at == *home && !coin.charms.contains_key(&App::Nft(bridge)))
        .map(|coin| u128::from(coin.sats))
        .sum()
}
