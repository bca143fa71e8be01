//! What waits for a block and is replaced: nothing is given up before the node has what takes its
//! place, and whatever a block holds has paid.

use bitcoin::{Amount, FeeRate, OutPoint, Transaction, TxOut, Witness};
use grail_backend::{roles::build::Built, step::Step};
use grail_flow::{AbandonCode, SettlementEvent, SettlementId, SettlementState};
use grail_store::{JobKind, Settlement};

use super::{
    bridge::{own_script, payment, transaction},
    foreign::{Foreign, by_leaf, terms_of_nobody, tree},
    users::{Asked, DEPOSIT_SAT},
    world::{QUORUM, Question, World, settlement_id},
};

const BROADCAST: SettlementState = SettlementState::Broadcast {};
const REPLACED: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Replaced,
};
const INPUTS_SPENT: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::InputsSpent,
};

fn dear(w: &World, rate: u32) {
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(rate));
}

/// Drafts what is to replace those that wait, and brings it to where operators are asked.
async fn ask_replacement(w: &World) -> Question {
    assert_eq!(w.build_later().await, Built::Draft);
    w.jobs().await;
    let ask = w.take_ask().await;
    assert!(w.settlement(settlement_id(&ask)).await.stands_by());
    ask
}

/// The same, signed and taken by the node.
async fn replace(w: &World) -> (SettlementId, Transaction) {
    let ask = ask_replacement(w).await;
    w.sign_and_publish(&ask).await
}

async fn holder(w: &World, asked: &Asked) -> Option<SettlementId> {
    w.request(asked).await.settlement()
}

async fn is_paid_once(w: &World, requests: &[&Asked]) {
    for asked in requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
}

/// Mines what waits to its end.
async fn finish(w: &World) {
    w.mine_mempool().await;
    w.mine_empty(1).await;
}

#[tokio::test]
async fn the_old_one_stays_until_the_node_has_what_replaces_it() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(3).await;
    let (old, old_tx) = w.settle().await;
    dear(&w, 5);
    // Its fee was meant for an hour.
    assert_eq!(w.build().await, Built::Nothing);
    let ask = ask_replacement(&w).await;
    let new = settlement_id(&ask);
    assert_eq!(w.settlement(new).await.replaces, Some(old));
    assert_eq!(w.settlement(old).await.state, BROADCAST);
    for (asked, _) in &requests {
        assert_eq!(holder(&w, asked).await, Some(old));
    }
    // The mempool loses it meanwhile: it is still to be mined.
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!(w.chain.mempool(), std::slice::from_ref(&old_tx));
    let (_, new_tx) = w.sign_and_publish(&ask).await;
    assert_eq!(w.chain.mempool(), std::slice::from_ref(&new_tx));
    let nft = |transaction: &Transaction| transaction.input[0].previous_output;
    assert_eq!(nft(&new_tx), nft(&old_tx));
    assert_eq!(w.settlement(old).await.state, REPLACED);
    for (asked, _) in &requests {
        assert_eq!(holder(&w, asked).await, Some(new));
    }
    // What was signed is kept.
    assert_eq!(w.signed(old).await, old_tx);
    finish(&w).await;
    let asked: Vec<_> = requests.iter().map(|(asked, _)| asked).collect();
    is_paid_once(&w, &asked).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn all_that_wait_are_merged_into_one_and_ready_ones_come_along() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(2).await;
    let (first, _) = w.settle().await;
    requests.append(&mut w.ready_peg_ins(2).await);
    let (second, _) = w.settle().await;
    requests.append(&mut w.ready_peg_ins(1).await);
    dear(&w, 5);
    let (new, made) = replace(&w).await;
    for old in [first, second] {
        assert_eq!(w.settlement(old).await.state, REPLACED);
    }
    assert_eq!(w.chain.mempool(), std::slice::from_ref(&made));
    for (asked, _) in &requests {
        assert_eq!(holder(&w, asked).await, Some(new));
    }
    finish(&w).await;
    let asked: Vec<_> = requests.iter().map(|(asked, _)| asked).collect();
    is_paid_once(&w, &asked).await;
    let minted: u64 = w.tokens(&made).values().sum();
    w.check_reserves(minted).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

/// Two requests in a settlement, of which one cannot pay more.
async fn with_a_stingy_one(w: &World) -> (Asked, Vec<Asked>, SettlementId, Transaction) {
    let stingy = w.ask_peg_in_capped(2_500).await;
    let others = [w.ask_peg_in().await, w.ask_peg_in().await];
    let mut block = vec![w.deposit(&stingy, DEPOSIT_SAT)];
    block.extend(others.iter().map(|asked| w.deposit(asked, DEPOSIT_SAT)));
    w.mine(block).await;
    let (old, old_tx) = w.settle().await;
    assert_eq!(holder(w, &stingy).await, Some(old));
    dear(w, 5);
    (stingy, others.into(), old, old_tx)
}

#[tokio::test]
async fn whom_the_new_rate_is_too_dear_for_is_ready_again_and_paid_later() {
    let w = World::new().await;
    let (stingy, others, ..) = with_a_stingy_one(&w).await;
    let (_, new_tx) = replace(&w).await;
    assert_eq!(w.standing(&stingy).await, ("ready", None));
    dear(&w, 1);
    let (_, next) = w.settle().await;
    // On nothing else than what took the place.
    let nft = OutPoint::new(new_tx.compute_txid(), 0);
    assert_eq!(next.input[0].previous_output, nft);
    finish(&w).await;
    is_paid_once(&w, &[&stingy, &others[0], &others[1]]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_replaced_one_that_is_mined_all_the_same_has_paid() {
    let w = World::new().await;
    let (stingy, others, old, old_tx) = with_a_stingy_one(&w).await;
    let (new, _) = replace(&w).await;
    dear(&w, 1);
    let (next, _) = w.settle().await;
    assert_eq!(holder(&w, &stingy).await, Some(next));
    w.mine(vec![old_tx]).await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(old).await.state.name(), "final");
    assert_eq!(w.settlement(new).await.state, INPUTS_SPENT);
    assert_eq!(w.settlement(next).await.state.name(), "abandoned");
    is_paid_once(&w, &[&stingy, &others[0], &others[1]]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

/// The one on a branch, the other on the branch that wins, in either order.
async fn on_two_branches(first_is_old: bool) {
    let w = World::new().await;
    let (stingy, others, old, old_tx) = with_a_stingy_one(&w).await;
    let (new, new_tx) = replace(&w).await;
    let height = w.tip_height().await + 1;
    let (lost, wins) = if first_is_old {
        ((old, old_tx), (new, new_tx))
    } else {
        ((new, new_tx), (old, old_tx))
    };
    w.mine(vec![lost.1.clone()]).await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(lost.0).await.state.name(), "final");
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.chain.mine(vec![wins.1.clone()]);
    w.mine_empty(2).await;
    assert_eq!(w.settlement(lost.0).await.state, INPUTS_SPENT);
    assert_eq!(w.settlement(wins.0).await.state.name(), "final");
    is_paid_once(&w, &[&others[0], &others[1]]).await;
    let expected = if first_is_old { "ready" } else { "paid" };
    assert_eq!(w.standing(&stingy).await.0, expected);
    assert_eq!(w.alarms().await, [""; 0]);
    // And the bridge goes on from there.
    dear(&w, 1);
    let more = w.ready_peg_ins(1).await;
    w.settle().await;
    finish(&w).await;
    is_paid_once(&w, &[&stingy, &more[0].0]).await;
}

#[tokio::test]
async fn the_old_one_on_a_branch_and_the_new_one_on_the_next() {
    on_two_branches(true).await;
}

#[tokio::test]
async fn the_new_one_on_a_branch_and_the_old_one_on_the_next() {
    on_two_branches(false).await;
}

#[tokio::test]
async fn a_block_with_the_old_one_ends_what_stands_by() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let (old, _) = w.settle().await;
    dear(&w, 5);
    let ask = ask_replacement(&w).await;
    w.mine_mempool().await;
    assert_eq!(w.settlement(settlement_id(&ask)).await.state, INPUTS_SPENT);
    for (asked, _) in &requests {
        assert_eq!(holder(&w, asked).await, Some(old));
    }
    // Answers that come now change nothing.
    w.sign(&ask, &QUORUM).await;
    w.mine_empty(1).await;
    w.jobs().await;
    is_paid_once(&w, &[&requests[0].0, &requests[1].0]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn one_that_stands_by_and_that_others_had_mined_has_paid() {
    let w = World::new().await;
    let (stingy, others, old, _) = with_a_stingy_one(&w).await;
    let ask = ask_replacement(&w).await;
    let made = super::late::put_together(&ask);
    w.mine(vec![made]).await;
    w.mine_empty(1).await;
    assert_eq!(
        w.settlement(settlement_id(&ask)).await.state.name(),
        "final"
    );
    assert_eq!(w.settlement(old).await.state, INPUTS_SPENT);
    assert_eq!(w.standing(&stingy).await, ("ready", None));
    is_paid_once(&w, &[&others[0], &others[1]]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_crash_after_the_node_took_it_is_found_out_by_looking() {
    let w = World::new().await;
    let (stingy, others, old, _) = with_a_stingy_one(&w).await;
    let ask = ask_replacement(&w).await;
    let new = settlement_id(&ask);
    w.sign(&ask, &QUORUM).await;
    w.answered(new).await;
    let lease = w.lease(JobKind::Publish).await.unwrap();
    // Sent, and nothing written.
    drop(w.work(&lease).await);
    assert_eq!(w.settlement(old).await.state, BROADCAST);
    w.look().await;
    assert_eq!(w.settlement(old).await.state, REPLACED);
    assert_eq!(w.settlement(new).await.state, BROADCAST);
    assert_eq!(w.standing(&stingy).await, ("ready", None));
    finish(&w).await;
    is_paid_once(&w, &[&others[0], &others[1]]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn while_operators_are_absent_one_stands_by_and_costs_no_more() {
    let w = World::new().await;
    w.ready_peg_ins(2).await;
    w.settle().await;
    dear(&w, 5);
    let ask = ask_replacement(&w).await;
    let more = w.ready_peg_ins(1).await;
    for rate in [8, 12] {
        dear(&w, rate);
        w.mine_empty(1).await;
        assert_eq!(w.build_later().await, Built::Nothing);
    }
    assert_eq!(w.settlements().await.len(), 2);
    assert_eq!(w.standing(&more[0].0).await, ("ready", None));
    w.sign_and_publish(&ask).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_late_deposit_is_left_out_and_is_its_users_at_once() {
    let w = World::new().await;
    let late = w.ask_peg_in().await;
    let patient = [w.ask_peg_in_for(100).await, w.ask_peg_in_for(100).await];
    let mut block = vec![w.deposit(&late, DEPOSIT_SAT)];
    block.extend(patient.iter().map(|asked| w.deposit(asked, DEPOSIT_SAT)));
    w.mine(block).await;
    let (old, _) = w.settle().await;
    dear(&w, 2);
    w.mine_empty(17).await;
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.settlements().await.len(), 1);
    // From the end of its sweep on, at once: unmined it would make the way out dear.
    w.mine_empty(1).await;
    assert_eq!(w.build().await, Built::Draft);
    w.jobs().await;
    let ask = w.take_ask().await;
    assert_eq!(holder(&w, &late).await, Some(old));
    w.sign_and_publish(&ask).await;
    let expected = ("reclaimable", Some("too-close-to-reclaim"));
    assert_eq!(w.standing(&late).await, expected);
    finish(&w).await;
    is_paid_once(&w, &[&patient[0], &patient[1]]).await;
    assert_eq!(w.paid_count(&late).await, 0);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn from_the_reclaim_height_on_nothing_is_fed_to_the_mempool() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (id, made) = w.settle().await;
    // The deposit's block and this one count: the 24th may hold the reclaim.
    w.mine_empty(22).await;
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!(w.chain.mempool(), [made]);
    w.mine_empty(1).await;
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!(w.chain.mempool(), []);
    assert_eq!(w.settlement(id).await.state, BROADCAST);
    // Nobody is left to pay for a replacement: a person is told, once.
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.alarms().await, ["lane-outbid"]);
}

/// A child of a settlement's payment that pays so much.
async fn child(w: &World, parent: OutPoint, fee: u64) -> Transaction {
    let funds = payment(w.next_number(), own_script(3), fee);
    w.mine(vec![funds.clone()]).await;
    let output = TxOut {
        value: Amount::from_sat(330),
        script_pubkey: own_script(3),
    };
    let funds = OutPoint::new(funds.compute_txid(), 0);
    let mut child = transaction(&[parent, funds], vec![output]);
    for input in &mut child.input {
        input.witness = Witness::from_slice(&[[0_u8; 64]]);
    }
    child
}

#[tokio::test]
async fn a_child_that_nobody_can_pay_for_is_waited_for_and_told_of() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let (id, made) = w.settle().await;
    let mut child = child(&w, OutPoint::new(made.compute_txid(), 2), 60_000).await;
    // Large, so that it lifts nothing.
    child.input[1].witness = Witness::from_slice(&[vec![0_u8; 200_000]]);
    w.chain.relay(child);
    dear(&w, 8);
    assert_eq!(w.build_later().await, Built::Nothing);
    assert_eq!(w.alarms().await, ["lane-outbid"]);
    assert_eq!(w.settlements().await.len(), 1);
    assert_eq!(w.settlement(id).await.state, BROADCAST);
    finish(&w).await;
    is_paid_once(&w, &[&requests[0].0, &requests[1].0]).await;
}

#[tokio::test]
async fn four_and_twenty_children_are_paid_for_and_go() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(3).await;
    let (_, made) = w.settle().await;
    let mut parent = child(&w, OutPoint::new(made.compute_txid(), 2), 700).await;
    w.chain.relay(parent.clone());
    for _ in 0..23 {
        let last = OutPoint::new(parent.compute_txid(), 0);
        let mut next = transaction(&[last], vec![parent.output[0].clone()]);
        next.input[0].witness = Witness::from_slice(&[[0_u8; 64]]);
        parent = next;
        w.chain.relay(parent.clone());
    }
    dear(&w, 5);
    let (_, new_tx) = replace(&w).await;
    assert_eq!(w.chain.mempool(), [new_tx]);
    finish(&w).await;
    let asked: Vec<_> = requests.iter().map(|(asked, _)| asked).collect();
    is_paid_once(&w, &asked).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

async fn newest(w: &World) -> Settlement {
    w.settlements().await.pop().unwrap()
}

#[tokio::test]
async fn one_that_a_pin_outbid_meanwhile_is_outbid_by_the_next_within_bounds() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(4).await;
    let (old, made) = w.settle().await;
    let mut pin = child(&w, OutPoint::new(made.compute_txid(), 2), 14_000).await;
    pin.input[1].witness = Witness::from_slice(&[vec![0_u8; 200_000]]);
    dear(&w, 4);
    let ask = ask_replacement(&w).await;
    let refused = settlement_id(&ask);
    w.chain.relay(pin);
    w.sign(&ask, &QUORUM).await;
    w.answered(refused).await;
    w.jobs().await;
    let row = w.settlement(refused).await;
    assert_eq!(row.state, SettlementState::Signed {});
    assert_eq!(w.settlement(old).await.state, BROADCAST);
    // Not in the same block.
    assert_eq!(w.build_later().await, Built::Nothing);
    w.mine_empty(1).await;
    dear(&w, 5);
    let (next, _) = replace(&w).await;
    assert_eq!(w.settlement(refused).await.state, REPLACED);
    // Other nodes may have the one that this node refused.
    assert!(w.settlement(next).await.fee > row.fee);
    finish(&w).await;
    let asked: Vec<_> = requests.iter().map(|(asked, _)| asked).collect();
    is_paid_once(&w, &asked).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn what_the_node_dropped_comes_back_when_its_floor_falls() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let (id, made) = w.settle().await;
    w.chain.set_floor(FeeRate::from_sat_per_vb_u32(3));
    assert_eq!(w.chain.mempool(), []);
    w.look().await;
    w.jobs().await;
    assert_eq!(w.chain.mempool(), []);
    assert_eq!(w.settlement(id).await.state, BROADCAST);
    w.chain.set_floor(FeeRate::from_sat_per_vb_u32(1));
    w.look().await;
    w.job_later(JobKind::Publish).await;
    assert_eq!(w.chain.mempool(), [made]);
    finish(&w).await;
    is_paid_once(&w, &[&requests[0].0]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn what_the_node_does_not_take_again_is_replaced_after_an_hour() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let (old, _) = w.settle().await;
    w.chain.set_floor(FeeRate::from_sat_per_vb_u32(3));
    assert_eq!(w.build().await, Built::Nothing);
    let (new, _) = replace(&w).await;
    assert_eq!(w.settlement(old).await.state, REPLACED);
    assert_eq!(newest(&w).await.id, new);
    finish(&w).await;
    is_paid_once(&w, &[&requests[0].0, &requests[1].0]).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_replacement_that_fails_moves_nobody_and_the_next_takes_none_along() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let (old, _) = w.settle().await;
    let along = w.ready_peg_ins(1).await;
    dear(&w, 5);
    assert_eq!(w.build_later().await, Built::Draft);
    let failed = newest(&w).await.id;
    let mut step = Step::begin(&w.backend).await.unwrap();
    step.tell_settlement(failed, SettlementEvent::ProvingFailed)
        .await
        .unwrap();
    step.commit().await.unwrap();
    for (asked, _) in &requests {
        assert_eq!(holder(&w, asked).await, Some(old));
    }
    assert_eq!(w.standing(&along[0].0).await, ("ready", None));
    w.mine_empty(1).await;
    let (new, _) = replace(&w).await;
    assert_eq!(holder(&w, &requests[0].0).await, Some(new));
    assert_eq!(w.standing(&along[0].0).await, ("ready", None));
}

#[tokio::test]
async fn a_lane_is_replaced_so_often_and_then_waits_with_an_alarm() {
    let w = World::new().await;
    w.ready_peg_ins(2).await;
    let (old, _) = w.settle().await;
    dear(&w, 3);
    for _ in 0..6 {
        assert_eq!(w.build_later().await, Built::Draft);
        let id = newest(&w).await.id;
        let mut step = Step::begin(&w.backend).await.unwrap();
        step.tell_settlement(id, SettlementEvent::Overdue)
            .await
            .unwrap();
        step.commit().await.unwrap();
        assert_eq!(w.build_later().await, Built::Nothing);
        w.mine_empty(1).await;
    }
    assert_eq!(w.alarms().await, [""; 0]);
    assert_eq!(w.build_later().await, Built::Nothing);
    assert_eq!(w.alarms().await, ["lane-outbid"]);
    assert_eq!(w.settlements().await.len(), 7);
    assert_eq!(w.settlement(old).await.state, BROADCAST);
}

#[tokio::test]
async fn what_stands_by_ends_with_the_one_that_it_was_to_build_on() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (parent, _) = w.settle().await;
    let height = w.tip_height().await + 1;
    w.mine_mempool().await;
    let requests = w.ready_peg_ins(2).await;
    let (old, _) = w.settle().await;
    dear(&w, 5);
    let stands_by = settlement_id(&ask_replacement(&w).await);
    // A branch without the parent, which is called off there.
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.mine_empty(3).await;
    let mut step = Step::begin(&w.backend).await.unwrap();
    step.tell_settlement(parent, SettlementEvent::ConflictFound)
        .await
        .unwrap();
    step.commit().await.unwrap();
    let orphan = SettlementState::Abandoned {
        code: AbandonCode::ParentAbandoned,
    };
    for id in [old, stands_by] {
        assert_eq!(w.settlement(id).await.state, orphan);
    }
    for (asked, _) in &requests {
        assert_eq!(holder(&w, asked).await, None);
    }
}

#[tokio::test]
async fn what_pays_requests_of_other_rows_is_not_replaced_but_told_of() {
    let w = World::new().await;
    let terms = terms_of_nobody(&w, 1);
    let tree = tree(&w, &terms);
    let deposit = payment(w.next_number(), tree.script_pubkey.clone(), DEPOSIT_SAT);
    let foreign = Foreign {
        w: &w,
        made: &w.backend.deployment_tx,
        deposit: (terms, &deposit, by_leaf(&tree.leaf)),
    };
    w.mine(vec![deposit.clone()]).await;
    w.chain.relay(foreign.settlement());
    w.look().await;
    assert_eq!(newest(&w).await.state, BROADCAST);
    let fee = newest(&w).await.fee.unwrap().to_sat();
    let rate = fee / newest(&w).await.vsize.unwrap() * 2 + 2;
    dear(&w, rate.try_into().unwrap());
    w.ready_peg_ins(3).await;
    let _ = w.build_later().await;
    let alarms = w.backend.store.read().await.unwrap().alarms(0, 10).await;
    let alarm = alarms.unwrap().pop().unwrap();
    assert!(
        alarm.details.ends_with("is not: foreign"),
        "{}",
        alarm.details
    );
    assert!(
        w.settlements()
            .await
            .iter()
            .all(|row| row.replaces.is_none())
    );
}

#[tokio::test]
async fn rows_of_before_a_replacement_learn_of_it_from_its_block() {
    let w = World::new().await;
    let (stingy, others, old, _) = with_a_stingy_one(&w).await;
    let backup = w.backup();
    let (_, made) = replace(&w).await;
    finish(&w).await;
    let restored = w.restored(backup).await;
    restored.scan().await;
    assert_eq!(restored.settlement(old).await.state, INPUTS_SPENT);
    let adopted = newest(&restored).await;
    assert!(adopted.adopted);
    assert_eq!(adopted.txid, Some(made.compute_txid()));
    assert_eq!(restored.standing(&stingy).await, ("ready", None));
    is_paid_once(&restored, &[&others[0], &others[1]]).await;
    assert_eq!(restored.alarms().await, [""; 0]);
}

#[tokio::test]
async fn one_that_stands_by_alone_and_is_refused_holds_up_nobody() {
    let w = World::new().await;
    let late = w.ask_peg_in().await;
    let patient = [w.ask_peg_in_for(100).await, w.ask_peg_in_for(100).await];
    let deposit = w.deposit(&late, DEPOSIT_SAT);
    let mut block = vec![deposit.clone()];
    block.extend(patient.iter().map(|asked| w.deposit(asked, DEPOSIT_SAT)));
    w.mine(block).await;
    let (old, _) = w.settle().await;
    dear(&w, 2);
    w.mine_empty(18).await;
    assert_eq!(w.build().await, Built::Draft);
    w.jobs().await;
    let ask = w.take_ask().await;
    // The user takes the deposit back: what was to be replaced can never be mined.
    let deposit = OutPoint::new(deposit.compute_txid(), 0);
    let mut reclaim = transaction(&[deposit], vec![]);
    reclaim.input[0].witness = Witness::from_slice(&[[0_u8; 64]]);
    w.mine(vec![reclaim]).await;
    assert_eq!(w.settlement(old).await.state, INPUTS_SPENT);
    w.chain.set_floor(FeeRate::from_sat_per_vb_u32(9));
    let id = settlement_id(&ask);
    w.sign(&ask, &QUORUM).await;
    w.answered(id).await;
    w.jobs().await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Signed {});
    w.chain.set_floor(FeeRate::from_sat_per_vb_u32(4));
    // It goes at this look, which builds what comes in its place.
    assert_eq!(w.build().await, Built::Draft);
    assert_eq!(w.settlement(id).await.state, REPLACED);
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
    finish(&w).await;
    is_paid_once(&w, &[&patient[0], &patient[1]]).await;
    assert_eq!(w.standing(&late).await.0, "reclaimed");
    assert_eq!(w.alarms().await, [""; 0]);
}
