//! The law of the bridge, over two ledgers: before and after.

use std::collections::BTreeSet;

use super::{
    Announced, App, Ask, Charm, Coin, No, Outpoint, Place, Proposal, Record, SpellPlace, Table,
    Wrapping,
    ledger::{Coins, Ledger, reserve, tokens},
};

/// All satoshis there can be.
const ALL_BITCOIN: u64 = 21_000_000 * 100_000_000;

impl Ledger {
    /// May the spell be proven? What the contract must answer, app by app as Charms runs it.
    pub fn lawful(&self, proposal: &Proposal) -> Result<(), No> {
        let bridges: BTreeSet<Outpoint> = proposal.asks.keys().filter_map(|a| a.bridge()).collect();
        for (app, ask) in &proposal.asks {
            if let App::Stray(tag, _) = app {
                stray(proposal, *app, *tag, *ask)?;
            }
        }
        for bridge in bridges {
            if let Some(ask) = proposal.asks.get(&App::Nft(bridge)) {
                self.nft(proposal, bridge, *ask)?;
            }
            if let Some(ask) = proposal.asks.get(&App::Zkbtc(bridge)) {
                self.zkbtc(proposal, bridge, *ask)?;
            }
        }
        Ok(())
    }

    fn nft(&self, proposal: &Proposal, bridge: Outpoint, ask: Ask) -> Result<(), No> {
        let app = App::Nft(bridge);
        if proposal.private.contains(&app) {
            return Err("a private input");
        }
        match ask {
            Ask::Else => Err("an unknown request"),
            Ask::Deploy => deployed(proposal, bridge),
            Ask::Settle | Ask::Announce | Ask::Cancel | Ask::Execute => {
                self.moved(proposal, bridge, ask)
            }
            Ask::Nothing => Err("the NFT does nothing without being asked"),
        }
    }

    fn zkbtc(&self, proposal: &Proposal, bridge: Outpoint, ask: Ask) -> Result<(), No> {
        let app = App::Zkbtc(bridge);
        if proposal.private.contains(&app) || ask != Ask::Nothing {
            return Err("zkBTC takes no inputs");
        }
        known_history(proposal, app)?;
        let (before, after) = self.worlds(proposal);
        let change = countable(proposal, app)?;
        if tokens(&before, bridge)? == tokens(&after, bridge)? {
            debug_assert_eq!(change.0, change.1);
            return Ok(());
        }
        if notes_in(proposal, bridge).len() == 1
            && notes_out(proposal, bridge).len() == 1
            && proposal.settles(bridge)
        {
            return Ok(());
        }
        Err("zkBTC appears or disappears outside a settlement")
    }

    fn moved(&self, proposal: &Proposal, bridge: Outpoint, ask: Ask) -> Result<(), No> {
        known_history(proposal, App::Nft(bridge))?;
        full_tables(proposal)?;
        let (ins, outs) = (notes_in(proposal, bridge), notes_out(proposal, bridge));
        let ([old], [new]) = (ins.as_slice(), outs.as_slice()) else {
            return Err("not one NFT on each side");
        };
        let (old, new) = (at_home(*old)?, at_home(*new)?);

        // The next page of the same book.
        if old.serial == u64::MAX || new.serial != old.serial + 1 {
            return Err("not the next serial");
        }
        if *new != due(old, new, ask)? {
            return Err("more changed than was asked for");
        }

        let touched = || {
            let spent = proposal.ins.iter().map(|it| &it.coin);
            spent.chain(&proposal.outs)
        };
        if touched().any(|coin| {
            (coin.at == old.home || coin.at == new.home)
                && coin.charms.contains_key(&App::Zkbtc(bridge))
        }) {
            return Err("zkBTC at a home");
        }

        countable(proposal, App::Zkbtc(bridge))?;
        let (before, after) = self.worlds(proposal);
        let issued = signed(tokens(&after, bridge)?, tokens(&before, bridge)?);
        let booked = i128::from(new.supply) - i128::from(old.supply);
        let homes = BTreeSet::from([&old.home, &new.home]);
        let sum =
            |world: &Coins| -> u128 { homes.iter().map(|home| reserve(world, home, bridge)).sum() };
        let locked = signed(sum(&after), sum(&before));
        if issued != booked || locked != booked {
            return Err("supply, zkBTC and vault do not move as one");
        }
        let fits = |world: Vec<&Coin>, home: &Place| -> bool {
            let at_home = world
                .into_iter()
                .filter(|coin| coin.at == *home && !coin.charms.contains_key(&App::Nft(bridge)));
            at_home.map(|coin| u128::from(coin.sats)).sum::<u128>() <= u128::from(u64::MAX)
        };
        if !fits(proposal.ins.iter().map(|it| &it.coin).collect(), &old.home)
            || !fits(proposal.outs.iter().collect(), &new.home)
        {
            return Err("more satoshis than can be counted");
        }

        if old.home != new.home {
            if proposal.ins.iter().any(|it| it.coin.at == new.home) {
                return Err("the next home is spent from before it is home");
            }
            if proposal.outs.iter().any(|coin| coin.at == old.home) {
                return Err("the former home is paid");
            }
            let arrived = reserve(&after, &new.home, bridge) - reserve(&before, &new.home, bridge);
            if arrived < u128::from(new.supply) {
                return Err("backing is left behind");
            }
        }
        Ok(())
    }

    /// The ledger as it would be if the inputs were what is shown, and the ledger after the
    /// transaction.
    fn worlds(&self, proposal: &Proposal) -> (Coins, Coins) {
        let mut before = self.coins.clone();
        for spent in &proposal.ins {
            before.insert(spent.outpoint, spent.coin.clone());
        }
        let mut after = before.clone();
        for spent in &proposal.ins {
            after.remove(&spent.outpoint);
        }
        let tx = self.txs.len();
        for (vout, coin) in (0..).zip(&proposal.outs) {
            after.insert(Outpoint { tx, vout }, coin.clone());
        }
        (before, after)
    }
}

/// The record that has to follow, with what the new one is free to say.
fn due(old: &Record, new: &Record, ask: Ask) -> Result<Record, No> {
    let mut due = old.clone();
    due.serial = new.serial;
    match ask {
        Ask::Announce => {
            if old.next.is_some() || new.next.as_ref().map(|it| it.serial) != Some(new.serial) {
                return Err("not the first word of a rotation");
            }
            due.next.clone_from(&new.next);
            due.attempt = due.attempt.checked_add(1).ok_or("attempts are used up")?;
        }
        Ask::Cancel => {
            due.next.take().ok_or("nothing to take back")?;
        }
        Ask::Execute => {
            let promised = due.next.take().ok_or("nothing was promised")?.promise;
            due.epoch = due.epoch.checked_add(1).ok_or("epochs are used up")?;
            if promised != new.promise() {
                return Err("not what was promised");
            }
            due.signers = promised.signers;
            due.threshold = promised.threshold;
            due.home = promised.home;
            due.params = promised.params;
            due.governance = promised.governance;
            due.spells = promised.spells;
        }
        _ => {
            due.supply = new.supply;
            due.outflow = new.outflow;
        }
    }
    Ok(due)
}

fn stray(proposal: &Proposal, app: App, tag: char, ask: Ask) -> Result<(), No> {
    // Charms knows two tags that move without a contract: `t` where it balances, `n` where it stays
    // the same.
    let idle = ask == Ask::Nothing && !proposal.private.contains(&app);
    let sum = |coins: Vec<&Coin>| -> Option<u128> {
        let mut sum = 0;
        for coin in coins {
            match coin.charms.get(&app) {
                None => {}
                Some(Charm::Amount(amount)) => sum += u128::from(*amount),
                Some(_) => return None,
            }
        }
        Some(sum)
    };
    let brought = sum(proposal.ins.iter().map(|it| &it.coin).collect());
    let left = sum(proposal.outs.iter().collect());
    let moves = match tag {
        't' => brought.is_some() && brought == left,
        'n' => same_notes(proposal, app),
        _ => false,
    };
    if idle && moves {
        Ok(())
    } else {
        Err("a tag that the bridge does not have")
    }
}

fn deployed(proposal: &Proposal, bridge: Outpoint) -> Result<(), No> {
    full_tables(proposal)?;
    if proposal.ins.first().map(|spent| spent.outpoint) != Some(bridge) {
        return Err("not born of its first input");
    }
    if !notes_in(proposal, bridge).is_empty() {
        return Err("a bridge is born once");
    }
    let outs = notes_out(proposal, bridge);
    let [born] = outs.as_slice() else {
        return Err("not one NFT is born");
    };
    if !proposal.outs[0].charms.contains_key(&App::Nft(bridge)) {
        return Err("the NFT is not on the first output");
    }
    let record = at_home(*born)?;
    if (record.epoch, record.serial, record.supply) != (0, 0, 0) {
        return Err("a new book is empty");
    }
    if (record.attempt, record.outflow) != (0, 0) {
        return Err("a new book counts nothing");
    }
    let spent = proposal.ins.iter().map(|it| &it.coin);
    if spent
        .chain(&proposal.outs)
        .any(|coin| coin.charms.contains_key(&App::Zkbtc(bridge)))
    {
        return Err("zkBTC before there is a bridge");
    }
    Ok(())
}

fn full_tables(proposal: &Proposal) -> Result<(), No> {
    if proposal.table_in == Table::Whole && proposal.table_out == Table::Whole {
        Ok(())
    } else {
        Err("coins are missing, surplus or foreign")
    }
}

/// Every previous transaction is shown, none besides, each plainly; those that bring the app's
/// charms with one spell of today's kind.
fn known_history(proposal: &Proposal, app: App) -> Result<(), No> {
    let spent = proposal.ins.iter().chain(&proposal.refs);
    let needed: BTreeSet<usize> = spent.map(|it| it.outpoint.tx).collect();
    if !needed.iter().eq(proposal.history.keys()) {
        return Err("not the previous transactions");
    }
    for (tx, shown) in &proposal.history {
        if shown.wrapping != Wrapping::Plain {
            return Err("a previous transaction is not shown plainly");
        }
        let brings = proposal
            .ins
            .iter()
            .any(|it| it.outpoint.tx == *tx && it.coin.charms.contains_key(&app));
        match shown.spell {
            _ if !brings => {}
            SpellPlace::Output { version: 15.. } => {}
            _ => return Err("charms of a spell that nobody should believe"),
        }
    }
    Ok(())
}

type Note<'a> = (&'a Place, &'a Charm);

fn notes_in(proposal: &Proposal, bridge: Outpoint) -> Vec<Note<'_>> {
    notes(proposal.ins.iter().map(|spent| &spent.coin), bridge)
}

fn notes_out(proposal: &Proposal, bridge: Outpoint) -> Vec<Note<'_>> {
    notes(proposal.outs.iter(), bridge)
}

fn notes<'a>(coins: impl Iterator<Item = &'a Coin>, bridge: Outpoint) -> Vec<Note<'a>> {
    coins
        .filter_map(|coin| Some((&coin.at, coin.charms.get(&App::Nft(bridge))?)))
        .collect()
}

fn same_notes(proposal: &Proposal, app: App) -> bool {
    let mut left: Vec<&Charm> = proposal
        .outs
        .iter()
        .filter_map(|coin| coin.charms.get(&app))
        .collect();
    for spent in &proposal.ins {
        if let Some(note) = spent.coin.charms.get(&app) {
            let Some(found) = left.iter().position(|it| *it == note) else {
                return false;
            };
            left.swap_remove(found);
        }
    }
    left.is_empty()
}

/// A record that can be true, lying where it says it lives.
fn at_home((at, charm): Note<'_>) -> Result<&Record, No> {
    let Charm::Record(record) = charm else {
        return Err("the NFT does not hold a record");
    };
    let count = record.signers.len();
    let ordered = (1..count).all(|i| record.signers[i - 1] < record.signers[i]);
    let majority = usize::from(record.threshold) * 2 > count;
    let reachable = usize::from(record.threshold) <= count;
    let taproot = matches!(record.home.0.as_slice(), [0x51, 32, key @ ..] if key.len() == 32);
    if !(4..=100).contains(&count) || !ordered || !majority || !reachable || !taproot {
        return Err("the record cannot be true");
    }
    if record.supply > ALL_BITCOIN || record.outflow > ALL_BITCOIN {
        return Err("more zkBTC than bitcoin");
    }
    if record.spells.0 < 15 || record.spells.1 < record.spells.0 {
        return Err("spells that nobody should write");
    }
    if let Some(Announced { serial, wait, .. }) = record.next
        && (!(1..=record.serial).contains(&serial) || !(1..=65_535).contains(&wait))
    {
        return Err("an announcement that cannot have been");
    }
    if *at != record.home {
        return Err("the NFT is away from home");
    }
    Ok(record)
}

/// zkBTC brought and left, if each amount is one and no side is too large to count.
fn countable(proposal: &Proposal, app: App) -> Result<(u128, u128), No> {
    let sum = |coins: Vec<&Coin>| -> Result<u128, No> {
        let mut sum = 0;
        for charm in coins.iter().filter_map(|coin| coin.charms.get(&app)) {
            match charm {
                Charm::Amount(1..) => {}
                _ => return Err("malformed amount"),
            }
            if let Charm::Amount(amount) = charm {
                sum += u128::from(*amount);
            }
        }
        if sum > u128::from(u64::MAX) {
            return Err("more zkBTC than can be counted");
        }
        Ok(sum)
    };
    Ok((
        sum(proposal.ins.iter().map(|it| &it.coin).collect())?,
        sum(proposal.outs.iter().collect())?,
    ))
}

fn signed(after: u128, before: u128) -> i128 {
    i128::try_from(after).unwrap() - i128::try_from(before).unwrap()
}
