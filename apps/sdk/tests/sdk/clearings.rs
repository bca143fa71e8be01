//! S1, S2, S4 to S8: clearings.

use charms_data::{App, Data, TxId, UtxoId};
use grail_app::{Asset, Coin, Facts, Price, Violation, cbor, facts};
use grail_app_testing::{
    Ask, Cleared, Live, Sky, Spell, charms_app, data, encoded, for_each_fault, previous,
    previous_with, script, shown, spell_output,
};

use crate::club::{
    BURNS_A_TOKEN, CONTRACT, Club, HOLDS_OTHER_ASSETS, HOLDS_SHARES, MINTS_TOO_MUCH, OVERFLOWS,
    Order, PAYOUT_MISSING, PAYS_A_SATOSHI_MORE, PAYS_A_TOKEN, PAYS_OTHER_ASSETS, REFUSES,
    WRITES_TOO_MUCH, club, code_of, honest, refused, token, wrong,
};

fn setup() -> (Live<Club>, Cleared, App) {
    let club = club();
    let cleared = honest(&club);
    let app = charms_app(&club.app);
    (club, cleared, app)
}

/// Other facts, under a hash that fits them.
fn with_facts(spell: &mut Spell, app: &App, cleared: &Cleared, change: impl FnOnce(&mut Facts)) {
    let mut changed = cleared.facts.clone();
    change(&mut changed);
    named(spell, app, &changed.encode());
}

fn named(spell: &mut Spell, app: &App, encoded: &[u8]) {
    let mut w = cbor::Writer::default();
    w.bytes(encoded);
    spell.private.insert(app.clone(), data(&w.finish()));
    let x = facts::public_input(&facts::hash(encoded));
    spell.list(app.clone(), data(&x));
}

#[test]
fn s1_bytes_tags_references_and_coins() {
    let (_, cleared, app) = setup();
    let spell = &cleared.spell;
    let x = spell.tx.app_public_inputs[&app].clone();
    let mut bytes = encoded(&app, &spell.tx, &x, &spell.private[&app]);
    assert_eq!((CONTRACT.native)(&bytes), Ok(()));
    bytes.push(0);
    assert_eq!((CONTRACT.native)(&bytes), Err("unreadable".into()));

    refused(spell, "app-tag", |it| {
        let third = App {
            tag: 'a',
            ..app.clone()
        };
        it.list(third, Data::empty());
    });
    refused(spell, "references", |it| {
        it.tx
            .refs
            .push((UtxoId(TxId([9; 32]), 0), it.tx.outs[0].clone()));
        it.tx.prev_txs.insert(TxId([9; 32]), shown(&previous()));
    });
    refused(spell, "coins-missing", |it| it.tx.coin_ins = None);
    refused(spell, "coins-missing", |it| it.tx.coin_outs = None);
    refused(spell, "coin-count", |it| {
        it.tx.coin_ins.as_mut().unwrap().pop();
    });
    refused(spell, "coin-count", |it| {
        let coins = it.tx.coin_outs.as_mut().unwrap();
        coins.push(coins[0].clone());
    });
    refused(spell, "foreign-coin", |it| {
        it.tx.coin_ins.as_mut().unwrap()[1].content = Some(Data::from(&1));
    });
    refused(spell, "foreign-coin", |it| {
        it.tx.coin_outs.as_mut().unwrap()[0].content = Some(Data::from(&1));
    });
}

#[test]
fn s2_the_history_is_of_one_form() {
    let (club, cleared, _) = setup();
    let spell = &cleared.spell;
    let main = UtxoId::from_bytes(club.main.0).0;
    let set = |hex: String| {
        move |it: &mut Spell| {
            it.tx.prev_txs.insert(main, shown(&hex));
        }
    };
    refused(spell, "prev-tx-set", |it| {
        it.tx.prev_txs.insert(TxId([9; 32]), shown(&previous()));
    });
    refused(spell, "prev-tx-form", set("0200".into()));
    let honest = previous();
    let witness = format!("{}0001{}", &honest[..8], &honest[8..]);
    refused(spell, "prev-tx-witness", set(witness));
    refused(spell, "prev-spell", set(previous_with(&[script(1)])));
    let two = [spell_output(15), spell_output(16)];
    refused(spell, "prev-spell", set(previous_with(&two)));
    refused(
        spell,
        "prev-spell-version",
        set(previous_with(&[spell_output(14)])),
    );
    assert_eq!(
        CONTRACT.judge(&spell.with(set(previous_with(&[spell_output(23)])))),
        Ok(())
    );
    // Where no charm of the app comes from, any transaction will do.
    let order = UtxoId::from_bytes(cleared.inputs.last().unwrap().0).0;
    let plain = spell.with(|it| {
        it.tx
            .prev_txs
            .insert(order, shown(&previous_with(&[script(1)])));
    });
    assert_eq!(CONTRACT.judge(&plain), Ok(()));
}

#[test]
fn s4_the_private_input_is_what_the_public_one_names() {
    let (_, cleared, app) = setup();
    let spell = &cleared.spell;
    for x in [Data::empty(), Data::from(&"settle"), Data::from(&(2, 0))] {
        refused(spell, "facts-unnamed", |it| it.list(app.clone(), x));
    }
    refused(spell, "facts-hash", |it| {
        it.list(app.clone(), data(&facts::public_input(&[0; 32])));
    });
    refused(spell, "facts-hash", |it| {
        let mut w = cbor::Writer::default();
        w.bytes(&[cleared.facts.encode(), vec![0]].concat());
        it.private.insert(app.clone(), data(&w.finish()));
    });
    refused(spell, "facts-hash", |it| {
        it.private.remove(&app);
    });
    refused(spell, "facts-form", |it| {
        named(it, &app, &[cleared.facts.encode(), vec![0]].concat());
    });
    // A birth's word on what is no birth.
    refused(spell, "birth-spends", |it| {
        it.private.clear();
        it.list(app.clone(), Data::from(&"create"));
        // As if it were the app of this first input.
        let first = it.tx.ins[0].0.clone();
        let born = App {
            identity: charms_data::B32(grail_app::identity_of(&first.to_bytes())),
            ..app.clone()
        };
        rename(it, &app, &born);
    });
}

/// The app, share and all, under another identity.
fn rename(spell: &mut Spell, from: &App, to: &App) {
    let rename = |app: App| {
        if app.identity == from.identity && app.vk == from.vk {
            App {
                identity: to.identity.clone(),
                ..app
            }
        } else {
            app
        }
    };
    let tx = &mut spell.tx;
    let charms = tx
        .ins
        .iter_mut()
        .map(|(_, charms)| charms)
        .chain(&mut tx.outs);
    for charms in charms.chain([&mut tx.app_public_inputs]) {
        let old = std::mem::take(charms);
        *charms = old
            .into_iter()
            .map(|(app, data)| (rename(app), data))
            .collect();
    }
}

#[test]
fn s5_inputs_are_as_many_and_what_the_facts_say() {
    let (club, cleared, app) = setup();
    let spell = &cleared.spell;
    let facts = |change: fn(&mut Facts)| {
        let (cleared, app) = (&cleared, &app);
        move |it: &mut Spell| with_facts(it, app, cleared, change)
    };
    refused(spell, "input-count", facts(|it| it.cells_in = 4));
    refused(spell, "input-count", facts(|it| it.cells_in = 99));
    refused(spell, "input-count", facts(|it| it.prices.clear()));
    refused(spell, "input-count", facts(|it| it.orders.truncate(2)));
    // A cell is no ticket, and a ticket no cell.
    refused(spell, "cell-input", |it| {
        let [one, two] = [2, 3];
        it.tx.ins.swap(one, two);
        it.tx.coin_ins.as_mut().unwrap().swap(one, two);
    });
    let order = 4;
    refused(spell, "cell-input", |it| {
        it.tx.ins[order].1.insert(app.clone(), Data::from(&1));
    });
    refused(spell, "cell-input", |it| {
        it.tx.ins[1].1.remove(&app);
    });
    refused(spell, "state", |it| it.tx.ins[1].1 = it.tx.ins[0].1.clone());
    // A cell as the first input.
    refused(spell, "state", |it| {
        it.tx.ins.swap(0, 1);
        it.tx.coin_ins.as_mut().unwrap().swap(0, 1);
    });
    for index in [0, 1, 2] {
        refused(spell, "not-at-home", |it| {
            it.tx.coin_ins.as_mut().unwrap()[index].dest = script(0x99);
        });
    }
    let share = charms_app(&club.share().unwrap());
    refused(spell, "holdings", |it| {
        it.tx.coin_ins.as_mut().unwrap()[0].amount = 999;
    });
    refused(spell, "holdings", |it| {
        it.tx.coin_ins.as_mut().unwrap()[1].amount = 329;
    });
    refused(spell, "holdings", |it| {
        it.tx.ins[1].1.insert(charms_app(&token(1)), Data::from(&0));
    });
    // A cell that holds a share, or a charm that the app does not know: an app's own run says so.
    for alien in [share, charms_app(&token(3))] {
        let spell = spell.with(|it| {
            it.tx.ins[1].1.insert(alien.clone(), Data::from(&1));
            it.tx.app_public_inputs.entry(alien.clone()).or_default();
        });
        assert_eq!(code_of(&spell), "holdings");
    }
}

#[test]
fn s5_the_serial_counts_and_ends() {
    let (club, cleared, app) = setup();
    let mut full = club;
    let mut state = full.state();
    state.serial = u64::MAX;
    full.main
        .1
        .charms
        .iter_mut()
        .find(|it| it.0 == full.app)
        .unwrap()
        .1 = state.encode().unwrap();
    let nothing = [Ask::say(&Order::Nothing {})];
    let refusal = full.clear(&[], &Sky::default(), &nothing).unwrap_err();
    assert_eq!(refusal.code(), "serial");
    refused(&cleared.spell, "output-charms", |it| {
        it.tx.outs[0].insert(app.clone(), it.tx.ins[0].1[&app].clone());
    });
}

#[test]
fn s5_a_ticket_is_a_coin_alone_and_comes_back() {
    let (_, cleared, _) = setup();
    let (ticket, ticket_out) = (3, 2);
    refused(&cleared.spell, "ticket-charms", |it| {
        it.tx.ins[ticket]
            .1
            .insert(charms_app(&token(1)), Data::from(&1));
    });
    refused(&cleared.spell, "output-coin", |it| {
        it.tx.coin_outs.as_mut().unwrap()[ticket_out].amount += 1;
    });
    refused(&cleared.spell, "output-script", |it| {
        it.tx.coin_outs.as_mut().unwrap()[ticket_out].dest[9] ^= 1;
    });
}

#[test]
fn s6_an_order_is_its_coin_and_gives_what_the_app_takes() {
    let (club, cleared, app) = setup();
    let spell = &cleared.spell;
    refused(spell, "order-outpoint", |it| {
        with_facts(it, &app, &cleared, |it| it.orders[1].outpoint[0] ^= 1);
    });
    // The same order twice, on one coin.
    refused(spell, "order-outpoint", |it| {
        with_facts(it, &app, &cleared, |it| it.orders[1] = it.orders[0].clone());
    });
    refused(spell, "order-coin", |it| {
        let keep = u64::MAX;
        with_facts(it, &app, &cleared, |it| {
            it.orders[0].coin = Coin::Offer { keep }
        });
    });
    refused(spell, "order-payload", |it| {
        with_facts(it, &app, &cleared, |it| it.orders[0].payload.push(0));
    });
    let alien = Ask::say(&Order::Nothing {}).giving(&token(3), 1);
    let refusal = club.clear(&[], &Sky::default(), &[alien]).unwrap_err();
    assert_eq!(refusal.code(), "order-charms");
    let zero = Ask::say(&Order::Nothing {}).giving(&token(1), 0);
    let refusal = club.clear(&[], &Sky::default(), &[zero]).unwrap_err();
    assert_eq!(refusal.code(), "order-charms");
}

#[test]
fn s6_outputs_are_exactly_the_outcome() {
    let (_, cleared, app) = setup();
    let spell = &cleared.spell;
    refused(spell, "output-count", |it| {
        it.tx.outs.pop();
        it.tx.coin_outs.as_mut().unwrap().pop();
    });
    refused(spell, "output-count", |it| {
        *it = it.clone().output(&cleared.plan.outputs[2]);
    });
    for index in 0..spell.tx.outs.len() {
        refused(spell, "output-coin", |it| {
            it.tx.coin_outs.as_mut().unwrap()[index].amount += 1;
        });
        refused(spell, "output-script", |it| {
            it.tx.coin_outs.as_mut().unwrap()[index].dest[20] ^= 1;
        });
        refused(spell, "output-charms", |it| {
            let amount = it.tx.outs[index].remove(&charms_app(&token(1)));
            let more = amount.map_or(1, |amount| amount.value::<u64>().unwrap() + 1);
            it.tx.outs[index].insert(charms_app(&token(1)), Data::from(&more));
        });
    }
    // The state goes to somebody's order.
    refused(spell, "output-charms", |it| {
        let state = it.tx.outs[0][&app].clone();
        it.tx.outs[3].insert(app.clone(), state);
    });
}

fn plan_of(ask: Ask) -> String {
    let refusal = club().clear(&[], &Sky::default(), &[ask]).unwrap_err();
    refusal.code()
}

#[test]
fn s6_an_app_that_refuses_or_answers_misshapen() {
    assert_eq!(plan_of(wrong(REFUSES)), "app-refuses:as-told");
    let poor = Ask::say(&Order::Open { note: 1 }).giving_sats(329);
    assert_eq!(plan_of(poor), "app-refuses-order:no-carrier");
    assert_eq!(plan_of(wrong(PAYOUT_MISSING)), "outcome-shape");
    assert_eq!(plan_of(wrong(PAYS_OTHER_ASSETS)), "outcome-shape");
    assert_eq!(plan_of(wrong(HOLDS_OTHER_ASSETS)), "outcome-shape");
    assert_eq!(plan_of(wrong(WRITES_TOO_MUCH)), "state");
}

#[test]
fn s6_an_output_pays_its_share_and_is_no_dust() {
    let mut ask = Ask::say(&Order::Nothing {});
    ask.sats = 1_030;
    let planned = club().clear(&[], &Sky::default(), &[ask.clone()]).unwrap();
    assert_eq!(planned.plan.outputs[1].amount, 330);
    ask.fee_share = 701;
    assert_eq!(plan_of(ask.clone()), "order-dust");
    ask.fee_share = 1_031;
    assert_eq!(plan_of(ask), "order-dust");
    // What nodes take for dust at each type of script.
    let [p2pkh, p2sh, p2wpkh, p2wsh] =
        [(0x76, 25), (0xa9, 23), (0x00, 22), (0x00, 34)].map(|(first, length)| {
            let mut script = vec![0; length];
            script[0] = first;
            script[1] = if first == 0 {
                u8::try_from(length - 2).unwrap()
            } else {
                0xa9
            };
            grail_app::dust_sat(&script)
        });
    assert_eq!([p2pkh, p2sh, p2wpkh, p2wsh], [546, 540, 294, 330]);
    assert_eq!(grail_app::dust_sat(&script(1)), 330);
}

#[test]
fn s7_nothing_is_made_and_nothing_is_lost_but_shares() {
    assert_eq!(plan_of(wrong(PAYS_A_SATOSHI_MORE)), "conservation");
    assert_eq!(
        plan_of(wrong(BURNS_A_TOKEN).giving(&token(1), 5)),
        "conservation"
    );
    assert_eq!(plan_of(wrong(HOLDS_SHARES)), "shares");
    let share = club().share().unwrap();
    let mint = wrong(MINTS_TOO_MUCH).wanting(Asset::Charm(share), 0);
    assert_eq!(plan_of(mint), "overflow");
    assert_eq!(plan_of(wrong(OVERFLOWS).giving_sats(1)), "overflow");
}

#[test]
fn s8_wants_are_met_and_nothing_comes_unasked() {
    let nothing = || {
        Ask::say(&Order::Nothing {})
            .giving_sats(500)
            .giving(&token(1), 5)
    };
    let fine = nothing()
        .wanting(Asset::Btc, 500)
        .wanting(Asset::Charm(token(1)), 5);
    assert!(club().clear(&[], &Sky::default(), &[fine]).is_ok());
    assert_eq!(plan_of(nothing().wanting(Asset::Btc, 501)), "order-wants");
    // The coin that it keeps does not count as paid.
    let keeps = Ask::say(&Order::Nothing {}).wanting(Asset::Btc, 1);
    assert_eq!(plan_of(keeps), "order-wants");
    assert_eq!(
        plan_of(nothing().wanting(Asset::Charm(token(1)), 6)),
        "order-wants"
    );
    assert_eq!(
        plan_of(nothing().wanting(Asset::Charm(token(9)), 1)),
        "order-wants"
    );
    let share = club().share().unwrap();
    assert_eq!(
        plan_of(nothing().wanting(Asset::Charm(share), 1)),
        "order-wants"
    );
    assert_eq!(plan_of(wrong(PAYS_A_TOKEN)), "order-unwanted");
    let wanted = wrong(PAYS_A_TOKEN).wanting(Asset::Charm(token(1)), 0);
    assert!(club().clear(&[], &Sky::default(), &[wanted]).is_ok());
    let given = wrong(PAYS_A_TOKEN).giving(&token(1), 1);
    assert!(club().clear(&[], &Sky::default(), &[given]).is_ok());
}

#[test]
fn no_fault_of_a_clearing_of_every_kind_is_accepted() {
    let (club, cleared, _) = setup();
    let mut accepted = vec![];
    let count = for_each_fault(&cleared.spell, &club.scope(&cleared), &mut |name, fault| {
        if CONTRACT.judge(fault).is_ok() {
            accepted.push(name.to_owned());
        }
    });
    assert!(accepted.is_empty(), "{accepted:#?}");
    println!("{count} faults");
    assert!(count > 10_000, "{count}");
}

#[test]
fn prices_reach_the_app_only_with_their_tickets() {
    let sky = Sky {
        prices: vec![
            Price {
                pair: [1; 32],
                feeds: [2; 32],
                price: 3,
                height: 4
            };
            2
        ],
        ..Sky::default()
    };
    let refusal = club().clear(&[], &sky, &[]).unwrap_err();
    assert!(matches!(refusal, Violation::Facts(_)));
}
