//! Operators are silent until a deposit comes close to its reclaim.

use bitcoin::{Transaction, Witness};
use grail_backend::roles::build::Built;
use grail_flow::{AbandonCode, SettlementState};
use grail_store::JobKind;
use grail_wire::decode_proposal;

use super::{
    bridge::{own_script, transaction},
    world::{QUORUM, Question, World, settlement_id},
};

const CANCELLED: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Cancelled,
};

/// Blocks on a deposit's own from which on it is no longer swept: delay without margin.
const SWEPT_FOR: u32 = 24 - 6;

#[tokio::test]
async fn an_unsigned_settlement_is_called_off_as_the_reclaim_nears_not_before() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.mine_empty(SWEPT_FOR - 1).await;
    assert_eq!(
        w.settlement(id).await.state,
        SettlementState::Asked { round: 1 }
    );
    w.mine_empty(1).await;
    assert_eq!(w.settlement(id).await.state, CANCELLED);
    // No block later: nobody may try again with them in between.
    assert_eq!(w.build().await, Built::Nothing);
    for (asked, _) in &requests {
        assert_eq!(
            w.standing(asked).await,
            ("reclaimable", Some("too-close-to-reclaim"))
        );
    }
    // Operators that come now change nothing.
    w.sign(&ask, &QUORUM).await;
    w.job_later(JobKind::AskTimeout).await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(id).await.state, CANCELLED);
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.alarms().await, [""; 0]);
    assert_eq!(w.open_jobs().await, [""; 0]);
}

/// What operators were asked about, as somebody puts it together from their public answers.
pub fn put_together(ask: &Question) -> Transaction {
    let mut signed = decode_proposal(&ask.proposal).unwrap().transaction;
    for input in &mut signed.input {
        input.witness = Witness::from_slice(&[[0_u8; 64]]);
    }
    signed
}

#[tokio::test]
async fn a_settlement_called_off_and_mined_all_the_same_has_paid() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.mine_empty(SWEPT_FOR).await;
    assert_eq!(w.settlement(id).await.state, CANCELLED);
    assert_eq!(w.standing(&requests[0].0).await.0, "reclaimable");
    let signed = put_together(&ask);
    w.mine(vec![signed.clone()]).await;
    let height = w.tip_height().await;
    assert_eq!(w.settlement(id).await.state.name(), "confirmed");
    assert_eq!(w.standing(&requests[0].0).await, ("settling", None));
    // A reorg takes it back, and nobody but the block had the witnesses.
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.mine_empty(2).await;
    w.jobs().await;
    assert_eq!(w.chain.mempool(), [signed]);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(id).await.state.name(), "final");
    for (asked, _) in &requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    assert_eq!(w.alarms().await, [""; 0]);
    // And the bridge goes on from there.
    let more = w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&more[0].0).await, ("paid", None));
}

#[tokio::test]
async fn a_settlement_that_a_reorg_revives_around_a_reclaim_has_paid() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let (asked, deposit) = &requests[0];
    let (id, signed) = w.settle().await;
    w.mine_empty(30).await;
    let height = w.tip_height().await + 1;
    let mut reclaim = transaction(&[*deposit], vec![signed.output[0].clone()]);
    reclaim.output[0].script_pubkey = own_script(77);
    w.mine(vec![reclaim]).await;
    assert_eq!(w.standing(asked).await.0, "reclaimed");
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
    // On another branch the settlement came first.
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.chain.mine(vec![signed.clone()]);
    w.mine_empty(2).await;
    assert_eq!(w.settlement(id).await.state.name(), "final");
    assert_eq!(w.standing(asked).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn neighbours_of_a_late_deposit_are_settled_without_it() {
    let w = World::new().await;
    let late = w.ready_peg_ins(1).await;
    let patient = w.ask_peg_in_for(100).await;
    let deposit = w.deposit(&patient, 50_000);
    w.mine(vec![deposit]).await;
    let ask = w.ask_operators().await;
    w.mine_empty(SWEPT_FOR - 1).await;
    assert_eq!(w.settlement(settlement_id(&ask)).await.state, CANCELLED);
    assert_eq!(w.standing(&late[0].0).await.0, "reclaimable");
    assert_eq!(w.standing(&patient).await, ("ready", None));
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&patient).await, ("paid", None));
    assert_eq!(w.paid_count(&patient).await, 1);
    assert_eq!(w.paid_count(&late[0].0).await, 0);
}

#[tokio::test]
async fn a_signed_settlement_is_not_called_off_since_it_may_be_mined() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let (id, _) = w.settle().await;
    w.mine_empty(SWEPT_FOR + 1).await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
}
