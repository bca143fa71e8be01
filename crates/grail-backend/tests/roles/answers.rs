//! What operators answer: lies, refusals, silence, repetition. A lie is put on record and stops nobody else.

use bitcoin::secp256k1::schnorr::Signature;
use grail_backend::{
    build::Built,
    step::{JOB_ASK, JOB_ASK_TIMEOUT},
};
use grail_broker::messages::{BrokerMessage, FaultMessage, Reply, encode};
use grail_flow::{AbandonCode, SettlementId, SettlementState};
use grail_signer::{Answer, Verdict as Said, proposal_id};
use grail_store::Verdict;

use super::{
    operators::key,
    signers::{Lie, authenticated, honest, lying, refusing},
    wait::eventually,
    world::{QUORUM, World, settlement_id},
};

impl World {
    /// Sends an answer and waits until it is on record.
    async fn recorded(&self, id: SettlementId, seed: u8, answer: &Answer) -> Verdict {
        self.send(i64::try_from(id.0).unwrap(), answer).await;
        eventually(async || self.verdict(id, seed).await.is_some()).await;
        self.verdict(id, seed).await.unwrap().0
    }
}

#[tokio::test]
async fn every_lie_is_named_and_the_rest_completes() {
    for (lie, code) in [
        (Lie::WrongSignature, "signature-invalid"),
        (Lie::OtherInput, "signature-invalid"),
        (Lie::LastWrong, "signature-invalid"),
        (Lie::TooFew, "signature-count"),
        (Lie::TooMany, "signature-count"),
        (Lie::Nothing, "signature-count"),
    ] {
        let w = World::new().await;
        let requests = w.ready_peg_ins(1).await;
        let ask = w.ask_operators().await;
        let id = settlement_id(&ask);
        let lied = lying(1, w.backend.params(), &ask.proposal, lie);
        match w.recorded(id, 1, &lied).await {
            Verdict::Faulty { code: got, .. } => assert_eq!(got, code, "{lie:?}"),
            other => panic!("{lie:?}: {other:?}"),
        }
        // It cannot take it back: its first word counts.
        w.sign(&ask, &[1, 2, 3]).await;
        eventually(async || w.verdict(id, 3).await.is_some()).await;
        assert_eq!(w.settlement(id).await.state.name(), "asked");
        assert!(matches!(
            w.verdict(id, 1).await,
            Some((Verdict::Faulty { .. }, false))
        ));
        w.sign(&ask, &[4]).await;
        w.answered(id).await;
        w.jobs().await;
        w.mine_mempool().await;
        w.mine_empty(1).await;
        assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
        assert_eq!(w.alarms().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_second_answer_of_the_same_signer_replaces_nothing() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    let signed = honest(1, w.backend.params(), &ask.proposal);
    let first = w.recorded(id, 1, &signed).await;
    assert!(matches!(first, Verdict::Signed { .. }));
    for other in [
        refusing(1, &ask.proposal),
        lying(1, w.backend.params(), &ask.proposal, Lie::WrongSignature),
        signed.clone(),
    ] {
        w.send(ask.settlement, &other).await;
    }
    // Answers are taken in order: what came before this one has been looked at.
    w.recorded(id, 2, &honest(2, w.backend.params(), &ask.proposal))
        .await;
    assert_eq!(w.verdict(id, 1).await, Some((first, false)));
    // Nor does a duplicate count twice.
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    w.sign(&ask, &[3]).await;
    w.answered(id).await;
}

#[tokio::test]
async fn answers_that_are_nobodys_or_about_something_else_are_ignored() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    let params = w.backend.params();
    let good = honest(1, params, &ask.proposal);
    // Of somebody outside the roster.
    w.send(
        ask.settlement,
        &lying(30, params, &ask.proposal, Lie::WrongSignature),
    )
    .await;
    // Of signer 1 about another proposal, for this settlement.
    let other = authenticated(1, b"another proposal", good.verdict.clone());
    w.send(ask.settlement, &other).await;
    // In the name of signer 2, by signer 1.
    let stolen = Answer {
        signer: key(2),
        ..good.clone()
    };
    w.send(ask.settlement, &stolen).await;
    // With another verdict than the one authenticated.
    let Said::Refused(record) = refusing(1, &ask.proposal).verdict else {
        panic!("it refuses");
    };
    let changed = Answer {
        verdict: Said::Refused(record),
        ..good.clone()
    };
    w.send(ask.settlement, &changed).await;
    let unauthenticated = Answer {
        authentication: Signature::from_slice(&[1; 64]).unwrap(),
        ..good.clone()
    };
    w.send(ask.settlement, &unauthenticated).await;
    // About settlements that there are not.
    for settlement in [ask.settlement + 1, 0, -1, i64::MIN, i64::MAX] {
        w.send(settlement, &good).await;
    }
    // A fault that anybody can claim, and bytes that mean nothing.
    let fault = FaultMessage::new(ask.settlement, key(1), "broken", "says somebody");
    let broker = &w.backend.broker;
    for payload in [
        encode(&Reply::Fault(fault)).unwrap(),
        Vec::new().into(),
        vec![0xff; 100].into(),
    ] {
        broker.publish(Reply::subject(), payload).await.unwrap();
    }
    w.recorded(id, 3, &honest(3, params, &ask.proposal)).await;
    for seed in [1, 2, 4] {
        assert_eq!(w.verdict(id, seed).await, None);
    }
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    // None of that keeps anybody from answering.
    w.sign(&ask, &[1, 2]).await;
    w.answered(id).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_late_answer_is_put_on_record_as_late_and_changes_nothing() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let (id, signed) = w.sign_and_publish(&ask).await;
    w.recorded(id, 4, &refusing(4, &ask.proposal)).await;
    assert!(matches!(
        w.verdict(id, 4).await,
        Some((Verdict::Refused { .. }, true))
    ));
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
    assert_eq!(w.signed(id).await, signed);
}

#[tokio::test]
async fn a_quorum_completes_a_settlement_whatever_the_order_of_arrival() {
    for order in [[1, 2, 3], [3, 1, 2], [4, 3, 2]] {
        let w = World::new().await;
        w.ready_peg_ins(1).await;
        let ask = w.ask_operators().await;
        w.sign(&ask, &order).await;
        w.answered(settlement_id(&ask)).await;
        let signed = w.signed(settlement_id(&ask)).await;
        assert_eq!(signed.input.len(), 2);
        for input in &signed.input {
            let signatures = input.witness.iter().filter(|item| item.len() == 64);
            assert_eq!(signatures.count(), 3);
        }
    }
}

#[tokio::test]
async fn silence_is_answered_by_asking_again_about_the_same_proposal() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let first = w.ask_operators().await;
    let id = settlement_id(&first);
    // One answers in the first round, the others in the third.
    w.recorded(id, 1, &honest(1, w.backend.params(), &first.proposal))
        .await;
    for round in [2, 3] {
        w.job_later(JOB_ASK_TIMEOUT).await;
        assert_eq!(
            w.settlement(id).await.state,
            SettlementState::Asked { round }
        );
        assert!(w.job(JOB_ASK).await);
        let again = w.take_ask().await;
        assert_eq!(again, first);
    }
    w.sign(&first, &[2, 3]).await;
    w.answered(id).await;
    w.jobs().await;
    // The timer that is left over finds nothing to do.
    w.job_later(JOB_ASK_TIMEOUT).await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
    assert_eq!(w.open_jobs().await, [""; 0]);
    assert_eq!(w.standing(&requests[0].0).await.0, "settling");
}

#[tokio::test]
async fn a_timer_of_an_earlier_round_ends_no_later_one() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    let timer = w.lease_later(JOB_ASK_TIMEOUT).await.unwrap();
    w.finish(&timer).await;
    assert_eq!(
        w.settlement(id).await.state,
        SettlementState::Asked { round: 2 }
    );
    // The same work again, as a repeated message would have it.
    w.work(&timer).await.unwrap().commit().await.unwrap();
    assert_eq!(
        w.settlement(id).await.state,
        SettlementState::Asked { round: 2 }
    );
}

#[tokio::test]
async fn a_settlement_without_a_quorum_ends_in_an_alarm_and_loses_no_request() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.recorded(id, 1, &refusing(1, &ask.proposal)).await;
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    // A lie is a no, too.
    w.send(
        ask.settlement,
        &lying(2, w.backend.params(), &ask.proposal, Lie::TooFew),
    )
    .await;
    w.answered(id).await;
    assert_eq!(
        w.settlement(id).await.state,
        SettlementState::Abandoned {
            code: AbandonCode::QuorumRefused
        }
    );
    assert_eq!(w.alarms().await, ["quorum-refused"]);
    for (asked, _) in &requests {
        assert_eq!(w.standing(asked).await, ("ready", None));
    }
    // Signatures that come now revive nothing, and nothing new is begun before a person has looked.
    w.sign(&ask, &[3, 4]).await;
    assert_eq!(w.build().await, Built::Hold);
    w.acknowledge_alarms().await;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in &requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
}

#[tokio::test]
async fn requests_that_operators_keep_refusing_end_as_reclaimable() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    for seed in [1, 2] {
        w.send(ask.settlement, &refusing(seed, &ask.proposal)).await;
    }
    w.answered(settlement_id(&ask)).await;
    w.mine_empty(18).await;
    assert_eq!(
        w.standing(&requests[0].0).await,
        ("reclaimable", Some("too-close-to-reclaim"))
    );
}

#[tokio::test]
async fn nothing_is_asked_while_an_alarm_is_open() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    let mut tx = w.backend.store.begin().await.unwrap();
    tx.raise_alarm("odd", "a test", 1).await.unwrap();
    tx.commit().await.unwrap();
    w.jobs().await;
    let newest = w.settlements().await.pop().unwrap();
    assert_eq!(newest.state, SettlementState::Asked { round: 1 });
    assert_eq!(w.open_jobs().await, [format!("ask:{}:1", newest.id)]);
    w.acknowledge_alarms().await;
    w.job_later(JOB_ASK).await;
    let ask = w.take_ask().await;
    w.sign(&ask, &QUORUM).await;
    w.answered(newest.id).await;
}

#[tokio::test]
async fn what_the_dry_run_approved_is_judged_again_only_by_another_process() {
    for is_restarted in [false, true] {
        let mut w = World::new().await;
        w.ready_peg_ins(1).await;
        let ask = w.ask_operators().await;
        let name = proposal_id(&ask.proposal);
        assert!(w.backend.approvals.take(&proposal_id(b"another")).is_none());
        let approved = w.backend.approvals.take(&name).unwrap();
        w.backend.approvals.keep(name, approved);
        if is_restarted {
            w.crash().await;
            assert!(w.backend.approvals.take(&name).is_none());
        }
        w.sign_and_publish(&ask).await;
        assert!(w.backend.approvals.take(&name).is_none());
    }
}
