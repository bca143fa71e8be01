//! What stands still in the one lane: ended, or told of; and nobody but the chain ends the rest.

use bitcoin::{Amount, OutPoint, TxOut, Witness};
use grail_backend::roles::{build::Built, lane};
use grail_flow::{AbandonCode, SettlementId, SettlementStage, SettlementState};
use grail_store::JobKind;

use super::{
    bridge::{own_script, transaction},
    signers::honest,
    world::{QUORUM, World, settlement_id},
};

const OVERDUE: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Overdue,
};

/// As of the moment at which a settlement's deadline at `stage` passes, and a second before.
async fn watch(w: &World, id: SettlementId, stage: SettlementStage) -> [SettlementState; 2] {
    let settlement = w.settlement(id).await;
    assert_eq!(settlement.state.stage(), stage);
    let due = settlement.stage_since + lane::deadline(stage).unwrap();
    lane::watch(&w.backend, due - 1).await.unwrap();
    let before = w.settlement(id).await.state;
    lane::watch(&w.backend, due).await.unwrap();
    [before, w.settlement(id).await.state]
}

#[tokio::test]
async fn a_draft_that_is_never_proven_is_planned_anew_three_times_at_most() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    for _ in 0..3 {
        assert_eq!(w.build().await, Built::Draft);
        let id = w.settlements().await.pop().unwrap().id;
        let [before, after] = watch(&w, id, SettlementStage::Draft).await;
        assert_eq!((before, after), (SettlementState::Draft {}, OVERDUE));
        assert_eq!(w.standing(&requests[0].0).await, ("ready", None));
        assert_eq!(w.alarms().await, [""; 0]);
    }
    assert_eq!(w.build().await, Built::Draft);
    let id = w.settlements().await.pop().unwrap().id;
    let [_, after] = watch(&w, id, SettlementStage::Draft).await;
    assert_eq!(after, SettlementState::Draft {});
    assert_eq!(w.alarms().await, ["lane-overdue"]);
    // The lane goes on by itself once the prover does.
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
}

#[tokio::test]
async fn what_the_node_does_not_want_is_planned_anew_at_the_rate_of_the_day() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    w.chain
        .set_words(Some("mempool min fee not met, 100 < 900"));
    w.jobs().await;
    let id = w.settlements().await.pop().unwrap().id;
    let [before, after] = watch(&w, id, SettlementStage::Proven).await;
    assert_eq!((before, after), (SettlementState::Proven {}, OVERDUE));
    w.chain.set_words(None);
    w.settle().await;
    assert_eq!(w.standing(&requests[0].0).await.0, "settling");
}

#[tokio::test]
async fn a_missing_quorum_and_a_missing_block_are_told_and_end_nothing() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    let asked = SettlementState::Asked { round: 1 };
    assert_eq!(watch(&w, id, SettlementStage::Asked).await, [asked, asked]);
    assert_eq!(w.alarms().await, ["lane-overdue"]);
    // Rounds of asking are one wait.
    let since = w.settlement(id).await.stage_since;
    w.job_later(JobKind::AskTimeout).await;
    assert_eq!(
        w.settlement(id).await.state,
        SettlementState::Asked { round: 2 }
    );
    assert_eq!(w.settlement(id).await.stage_since, since);
    w.acknowledge_alarms().await;
    w.sign_and_publish(&ask).await;
    let published = SettlementState::Broadcast {};
    let watched = watch(&w, id, SettlementStage::Broadcast).await;
    assert_eq!(watched, [published, published]);
    assert_eq!(w.alarms().await, ["lane-overdue"]);
}

#[tokio::test]
async fn a_node_that_is_behind_the_rows_ends_nothing() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (first, _) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let second = w.ready_peg_ins(1).await;
    let (newest, _) = w.settle().await;
    let height = w.settlement(first).await.block.unwrap().height;
    // The node comes back from an older copy, on the same chain, without its mempool.
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!(
        w.settlement(newest).await.state,
        SettlementState::Broadcast {}
    );
    assert_eq!(w.standing(&second[0].0).await.0, "settling");
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.settlements().await.len(), 2);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn old_answers_said_again_are_not_judged_again() {
    let w = World::new().await;
    let mut old = Vec::new();
    for _ in 0..2 {
        w.ready_peg_ins(1).await;
        let ask = w.ask_operators().await;
        old.push(honest(1, w.backend.protocol(), &ask));
        w.sign_and_publish(&ask).await;
        w.mine_mempool().await;
        w.mine_empty(1).await;
    }
    // Another process, which has nothing in memory.
    let mut w = w;
    w.crash().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let misses = w.backend.approvals.misses();
    for _ in 0..20 {
        for answer in &old {
            w.send(answer).await;
        }
    }
    // The honest ones come behind them in the same queue.
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    assert_eq!(w.backend.approvals.misses(), misses);
}

/// Strangers who were paid by a settlement build on it, until nodes take no more of its relatives.
#[tokio::test]
async fn a_pinned_chain_is_waited_for_and_no_proof_is_made() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (_, made) = w.settle().await;
    let waiting = w.ready_peg_ins(1).await;
    let mut parent = OutPoint::new(made.compute_txid(), 2);
    for _ in 0..24 {
        let output = TxOut {
            value: Amount::from_sat(330),
            script_pubkey: own_script(3),
        };
        let mut child = transaction(&[parent], vec![output]);
        child.input[0].witness = Witness::from_slice(&[[0_u8; 64]]);
        parent = OutPoint::new(child.compute_txid(), 0);
        w.chain.relay(child);
    }
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.standing(&waiting[0].0).await, ("ready", None));
    // A block makes room.
    w.mine_mempool().await;
    w.settle().await;
    assert_eq!(w.alarms().await, [""; 0]);
}
