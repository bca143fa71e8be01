//! Explanations: each standing of an output, on paper.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::Transaction;
use bitcoin::hashes::Hash as _;
use common::{Charm, coin, conjure, funding, output, reader, sat};
use grail_wallet::explain::{Explanation, Fate, Standing, explain};
use grail_wallet::holdings::{Coin, classify};
use grail_wallet::seed::Branch;

fn codes(explanation: &Explanation) -> Vec<&'static str> {
    let reasons = explanation.reasons.iter();
    reasons.map(|reason| reason.code).collect()
}

fn held(transaction: &Transaction, coin: Coin) -> Explanation {
    let value = coin.output.value;
    let holding = classify(&mut reader(), coin, transaction);
    let carried = holding.carried();
    explain(value, &Standing::Held(holding), &carried)
}

fn lost(standing: &Standing) -> Explanation {
    let carried = reader().carried(&funding(5_000), 0);
    explain(sat(5_000), standing, &carried)
}

#[test]
fn a_held_output_counts_where_the_balance_counts_it() {
    let transaction = conjure(&funding(9_000), 0, &[(output(330), Charm::Token(70))]);
    let explanation = held(&transaction, coin(&transaction, 0, 2));
    assert_eq!(
        codes(&explanation),
        ["own-script", "unspent", "confirmed", "zkbtc"]
    );
    let counted: Vec<_> = explanation
        .counted
        .iter()
        .map(|counted| (counted.name, counted.amount.to_sat()))
        .collect();
    assert_eq!(counted, [("zkbtc", 70), ("under-zkbtc", 330)]);
    assert_eq!(explanation.amount, Some(sat(330)));
}

#[test]
fn depth_says_why_a_coin_cannot_be_spent_yet() {
    let transaction = funding(5_000);
    let depth = |change: fn(&mut Coin)| {
        let mut coin = coin(&transaction, 0, 0);
        change(&mut coin);
        let explanation = held(&transaction, coin);
        (explanation.reasons[2].code, explanation.counted[0].name)
    };
    assert_eq!(depth(|_| ()), ("unconfirmed", "btc-pending"));
    assert_eq!(
        depth(|coin| coin.branch = Branch::Change),
        ("unconfirmed-change", "btc")
    );
    assert_eq!(
        depth(|coin| {
            coin.is_coinbase = true;
            coin.confirmations = 99;
        }),
        ("immature", "btc-pending")
    );
}

#[test]
fn what_is_not_held_counts_nowhere() {
    let txid = bitcoin::Txid::all_zeros();
    let mined = Fate::SpentBy {
        txid,
        height: Some(7),
    };
    let waiting = Fate::SpentBy { txid, height: None };
    for (fate, code, words) in [
        (
            Fate::TransactionGone,
            "transaction-gone",
            "replaced, or dropped",
        ),
        (mined, "spent", "in block 7"),
        (waiting, "spent", "not in a block yet"),
        (Fate::SpentUnkept, "spent", "has not kept"),
    ] {
        let key = Some((Branch::Change, 4));
        let explanation = lost(&Standing::Lost { key, fate });
        assert_eq!(codes(&explanation), ["own-script", code, "no-spell"]);
        assert!(explanation.reasons[0].text.contains("change address 4"));
        assert!(explanation.reasons[1].text.contains(words));
        assert_eq!(explanation.counted, []);
    }
    let foreign = lost(&Standing::Foreign);
    assert_eq!(codes(&foreign), ["foreign-script", "no-spell"]);
    let missing = Explanation::no_such_output(&funding(5_000));
    assert_eq!(codes(&missing), ["no-such-output"]);
    assert_eq!((missing.amount, missing.counted.len()), (None, 0));
}
