//! One test for each rule: a spell that is accepted, one thing changed, that rule's code; natively
//! and by the wasm.

use charms_data::{Data, TxId, UtxoId};
use grail_app::AppId;
use grail_app_testing::{
    Refusal, Spell, charms_app, data, outpoint, previous, previous_with, shown, spell_output,
};
use grail_token::Metadata;

use crate::spells::{CONTRACT, birth, described, f, m, metadata, moved, transfer, units};

fn refused(honest: &Spell, tag: char, code: &str, change: impl FnOnce(&mut Spell)) {
    CONTRACT.judge_both(honest).unwrap();
    let refusal = CONTRACT.judge_both(&honest.with(change)).unwrap_err();
    let code = code.into();
    assert_eq!(refusal, Refusal { tag, code });
}

fn list(spell: &mut Spell, app: &AppId, x: &Data) {
    spell.list(charms_app(app), x.clone());
}

#[test]
fn t1_bytes_that_no_runner_writes() {
    let spell = transfer();
    let app = charms_app(&f());
    let x = Data::empty();
    let mut bytes = grail_app_testing::encoded(&app, &spell.tx, &x, &x);
    assert_eq!((CONTRACT.native)(&bytes), Ok(()));
    bytes.push(0);
    assert_eq!((CONTRACT.native)(&bytes), Err("unreadable".into()));
}

#[test]
fn t2_a_third_tag() {
    refused(&transfer(), 'x', "app-tag", |it| {
        list(it, &f().with_tag('x'), &Data::empty());
    });
}

#[test]
fn t3_a_private_input() {
    for tag in ['m', 'f'] {
        refused(&moved(), tag, "private-input", |it| {
            let app = charms_app(&f().with_tag(tag));
            it.private.insert(app, Data::from(&1));
        });
    }
}

#[test]
fn t4_a_public_input_that_is_no_word() {
    for tag in ['m', 'f'] {
        refused(&moved(), tag, "public-input", |it| {
            list(it, &f().with_tag(tag), &Data::from(&"mint"));
        });
    }
}

#[test]
fn t5_a_reference() {
    refused(&transfer(), 'f', "references", |it| {
        let referred = UtxoId(TxId([8; 32]), 0);
        it.tx.refs.push((referred, it.tx.outs[0].clone()));
        it.tx.prev_txs.insert(TxId([8; 32]), shown(&previous()));
    });
}

#[test]
fn t6_a_history_that_is_not_believed() {
    let txid = UtxoId::from_bytes(outpoint(1)).0;
    let with = |shown: Data| {
        move |it: &mut Spell| {
            it.tx.prev_txs.insert(txid, shown);
        }
    };
    refused(&transfer(), 'f', "prev-tx-set", |it| {
        it.tx.prev_txs.remove(&txid);
    });
    refused(&transfer(), 'f', "prev-tx-form", with(Data::empty()));
    let honest = previous();
    let witness = format!("{}0001{}", &honest[..8], &honest[8..]);
    refused(&transfer(), 'f', "prev-tx-witness", with(shown(&witness)));
    let none = previous_with(&[vec![0x51]]);
    refused(&transfer(), 'f', "prev-spell", with(shown(&none)));
    let old = previous_with(&[spell_output(14)]);
    refused(&transfer(), 'f', "prev-spell-version", with(shown(&old)));
}

#[test]
fn t7_a_birth_of_one_alone() {
    refused(&birth(), 'f', "birth-alone", |it| {
        list(it, &m(), &Data::empty());
    });
    // Without metadata: Charms then asks for no `m`.
    refused(&birth(), 'f', "birth-alone", |it| {
        it.tx.outs[0].clear();
        it.tx.app_public_inputs.remove(&charms_app(&m()));
    });
    refused(&birth(), 'f', "balance", |it| {
        list(it, &f(), &Data::empty());
    });
}

#[test]
fn t8_an_identity_of_another_input() {
    refused(&birth(), 'f', "identity", |it| {
        it.tx.ins[0].0 = UtxoId::from_bytes(outpoint(9));
    });
    refused(&birth(), 'f', "identity", |it| it.tx.ins.clear());
}

#[test]
fn t9_a_birth_that_spends_the_token() {
    refused(&birth(), 'f', "birth-spends", |it| {
        *it = it.clone().input(outpoint(5), &units(1, 1));
    });
    refused(&birth(), 'f', "birth-spends", |it| {
        *it = it.clone().input(outpoint(5), &described(&metadata()));
    });
}

#[test]
fn t10_metadata_not_alone_on_output_0() {
    refused(&birth(), 'f', "birth-place", |it| it.tx.outs.swap(0, 1));
    refused(&birth(), 'f', "birth-place", |it| {
        let charms = it.tx.outs.remove(1);
        it.tx.outs[0].extend(charms);
    });
    refused(&birth(), 'f', "birth-place", |it| {
        *it = it.clone().output(&described(&metadata()));
    });
    refused(&birth(), 'f', "birth-place", |it| it.tx.outs.clear());
}

#[test]
fn t11_metadata_that_is_none() {
    for bytes in [
        vec![0x01],
        Metadata {
            decimals: 19,
            ..metadata()
        }
        .encode(),
    ] {
        refused(&birth(), 'f', "metadata", |it| {
            it.tx.outs[0].insert(charms_app(&m()), data(&bytes));
        });
    }
}

#[test]
fn t12_amounts_that_are_none() {
    let others = [
        Data::from(&0),
        Data::from(&-1),
        Data::from(&"1"),
        Data::from(&1.0),
        Data::empty(),
    ];
    for amount in others {
        refused(&transfer(), 'f', "amount", |it| {
            it.tx.outs[0].insert(charms_app(&f()), amount.clone());
        });
        refused(&birth(), 'f', "amount", |it| {
            it.tx.outs[1].insert(charms_app(&f()), amount);
        });
    }
    // Sums that wrap around to what came in.
    refused(&transfer(), 'f', "amount", |it| {
        *it = it.clone().output(&units(1, u64::MAX)).output(&units(1, 1));
    });
}

#[test]
fn t13_a_unit_too_many_and_one_too_few() {
    for amount in [399_999_u64, 400_001] {
        refused(&birth(), 'f', "supply", |it| {
            it.tx.outs[1].insert(charms_app(&f()), Data::from(&amount));
        });
    }
    for amount in [69_u64, 71] {
        refused(&transfer(), 'f', "balance", |it| {
            it.tx.outs[0].insert(charms_app(&f()), Data::from(&amount));
        });
    }
}

#[test]
fn t14_metadata_that_changes_doubles_or_goes() {
    let m = charms_app(&m());
    refused(&moved(), 'm', "metadata-moved", |it| {
        let other = Metadata {
            supply: 2_000_000,
            ..metadata()
        };
        it.tx.outs[3].insert(m.clone(), data(&other.encode()));
    });
    refused(&moved(), 'm', "metadata-moved", |it| {
        *it = it.clone().output(&described(&metadata()));
    });
    refused(&moved(), 'm', "metadata-moved", |it| it.tx.outs[3].clear());
    // Two in, two out.
    refused(&moved(), 'm', "metadata-moved", |it| {
        let twin = it.clone().input(outpoint(5), &described(&metadata()));
        *it = twin.output(&described(&metadata()));
    });
    // Out of nothing.
    refused(&transfer(), 'm', "metadata-moved", |it| {
        *it = it.clone().output(&described(&metadata()));
    });
}
