//! The steps of a rotation in words, on paper: each as a quorum would sign it, with what it spends.
#![allow(clippy::unwrap_used)]

use bitcoin::{Amount, Transaction, TxOut};
use grail_fixtures::house::{House, Rotation};
use grail_fixtures::world::steps::{SPONSORED, StepDraft, succession};
use grail_fixtures::world::{World, keypair, world};
use grail_wallet::step::{ExplainedStep, SeenStep, explain_step};

fn codes(explained: &ExplainedStep) -> Vec<&'static str> {
    explained.reasons.iter().map(|it| it.code).collect()
}

fn text<'a>(explained: &'a ExplainedStep, code: &str) -> &'a str {
    let mut reasons = explained.reasons.iter();
    &reasons.find(|it| it.code == code).unwrap().text
}

/// A step with all that a node says of it: the transactions behind its inputs are the draft's.
struct Shown {
    transaction: Transaction,
    spent: Vec<TxOut>,
    before: Transaction,
}

fn shown(world: &World, step: &StepDraft) -> Shown {
    let transaction = step.propose(world).transaction;
    let behind = |txid| {
        let mut previous = step.draft.previous.iter();
        previous.find(|made| made.compute_txid() == txid).unwrap()
    };
    let spent = transaction.input.iter().map(|input| {
        let outpoint = input.previous_output;
        behind(outpoint.txid).output[usize::try_from(outpoint.vout).unwrap()].clone()
    });
    let spent = spent.collect();
    let before = behind(transaction.input[0].previous_output.txid).clone();
    Shown {
        transaction,
        spent,
        before,
    }
}

impl Shown {
    fn seen(&self, height: Option<u32>) -> SeenStep<'_> {
        SeenStep {
            transaction: &self.transaction,
            spent: Some(&self.spent),
            before: Some(&self.before),
            height,
        }
    }
}

#[test]
fn an_announcement_says_what_comes_and_when_at_the_earliest() {
    let w = world();
    let step = w.announcing(&succession(w));
    let shown = shown(w, &step);
    let told = explain_step(&w.bridge, &shown.seen(Some(500)));
    assert_eq!(told.action, Some("announce"));
    let wait = u32::from(step.state.next.as_ref().unwrap().wait);
    assert_eq!(told.earliest_height, Some(500 + wait));
    let expected = [
        "spell-verified",
        "announcement",
        "pegs-go-on",
        "notice-coin",
        "wait",
        "sponsor",
        "fee",
        "in-block",
    ];
    assert_eq!(codes(&told), expected);
    let next = hex::encode(step.state.next.as_ref().unwrap().hash);
    assert!(text(&told, "announcement").contains(&next));
    assert!(text(&told, "notice-coin").starts_with("output 2 of"));
    let sponsored = Amount::from_sat(SPONSORED).to_string();
    assert!(text(&told, "sponsor").contains(&sponsored));
    // In no block it is a claim, and nobody knows the height.
    let told = explain_step(&w.bridge, &shown.seen(None));
    assert_eq!(told.earliest_height, None);
    assert_eq!(codes(&told).last(), Some(&"in-no-block"));
}

#[test]
fn a_merge_is_no_settlement_of_anybody() {
    let w = world();
    let shown = shown(w, &w.merging(&[5_000, 330]));
    let told = explain_step(&w.bridge, &shown.seen(Some(500)));
    assert_eq!(told.action, Some("settle"));
    assert_eq!(
        codes(&told),
        ["spell-verified", "merge", "sponsor", "fee", "in-block"]
    );
    let given = Amount::from_sat(5_330);
    let expected = format!("moves 2 donations of {given} into");
    assert!(text(&told, "merge").starts_with(&expected));
    // Who does not know what it spends calls it what the contract does.
    let blind = SeenStep {
        spent: None,
        ..shown.seen(Some(500))
    };
    let told = explain_step(&w.bridge, &blind);
    assert_eq!(codes(&told), ["spell-verified", "settlement", "in-block"]);
}

#[test]
fn without_what_it_spends_nobody_is_said_to_pay() {
    let w = world();
    let shown = shown(w, &w.announcing(&succession(w)));
    let blind = SeenStep {
        spent: None,
        ..shown.seen(Some(500))
    };
    let told = explain_step(&w.bridge, &blind);
    assert!(codes(&told).contains(&"spent-unknown"));
    assert!(!codes(&told).contains(&"sponsor"));
}

/// What a chain may hold though no operator signs it: steps without their coin.
#[test]
fn a_step_without_its_notice_coin_is_said_to_lack_it() {
    let w = world();
    let from = House {
        keys: w.keys.clone(),
        roster: w.roster.clone(),
        governance: w.governance.clone(),
        vault: w.vault.clone(),
    };
    let keys = (700..704).map(keypair).collect();
    let to = House::new(&w.secp, w.state.epoch + 1, keys, 3);
    let rotation = Rotation {
        bridge: &w.bridge,
        wasm: w.wasm,
        made: &w.genesis,
        funding: None,
        from: &from,
        to: &to,
    };
    let rotated = rotation.signed_by(w.roster.threshold().0.into());
    let seen = SeenStep {
        transaction: &rotated.announcement,
        spent: None,
        before: Some(&w.genesis),
        height: Some(500),
    };
    let told = codes(&explain_step(&w.bridge, &seen));
    assert!(told.contains(&"notice-coin-missing"), "{told:?}");
    let seen = SeenStep {
        transaction: &rotated.transaction,
        spent: Some(&rotated.spent),
        before: Some(&rotated.announcement),
        height: Some(501),
    };
    let told = codes(&explain_step(&w.bridge, &seen));
    assert!(told.contains(&"notice-unspent"), "{told:?}");
    assert!(told.contains(&"as-announced"), "{told:?}");
}

#[test]
fn a_cancellation_names_what_it_takes_back() {
    let w = world();
    let announced = w.announcing(&succession(w));
    let w = w.after(&announced);
    let shown = shown(&w, &w.cancelling());
    let told = explain_step(&w.bridge, &shown.seen(Some(501)));
    assert_eq!(
        (told.action, told.epoch),
        (Some("cancel"), Some(w.state.epoch))
    );
    let next = hex::encode(w.state.next.as_ref().unwrap().hash);
    assert!(text(&told, "cancellation").contains(&next));
    assert!(codes(&told).contains(&"notice-coin-left"));
}

#[test]
fn an_execution_says_who_goes_who_comes_and_where_the_vault_is() {
    let w = world();
    let succession = succession(w);
    let announced = w.announcing(&succession);
    let w = w.after(&announced);
    let step = w.executing(&succession);
    let shown = shown(&w, &step);
    let told = explain_step(&w.bridge, &shown.seen(Some(600)));
    assert_eq!(
        (told.action, told.epoch),
        (Some("execute"), Some(w.state.epoch + 1))
    );
    let expected = [
        "spell-verified",
        "execution",
        "roster-changed",
        "goes-by",
        "goes-by",
        "goes-by",
        "as-announced",
        "notice-spent",
        "vault-moved",
        "sponsor",
        "fee",
        "in-block",
    ];
    assert_eq!(codes(&told), expected);
    assert!(text(&told, "roster-changed").starts_with("3 signers are new, 2 "));
    let wait = w.state.next.as_ref().unwrap().wait;
    assert!(text(&told, "notice-spent").contains(&format!("an age of {wait} blocks")));
    // Without the transaction before it, less is said, and so is that.
    let alone = SeenStep {
        before: None,
        ..shown.seen(Some(600))
    };
    let told = explain_step(&w.bridge, &alone);
    assert!(codes(&told).contains(&"before-unknown"));
    assert!(!codes(&told).contains(&"vault-moved"));
}

/// Somebody else's transaction, and somebody else's bridge.
#[test]
fn what_moves_no_nft_of_the_bridge_is_no_step() {
    let w = world();
    let step = w.announcing(&succession(w));
    let shown = shown(w, &step);
    let mut other = w.bridge;
    other.app.identity[0] ^= 1;
    let told = explain_step(&other, &shown.seen(Some(500)));
    assert_eq!(codes(&told), ["spell-verified", "no-step"]);
    assert_eq!(told.action, None);
    // A proof that is of another transaction.
    let mut altered = shown.transaction.clone();
    altered.input.swap(0, 1);
    let seen = SeenStep {
        transaction: &altered,
        ..shown.seen(Some(500))
    };
    assert_eq!(codes(&explain_step(&w.bridge, &seen)), ["spell-rejected"]);
}
