//! What operators answer: lies, refusals, silence, repetition. A lie is put on record and stops
//! nobody else.

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use bitcoin::secp256k1::schnorr::Signature;
use grail_api::RosterAnswer;
use grail_ask::{FaultMessage, Reply};
use grail_backend::{api::router, roles::build::Built};
use grail_broker::messages::{BrokerMessage, encode};
use grail_flow::{AbandonCode, Alarm, SettlementId, SettlementState};
use grail_store::{JobKind, Verdict};
use grail_types::Epoch;
use grail_wire::{Answer, AskerId, Attempt, FaultCode, ProposalId, Text, Verdict as Said};
use tower::ServiceExt as _;

use super::{
    operators::key,
    signers::{Lie, authenticated_for, honest, lying, refusing},
    wait::eventually,
    world::{QUORUM, World, settlement_id},
};

impl World {
    /// Sends an answer and waits until it is on record.
    async fn recorded(&self, id: SettlementId, seed: u8, answer: &Answer) -> Verdict {
        self.send(answer).await;
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
        let lied = lying(1, w.backend.protocol(), &ask, lie);
        match w.recorded(id, 1, &lied).await {
            Verdict::Faulty { code: got, .. } => assert_eq!(got, code, "{lie:?}"),
            other => panic!("{lie:?}: {other:?}"),
        }
        w.sign(&ask, &[2, 3]).await;
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
    let signed = honest(1, w.backend.protocol(), &ask);
    let first = w.recorded(id, 1, &signed).await;
    assert!(matches!(first, Verdict::Signed { .. }));
    for other in [
        refusing(1, &ask),
        lying(1, w.backend.protocol(), &ask, Lie::WrongSignature),
        signed.clone(),
    ] {
        w.send(&other).await;
    }
    // Answers are taken in order: what came before this one has been looked at.
    w.recorded(id, 2, &honest(2, w.backend.protocol(), &ask))
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
    let protocol = w.backend.protocol();
    let good = honest(1, protocol, &ask);
    // Of somebody outside the roster.
    w.send(&lying(30, protocol, &ask, Lie::WrongSignature))
        .await;
    // Of signer 1 about another proposal.
    let elsewhere = ProposalId::of(b"another proposal");
    let other = authenticated_for(1, elsewhere, ask.attempt, good.verdict.clone());
    w.send(&other).await;
    // In the name of signer 2, by signer 1.
    let stolen = Answer {
        signer: key(2),
        ..good.clone()
    };
    w.send(&stolen).await;
    // With another verdict than the one authenticated.
    let Said::Refused(record) = refusing(1, &ask).verdict else {
        panic!("it refuses");
    };
    let changed = Answer {
        verdict: Said::Refused(record),
        ..good.clone()
    };
    w.send(&changed).await;
    let unauthenticated = Answer {
        authentication: Signature::from_slice(&[1; 64]).unwrap(),
        ..good.clone()
    };
    w.send(&unauthenticated).await;
    // A fault that anybody can claim, and bytes that mean nothing.
    let fault = FaultMessage {
        proposal: ProposalId::of(&ask.proposal),
        attempt: ask.attempt,
        public_key: key(1),
        code: FaultCode::EnclaveLost,
        details: Text::cut("says somebody"),
    };
    let broker = &w.backend.broker;
    for payload in [
        encode(Epoch(0), &Reply::Fault(fault)).unwrap(),
        Vec::new().into(),
        vec![0xff; 100].into(),
    ] {
        broker.publish(Reply::subject(), payload).await.unwrap();
    }
    w.recorded(id, 3, &honest(3, protocol, &ask)).await;
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
async fn a_brake_that_an_operator_tells_of_is_shown_until_it_signs() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let proposal = ProposalId::of(&ask.proposal);
    let tell = async |seed: u8, code: FaultCode, proposal: ProposalId| {
        let fault = FaultMessage {
            proposal,
            attempt: ask.attempt,
            public_key: key(seed),
            code,
            details: Text::cut("since 1: new disks"),
        };
        let payload = encode(Epoch(0), &Reply::Fault(fault)).unwrap();
        let broker = &w.backend.broker;
        broker.publish(Reply::subject(), payload).await.unwrap();
    };
    // A fault that nobody wanted, somebody outside the roster, another proposal.
    tell(1, FaultCode::EnclaveLost, proposal).await;
    tell(30, FaultCode::OperatorPaused, proposal).await;
    tell(2, FaultCode::OperatorPaused, ProposalId::of(b"another")).await;
    tell(3, FaultCode::OperatorLimit, proposal).await;
    tell(4, FaultCode::OperatorPaused, proposal).await;
    let brakes = || w.backend.operators.brakes();
    eventually(async || brakes().contains_key(&key(4))).await;
    let told: Vec<_> = brakes()
        .into_iter()
        .map(|(signer, brake)| (signer, brake.code))
        .collect();
    let mut expected = [
        (key(3), FaultCode::OperatorLimit),
        (key(4), FaultCode::OperatorPaused),
    ];
    expected.sort_by_key(|(signer, _)| *signer);
    assert_eq!(told, expected);
    let request = Request::get("/v1/roster").body(Body::empty()).unwrap();
    let response = router(w.backend.clone()).oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let roster: RosterAnswer = serde_json::from_slice(&body).unwrap();
    let shown = roster.signers.into_iter().filter_map(|signer| {
        let code = FaultCode::from(signer.fail_safe?.code.as_str());
        Some((signer.public_key, code))
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    // It says no more than that: whoever signs is counted.
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    let told: Vec<_> = brakes().into_keys().collect();
    assert_eq!(told, [key(4)]);
}

#[tokio::test]
async fn a_late_answer_is_put_on_record_as_late_and_changes_nothing() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let (id, signed) = w.sign_and_publish(&ask).await;
    w.recorded(id, 4, &refusing(4, &ask)).await;
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
    w.recorded(id, 1, &honest(1, w.backend.protocol(), &first))
        .await;
    for round in [2, 3] {
        w.job_later(JobKind::AskTimeout).await;
        assert_eq!(
            w.settlement(id).await.state,
            SettlementState::Asked { round }
        );
        assert!(w.job(JobKind::Ask).await);
        let again = w.take_ask().await;
        assert_eq!(again.proposal, first.proposal);
        assert_eq!(again.attempt.number, round);
        assert_eq!(again.attempt.asker, first.attempt.asker);
    }
    w.sign(&first, &[2, 3]).await;
    w.answered(id).await;
    w.jobs().await;
    // The timer that is left over finds nothing to do.
    w.job_later(JobKind::AskTimeout).await;
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
    let timer = w.lease_later(JobKind::AskTimeout).await.unwrap();
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
    w.recorded(id, 1, &refusing(1, &ask)).await;
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    // A lie is a no, too.
    w.send(&lying(2, w.backend.protocol(), &ask, Lie::TooFew))
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
    // One of them may be what operators do not like, so each comes alone.
    w.settle_all().await;
    assert_eq!(w.settlements().await.len(), 3);
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
        w.send(&refusing(seed, &ask)).await;
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
    tx.raise_alarm(&Alarm::EventLoop, 1).await.unwrap();
    tx.commit().await.unwrap();
    w.jobs().await;
    let newest = w.settlements().await.pop().unwrap();
    assert_eq!(newest.state, SettlementState::Asked { round: 1 });
    assert_eq!(w.open_jobs().await, [format!("ask:{}:1", newest.id)]);
    w.acknowledge_alarms().await;
    w.job_later(JobKind::Ask).await;
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
        let name = ProposalId::of(&ask.proposal);
        assert!(
            w.backend
                .approvals
                .take(&ProposalId::of(b"another"))
                .is_none()
        );
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

/// A refusal of the past, one to somebody else, and one to an attempt that was never made: shown by
/// a carrier until a quorum seems to refuse. Each counts for its own attempt, and for no other.
#[tokio::test]
async fn refusals_of_other_attempts_refuse_no_quorum() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let first = w.ask_operators().await;
    let id = settlement_id(&first);
    let stranger = Attempt {
        asker: AskerId([9; 16]),
        ..first.attempt
    };
    let later = Attempt {
        number: first.attempt.number + 7,
        ..first.attempt
    };
    let name = ProposalId::of(&first.proposal);
    for seed in [2, 3, 4] {
        for attempt in [stranger, later] {
            let verdict = refusing(seed, &first).verdict;
            w.send(&authenticated_for(seed, name, attempt, verdict))
                .await;
        }
    }
    // One honest "no" to the first attempt is on record, and has no weight in the second.
    w.recorded(id, 1, &refusing(1, &first)).await;
    w.job_later(JobKind::AskTimeout).await;
    assert!(w.job(JobKind::Ask).await);
    let again = w.take_ask().await;
    w.send(&refusing(1, &first)).await;
    w.recorded(id, 2, &refusing(2, &again)).await;
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    for seed in [3, 4] {
        assert_eq!(w.verdict(id, seed).await, None);
    }
    w.sign(&again, &[1, 3, 4]).await;
    w.answered(id).await;
    w.jobs().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&requests[0].0).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

/// Signatures are facts: given to another asker or to an attempt of long ago, and also by who
/// refused or lied before.
#[tokio::test]
async fn a_verified_signature_counts_whenever_it_comes() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    let protocol = w.backend.protocol();
    w.recorded(id, 1, &refusing(1, &ask)).await;
    let of_stranger = Attempt {
        asker: AskerId([9; 16]),
        number: 77,
    };
    let name = ProposalId::of(&ask.proposal);
    for seed in [1, 2, 3] {
        let verdict = honest(seed, protocol, &ask).verdict;
        w.send(&authenticated_for(seed, name, of_stranger, verdict))
            .await;
    }
    w.answered(id).await;
    assert!(matches!(
        w.verdict(id, 1).await,
        Some((Verdict::Signed { .. }, false))
    ));
}
