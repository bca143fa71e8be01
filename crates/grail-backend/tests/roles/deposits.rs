//! Deposits that are not served: each is the user's to take back, under its code. And those just
//! within the limits.

use std::collections::BTreeMap;

use bitcoin::{FeeRate, OutPoint, Transaction, TxOut};
use charms_data::{B32, Data};
use grail_backend::roles::build::Built;
use grail_flow::DepositCharms;
use grail_spell::{NormalizedSpell, nft_app};
use grail_store::DepositState;

use super::{
    bridge::{own_script, transaction},
    users::{Asked, DEPOSIT_SAT, USER_KEY},
    world::World,
};

/// zkBTC of the user, and what made it.
struct Purse {
    made: Transaction,
    token: OutPoint,
    amount: u64,
}

async fn purse(w: &World) -> Purse {
    w.ready_peg_ins(1).await;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let (token, amount) = w.tokens(&made).pop_first().unwrap();
    Purse {
        made,
        token,
        amount,
    }
}

/// State and code of the deposit's own row.
async fn row(w: &World, outpoint: OutPoint) -> (DepositState, Option<&'static str>) {
    let mut reader = w.backend.store.read().await.unwrap();
    let row = reader.deposit(&outpoint).await.unwrap().unwrap();
    (row.state, row.code.map(grail_flow::ReclaimCode::code))
}

async fn check_refused(w: &World, asked: &Asked, deposit: &Transaction, code: &'static str) {
    assert_eq!(w.standing(asked).await, ("reclaimable", Some(code)));
    let outpoint = OutPoint::new(deposit.compute_txid(), 0);
    assert_eq!(
        row(w, outpoint).await,
        (DepositState::Reclaimable, Some(code))
    );
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn amounts_are_served_within_the_limits_and_reclaimable_just_outside() {
    let w = World::new().await;
    let (least, most) = (
        w.backend.params().deposit_min.to_sat(),
        w.backend.params().deposit_max.to_sat(),
    );
    for (sat, code) in [
        (1, "below-minimum"),
        (least - 1, "below-minimum"),
        (most + 1, "above-maximum"),
        (21_000_000 * 100_000_000, "above-maximum"),
    ] {
        // In the mempool already, and after its block.
        let asked = w.ask_peg_in().await;
        let deposit = w.deposit(&asked, sat);
        w.chain.relay(deposit.clone());
        w.look().await;
        check_refused(&w, &asked, &deposit, code).await;
        w.mine_mempool().await;
        check_refused(&w, &asked, &deposit, code).await;
    }
    for sat in [least, most] {
        let asked = w.ask_peg_in().await;
        let deposit = w.deposit(&asked, sat);
        w.mine(vec![deposit]).await;
        assert_eq!(w.standing(&asked).await, ("ready", None));
    }
    w.settle().await;
}

#[tokio::test]
async fn a_deposit_at_the_deadline_is_in_time_and_one_block_later_late() {
    let w = World::new().await;
    let (in_time, late, silent) = (
        w.ask_peg_in().await,
        w.ask_peg_in().await,
        w.ask_peg_in().await,
    );
    let deadline = in_time.deadline_height;
    assert_eq!(deadline, late.deadline_height);
    w.mine_empty(deadline - 1 - w.tip_height().await).await;
    assert_eq!(w.standing(&silent).await, ("awaiting-deposit", None));
    let deposit = w.deposit(&in_time, DEPOSIT_SAT);
    w.mine(vec![deposit]).await;
    assert_eq!(w.tip_height().await, deadline);
    assert_eq!(w.standing(&in_time).await, ("ready", None));
    assert_eq!(w.standing(&late).await, ("expired", None));
    let deposit = w.deposit(&late, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    assert_eq!(w.standing(&late).await, ("reclaimable", Some("late")));
    assert_eq!(
        row(&w, OutPoint::new(deposit.compute_txid(), 0)).await,
        (DepositState::Reclaimable, Some("late"))
    );
    assert_eq!(w.standing(&silent).await, ("expired", None));
}

#[tokio::test]
async fn a_second_deposit_is_a_duplicate_and_the_first_is_served_alone() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let (first, second) = (
        w.deposit(&asked, DEPOSIT_SAT),
        w.deposit(&asked, DEPOSIT_SAT),
    );
    w.mine(vec![first.clone()]).await;
    w.mine(vec![second.clone()]).await;
    let third = w.deposit(&asked, DEPOSIT_SAT);
    let (_, signed) = w.settle().await;
    w.mine_mempool().await;
    w.mine(vec![third.clone()]).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
    for duplicate in [&second, &third] {
        let outpoint = OutPoint::new(duplicate.compute_txid(), 0);
        assert_eq!(
            row(&w, outpoint).await,
            (DepositState::Reclaimable, Some("duplicate-deposit"))
        );
        assert!(
            !signed
                .input
                .iter()
                .any(|input| input.previous_output == outpoint)
        );
    }
    assert_eq!(w.build().await, Built::Nothing);
}

/// Dust of a stranger, before the user's deposit and after it, in the mempool and in blocks.
#[tokio::test]
async fn dust_of_a_stranger_ends_nobodys_request() {
    for (dust_first, mined_together) in [(true, true), (true, false), (false, false)] {
        let w = World::new().await;
        let asked = w.ask_peg_in().await;
        let (dust, deposit) = (w.deposit(&asked, 330), w.deposit(&asked, DEPOSIT_SAT));
        let [first, second] = if dust_first {
            [&dust, &deposit]
        } else {
            [&deposit, &dust]
        };
        w.chain.relay(first.clone());
        w.look().await;
        w.chain.relay(second.clone());
        w.look().await;
        assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
        if mined_together {
            w.mine_mempool().await;
        } else {
            // The dust paid more.
            w.chain.clear_mempool();
            w.chain.relay(deposit.clone());
            w.mine(vec![dust.clone()]).await;
            w.look().await;
            assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
            w.mine_mempool().await;
        }
        assert_eq!(w.standing(&asked).await, ("ready", None));
        assert_eq!(
            row(&w, OutPoint::new(dust.compute_txid(), 0)).await,
            (DepositState::Reclaimable, Some("below-minimum"))
        );
        let (_, signed) = w.settle().await;
        let own = OutPoint::new(deposit.compute_txid(), 0);
        assert_eq!(signed.input[1].previous_output, own);
        assert_eq!(w.alarms().await, [""; 0]);
    }
}

#[tokio::test]
async fn the_least_that_a_stranger_can_pay_does_not_win_over_the_users_own() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let least = w.backend.params().deposit_min.to_sat();
    let strangers = w.deposit(&asked, least);
    w.mine(vec![strangers.clone()]).await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
    let own = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![own.clone()]).await;
    let (_, signed) = w.settle().await;
    let spent = OutPoint::new(own.compute_txid(), 0);
    assert_eq!(signed.input[1].previous_output, spent);
    assert_eq!(
        row(&w, OutPoint::new(strangers.compute_txid(), 0)).await,
        (DepositState::Reclaimable, Some("duplicate-deposit"))
    );
    // A larger one that comes once a settlement is under way is too late.
    let larger = w.deposit(&asked, 2 * DEPOSIT_SAT);
    w.mine(vec![larger.clone()]).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
    assert_eq!(
        row(&w, OutPoint::new(larger.compute_txid(), 0)).await,
        (DepositState::Reclaimable, Some("duplicate-deposit"))
    );
}

#[tokio::test]
async fn a_fee_bump_in_the_mempool_is_the_requests_deposit() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let replaced = w.deposit(&asked, DEPOSIT_SAT);
    w.chain.relay(replaced.clone());
    w.look().await;
    let mut bumped = replaced.clone();
    bumped.output[0].value -= bitcoin::Amount::from_sat(700);
    w.chain.clear_mempool();
    w.chain.relay(bumped.clone());
    w.look().await;
    let own = OutPoint::new(bumped.compute_txid(), 0);
    assert_eq!(w.request(&asked).await.deposit(), Some(own));
    assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
    assert_eq!(row(&w, own).await, (DepositState::Unconfirmed, None));
    let gone = OutPoint::new(replaced.compute_txid(), 0);
    assert_eq!(row(&w, gone).await, (DepositState::Vanished, None));
    w.mine_mempool().await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
}

#[tokio::test]
async fn two_outputs_to_one_address_are_one_deposit_and_a_duplicate() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let mut deposit = w.deposit(&asked, DEPOSIT_SAT);
    deposit.output.push(deposit.output[0].clone());
    w.mine(vec![deposit.clone()]).await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
    assert_eq!(
        row(&w, OutPoint::new(deposit.compute_txid(), 1)).await,
        (DepositState::Reclaimable, Some("duplicate-deposit"))
    );
    w.settle().await;
}

#[tokio::test]
async fn a_replaced_deposit_counts_as_it_was_mined() {
    let w = World::new().await;
    for (mempool_sat, mined_sat, expected) in [
        (19_999, 20_000, ("ready", None)),
        (20_000, 20_001, ("ready", None)),
        (20_000, 19_999, ("reclaimable", Some("below-minimum"))),
    ] {
        let asked = w.ask_peg_in().await;
        let replaced = w.deposit(&asked, mempool_sat);
        w.chain.relay(replaced.clone());
        w.look().await;
        let mut better = replaced.clone();
        better.output[0].value = bitcoin::Amount::from_sat(mined_sat);
        w.mine(vec![better]).await;
        assert_eq!(
            w.standing(&asked).await,
            expected,
            "{mempool_sat} {mined_sat}"
        );
    }
}

#[tokio::test]
async fn a_deposit_that_vanished_from_the_mempool_is_waited_for_again() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.chain.relay(deposit.clone());
    w.look().await;
    assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
    w.chain.clear_mempool();
    // A node that is away, or ahead of what was scanned, tells nothing of it.
    w.chain.set_away(true);
    let mut scanner = grail_backend::roles::scan::Scanner::new(&w.backend);
    scanner.look_at_mempool().await.unwrap_err();
    w.chain.set_away(false);
    w.chain.mine(Vec::new());
    scanner.look_at_mempool().await.unwrap();
    assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
    w.look().await;
    assert_eq!(w.standing(&asked).await, ("awaiting-deposit", None));
    w.mine(vec![deposit]).await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
}

#[tokio::test]
async fn btc_for_a_peg_out_and_zkbtc_for_a_peg_in_are_the_wrong_charms() {
    let w = World::new().await;
    let purse = purse(&w).await;
    let asked = w.ask_peg_out().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    check_refused(&w, &asked, &deposit, "wrong-charms").await;

    let asked = w.ask_peg_in().await;
    let deposit = w.transfer(
        &[purse.made],
        &[purse.token],
        &[(asked.script.clone(), purse.amount)],
    );
    w.mine(vec![deposit.clone()]).await;
    check_refused(&w, &asked, &deposit, "wrong-charms").await;
}

/// A peg-out whose deposit's spell is changed at will, each from a bridge of its own.
async fn peg_out_with(change: impl FnOnce(&World, &mut NormalizedSpell)) {
    let w = World::new().await;
    let purse = purse(&w).await;
    let asked = w.ask_peg_out().await;
    let to = [(asked.script.clone(), purse.amount)];
    let deposit = w.forged_transfer(&[purse.token], &to, |spell| change(&w, spell));
    w.mine(vec![deposit.clone()]).await;
    check_refused(&w, &asked, &deposit, "wrong-charms").await;
    // Charms that are there, and not a proof that does not hold.
    assert_eq!(charms(&w, &deposit).await, DepositCharms::Other);
}

async fn charms(w: &World, deposit: &Transaction) -> DepositCharms {
    let outpoint = OutPoint::new(deposit.compute_txid(), 0);
    let mut reader = w.backend.store.read().await.unwrap();
    let row = reader.deposit(&outpoint).await.unwrap().unwrap();
    row.deposit.charms
}

#[tokio::test]
async fn zkbtc_that_is_beamed_away_is_the_wrong_charms() {
    peg_out_with(|_, spell| {
        spell.tx.beamed_outs = Some(BTreeMap::from([(0, B32([9; 32]))]));
    })
    .await;
}

#[tokio::test]
async fn zkbtc_beside_another_charm_is_the_wrong_charms() {
    peg_out_with(|w, spell| {
        let other = nft_app(&w.backend.bridge().app);
        let charm = spell.tx.outs[0].values().next().unwrap().clone();
        spell.app_public_inputs.insert(other, Data::empty());
        spell.tx.outs[0] = [(0, charm.clone()), (1, charm)].into();
    })
    .await;
}

#[tokio::test]
async fn another_charm_than_zkbtc_is_the_wrong_charms() {
    peg_out_with(|w, spell| {
        let mut other = nft_app(&w.backend.bridge().app);
        other.tag = 't';
        other.identity = B32([8; 32]);
        spell.app_public_inputs = [(other, Data::empty())].into();
    })
    .await;
}

#[tokio::test]
async fn a_spell_of_an_older_version_is_the_wrong_charms() {
    peg_out_with(|_, spell| spell.version = 14).await;
}

#[tokio::test]
async fn a_false_mock_proof_leaves_unknown_what_is_carried() {
    let w = World::new().await;
    let purse = purse(&w).await;
    let asked = w.ask_peg_out().await;
    let to = [(asked.script.clone(), purse.amount)];
    let mut deposit = w.transfer(&[purse.made], &[purse.token], &to);
    // The spell of one transaction in another.
    deposit.input[0].previous_output.vout += 1;
    w.mine(vec![deposit.clone()]).await;
    check_refused(&w, &asked, &deposit, "wrong-charms").await;
    assert_eq!(charms(&w, &deposit).await, DepositCharms::Other);
}

#[tokio::test]
async fn a_deposit_taken_back_ends_its_settlement_and_is_never_paid() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let ask = w.ask_operators().await;
    let (taken, deposit) = &requests[0];
    let output = TxOut {
        value: bitcoin::Amount::from_sat(DEPOSIT_SAT - 500),
        script_pubkey: own_script(USER_KEY),
    };
    w.mine(vec![transaction(&[*deposit], vec![output])]).await;
    assert_eq!(w.standing(taken).await.0, "reclaimed");
    let id = super::world::settlement_id(&ask);
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
    w.settle_all().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&requests[1].0).await, ("paid", None));
    assert_eq!(w.paid_count(taken).await, 0);
    assert_eq!(w.paid_count(&requests[1].0).await, 1);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_fee_above_the_cap_waits_for_cheaper_times_and_takes_nobody_along() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(50));
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(w.standing(&requests[0].0).await, ("ready", None));
    assert_eq!(w.settlements().await.len(), 0);
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(2));
    w.settle().await;
}

#[tokio::test]
async fn a_node_that_is_away_stops_building_and_loses_nothing() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    w.chain.set_away(true);
    grail_backend::roles::build::build_once(&w.backend)
        .await
        .unwrap_err();
    assert_eq!(w.standing(&requests[0].0).await, ("ready", None));
    w.chain.set_away(false);
    w.settle().await;
}
