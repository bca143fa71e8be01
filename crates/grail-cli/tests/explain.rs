//! `grail wallet explain` on a real node: every side of the balance, and every way not to be in it.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use bitcoin::{OutPoint, TxOut, Txid};
use common::{Chain1, Charm, User, conjure, conjurer, sat};
use grail_chain::Chain;
use grail_cli::progress::Quiet;
use grail_cli::report::Explanation;
use grail_cli::{Session, commands};

fn explained(session: &mut Session, outpoint: OutPoint) -> Explanation {
    commands::explain(session, outpoint, &mut Quiet).unwrap()
}

fn codes(explanation: &Explanation) -> Vec<&'static str> {
    explanation
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}

fn counted(explanation: &Explanation) -> BTreeMap<&'static str, u64> {
    explanation
        .counted
        .iter()
        .map(|counted| (counted.name, counted.sat))
        .collect()
}

/// An output, the codes of its reasons, and the sides of the balance that it is on.
type Case<'a> = (OutPoint, &'a [&'a str], &'a [(&'a str, u64)]);

#[test]
fn every_output_is_explained_as_the_balance_counts_it() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let script = user.script();
    let output = |value| TxOut {
        value: sat(value),
        script_pubkey: script.clone(),
    };
    let plain = chain.pay(&script, 100_000);
    let token = chain.mint(&script, 50_000, 330);
    let mixed = chain.conjure(&[
        (output(331), Charm::OtherToken(7)),
        (output(9_000), Charm::Nothing),
    ]);
    chain.node.mine(1);
    let pending = chain.node.fund(&script, sat(7_000));
    let pending_token = chain.conjure(&[(output(332), Charm::Token(8_000))]);

    let mut session = user.synced();
    let at = |vout| OutPoint::new(mixed.compute_txid(), vout);
    let cases: [Case; 6] = [
        (
            plain,
            &["own-script", "unspent", "confirmed", "no-spell"],
            &[("btc", 100_000)],
        ),
        (
            token,
            &["own-script", "unspent", "confirmed", "zkbtc"],
            &[("zkbtc", 50_000), ("under-zkbtc", 330)],
        ),
        (
            at(0),
            &["own-script", "unspent", "confirmed", "other-charms"],
            &[("set-aside", 331)],
        ),
        (
            at(1),
            &["own-script", "unspent", "confirmed", "spell-silent"],
            &[("btc", 9_000)],
        ),
        (
            pending,
            &["own-script", "unspent", "unconfirmed", "no-spell"],
            &[("btc-pending", 7_000)],
        ),
        (
            OutPoint::new(pending_token.compute_txid(), 0),
            &["own-script", "unspent", "unconfirmed", "zkbtc"],
            &[("zkbtc-pending", 8_000), ("under-zkbtc", 332)],
        ),
    ];
    let mut sums = BTreeMap::<&str, u64>::new();
    for (outpoint, expected, sides) in cases {
        let explanation = explained(&mut session, outpoint);
        assert_eq!(codes(&explanation), expected, "{explanation}");
        assert_eq!(counted(&explanation), sides.iter().copied().collect());
        for (side, amount) in counted(&explanation) {
            *sums.entry(side).or_default() += amount;
        }
    }
    // All of the wallet's outputs were asked about: the sums are the balance.
    let balance = commands::balance(&mut session, &mut Quiet).unwrap();
    assert_eq!(
        sums,
        BTreeMap::from([
            ("btc", balance.btc_sat),
            ("btc-pending", balance.btc_pending_sat),
            ("zkbtc", balance.zkbtc_sat),
            ("zkbtc-pending", balance.zkbtc_pending_sat),
            ("under-zkbtc", balance.carriers_sat),
            ("set-aside", balance.set_aside_sat),
        ])
    );
    let explanation = explained(&mut session, token);
    let spell = explanation.spell.as_ref().unwrap();
    assert_eq!((spell.version, spell.is_mock), (15, true));
    assert_eq!(explanation.token_sat, Some(50_000));
    assert!(explanation.to_string().contains("[zkbtc]"));
}

#[test]
fn spent_foreign_and_unknown_outputs_are_counted_nowhere_and_say_why() {
    let chain = Chain1::start();
    let (alice, bob) = (User::new(&chain.node, None), User::new(&chain.node, None));
    let paid = chain.pay(&alice.script(), 100_000);
    let sent = alice.send(20_000, &bob.address()).unwrap();
    let txid: Txid = sent.txid.parse().unwrap();

    let mut session = alice.synced();
    let nowhere = |session: &mut Session, outpoint, expected: &[&str]| {
        let explanation = explained(session, outpoint);
        assert_eq!(codes(&explanation), expected, "{explanation}");
        assert_eq!(explanation.counted, [], "{explanation}");
        explanation
    };
    let spent = nowhere(&mut session, paid, &["own-script", "spent", "no-spell"]);
    let text = spent.to_string();
    assert!(
        text.contains(&format!("spent by {txid}, not in a block yet")),
        "{text}"
    );
    chain.node.mine(1);
    let spent = nowhere(&mut session, paid, &["own-script", "spent", "no-spell"]);
    assert!(spent.to_string().contains("in block"), "{spent}");

    let to_bob = chain
        .node
        .chain()
        .tx_out(&OutPoint::new(txid, 0), grail_chain::View::Confirmed)
        .unwrap();
    assert_eq!(to_bob.unwrap().output.value, sat(20_000));
    nowhere(
        &mut session,
        OutPoint::new(txid, 0),
        &["foreign-script", "no-spell"],
    );
    nowhere(&mut session, OutPoint::new(txid, 9), &["no-such-output"]);
    nowhere(&mut session, OutPoint::null(), &["unknown-output"]);

    // A payment between strangers, which only the node knows.
    let stranger = chain.pay(&bob.script(), 5_000);
    nowhere(&mut session, stranger, &["foreign-script", "no-spell"]);
}

#[test]
fn own_change_is_spendable_before_it_is_in_a_block() {
    let chain = Chain1::start();
    let alice = User::new(&chain.node, None);
    chain.pay(&alice.script(), 100_000);
    let sent = alice.send(20_000, &alice.address()).unwrap();
    let txid: Txid = sent.txid.parse().unwrap();
    let mut session = alice.synced();
    let change = explained(&mut session, OutPoint::new(txid, 1));
    assert_eq!(
        codes(&change),
        ["own-script", "unspent", "unconfirmed-change", "no-spell"]
    );
    assert_eq!(change.counted[0].name, "btc");
    let own = explained(&mut session, OutPoint::new(txid, 0));
    assert_eq!(own.counted[0].name, "btc-pending");
}

#[test]
fn zkbtc_that_was_spent_twice_is_gone() {
    let chain = Chain1::start();
    let alice = User::new(&chain.node, None);
    let funding = chain.node.fund(&conjurer(), sat(10_000));
    let funding_tx = chain.node.chain().mempool_tx(&funding.txid).unwrap();
    let funding_tx = funding_tx.unwrap();
    chain.node.mine(1);
    let output = |script| TxOut {
        value: sat(330),
        script_pubkey: script,
    };
    let to_alice = [(output(alice.script()), Charm::Token(5_000))];
    let promised = conjure(&funding_tx, funding.vout, &to_alice);
    let back = [(output(conjurer()), Charm::Token(5_000))];
    let instead = conjure(&funding_tx, funding.vout, &back);
    chain.node.send(&promised);
    let at = OutPoint::new(promised.compute_txid(), 0);
    let before = explained(&mut alice.synced(), at);
    assert_eq!(counted(&before).get("zkbtc-pending"), Some(&5_000));

    chain.node.mine_only(&[instead]);
    let after = explained(&mut alice.synced(), at);
    assert_eq!(codes(&after), ["own-script", "transaction-gone", "zkbtc"]);
    assert_eq!(after.counted, []);
}
