//! S9: shares by themselves.

use charms_data::{Data, UtxoId};
use grail_app::AppId;
use grail_app_testing::{
    Ask, Sky, Spell, charms_app, data, outpoint, previous_with, script, shown, token_coin,
};

use crate::club::{CONTRACT, Order, club, code_of, refused};

fn share() -> AppId {
    club().share().unwrap()
}

fn transfer() -> Spell {
    Spell::default()
        .input(outpoint(1), &token_coin(1, 330, &share(), 50))
        .input(outpoint(2), &token_coin(1, 330, &share(), 7))
        .output(&token_coin(2, 330, &share(), 57))
}

#[test]
fn s9_shares_move_among_their_owners_and_are_conserved() {
    for amount in [56_u64, 58] {
        refused(&transfer(), "share-balance", |it| {
            it.tx.outs[0].insert(charms_app(&share()), Data::from(&amount));
        });
    }
    refused(&transfer(), "share-overflow", |it| {
        *it = it.clone().output(&token_coin(2, 330, &share(), u64::MAX));
    });
    for amount in [
        Data::from(&0),
        Data::from(&"57"),
        Data::from(&57.0),
        Data::empty(),
    ] {
        refused(&transfer(), "share-amount", |it| {
            it.tx.outs[0].insert(charms_app(&share()), amount);
        });
    }
}

#[test]
fn s9_shares_have_no_inputs_to_their_contract_and_a_history() {
    for x in [Data::from(&"create"), data(&[0x82, 1, 0x40])] {
        refused(&transfer(), "share-input", |it| {
            it.list(charms_app(&share()), x);
        });
    }
    refused(&transfer(), "share-input", |it| {
        it.private.insert(charms_app(&share()), Data::from(&1));
    });
    refused(&transfer(), "prev-spell", |it| {
        let txid = UtxoId::from_bytes(outpoint(1)).0;
        it.tx
            .prev_txs
            .insert(txid, shown(&previous_with(&[script(1)])));
    });
}

#[test]
fn s9_shares_are_made_and_destroyed_only_beside_the_main_cell() {
    let club = club();
    let join = Ask::say(&Order::Join {})
        .giving_sats(60)
        .wanting(grail_app::Asset::Charm(share()), 60);
    let cleared = club.clear(&[], &Sky::default(), &[join]).unwrap();
    assert_eq!(CONTRACT.judge(&cleared.spell), Ok(()));
    let app = charms_app(&club.app);
    // The share's own run, where the main cell does not come in, does not go out, or is not first.
    let share_alone = |change: fn(&mut Spell, &charms_data::App)| {
        let mut spell = cleared.spell.clone();
        change(&mut spell, &app);
        spell.tx.app_public_inputs.remove(&app);
        let share = charms_app(&share());
        let none = Data::empty();
        let bytes = grail_app_testing::encoded(&share, &spell.tx, &none, &none);
        (CONTRACT.native)(&bytes)
    };
    let refusal = Err("share-balance".to_owned());
    assert_eq!(share_alone(|_, _| {}), Ok(()));
    assert_eq!(
        share_alone(|it, app| drop(it.tx.ins[0].1.remove(app))),
        refusal
    );
    assert_eq!(
        share_alone(|it, app| drop(it.tx.outs[0].remove(app))),
        refusal
    );
    assert_eq!(share_alone(|it, _| it.tx.ins.swap(0, 1)), refusal);
    assert_eq!(share_alone(|it, _| it.tx.outs.swap(0, 1)), refusal);
}

#[test]
fn s9_shares_move_beside_a_clearing_only_as_its_orders() {
    let club = club();
    let asks = [Ask::say(&Order::Nothing {})];
    let cleared = club.clear(&[], &Sky::default(), &asks).unwrap();
    let beside = cleared
        .spell
        .input(outpoint(1), &token_coin(1, 330, &share(), 5))
        .output(&token_coin(2, 330, &share(), 5));
    assert_eq!(code_of(&beside), "input-count");
}
