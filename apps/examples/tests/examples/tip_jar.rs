//! The tip jar: what the tutorial says.

use grail_app::{AppId, Asset, Violation, judge};
use grail_app_examples::tip_jar::{Config, Order, State, TipJar};
use grail_app_testing::{Ask, Contract, Live, Sky};

pub const CONTRACT: Contract = Contract {
    native: |bytes| judge::<TipJar>(bytes).map_err(Violation::code),
    wasm: include_bytes!("../../../tip-jar.wasm"),
};

pub const OWNER: [u8; 32] = [7; 32];

pub fn token() -> AppId {
    AppId {
        tag: 'f',
        identity: [0x21; 32],
        vk: [0x22; 32],
    }
}

pub fn jar() -> Live<TipJar> {
    let config = Config {
        owner: OWNER,
        token: Some(token()),
    };
    let (jar, birth) = Live::born(&CONTRACT, config).unwrap();
    CONTRACT.judge_both(&birth).unwrap();
    jar
}

#[test]
fn tips_are_kept_and_the_owner_empties_the_jar() {
    let mut jar = jar();
    let tips = [
        Ask::say(&Order::Tip {}).giving_sats(5_000),
        Ask::say(&Order::Tip {}).giving(&token(), 42),
    ];
    let cleared = jar.clear(&[], &Sky::default(), &tips).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    jar.apply(&cleared);
    assert_eq!(jar.main.1.amount, 1_000 + 5_000);
    assert_eq!(jar.state().state, State { tips: 2 });
    assert_eq!(jar.state().serial, 1);

    let empty = Ask::say(&Order::Empty {})
        .by(OWNER)
        .wanting(Asset::Btc, 5_000)
        .wanting(Asset::Charm(token()), 42);
    let cleared = jar.clear(&[], &Sky::default(), &[empty]).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    let paid = &cleared.plan.outputs[1];
    // 10,000 of the deposit's coin, less 700 towards the fees, and what the jar held.
    assert_eq!(paid.amount, 10_000 - 700 + 5_000);
    assert_eq!(paid.charms, [(token(), vec![0x18, 42])]);
    jar.apply(&cleared);
    assert_eq!(jar.main.1.amount, 1_000);
}

#[test]
fn nobody_but_the_owner_empties_the_jar() {
    let jar = jar();
    for author in [None, Some([8; 32])] {
        let mut ask = Ask::say(&Order::Empty {});
        ask.author = author;
        let refused = jar.clear(&[], &Sky::default(), &[ask]).unwrap_err();
        assert_eq!(refused, Violation::AppRefusesOrder(0, "not-the-owner"));
        assert_eq!(refused.code(), "app-refuses-order:not-the-owner");
    }
}

#[test]
fn a_tip_of_nothing_and_words_of_others_are_refused() {
    let jar = jar();
    let refused = |ask| jar.clear(&[], &Sky::default(), &[ask]).unwrap_err();
    let nothing = Ask::say(&Order::Tip {});
    assert_eq!(
        refused(nothing),
        Violation::AppRefusesOrder(0, "nothing-given")
    );
    for words in [&b""[..], b"exit", b"migrate", &[0x81, 2], &[0x82, 0, 0]] {
        assert_eq!(
            refused(Ask::new(words.to_vec())),
            Violation::OrderPayload(0)
        );
    }
}

#[test]
fn the_jar_takes_its_own_token_alone() {
    let jar = jar();
    let other = AppId {
        identity: [0x23; 32],
        ..token()
    };
    let ask = Ask::say(&Order::Tip {}).giving(&other, 1);
    let refused = jar.clear(&[], &Sky::default(), &[ask]).unwrap_err();
    assert_eq!(refused, Violation::OrderCharms(0));
}

#[test]
fn the_tutorial_shows_this_app_and_this_test() {
    let page = include_str!("../../../../docs/users/first-app.md");
    let shown = [
        include_str!("../../src/tip_jar.rs"),
        include_str!("../../src/bin/tip-jar.rs"),
        include_str!("tip_jar.rs"),
    ];
    let blocks: Vec<&str> = page
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 5, "{}", blocks.len());
    for block in blocks {
        let is_there = shown.iter().any(|source| source.contains(block.trim_end()));
        assert!(is_there, "the tutorial shows what is not there:\n{block}");
    }
}
