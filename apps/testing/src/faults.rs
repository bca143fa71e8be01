//! Every single fault of a spell that its contract has to see.

use charms_data::{App, B32, Charms, Data, NativeOutput, TxId, UtxoId};
use grail_app::{Facts, cbor, facts};

use crate::{
    facts::changed,
    previous::{previous_with, shown, spell_output},
    spell::{Spell, data, script},
};

/// What the contract answers for.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The apps of the contract that the spell lists.
    pub own: Vec<App>,
    /// An app whose clearings are exact; else a token, which cares for its own charms alone.
    pub is_exact: bool,
    /// Inputs that are cells beside the main one. What they say is the past, and their order
    /// nobody's gain: another past is another honest clearing, wherever the app does not care.
    pub cells: std::ops::Range<usize>,
    /// Values of its own charms on outputs that whoever makes the spell may choose: what a birth is
    /// of.
    pub is_chosen: fn(&App, &Data) -> bool,
    /// First input that is an order: its script is the operators' to judge.
    pub first_order: usize,
}

/// Calls `judge` with each spell that differs from `spell` by one fault, and its name. Answers with
/// how many.
pub fn for_each_fault(spell: &Spell, scope: &Scope, judge: &mut dyn FnMut(&str, &Spell)) -> usize {
    let mut count = 0;
    let mut add = |name: &str, change: &dyn Fn(&mut Spell)| {
        let mut changed = spell.clone();
        change(&mut changed);
        if changed != *spell {
            count += 1;
            judge(name, &changed);
        }
    };
    inputs_to_the_contract(spell, scope, &mut add);
    facts_with_their_hash(spell, scope, &mut add);
    charms(spell, scope, &mut add);
    history(spell, scope, &mut add);
    if scope.is_exact {
        coins(spell, scope, &mut add);
        items(spell, scope, &mut add);
    }
    count
}

type Add<'a> = dyn FnMut(&str, &dyn Fn(&mut Spell)) + 'a;

fn inputs_to_the_contract(spell: &Spell, scope: &Scope, add: &mut Add<'_>) {
    let texts = [
        Data::empty(),
        Data::from(&"create"),
        Data::from(&"settle"),
        Data::from(&0),
    ];
    for own in &scope.own {
        let tag = own.tag;
        for x in &texts {
            add(&format!("{tag}: public input {x:?}"), &|it| {
                it.list(own.clone(), x.clone());
            });
        }
        for x in flipped(&spell.tx.app_public_inputs[own]) {
            add(&format!("{tag}: public input flipped"), &|it| {
                it.list(own.clone(), x.clone());
            });
        }
        let w = spell.private.get(own).cloned().unwrap_or_default();
        for w in texts.iter().chain([&Data::from(&vec![1_u8])]) {
            add(&format!("{tag}: private input {w:?}"), &|it| {
                it.private.insert(own.clone(), w.clone());
                if w.is_empty() {
                    it.private.remove(own);
                }
            });
        }
        for w in flipped(&w) {
            add(&format!("{tag}: private input flipped"), &|it| {
                it.private.insert(own.clone(), w.clone());
            });
        }
        add(&format!("{tag}: not listed"), &|it| {
            let is_carried = |charms: &Charms| charms.contains_key(own);
            let mut spent = it.tx.ins.iter().map(|(_, charms)| charms);
            if spent.any(is_carried) || it.tx.outs.iter().any(is_carried) {
                it.tx.app_public_inputs.remove(own);
            }
        });
        for tag in ['x', 't', 'n'] {
            let third = App { tag, ..own.clone() };
            add(&format!("{tag}: a tag beside"), &|it| {
                it.list(third.clone(), Data::empty());
            });
        }
    }
    add("a reference", &|it| {
        it.tx.refs.push((UtxoId(TxId([9; 32]), 0), Charms::new()));
    });
}

fn facts_with_their_hash(spell: &Spell, scope: &Scope, add: &mut Add<'_>) {
    for own in &scope.own {
        let Some(encoded) = spell.private.get(own).map(Data::bytes) else {
            continue;
        };
        let encoded = cbor::Reader::new(&encoded).bytes().unwrap().to_vec();
        for (name, facts) in changed(&Facts::decode(&encoded).unwrap()) {
            let encoded = facts.encode();
            let mut w = cbor::Writer::default();
            w.bytes(&encoded);
            let w = data(&w.finish());
            let x = data(&facts::public_input(&facts::hash(&encoded)));
            add(&format!("facts: {name}"), &|it| {
                it.list(own.clone(), x.clone());
                it.private.insert(own.clone(), w.clone());
            });
        }
    }
}

fn charms(spell: &Spell, scope: &Scope, add: &mut Add<'_>) {
    let alien = App {
        tag: 'k',
        identity: B32([0xee; 32]),
        vk: B32([0xef; 32]),
    };
    let mut known: Vec<App> = spell.tx.app_public_inputs.keys().cloned().collect();
    known.push(alien.clone());
    let is_judged = |app: &App| scope.is_exact || scope.own.contains(app);
    for (side, index) in places(spell) {
        let here = charms_at(&mut spell.clone(), side, index).clone();
        let name = |what: &str| format!("{side:?} {index}: {what}");
        for (app, value) in here.iter().filter(|(app, _)| is_judged(app)) {
            let tag = app.tag;
            add(&name(&format!("{tag} gone")), &|it| {
                charms_at(it, side, index).remove(app);
            });
            let is_past =
                side == Side::In && scope.cells.contains(&index) && scope.own.contains(app);
            for other in other_values(value) {
                let is_chosen = side == Side::Out && (scope.is_chosen)(app, &other);
                if is_chosen || (is_past && is_cell(&other)) {
                    continue;
                }
                add(&name(&format!("{tag} is {other:?}")), &|it| {
                    charms_at(it, side, index).insert(app.clone(), other.clone());
                });
            }
            let mut twin = app.clone();
            twin.identity.0[0] ^= 1;
            for rekeyed in known.iter().chain([&twin]) {
                add(&name(&format!("{tag} is {} instead", rekeyed.tag)), &|it| {
                    let charms = charms_at(it, side, index);
                    let value = charms.remove(app).unwrap();
                    charms.insert(rekeyed.clone(), value);
                    let inputs = &mut it.tx.app_public_inputs;
                    inputs.entry(rekeyed.clone()).or_default();
                });
            }
        }
        for app in known.iter().filter(|app| is_judged(app)) {
            add(&name(&format!("{} beside", app.tag)), &|it| {
                let charms = charms_at(it, side, index);
                charms.entry(app.clone()).or_insert_with(|| Data::from(&1));
                let inputs = &mut it.tx.app_public_inputs;
                inputs.entry(app.clone()).or_default();
            });
        }
    }
}

/// Whether it is in the form of a cell's charm, `[1, body]`.
fn is_cell(value: &Data) -> bool {
    let bytes = value.bytes();
    let mut reader = cbor::Reader::new(&bytes);
    reader.array_of(2).is_ok() && reader.uint::<u8>() == Ok(1) && reader.bytes().is_ok()
}

/// Values that a charm could have instead.
fn other_values(value: &Data) -> Vec<Data> {
    let mut others = vec![
        Data::empty(),
        Data::from(&0),
        Data::from(&-1),
        Data::from(&u64::MAX),
        Data::from(&"1"),
        Data::from(&1.5),
        Data::from(&vec![1]),
        Data::from(&(u128::from(u64::MAX) + 1)),
    ];
    if let Ok(amount) = value.value::<u64>() {
        for other in [
            amount + 1,
            amount - 1,
            amount * 2,
            amount / 2,
            amount ^ (1 << 40),
        ] {
            others.push(Data::from(&other));
        }
    }
    others.extend(flipped(value));
    others
}

/// The value with one bit of its encoding flipped, where that is a value, every bit.
fn flipped(value: &Data) -> Vec<Data> {
    let bytes = value.bytes();
    let mut others = Vec::new();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << bit;
            let read = Data::try_from_bytes(&changed);
            others.extend(read.ok().filter(|other| other != value));
        }
    }
    others
}

fn history(spell: &Spell, scope: &Scope, add: &mut Add<'_>) {
    let is_moved = !spell
        .tx
        .app_public_inputs
        .values()
        .any(|x| *x == Data::from(&"create"));
    if !is_moved {
        return;
    }
    add("a previous transaction too many", &|it| {
        it.tx
            .prev_txs
            .insert(TxId([7; 32]), shown(&previous_with(&[script(1)])));
    });
    let brings = |txid: &TxId| {
        let mut inputs = spell.tx.ins.iter().filter(|(utxo, _)| utxo.0 == *txid);
        inputs.any(|(_, charms)| scope.own.iter().any(|own| charms.contains_key(own)))
    };
    for txid in spell.tx.prev_txs.keys() {
        let name = |what: &str| format!("previous {}: {what}", txid.0[1]);
        add(&name("missing"), &|it| {
            it.tx.prev_txs.remove(txid);
        });
        add(&name("of another id"), &|it| {
            let shown = it.tx.prev_txs.remove(txid).unwrap();
            let mut other = *txid;
            other.0[31] ^= 1;
            it.tx.prev_txs.insert(other, shown);
        });
        let mut add_form = |what: &str, form: Data| {
            add(&name(what), &|it| {
                it.tx.prev_txs.insert(*txid, form.clone());
            });
        };
        let honest = previous_with(&[script(0x11), spell_output(15)]);
        add_form("null", Data::empty());
        add_form("a text", Data::from(&honest.as_str()));
        add_form("cut", shown("02000000"));
        add_form(
            "of another ledger",
            Data::from(
                &[("cardano", honest.as_str())]
                    .into_iter()
                    .collect::<std::collections::BTreeMap<_, _>>(),
            ),
        );
        add_form(
            "with a proof of inclusion",
            Data::from(
                &[("bitcoin", honest.as_str()), ("proof", "00")]
                    .into_iter()
                    .collect::<std::collections::BTreeMap<_, _>>(),
            ),
        );
        let witness = format!("{}0001{}", &honest[..8], &honest[8..]);
        add_form("with a witness", shown(&witness));
        if brings(txid) {
            add_form("upper case", shown(&honest.to_uppercase()));
            add_form("no spell", shown(&previous_with(&[script(0x11)])));
            let two = [spell_output(15), spell_output(15)];
            add_form("two spells", shown(&previous_with(&two)));
            for version in [0, 10, 14] {
                let old = [script(0x11), spell_output(version)];
                add_form("an old spell", shown(&previous_with(&old)));
            }
            add_form("cut behind", shown(&honest[..honest.len() / 2]));
        }
    }
}

fn coins(spell: &Spell, scope: &Scope, add: &mut Add<'_>) {
    let is_migration = spell.private.values().any(|w| {
        let bytes = w.bytes();
        let facts = cbor::Reader::new(&bytes).bytes().map(Facts::decode);
        facts.is_ok_and(|facts| facts.is_ok_and(|facts| facts.home.is_some()))
    });
    for (side, index) in places(spell) {
        let amount = coin_at(&mut spell.clone(), side, index).amount;
        let name = |what: &str| format!("{side:?} {index}: {what}");
        // A birth does not look at what pays for it, nor at outputs besides its own.
        for other in [
            0,
            1,
            amount + 1,
            amount.saturating_sub(1),
            amount + 330,
            amount * 2,
            u64::MAX,
        ] {
            add(&name(&format!("{other} satoshis")), &|it| {
                coin_at(it, side, index).amount = other;
            });
        }
        let is_operators =
            side == Side::In && (index >= scope.first_order || (is_migration && index > 0));
        if !is_operators {
            for byte in 0..coin_at(&mut spell.clone(), side, index).dest.len() {
                add(&name("another script"), &|it| {
                    coin_at(it, side, index).dest[byte] ^= 1;
                });
            }
            add(&name("no script"), &|it| {
                coin_at(it, side, index).dest.clear();
            });
            add(&name("a longer script"), &|it| {
                coin_at(it, side, index).dest.push(0);
            });
        }
        add(&name("of another ledger"), &|it| {
            coin_at(it, side, index).content = Some(Data::from(&1));
        });
    }
    add("no coins in", &|it| it.tx.coin_ins = None);
    add("no coins out", &|it| it.tx.coin_outs = None);
    add("a coin too few in", &|it| {
        it.tx.coin_ins.as_mut().unwrap().pop();
    });
    add("a coin too few out", &|it| {
        it.tx.coin_outs.as_mut().unwrap().pop();
    });
    let surplus = NativeOutput {
        amount: 330,
        dest: script(1),
        content: None,
    };
    add("a coin too many in", &|it| {
        it.tx.coin_ins.as_mut().unwrap().push(surplus.clone());
    });
    add("a coin too many out", &|it| {
        it.tx.coin_outs.as_mut().unwrap().push(surplus.clone());
    });
}

/// Inputs and outputs that are gone, there twice, or in another order.
fn items(spell: &Spell, scope: &Scope, add: &mut Add<'_>) {
    for (side, index) in places(spell) {
        let name = |what: &str| format!("{side:?} {index}: {what}");
        add(&name("gone"), &|it| remove(it, side, index));
        add(&name("twice"), &|it| {
            let (utxo, charms, coin) = take(it, side, index);
            for _ in 0..2 {
                put(
                    it,
                    side,
                    index,
                    (utxo.clone(), charms.clone(), coin.clone()),
                );
            }
        });
        let is_cells = |index| side == Side::In && scope.cells.contains(&index);
        add(&name("swapped with the next"), &|it| {
            if is_cells(index) && is_cells(index + 1) {
                return;
            }
            if index + 1 < places(it).iter().filter(|place| place.0 == side).count() {
                let item = take(it, side, index);
                put(it, side, index + 1, item);
            }
        });
    }
    for (index, (utxo, _)) in spell.tx.ins.iter().enumerate() {
        for byte in 0..32 {
            add(&format!("input {index}: another transaction"), &|it| {
                let mut bytes = utxo.to_bytes();
                bytes[byte] ^= 1;
                it.tx.ins[index].0 = UtxoId::from_bytes(bytes);
            });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

fn places(spell: &Spell) -> Vec<(Side, usize)> {
    let ins = (0..spell.tx.ins.len()).map(|index| (Side::In, index));
    let outs = (0..spell.tx.outs.len()).map(|index| (Side::Out, index));
    ins.chain(outs).collect()
}

fn charms_at(spell: &mut Spell, side: Side, index: usize) -> &mut Charms {
    match side {
        Side::In => &mut spell.tx.ins[index].1,
        Side::Out => &mut spell.tx.outs[index],
    }
}

fn coins_of(spell: &mut Spell, side: Side) -> &mut Vec<NativeOutput> {
    let coins = match side {
        Side::In => &mut spell.tx.coin_ins,
        Side::Out => &mut spell.tx.coin_outs,
    };
    coins.as_mut().unwrap()
}

fn coin_at(spell: &mut Spell, side: Side, index: usize) -> &mut NativeOutput {
    &mut coins_of(spell, side)[index]
}

type Item = (UtxoId, Charms, NativeOutput);

fn take(spell: &mut Spell, side: Side, index: usize) -> Item {
    let coin = coins_of(spell, side).remove(index);
    match side {
        Side::In => {
            let (utxo, charms) = spell.tx.ins.remove(index);
            (utxo, charms, coin)
        }
        Side::Out => (UtxoId::default(), spell.tx.outs.remove(index), coin),
    }
}

fn put(spell: &mut Spell, side: Side, index: usize, (utxo, charms, coin): Item) {
    coins_of(spell, side).insert(index, coin);
    match side {
        Side::In => spell.tx.ins.insert(index, (utxo, charms)),
        Side::Out => spell.tx.outs.insert(index, charms),
    }
}

/// Without the item, and without its previous transaction where nothing else comes from it.
fn remove(spell: &mut Spell, side: Side, index: usize) {
    let (utxo, ..) = take(spell, side, index);
    if side == Side::In && !spell.tx.ins.iter().any(|(other, _)| other.0 == utxo.0) {
        spell.tx.prev_txs.remove(&utxo.0);
    }
}
