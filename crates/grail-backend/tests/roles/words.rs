//! A node that refuses in words that nobody here knows: no verdict, so nothing is given up for
//! them.

use grail_backend::roles::build::Built;
use grail_flow::SettlementState;
use grail_store::JobKind;

use super::world::{QUORUM, World, settlement_id};

const WORDS: &str = "too-large-cluster";

#[tokio::test]
async fn unknown_words_before_the_question_are_shown_and_tried_again() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    assert!(w.job(JobKind::Prove).await);
    w.chain.set_words(Some(WORDS));
    assert!(w.job(JobKind::DryRun).await);
    let newest = w.settlements().await.pop().unwrap();
    assert_eq!(newest.state, SettlementState::Proven {});
    assert_eq!(w.alarms().await, ["unknown-rejection"]);
    let open = w.backend.store.read().await.unwrap().open_alarms().await;
    assert_eq!(open.unwrap().stop, 0);
    w.chain.set_words(None);
    w.job_later(JobKind::DryRun).await;
    let state = w.settlement(newest.id).await.state;
    assert_eq!(state, SettlementState::Asked { round: 1 });
}

#[tokio::test]
async fn a_signed_settlement_outlives_words_that_nobody_knows() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.chain.set_words(Some(WORDS));
    w.sign(&ask, &QUORUM).await;
    w.answered(id).await;
    assert!(w.job(JobKind::Publish).await);
    assert_eq!(w.settlement(id).await.state, SettlementState::Signed {});
    assert_eq!(w.alarms().await, ["unknown-rejection"]);
    w.chain.set_words(None);
    w.job_later(JobKind::Publish).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
}

#[tokio::test]
async fn a_quorum_whose_scripts_fail_is_a_stop_and_is_finished_after_a_look() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.chain
        .set_words(Some("mandatory-script-verify-flag-failed (a test)"));
    w.sign(&ask, &QUORUM).await;
    super::wait::eventually(async || w.alarms().await == ["script-verification"]).await;
    let state = w.settlement(id).await.state;
    assert_eq!(state, SettlementState::Asked { round: 1 });
    assert_eq!(w.build().await, Built::Hold);
    w.chain.set_words(None);
    w.acknowledge_alarms().await;
    w.answered(id).await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Signed {});
}
