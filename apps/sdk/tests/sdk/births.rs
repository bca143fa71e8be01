//! S3: births.

use charms_data::{App, Data, UtxoId};
use grail_app::{AppId, MainState, Violation};
use grail_app_testing::{Live, Spell, charms_app, data, outpoint, script, token_coin};

use crate::club::{CONTRACT, Club, Config, State, config, refused, token};

fn birth() -> (Live<Club>, Spell) {
    Live::born(&CONTRACT, config()).unwrap()
}

type Main = MainState<Config, State>;

/// The state that is born, changed.
fn stated(spell: &mut Spell, app: &App, change: impl FnOnce(&mut Main)) {
    let bytes = spell.tx.outs[0][app].bytes();
    let mut state = Main::decode(&bytes).unwrap();
    change(&mut state);
    let changed = data(&state.encode().unwrap());
    spell.tx.outs[0].insert(app.clone(), changed);
}

#[test]
fn s3_a_birth_is_exactly_what_the_app_creates() {
    let (club, spell) = birth();
    let app = charms_app(&club.app);
    for change in [
        (|it: &mut Main| it.serial = 1) as fn(&mut Main),
        |it| it.shares = 1,
        |it| it.birth = script(0x66).try_into().unwrap(),
        |it| it.state.orders = 1,
        |it| it.state.notes = vec![1],
    ] {
        refused(&spell, "birth-state", |it| stated(it, &app, change));
    }
    refused(&spell, "not-at-home", |it| {
        stated(it, &app, |it| it.home = script(0x66).try_into().unwrap());
    });
    // Both moved: a birth elsewhere is a birth, of what no wallet takes for the app's home.
    let elsewhere = spell.with(|it| {
        stated(it, &app, |it| {
            it.home = script(0x66).try_into().unwrap();
            it.birth = it.home;
        });
        it.tx.coin_outs.as_mut().unwrap()[0].dest = script(0x66);
    });
    assert_eq!(CONTRACT.judge(&elsewhere), Ok(()));
    refused(&spell, "state", |it| {
        it.tx.outs[0].insert(app.clone(), Data::from(&7));
    });
    refused(&spell, "birth-refused:refused", |it| {
        stated(it, &app, |it| it.config.is_refused = true);
    });
}

#[test]
fn s3_a_cell_is_no_state() {
    let (club, spell) = birth();
    refused(&spell, "state", |it| {
        let bytes = it.tx.outs[0][&charms_app(&club.app)].bytes();
        let cell = [&[0x86, 1], &bytes[2..]].concat();
        it.tx.outs[0].insert(charms_app(&club.app), data(&cell));
    });
}

#[test]
fn s3_the_identity_is_that_of_the_first_input() {
    let (_, spell) = birth();
    refused(&spell, "identity", |it| {
        it.tx.ins[0].0 = UtxoId::from_bytes(outpoint(9));
    });
    refused(&spell, "identity", |it| {
        it.tx.ins.clear();
        it.tx.coin_ins.as_mut().unwrap().clear();
    });
}

#[test]
fn s3_nothing_of_the_app_comes_in() {
    let (club, spell) = birth();
    for app in [club.app.clone(), club.share().unwrap()] {
        refused(&spell, "birth-spends", |it| {
            *it = it.clone().input(outpoint(3), &token_coin(9, 330, &app, 1));
            // The share's own run would refuse it as well.
            it.tx
                .app_public_inputs
                .remove(&charms_app(&club.share().unwrap()));
            it.tx.app_public_inputs.insert(
                charms_app(&app),
                spell.tx.app_public_inputs[&charms_app(&club.app)].clone(),
            );
        });
    }
}

#[test]
fn s3_one_charm_on_output_0_and_nothing_beside_it() {
    let (club, spell) = birth();
    let app = charms_app(&club.app);
    refused(&spell, "birth-count", |it| {
        let charms = it.tx.outs[0].clone();
        it.tx.outs[1] = charms;
    });
    refused(&spell, "birth-count", |it| it.tx.outs.swap(0, 1));
    refused(&spell, "birth-count", |it| {
        it.tx.outs.clear();
        it.tx.coin_outs.as_mut().unwrap().clear();
    });
    // Another charm alone on output 0, the app's on the next.
    refused(&spell, "birth-count", |it| {
        it.tx.outs.swap(0, 1);
        it.tx.outs[0].insert(charms_app(&token(1)), Data::from(&1));
        it.list(charms_app(&token(1)), Data::empty());
    });
    refused(&spell, "birth-holdings", |it| {
        it.tx.outs[0].insert(charms_app(&token(1)), Data::from(&1));
        it.list(charms_app(&token(1)), Data::empty());
    });
    // A cell beside the main one: one of the app's charms too many.
    refused(&spell, "birth-count", |it| {
        it.tx.outs[1].insert(app.clone(), data(&[0x82, 1, 0x43, 0x82, 1, 0]));
    });
}

#[test]
fn s3_no_shares_are_born() {
    let (club, spell) = birth();
    let share = charms_app(&club.share().unwrap());
    // By the main cell's own run: it comes first in Charms' order.
    refused(&spell, "birth-shares", |it| {
        it.tx.outs[1].insert(share.clone(), Data::from(&1));
        it.list(share.clone(), Data::empty());
    });
}

#[test]
fn s3_the_coin_is_the_carrier_and_no_private_input_is_read() {
    let (club, spell) = birth();
    for amount in [999, 1_001] {
        refused(&spell, "birth-coin", |it| {
            it.tx.coin_outs.as_mut().unwrap()[0].amount = amount;
        });
    }
    refused(&spell, "birth-private-input", |it| {
        it.private.insert(charms_app(&club.app), Data::from(&1));
    });
}

#[test]
fn s3_assets_are_ascending_few_and_none_that_move_without_contract() {
    let refuses = |assets: Vec<AppId>| {
        let config = Config {
            assets,
            is_refused: false,
        };
        Live::<Club>::born(&CONTRACT, config).unwrap_err()
    };
    for tag in ['t', 'n', 's'] {
        assert_eq!(
            refuses(vec![token(1).with_tag(tag)]),
            Violation::BirthAssets
        );
    }
    assert_eq!(refuses(vec![token(2), token(1)]), Violation::BirthAssets);
    assert_eq!(refuses(vec![token(1), token(1)]), Violation::BirthAssets);
    assert_eq!(
        refuses((1..=5).map(token).collect()),
        Violation::BirthAssets
    );
    let (club, spell) = birth();
    // The contract answers the same of a spell that was made without asking.
    let app = charms_app(&club.app);
    for own in [
        club.app.clone(),
        club.share().unwrap(),
        club.app.with_tag('x'),
    ] {
        refused(&spell, "birth-assets", |it| {
            stated(it, &app, |it| it.config.assets = vec![own]);
        });
    }
    let other = AppId {
        vk: [1; 32],
        ..club.app.clone()
    };
    let fine = spell.with(|it| stated(it, &app, |it| it.config.assets = vec![other]));
    assert_eq!(CONTRACT.judge(&fine), Ok(()));
}

#[test]
fn each_first_input_has_an_app_of_its_own() {
    let (one, _) = birth();
    let (two, born) = Live::<Club>::born_by(1, &CONTRACT, config()).unwrap();
    assert_ne!(one.app.identity, two.app.identity);
    assert_eq!(CONTRACT.judge(&born), Ok(()));
}
