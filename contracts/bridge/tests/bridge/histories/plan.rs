//! What honest people do next, as choices that make sense in any ledger.
//!
//! A plan is a handful of small numbers, so that proptest can shrink it; what they choose among is
//! looked up in the ledger of the moment. [`Plan::proposal`] gives what a wallet or a builder would
//! make of it, or nothing where the ledger holds nothing to do it with.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::model::{
    Announced, App, Ask, Charm, Coin, Ledger, Outpoint, Place, Proposal, Record, Shown, Spent,
    Table, Wrapping,
};

/// Satoshis under a charm.
const DUST: u64 = 330;
/// What each request leaves for the miners.
const FEE: u64 = 100;
/// Least satoshis of a coin that can be a deposit.
const DEPOSIT_MIN: u64 = 1_000;
const ALL_BITCOIN: u64 = 2_100_000_000_000_000;

/// A choice among however many there are.
#[derive(Clone, Copy, Debug)]
pub struct Pick(pub u16);

impl Pick {
    pub fn index(self, count: usize) -> Option<usize> {
        usize::from(self.0).checked_rem(count)
    }

    pub fn of<T>(self, items: &[T]) -> Option<&T> {
        self.index(items.len()).map(|index| &items[index])
    }

    fn take<T>(self, items: &mut Vec<T>) -> Option<T> {
        self.index(items.len())
            .map(|index| items.swap_remove(index))
    }
}

pub fn pick() -> impl Strategy<Value = Pick> {
    any::<u16>().prop_map(Pick)
}

/// How far a rotation goes, which is announced where none is, and executed where one is.
#[derive(Clone, Copy, Debug)]
pub enum Rotation {
    None,
    Params,
    Roster,
    Move,
    /// The one that is announced is taken back.
    Cancel,
}

/// Where a donation goes.
#[derive(Clone, Copy, Debug)]
pub enum Gift {
    Home,
    FormerHome,
    NextHome,
}

#[derive(Clone, Debug)]
pub struct Settlement {
    pub bridge: Pick,
    pub peg_ins: Vec<Pick>,
    pub peg_outs: Vec<Pick>,
    pub sweep: u8,
    pub pieces: u8,
    pub rotation: Rotation,
    pub foreign: bool,
    pub refer: Option<Pick>,
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub bridge: Pick,
    pub coins: Vec<Pick>,
    pub parts: Vec<u16>,
    pub foreign: bool,
    pub refer: Option<Pick>,
}

#[derive(Clone, Debug)]
pub enum Plan {
    /// A coin reaches a user from outside.
    Arrive {
        sats: u64,
        foreign: bool,
    },
    Deploy(Pick),
    Settle(Settlement),
    Transfer(Transfer),
    /// zkBTC sent where nobody can own it.
    Strand(Pick, Pick),
    Donate(Pick, Pick, Gift),
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let sats = prop_oneof![
        8 => 1_000..50_000_u64,
        4 => 50_000..100_000_000_u64,
        1 => Just(ALL_BITCOIN + DUST + FEE),
    ];
    let picks = |most| proptest::collection::vec(pick(), 0..=most);
    let rotation = prop_oneof![
        6 => Just(Rotation::None),
        1 => Just(Rotation::Params),
        1 => Just(Rotation::Roster),
        4 => Just(Rotation::Move),
        1 => Just(Rotation::Cancel),
    ];
    let gift = prop_oneof![
        Just(Gift::Home),
        Just(Gift::FormerHome),
        Just(Gift::NextHome)
    ];
    let refer = || proptest::option::weighted(0.2, pick());
    let settlement = (
        (pick(), picks(3), picks(3)),
        (0..4_u8, 1..=3_u8),
        rotation,
        proptest::bool::weighted(0.2),
        refer(),
    )
        .prop_map(
            |((bridge, peg_ins, peg_outs), (sweep, pieces), rotation, foreign, refer)| Settlement {
                bridge,
                peg_ins,
                peg_outs,
                sweep,
                pieces,
                rotation,
                foreign,
                refer,
            },
        );
    let transfer = (
        pick(),
        proptest::collection::vec(pick(), 1..=4),
        proptest::collection::vec(any::<u16>(), 1..=4),
        proptest::bool::weighted(0.2),
        refer(),
    )
        .prop_map(|(bridge, coins, parts, foreign, refer)| Transfer {
            bridge,
            coins,
            parts,
            foreign,
            refer,
        });
    prop_oneof![
        4 => (sats, proptest::bool::weighted(0.2)).prop_map(|(sats, foreign)| Plan::Arrive { sats, foreign }),
        1 => pick().prop_map(Plan::Deploy),
        8 => settlement.prop_map(Plan::Settle),
        4 => transfer.prop_map(Plan::Transfer),
        1 => (pick(), pick()).prop_map(|(bridge, coin)| Plan::Strand(bridge, coin)),
        1 => (pick(), pick(), gift).prop_map(|(bridge, coin, gift)| Plan::Donate(bridge, coin, gift)),
    ]
}

/// The vault script of a bridge's `generation`-th home.
pub fn home(bridge: usize, generation: usize) -> Place {
    let mut script = vec![0x51, 0x20];
    script.extend([0xa0 + u8::try_from(bridge).unwrap(); 31]);
    script.push(u8::try_from(generation).unwrap());
    Place(script)
}

pub fn user(seed: u8) -> Place {
    Place([&[0, 20][..], &[seed; 20]].concat())
}

impl Plan {
    pub fn proposal(&self, ledger: &Ledger) -> Option<Proposal> {
        match self {
            Self::Arrive { .. } => None,
            Self::Deploy(coin) => deploy(ledger, *coin),
            Self::Settle(plan) => plan.proposal(ledger),
            Self::Transfer(plan) => plan.proposal(ledger),
            Self::Strand(bridge, coin) => strand(ledger, *bridge, *coin),
            Self::Donate(bridge, coin, gift) => donate(ledger, *bridge, *coin, *gift),
        }
    }
}

/// A bridge and its NFT.
fn present(ledger: &Ledger, bridge: Pick) -> Option<(Outpoint, Spent)> {
    let bridges: Vec<Outpoint> = ledger.bridges.keys().copied().collect();
    let bridge = *bridge.of(&bridges)?;
    let nft = coins(ledger, |coin| coin.charms.contains_key(&App::Nft(bridge)));
    Some((bridge, nft.into_iter().next()?))
}

pub fn coins(ledger: &Ledger, fits: impl Fn(&Coin) -> bool) -> Vec<Spent> {
    let all = ledger.coins.iter();
    all.filter(|(_, coin)| fits(coin))
        .map(|(outpoint, coin)| Spent {
            outpoint: *outpoint,
            coin: coin.clone(),
        })
        .collect()
}

/// Coins without charms that a user owns.
pub fn plain_coins(ledger: &Ledger) -> Vec<Spent> {
    coins(ledger, |coin| {
        coin.at.0[0] == 0 && coin.charms.is_empty() && coin.sats >= DEPOSIT_MIN
    })
}

fn token_coins(ledger: &Ledger, bridge: Outpoint) -> Vec<Spent> {
    coins(ledger, |coin| {
        coin.at.0[0] == 0 && coin.charms.contains_key(&App::Zkbtc(bridge))
    })
}

fn foreign_coins(ledger: &Ledger) -> Vec<Spent> {
    coins(ledger, |coin| {
        coin.at.0[0] == 0 && coin.charms.keys().eq(&[App::Foreign])
    })
}

pub fn amount(coin: &Coin, app: App) -> u64 {
    match coin.charms.get(&app) {
        Some(Charm::Amount(amount)) => *amount,
        _ => 0,
    }
}

pub fn plain(at: Place, sats: u64) -> Coin {
    Coin {
        sats,
        at,
        charms: BTreeMap::new(),
    }
}

pub fn charmed(at: Place, app: App, charm: Charm) -> Coin {
    Coin {
        sats: DUST,
        at,
        charms: [(app, charm)].into(),
    }
}

fn proposal(ins: Vec<Spent>, outs: Vec<Coin>) -> Proposal {
    Proposal {
        asks: BTreeMap::new(),
        private: [].into(),
        ins,
        refs: vec![],
        outs,
        table_in: Table::Whole,
        table_out: Table::Whole,
        history: BTreeMap::new(),
    }
}

/// Lists what a spell has to list, and shows the previous transactions as they are.
pub fn complete(mut proposal: Proposal, ledger: &Ledger) -> Proposal {
    let touched = proposal.ins.iter().map(|spent| &spent.coin);
    let apps: Vec<App> = touched
        .chain(&proposal.outs)
        .flat_map(|coin| coin.charms.keys().copied())
        .collect();
    for app in apps {
        proposal.asks.entry(app).or_insert(Ask::Nothing);
    }
    let spent = proposal.ins.iter().chain(&proposal.refs);
    proposal.history = spent
        .map(|it| {
            let shown = Shown {
                wrapping: Wrapping::Plain,
                spell: ledger.txs[it.outpoint.tx].spell,
            };
            (it.outpoint.tx, shown)
        })
        .collect();
    proposal
}

fn deploy(ledger: &Ledger, coin: Pick) -> Option<Proposal> {
    let number = ledger.bridges.len();
    let mut free = plain_coins(ledger);
    let first = coin.take(&mut free).filter(|_| number < 2)?;
    // A second coin, which must not give the bridge its name.
    let more = free.into_iter().next();
    let bridge = App::Nft(first.outpoint);
    let home = home(number, 0);
    let record = Record {
        epoch: 0,
        serial: 0,
        signers: (1..=7).collect(),
        threshold: 5,
        home: home.clone(),
        supply: 0,
        params: 1,
        governance: 1,
        attempt: 0,
        next: None,
        outflow: 0,
        spells: (15, 15),
    };
    let rest = first.coin.sats - DUST - FEE;
    let outs = vec![
        charmed(home, bridge, Charm::Record(record)),
        plain(user(1), rest),
    ];
    let ins = [first].into_iter().chain(more).collect();
    let mut proposal = proposal(ins, outs);
    proposal.asks.insert(bridge, Ask::Deploy);
    Some(complete(proposal, ledger))
}

/// Lets somebody else's charm ride along, from a user's coin to a user's coin.
fn ride_along(proposal: &mut Proposal, ledger: &Ledger) {
    if let Some(coin) = foreign_coins(ledger).into_iter().next() {
        proposal.outs.push(coin.coin.clone());
        proposal.ins.push(coin);
    }
}

fn refer(proposal: &mut Proposal, ledger: &Ledger, pick: Option<Pick>) {
    let unspent = coins(ledger, |_| true);
    proposal
        .refs
        .extend(pick.and_then(|pick| pick.of(&unspent).cloned()));
}

impl Settlement {
    fn proposal(&self, ledger: &Ledger) -> Option<Proposal> {
        let (bridge, nft) = present(ledger, self.bridge)?;
        let token = App::Zkbtc(bridge);
        let books = &ledger.bridges[&bridge];
        let old = &books.record;
        let number = ledger.bridges.keys().position(|it| *it == bridge)?;

        let ask = match (self.rotation, &old.next) {
            (Rotation::None, _) | (Rotation::Cancel, None) => Ask::Settle,
            (_, None) => Ask::Announce,
            (Rotation::Cancel, Some(_)) => Ask::Cancel,
            (_, Some(_)) => Ask::Execute,
        };
        // Only a settlement serves anybody.
        let served = |picks: &[Pick]| {
            if ask == Ask::Settle {
                picks.to_vec()
            } else {
                vec![]
            }
        };
        let mut free = plain_coins(ledger);
        let peg_ins: Vec<Spent> = served(&self.peg_ins)
            .iter()
            .filter_map(|it| it.take(&mut free))
            .collect();
        let mut held = token_coins(ledger, bridge);
        let peg_outs: Vec<Spent> = served(&self.peg_outs)
            .iter()
            .filter_map(|it| it.take(&mut held))
            .collect();
        let minted: u64 = peg_ins.iter().map(|it| it.coin.sats - DUST - FEE).sum();
        let burned: u64 = peg_outs.iter().map(|it| amount(&it.coin, token)).sum();
        let supply = (old.supply + minted).checked_sub(burned)?;

        let mut new = self.next_record(old, ask, || home(number, books.homes.len()));
        if ask == Ask::Settle {
            new.supply = supply;
            new.outflow = (old.outflow + burned)
                .saturating_sub(minted)
                .min(ALL_BITCOIN);
        }
        let mut vault = coins(ledger, |coin| {
            coin.at == old.home
                && !coin.charms.contains_key(&token)
                && !coin.charms.contains_key(&App::Nft(bridge))
        });
        let sum = |coins: &[Spent]| -> u64 { coins.iter().map(|it| it.coin.sats).sum() };
        let least = usize::from(self.sweep).min(vault.len());
        let mut swept: Vec<Spent> = vault.drain(..least).collect();
        while let Some(next) = vault.pop() {
            if new.home == old.home && sum(&swept) + minted >= burned {
                break;
            }
            swept.push(next);
        }
        let vault_out = (sum(&swept) + minted).checked_sub(burned)?;
        if supply > ALL_BITCOIN || vault_out > ALL_BITCOIN {
            return None;
        }

        let mut outs = vec![charmed(
            new.home.clone(),
            App::Nft(bridge),
            Charm::Record(new.clone()),
        )];
        outs.extend(
            pieces(vault_out, self.pieces.into()).map(|sats| plain(new.home.clone(), sats)),
        );
        outs.extend(peg_ins.iter().map(|it| {
            let amount = it.coin.sats - DUST - FEE;
            charmed(user(2), token, Charm::Amount(amount))
        }));
        outs.extend(peg_outs.iter().map(|it| {
            let amount = amount(&it.coin, token);
            plain(user(3), amount.checked_sub(FEE).unwrap_or(amount))
        }));
        let ins = [vec![nft], swept, peg_ins, peg_outs].concat();
        let mut proposal = proposal(ins, outs);
        proposal.asks.insert(App::Nft(bridge), ask);
        if self.foreign {
            ride_along(&mut proposal, ledger);
        }
        refer(&mut proposal, ledger, self.refer);
        Some(complete(proposal, ledger))
    }

    fn next_record(&self, old: &Record, ask: Ask, next_home: impl Fn() -> Place) -> Record {
        let mut new = Record {
            serial: old.serial + 1,
            ..old.clone()
        };
        match ask {
            Ask::Announce => {
                let promise = self.rotated(old, next_home).promise();
                new.attempt += 1;
                new.next = Some(Announced {
                    promise,
                    serial: new.serial,
                    wait: 1 + u64::from(self.sweep),
                });
            }
            Ask::Cancel => new.next = None,
            Ask::Execute => {
                let promised = new.next.take().unwrap().promise;
                new = Record {
                    epoch: old.epoch + 1,
                    signers: promised.signers,
                    threshold: promised.threshold,
                    home: promised.home,
                    params: promised.params,
                    governance: promised.governance,
                    spells: promised.spells,
                    ..new
                };
            }
            _ => {}
        }
        new
    }

    /// The record of the roster to come, in what a promise has of it.
    fn rotated(&self, old: &Record, next_home: impl Fn() -> Place) -> Record {
        let mut new = old.clone();
        match self.rotation {
            Rotation::None | Rotation::Cancel => {}
            Rotation::Params => {
                new.params = new.params.wrapping_add(1);
                new.spells.1 += 1;
            }
            Rotation::Roster => new
                .signers
                .push(new.signers.last().unwrap().saturating_add(1)),
            Rotation::Move => {
                new.signers.remove(0);
                new.signers
                    .push(new.signers.last().unwrap().saturating_add(1));
                new.home = next_home();
                new.governance = new.governance.wrapping_add(1);
            }
        }
        if matches!(self.rotation, Rotation::Roster | Rotation::Move) {
            new.threshold = u16::try_from(new.signers.len() / 2 + 1).unwrap();
        }
        new
    }
}

/// Splits into at most `count` positive amounts.
fn pieces(total: u64, count: u64) -> impl Iterator<Item = u64> {
    let count = count.min(total);
    let each = total.checked_div(count).unwrap_or(0);
    (0..count).map(move |index| {
        if index == 0 {
            total - each * (count - 1)
        } else {
            each
        }
    })
}

impl Transfer {
    fn proposal(&self, ledger: &Ledger) -> Option<Proposal> {
        let bridges: Vec<Outpoint> = ledger.bridges.keys().copied().collect();
        let token = App::Zkbtc(*self.bridge.of(&bridges)?);
        let mut held = token_coins(ledger, token.bridge()?);
        let spent: Vec<Spent> = self
            .coins
            .iter()
            .filter_map(|it| it.take(&mut held))
            .collect();
        let total: u64 = spent.iter().map(|it| amount(&it.coin, token)).sum();
        let mut left = Some(total).filter(|total| *total > 0)?;
        let mut outs = vec![];
        for part in &self.parts {
            let amount = u64::from(*part).min(left);
            if amount > 0 {
                outs.push(charmed(user(4), token, Charm::Amount(amount)));
            }
            left -= amount;
        }
        if left > 0 {
            outs.push(charmed(user(5), token, Charm::Amount(left)));
        }
        let mut proposal = proposal(spent, outs);
        let purse = plain_coins(ledger)
            .into_iter()
            .max_by_key(|it| it.coin.sats);
        if let Some(coin) = purse {
            let fee = (DUST * 6).min(coin.coin.sats);
            proposal.outs.push(plain(user(6), coin.coin.sats - fee));
            proposal.ins.push(coin);
        }
        if self.foreign {
            ride_along(&mut proposal, ledger);
        }
        refer(&mut proposal, ledger, self.refer);
        Some(complete(proposal, ledger))
    }
}

fn strand(ledger: &Ledger, bridge: Pick, coin: Pick) -> Option<Proposal> {
    let (bridge, nft) = present(ledger, bridge)?;
    let spent = coin.take(&mut token_coins(ledger, bridge))?;
    let moved = Coin {
        at: nft.coin.at,
        ..spent.coin.clone()
    };
    Some(complete(proposal(vec![spent], vec![moved]), ledger))
}

fn donate(ledger: &Ledger, bridge: Pick, coin: Pick, gift: Gift) -> Option<Proposal> {
    let bridges: Vec<Outpoint> = ledger.bridges.keys().copied().collect();
    let number = bridge.index(bridges.len())?;
    let books = &ledger.bridges[&bridges[number]];
    let place = match gift {
        Gift::Home => books.record.home.clone(),
        Gift::FormerHome => books.homes.first()?.clone(),
        Gift::NextHome => home(number, books.homes.len()),
    };
    let spent = coin.take(&mut plain_coins(ledger))?;
    let sats = spent.coin.sats;
    let outs = vec![plain(place, sats / 3), plain(user(7), sats / 2)];
    Some(complete(proposal(vec![spent], outs), ledger))
}
