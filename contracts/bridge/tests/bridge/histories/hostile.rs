//! One thing off: what a thief, a fool or a broken program makes of an honest proposal.

use proptest::prelude::*;

use crate::model::{
    Announced, App, Ask, Charm, Coin, Garble, Ledger, Outpoint, Place, Proposal, Record, Shown,
    SpellPlace, Spent, Table, Wrapping,
};

use super::plan::{Pick, amount, charmed, coins, complete, home, pick, plain, user};

const ALL_BITCOIN: u64 = 2_100_000_000_000_000;

#[derive(Clone, Copy, Debug)]
pub enum Side {
    In,
    Out,
}

/// What a number becomes.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    More,
    Less,
    Zero,
    One,
    AllBitcoin,
    MoreThanAllBitcoin,
    Most,
}

impl Number {
    fn of(self, number: u64) -> u64 {
        match self {
            Self::More => number.wrapping_add(1),
            Self::Less => number.wrapping_sub(1),
            Self::Zero => 0,
            Self::One => 1,
            Self::AllBitcoin => ALL_BITCOIN,
            Self::MoreThanAllBitcoin => ALL_BITCOIN + 1,
            Self::Most => u64::MAX,
        }
    }
}

/// Where a coin is put.
#[derive(Clone, Copy, Debug)]
pub enum Spot {
    Home,
    FormerHome,
    NextHome,
    User,
}

/// What is changed in a record.
#[derive(Clone, Copy, Debug)]
pub enum Page {
    Epoch(Number),
    Serial(Number),
    Supply(Number),
    Threshold(Number),
    SignerTwice,
    SignersSwapped,
    FewSigners,
    ManySigners,
    NewSigner,
    Home(Spot),
    NoTaproot,
    Params,
    Governance,
    Attempt(Number),
    Outflow(Number),
    SpellMin(Number),
    SpellMax(Number),
    Silent,
    NextSerial(Number),
    NextWait(Number),
    NextHome(Spot),
    Announced,
}

#[derive(Clone, Copy, Debug)]
pub enum Hostile {
    Amount(Side, Pick, Number),
    Sats(Side, Pick, Number),
    Place(Side, Pick, Spot),
    NftGone(Side),
    NftTwice(Side, Spot),
    Record(Side, Page),
    Garbled(Side, Pick, Garble),
    Table(Side, Table),
    Ask(Pick, Ask),
    Private(Pick),
    Stray(char, u64),
    /// zkBTC on one more output.
    TokensOut(Spot, Number),
    /// As much zkBTC on both sides, its input out of nowhere.
    TokensFromNowhere(Spot, Number),
    ExtraIn(Pick),
    /// One more input that waits at the next home.
    EarlyIn,
    ExtraOut(Spot, Number),
    NothingSpent,
    InGone(Pick),
    OutGone(Pick),
    Swapped(Side, Pick),
    /// A vault coin is not spent, and the vault's output is smaller by as much.
    LeftBehind(Pick),
    /// The zkBTC of the outputs is another bridge's.
    Renamed,
    Wrapped(Pick, Wrapping),
    Spell(Pick, SpellPlace),
    HistoryGone(Pick),
    HistorySurplus(Pick),
}

#[expect(
    clippy::too_many_lines,
    reason = "one line for each thing that can be off"
)]
pub fn hostile() -> impl Strategy<Value = Hostile> {
    let side = || prop_oneof![Just(Side::In), Just(Side::Out)];
    let number = || {
        prop_oneof![
            3 => Just(Number::More),
            3 => Just(Number::Less),
            1 => Just(Number::Zero),
            1 => Just(Number::One),
            1 => Just(Number::AllBitcoin),
            1 => Just(Number::MoreThanAllBitcoin),
            2 => Just(Number::Most),
        ]
    };
    let spot = || {
        prop_oneof![
            Just(Spot::Home),
            Just(Spot::FormerHome),
            Just(Spot::NextHome),
            Just(Spot::User)
        ]
    };
    let page = prop_oneof![
        2 => number().prop_map(Page::Epoch),
        2 => number().prop_map(Page::Serial),
        2 => number().prop_map(Page::Supply),
        1 => number().prop_map(Page::Threshold),
        1 => Just(Page::SignerTwice),
        1 => Just(Page::SignersSwapped),
        1 => Just(Page::FewSigners),
        1 => Just(Page::ManySigners),
        1 => Just(Page::NewSigner),
        1 => spot().prop_map(Page::Home),
        1 => Just(Page::NoTaproot),
        1 => Just(Page::Params),
        1 => Just(Page::Governance),
        1 => number().prop_map(Page::Attempt),
        2 => number().prop_map(Page::Outflow),
        1 => number().prop_map(Page::SpellMin),
        1 => number().prop_map(Page::SpellMax),
        1 => Just(Page::Silent),
        1 => number().prop_map(Page::NextSerial),
        1 => number().prop_map(Page::NextWait),
        1 => spot().prop_map(Page::NextHome),
        1 => Just(Page::Announced),
    ];
    let garble = prop_oneof![
        Just(Garble::Text),
        Just(Garble::ShortArray),
        Just(Garble::OtherFormat),
        Just(Garble::TextField),
        Just(Garble::Negative),
    ];
    let table = prop_oneof![
        Just(Table::Absent),
        Just(Table::OneShort),
        Just(Table::OneLong),
        Just(Table::Foreign),
    ];
    let ask = prop_oneof![
        Just(Ask::Nothing),
        Just(Ask::Deploy),
        Just(Ask::Settle),
        Just(Ask::Announce),
        Just(Ask::Cancel),
        Just(Ask::Execute),
        Just(Ask::Else),
    ];
    let wrapping = prop_oneof![
        Just(Wrapping::Witness),
        Just(Wrapping::BlockProof),
        Just(Wrapping::OtherLedger),
        Just(Wrapping::Junk),
    ];
    let spell = prop_oneof![
        1 => Just(SpellPlace::Nowhere),
        1 => Just(SpellPlace::TwoOutputs),
        1 => Just(SpellPlace::Unusual),
        3 => prop_oneof![Just(0), Just(9), Just(14), Just(15), Just(16), Just(200)]
            .prop_map(|version| SpellPlace::Output { version }),
    ];
    prop_oneof![
        6 => (side(), pick(), number()).prop_map(|(side, at, number)| Hostile::Amount(side, at, number)),
        6 => (side(), pick(), number()).prop_map(|(side, at, number)| Hostile::Sats(side, at, number)),
        4 => (side(), pick(), spot()).prop_map(|(side, at, spot)| Hostile::Place(side, at, spot)),
        1 => side().prop_map(Hostile::NftGone),
        1 => (side(), spot()).prop_map(|(side, spot)| Hostile::NftTwice(side, spot)),
        6 => (side(), page).prop_map(|(side, page)| Hostile::Record(side, page)),
        2 => (side(), pick(), garble).prop_map(|(side, at, garble)| Hostile::Garbled(side, at, garble)),
        2 => (side(), table).prop_map(|(side, table)| Hostile::Table(side, table)),
        2 => (pick(), ask).prop_map(|(at, ask)| Hostile::Ask(at, ask)),
        1 => pick().prop_map(Hostile::Private),
        1 => (prop_oneof![Just('t'), Just('n'), Just('s'), Just('R')], 0..2_u64)
            .prop_map(|(tag, amount)| Hostile::Stray(tag, amount)),
        2 => (spot(), number()).prop_map(|(spot, number)| Hostile::TokensOut(spot, number)),
        2 => (spot(), number()).prop_map(|(spot, number)| Hostile::TokensFromNowhere(spot, number)),
        2 => pick().prop_map(Hostile::ExtraIn),
        1 => Just(Hostile::EarlyIn),
        2 => (spot(), number()).prop_map(|(spot, number)| Hostile::ExtraOut(spot, number)),
        1 => Just(Hostile::NothingSpent),
        2 => pick().prop_map(Hostile::InGone),
        2 => pick().prop_map(Hostile::OutGone),
        1 => (side(), pick()).prop_map(|(side, at)| Hostile::Swapped(side, at)),
        3 => pick().prop_map(Hostile::LeftBehind),
        1 => Just(Hostile::Renamed),
        2 => (pick(), wrapping).prop_map(|(at, wrapping)| Hostile::Wrapped(at, wrapping)),
        3 => (pick(), spell).prop_map(|(at, spell)| Hostile::Spell(at, spell)),
        1 => pick().prop_map(Hostile::HistoryGone),
        1 => pick().prop_map(Hostile::HistorySurplus),
    ]
}

impl Hostile {
    /// The honest proposal with this one thing off; nothing where it has no such thing.
    pub fn of(self, honest: &Proposal, ledger: &Ledger) -> Option<Proposal> {
        let mut it = honest.clone();
        self.change(&mut it, ledger)?;
        (it != *honest && it.lists_all()).then_some(it)
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each thing that can be off"
    )]
    fn change(self, it: &mut Proposal, ledger: &Ledger) -> Option<()> {
        let bridge = it.asks.keys().find_map(|app| app.bridge())?;
        let (nft, token) = (App::Nft(bridge), App::Zkbtc(bridge));
        let place = |spot| spot_of(ledger, bridge, spot);
        match self {
            Self::Amount(side, at, number) => {
                let mut coins = side_of(it, side);
                coins.retain(|coin| coin.charms.contains_key(&token));
                let index = at.index(coins.len())?;
                let changed = Charm::Amount(number.of(amount(coins[index], token)));
                coins[index].charms.insert(token, changed);
            }
            Self::Sats(side, at, number) => {
                let mut coins = side_of(it, side);
                let index = at.index(coins.len())?;
                coins[index].sats = number.of(coins[index].sats);
            }
            Self::Place(side, at, spot) => {
                let mut coins = side_of(it, side);
                let index = at.index(coins.len())?;
                coins[index].at = place(spot);
            }
            Self::NftGone(side) => {
                for coin in side_of(it, side) {
                    coin.charms.remove(&nft);
                }
            }
            Self::NftTwice(side, spot) => {
                let spent = it.ins.iter().map(|spent| &spent.coin);
                let mut coins = it.outs.iter().chain(spent);
                let note = coins.find_map(|coin| coin.charms.get(&nft))?;
                let second = charmed(place(spot), nft, note.clone());
                push(it, ledger, side, second)?;
            }
            Self::Record(side, page) => {
                let mut coins = side_of(it, side);
                let note = coins
                    .iter_mut()
                    .find_map(|coin| coin.charms.get_mut(&nft))?;
                let Charm::Record(record) = note else {
                    return None;
                };
                page.turn(record, place);
            }
            Self::Garbled(side, at, garble) => {
                let mut coins = side_of(it, side);
                coins.retain(|coin| coin.charms.keys().any(|app| app.bridge().is_some()));
                let index = at.index(coins.len())?;
                let charm = coins[index].charms.values_mut().next()?;
                *charm = Charm::Garbled(garble);
            }
            Self::Table(Side::In, table) => it.table_in = nonempty(table, it.ins.len())?,
            Self::Table(Side::Out, table) => it.table_out = nonempty(table, it.outs.len())?,
            Self::Ask(at, ask) => {
                let app = own_app(it, at)?;
                it.asks.insert(app, ask);
            }
            Self::Private(at) => {
                let app = own_app(it, at)?;
                it.private.insert(app);
            }
            Self::Stray(tag, amount) => {
                let stray = App::Stray(tag, bridge);
                it.asks.insert(stray, Ask::Nothing);
                if amount > 0 {
                    it.outs.push(charmed(user(1), stray, Charm::Amount(amount)));
                }
            }
            Self::TokensOut(spot, number) => {
                let minted = Charm::Amount(number.of(1_000));
                it.outs.push(charmed(place(spot), token, minted));
                *it = listed(it, token);
            }
            Self::TokensFromNowhere(spot, number) => {
                let charm = Charm::Amount(number.of(1_000));
                let free = it
                    .ins
                    .iter_mut()
                    .find(|spent| spent.coin.charms.is_empty())?;
                free.coin.charms.insert(token, charm.clone());
                it.outs.push(charmed(place(spot), token, charm));
                *it = listed(it, token);
            }
            Self::ExtraIn(at) => {
                let unspent = coins(ledger, |_| true);
                let coin = at.of(&unspent)?.clone();
                if it.ins.iter().any(|spent| spent.outpoint == coin.outpoint) {
                    return None;
                }
                it.ins.push(coin);
                *it = complete(it.clone(), ledger);
            }
            Self::EarlyIn => {
                let next = place(Spot::NextHome);
                it.ins
                    .push(coins(ledger, |coin| coin.at == next).into_iter().next()?);
                *it = complete(it.clone(), ledger);
            }
            Self::ExtraOut(spot, number) => it.outs.push(plain(place(spot), number.of(700))),
            Self::NothingSpent => {
                it.ins.clear();
                *it = complete(it.clone(), ledger);
            }
            Self::InGone(at) => {
                let index = at.index(it.ins.len())?;
                it.ins.remove(index);
                *it = complete(it.clone(), ledger);
            }
            Self::OutGone(at) => {
                let index = at.index(it.outs.len())?;
                it.outs.remove(index);
            }
            Self::Swapped(Side::In, at) => {
                let index = at.index(it.ins.len())?;
                it.ins.swap(0, index);
            }
            Self::Swapped(Side::Out, at) => {
                let index = at.index(it.outs.len())?;
                it.outs.swap(0, index);
            }
            Self::LeftBehind(at) => leave_behind(it, ledger, at)?,
            Self::Renamed => rename(it, ledger, bridge)?,
            Self::Wrapped(at, wrapping) => shown(it, at)?.wrapping = wrapping,
            Self::Spell(at, spell) => shown(it, at)?.spell = spell,
            Self::HistoryGone(at) => {
                let tx = *it.history.keys().nth(at.index(it.history.len())?)?;
                it.history.remove(&tx);
            }
            Self::HistorySurplus(at) => {
                let tx = at.index(ledger.txs.len())?;
                let spell = ledger.txs[tx].spell;
                let wrapping = Wrapping::Plain;
                it.history.entry(tx).or_insert(Shown { wrapping, spell });
            }
        }
        Some(())
    }
}

fn side_of(it: &mut Proposal, side: Side) -> Vec<&mut Coin> {
    match side {
        Side::In => it.ins.iter_mut().map(|spent| &mut spent.coin).collect(),
        Side::Out => it.outs.iter_mut().collect(),
    }
}

/// One more coin: as input, some coin of the ledger that is dressed up as it.
fn push(it: &mut Proposal, ledger: &Ledger, side: Side, coin: Coin) -> Option<()> {
    match side {
        Side::Out => it.outs.push(coin),
        Side::In => {
            let used = |outpoint: &Outpoint| it.ins.iter().any(|spent| spent.outpoint == *outpoint);
            let outpoint = *ledger.coins.keys().find(|outpoint| !used(outpoint))?;
            it.ins.push(Spent { outpoint, coin });
            *it = complete(it.clone(), ledger);
        }
    }
    Some(())
}

fn listed(it: &Proposal, app: App) -> Proposal {
    let mut it = it.clone();
    it.asks.entry(app).or_insert(Ask::Nothing);
    it
}

fn nonempty(table: Table, count: usize) -> Option<Table> {
    (count > 0).then_some(table)
}

fn own_app(it: &Proposal, at: Pick) -> Option<App> {
    let apps: Vec<App> = it
        .asks
        .keys()
        .copied()
        .filter(|app| app.bridge().is_some())
        .collect();
    at.of(&apps).copied()
}

fn shown(it: &mut Proposal, at: Pick) -> Option<&mut Shown> {
    let index = at.index(it.history.len())?;
    it.history.values_mut().nth(index)
}

fn spot_of(ledger: &Ledger, bridge: Outpoint, spot: Spot) -> Place {
    let Some(number) = ledger.bridges.keys().position(|it| *it == bridge) else {
        return user(8);
    };
    let books = &ledger.bridges[&bridge];
    match spot {
        Spot::Home => books.record.home.clone(),
        Spot::FormerHome => books.homes.first().unwrap().clone(),
        Spot::NextHome => home(number, books.homes.len()),
        Spot::User => user(8),
    }
}

fn leave_behind(it: &mut Proposal, ledger: &Ledger, at: Pick) -> Option<()> {
    let homes = |place: &Place| {
        ledger
            .bridges
            .values()
            .any(|books| books.record.home == *place)
    };
    let vault: Vec<usize> = (0..it.ins.len())
        .filter(|index| homes(&it.ins[*index].coin.at) && it.ins[*index].coin.charms.is_empty())
        .collect();
    let left = it.ins.remove(*at.of(&vault)?);
    let vault_out = it.outs.get_mut(1).filter(|coin| coin.charms.is_empty())?;
    vault_out.sats = vault_out.sats.checked_sub(left.coin.sats)?;
    *it = complete(it.clone(), ledger);
    Some(())
}

fn rename(it: &mut Proposal, ledger: &Ledger, bridge: Outpoint) -> Option<()> {
    let (own, other) = (
        App::Zkbtc(bridge),
        App::Zkbtc(*ledger.bridges.keys().find(|it| **it != bridge)?),
    );
    for coin in &mut it.outs {
        if let Some(charm) = coin.charms.remove(&own) {
            coin.charms.insert(other, charm);
        }
    }
    *it = listed(it, other);
    Some(())
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Page {
    fn turn(self, record: &mut Record, place: impl Fn(Spot) -> Place) {
        match self {
            Self::Epoch(number) => record.epoch = number.of(record.epoch),
            Self::Serial(number) => record.serial = number.of(record.serial),
            Self::Supply(number) => record.supply = number.of(record.supply),
            Self::Threshold(number) => {
                let changed = number.of(record.threshold.into());
                record.threshold = u16::try_from(changed).unwrap_or(u16::MAX);
            }
            Self::SignerTwice => record.signers[1] = record.signers[0],
            Self::SignersSwapped => record.signers.swap(0, 1),
            Self::FewSigners => {
                record.signers.truncate(3);
                record.threshold = 2;
            }
            Self::ManySigners => {
                record.signers = (0..101).collect();
                record.threshold = 51;
            }
            Self::NewSigner => {
                let last = record.signers.last_mut().unwrap();
                *last = last.saturating_add(1);
            }
            Self::Home(spot) => record.home = place(spot),
            Self::NoTaproot => record.home.0[0] = 0x52,
            Self::Params => record.params ^= 0x80,
            Self::Governance => record.governance ^= 0x80,
            Self::Attempt(number) => record.attempt = number.of(record.attempt),
            Self::Outflow(number) => record.outflow = number.of(record.outflow),
            Self::SpellMin(number) => record.spells.0 = narrow(number.of(record.spells.0.into())),
            Self::SpellMax(number) => record.spells.1 = narrow(number.of(record.spells.1.into())),
            Self::Silent => record.next = None,
            Self::NextSerial(number) => {
                if let Some(next) = &mut record.next {
                    next.serial = number.of(next.serial);
                }
            }
            Self::NextWait(number) => {
                if let Some(next) = &mut record.next {
                    next.wait = number.of(next.wait);
                }
            }
            Self::NextHome(spot) => {
                if let Some(next) = &mut record.next {
                    next.promise.home = place(spot);
                }
            }
            Self::Announced => {
                record.next = Some(Announced {
                    promise: record.promise(),
                    serial: record.serial,
                    wait: 1,
                });
            }
        }
    }
}
