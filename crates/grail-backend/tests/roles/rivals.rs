//! Settlements in the mempool that these rows did not send.

use bitcoin::OutPoint;
use grail_backend::{roles::build::Built, step::Step};
use grail_flow::{AbandonCode, SettlementEvent, SettlementState};

use super::{
    bridge::payment,
    foreign::{Foreign, by_leaf, terms_of_nobody, tree},
    late::put_together,
    users::DEPOSIT_SAT,
    world::{World, settlement_id},
};

const BROADCAST: SettlementState = SettlementState::Broadcast {};
const INPUTS_SPENT: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::InputsSpent,
};

#[tokio::test]
async fn a_settlement_called_off_and_sent_all_the_same_is_revived_and_built_on() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    let mut step = Step::begin(&w.backend).await.unwrap();
    step.tell_settlement(id, SettlementEvent::Cancelled)
        .await
        .unwrap();
    step.commit().await.unwrap();
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
    // What took its place is with the operators by now.
    w.ready_peg_ins(1).await;
    let rival = settlement_id(&w.ask_operators().await);
    let signed = put_together(&ask);
    w.chain.relay(signed.clone());
    w.look().await;
    assert_eq!(w.settlement(id).await.state, BROADCAST);
    assert_eq!(w.settlement(rival).await.state, INPUTS_SPENT);
    assert_eq!(w.standing(&requests[0].0).await, ("settling", None));
    let (_, next) = w.settle().await;
    let nft = OutPoint::new(signed.compute_txid(), 0);
    assert_eq!(next.input[0].previous_output, nft);
    // The mempool loses it: what was put together is at hand.
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!(w.chain.mempool()[0], signed);
    w.jobs().await;
    w.mine(vec![signed, next]).await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_settlement_put_together_by_others_needs_no_more_answers() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    w.chain.relay(put_together(&ask));
    w.look().await;
    assert_eq!(w.settlement(settlement_id(&ask)).await.state, BROADCAST);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_settlement_of_other_rows_is_adopted_from_the_mempool() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let backup = w.backup();
    let (_, signed) = w.settle().await;
    let old = w.restored(backup).await;
    assert_eq!(old.build().await, Built::Nothing);
    old.look().await;
    let adopted = old.settlements().await.remove(0);
    assert!(adopted.adopted);
    assert_eq!(adopted.state, BROADCAST);
    assert_eq!(adopted.txid, Some(signed.compute_txid()));
    for (asked, _) in &requests {
        assert_eq!(old.standing(asked).await, ("settling", None));
    }
    // And what comes next is built on it.
    let asked = old.ready_peg_ins(1).await.remove(0).0;
    let (_, next) = old.settle().await;
    let nft = OutPoint::new(signed.compute_txid(), 0);
    assert_eq!(next.input[0].previous_output, nft);
    old.mine_mempool().await;
    old.mine_empty(1).await;
    assert_eq!(old.settlements().await.len(), 2);
    for asked in requests.iter().map(|(asked, _)| asked).chain([&asked]) {
        assert_eq!(old.standing(asked).await, ("paid", None));
        assert_eq!(old.paid_count(asked).await, 1);
    }
    assert_eq!(old.alarms().await, [""; 0]);
}

#[tokio::test]
async fn an_adopted_rival_gives_way_when_ours_is_mined() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let backup = w.backup();
    let (ours, signed) = w.settle().await;
    let old = w.restored(backup).await;
    w.chain.clear_mempool();
    old.ready_peg_ins(1).await;
    let (_, rival) = old.settle().await;
    w.look().await;
    assert_eq!(w.settlement(ours).await.state, INPUTS_SPENT);
    assert_eq!(w.settlements().await[1].txid, Some(rival.compute_txid()));
    assert_eq!(w.standing(&requests[0].0).await, ("settling", None));
    w.mine(vec![signed]).await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(ours).await.state.name(), "final");
    assert_eq!(w.settlements().await[1].state, INPUTS_SPENT);
    assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
    assert_eq!(w.paid_count(&requests[0].0).await, 1);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn what_breaks_a_rule_or_waits_for_a_deposit_is_left_in_the_mempool() {
    let w = World::new().await;
    let terms = terms_of_nobody(&w, 1);
    let tree = tree(&w, &terms);
    let deposit = payment(w.next_number(), tree.script_pubkey.clone(), DEPOSIT_SAT);
    let foreign = Foreign {
        w: &w,
        made: &w.backend.deployment_tx,
        deposit: (terms, &deposit, by_leaf(&tree.leaf)),
    };
    w.chain.relay(deposit.clone());
    w.chain.relay(foreign.settlement());
    w.look().await;
    assert_eq!(w.settlements().await.len(), 0);
    w.chain.clear_mempool();
    w.mine(vec![deposit.clone()]).await;
    w.chain.relay(foreign.with_state(|state| state.serial += 1));
    w.look().await;
    assert_eq!(w.settlements().await.len(), 0);
    assert_eq!(w.alarms().await, [""; 0]);
    w.chain.clear_mempool();
    w.chain.relay(foreign.settlement());
    w.look().await;
    assert_eq!(w.settlements().await.len(), 1);
    assert_eq!(w.alarms().await, [""; 0]);
}
