//! A deposit that spoils every batch it is in: its neighbours are served, it is its owner's to take
//! back, and a fault of ours is not taken for one of theirs.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use bitcoin::{OutPoint, Txid};
use grail_backend::{clock, roles::build::Built};
use grail_flow::SettlementState;
use grail_prover::{
    CheckError, MockProver, ProveRequest, Proven, Prover, ProverError, Provers, TransientError,
};
use grail_store::{DepositState, JobKind, ProofState};

use super::{
    bridge,
    proving::record,
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// What a prover does to a spell with a poisoned deposit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Illness {
    /// Proves it never.
    Rejects,
    /// Proves something else than what it was asked for.
    ProvesNonsense,
    /// Says no, as a proxy or a hostile prover would.
    Refuses,
    /// Is not available.
    IsAway,
}

/// A prover with a dislike of deposits of certain transactions.
struct Picky {
    prover: MockProver,
    illness: Illness,
    poisoned: Mutex<BTreeSet<Txid>>,
}

impl Picky {
    fn new(illness: Illness) -> Arc<Self> {
        Arc::new(Self {
            prover: bridge::prover(),
            illness,
            poisoned: Mutex::default(),
        })
    }

    fn poison(&self, deposits: impl IntoIterator<Item = OutPoint>) {
        let txids = deposits.into_iter().map(|outpoint| outpoint.txid);
        self.poisoned.lock().unwrap().extend(txids);
    }

    fn heal(&self) {
        self.poisoned.lock().unwrap().clear();
    }
}

impl Prover for Picky {
    fn kind(&self) -> &'static str {
        "picky"
    }

    fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError> {
        let is_poisoned = {
            let poisoned = self.poisoned.lock().unwrap();
            let mut previous = request.prev_txs.iter();
            previous.any(|transaction| poisoned.contains(&transaction.compute_txid()))
        };
        match self.illness {
            _ if !is_poisoned => self.prover.prove(request),
            Illness::Rejects => Err(CheckError::NoInputs.into()),
            Illness::ProvesNonsense => {
                let mut spell = request.spell.clone();
                spell.tx.outs.pop();
                spell.tx.coins.as_mut().unwrap().pop();
                self.prover.prove_unchecked(&spell)
            }
            Illness::Refuses => Err(ProverError::Refused {
                status: 413,
                reason: "too large".to_owned(),
            }),
            Illness::IsAway => Err(TransientError {
                reason: "the prover restarts".to_owned(),
            }
            .into()),
        }
    }
}

#[tokio::test]
async fn a_deposit_that_cannot_be_proven_is_refused_alone() {
    let picky = Picky::new(Illness::Rejects);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(4).await;
    picky.poison([requests[2].1]);
    w.settle_all().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (index, (asked, deposit)) in requests.iter().enumerate() {
        if index == 2 {
            assert_eq!(w.standing(asked).await, ("reclaimable", Some("refused")));
            assert_eq!(w.paid_count(asked).await, 0);
            let mut reader = w.backend.store.read().await.unwrap();
            let row = reader.deposit(deposit).await.unwrap().unwrap();
            assert_eq!(row.state, DepositState::Reclaimable);
            assert_eq!(row.code.unwrap().code(), "refused");
        } else {
            assert_eq!(w.standing(asked).await, ("paid", None));
            assert_eq!(w.paid_count(asked).await, 1);
        }
    }
    // All four; the first half, served; the second half; the poisoned one; its neighbour, served.
    let given_up = "abandoned proving-failed";
    let expected = [
        (4, given_up),
        (2, "final"),
        (2, given_up),
        (1, given_up),
        (1, "final"),
    ];
    assert_eq!(
        sizes_and_fates(&w).await,
        expected.map(|(size, fate)| (size, fate.to_owned()))
    );
    assert_eq!(w.alarms().await, [""; 0]);
    assert_eq!(w.build().await, Built::Nothing);
}

/// Settles as long as there is something to settle, but for one lone request that is tried last.
async fn settle_all_but_the_last(w: &World) {
    for _ in 0..10 {
        if w.build().await != Built::Draft {
            return;
        }
        for _ in 0..PROVER_TRIES {
            w.job_later_if_any(JobKind::Prove).await;
        }
        w.jobs().await;
        let newest = w.settlements().await.pop().unwrap();
        if newest.state.name() == "asked" {
            let ask = w.take_ask().await;
            w.sign_and_publish(&ask).await;
        }
    }
}

/// How often a prover is asked before its "no" counts for the batch.
const PROVER_TRIES: usize = 3;

async fn a_provers_word_condemns_nobody(illness: Illness) {
    let picky = Picky::new(illness);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(4).await;
    let (poisoned, deposit) = &requests[2];
    picky.poison([*deposit]);
    settle_all_but_the_last(&w).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (index, (asked, _)) in requests.iter().enumerate() {
        let expected = if index == 2 { "ready" } else { "paid" };
        assert_eq!(w.standing(asked).await, (expected, None), "{index}");
    }
    assert_eq!(w.alarms().await, ["prover-refuses"]);
    // It is tried after all others, and served once the prover is well.
    let newcomer = w.ready_peg_ins(1).await;
    let sizes = w.settlements().await.len();
    assert_eq!(w.build().await, Built::Draft);
    let newest = w.settlements().await.pop().unwrap();
    let mut reader = w.backend.store.read().await.unwrap();
    let items = reader.settlement_items(newest.id).await.unwrap();
    drop(reader);
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].request, newcomer[0].0.id);
    picky.heal();
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(poisoned).await, ("paid", None));
    assert_eq!(w.settlements().await.len(), sizes + 2);
}

#[tokio::test]
async fn a_prover_that_refuses_what_our_check_passed_turns_nobody_away() {
    a_provers_word_condemns_nobody(Illness::Refuses).await;
}

#[tokio::test]
async fn a_prover_that_proves_something_else_turns_nobody_away() {
    a_provers_word_condemns_nobody(Illness::ProvesNonsense).await;
}

#[tokio::test]
async fn a_second_prover_proves_the_batch_that_the_first_refuses() {
    let picky = Picky::new(Illness::Refuses);
    let all: Vec<(String, Arc<dyn Prover>)> = vec![
        ("ill".to_owned(), picky.clone()),
        ("well".to_owned(), Picky::new(Illness::Refuses)),
    ];
    let w = World::with_prover(Arc::new(Provers::new(all).unwrap())).await;
    let requests = w.ready_peg_ins(2).await;
    picky.poison([requests[0].1]);
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in &requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
    }
    // In one settlement, at one attempt; and a person hears of it.
    assert_eq!(sizes_and_fates(&w).await, [(2, "final".to_owned())]);
    assert_eq!(w.alarms().await, ["prover-refuses"]);
}

async fn sizes_and_fates(w: &World) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for settlement in w.settlements().await {
        let mut reader = w.backend.store.read().await.unwrap();
        let items = reader.settlement_items(settlement.id).await.unwrap();
        let fate = match settlement.state {
            SettlementState::Abandoned { code } => format!("abandoned {}", code.code()),
            other => other.name().to_owned(),
        };
        found.push((items.len(), fate));
    }
    found
}

#[tokio::test]
async fn newcomers_wait_until_the_spoiled_batch_is_sorted_out() {
    let picky = Picky::new(Illness::Rejects);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(2).await;
    picky.poison([requests[0].1]);
    assert_eq!(w.build().await, Built::Draft);
    w.jobs().await;
    let newcomer = w.ready_peg_ins(1).await;
    // The poisoned one alone, its neighbour alone, and only then the newcomer.
    w.settle_all().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let sizes: Vec<_> = sizes_and_fates(&w).await;
    assert_eq!(
        sizes.iter().map(|(size, _)| *size).collect::<Vec<_>>(),
        [2, 1, 1, 1]
    );
    assert_eq!(w.standing(&requests[0].0).await.0, "reclaimable");
    assert_eq!(w.standing(&requests[1].0).await.0, "paid");
    assert_eq!(w.standing(&newcomer[0].0).await.0, "paid");
}

/// One poisoned deposit after the other, each alone in its settlement.
async fn lone_failures(w: &World, picky: &Picky, count: usize) -> Vec<Asked> {
    let mut refused = Vec::new();
    for _ in 0..count {
        let ready = w.ready_peg_ins(1).await;
        picky.poison([ready[0].1]);
        w.settle_all().await;
        refused.push(ready[0].0.clone());
    }
    refused
}

#[tokio::test]
async fn unrelated_failures_in_a_row_are_an_alarm_that_stops_building() {
    let picky = Picky::new(Illness::Rejects);
    let w = World::with_prover(picky.clone()).await;
    lone_failures(&w, &picky, 2).await;
    assert_eq!(w.alarms().await, [""; 0]);
    // No address is given out once the alarm is open.
    let good = w.ask_peg_in().await;
    let refused = lone_failures(&w, &picky, 1).await;
    assert_eq!(w.standing(&refused[0]).await.0, "reclaimable");
    assert_eq!(w.alarms().await, ["unservable-settlements"]);
    w.mine(vec![w.deposit(&good, DEPOSIT_SAT)]).await;
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(w.settlements().await.len(), 3);
    assert_eq!(w.standing(&good).await, ("ready", None));
    // A person has looked.
    w.acknowledge_alarms().await;
    w.settle().await;
}

#[tokio::test]
async fn lone_failures_with_a_success_between_them_are_no_alarm() {
    let picky = Picky::new(Illness::Rejects);
    let w = World::with_prover(picky.clone()).await;
    for _ in 0..3 {
        lone_failures(&w, &picky, 2).await;
        w.ready_peg_ins(1).await;
        w.settle().await;
    }
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_prover_that_proves_nothing_is_an_alarm_before_everybody_is_refused() {
    let picky = Picky::new(Illness::Rejects);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(8).await;
    picky.poison(requests.iter().map(|(_, deposit)| *deposit));
    w.settle_all().await;
    assert_eq!(w.alarms().await, ["unservable-settlements"]);
    let mut refused = 0;
    for (asked, _) in &requests {
        refused += usize::from(w.standing(asked).await.0 == "reclaimable");
    }
    assert_eq!(refused, 3);
    // The fault was ours and is mended: the others are served.
    picky.heal();
    w.acknowledge_alarms().await;
    w.settle_all().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let mut paid = 0;
    for (asked, _) in &requests {
        paid += w.paid_count(asked).await;
    }
    assert_eq!(paid, 5);
}

#[tokio::test]
async fn a_prover_that_is_away_costs_time_and_nothing_else() {
    let picky = Picky::new(Illness::IsAway);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(1).await;
    picky.poison([requests[0].1]);
    assert_eq!(w.build().await, Built::Draft);
    w.jobs().await;
    let newest = w.settlements().await.pop().unwrap();
    let mut due_at = clock::now();
    for attempts in 1..=4 {
        if attempts > 1 {
            w.job_later(JobKind::Prove).await;
        }
        let waiting = record(&w, newest.id).await;
        assert_eq!(
            (waiting.state, waiting.attempts),
            (ProofState::Queued, attempts)
        );
        assert_eq!(waiting.error_code.as_deref(), Some("prove-unavailable"));
        // Ever longer pauses.
        assert!(waiting.due_at >= due_at && waiting.due_at > clock::now());
        due_at = waiting.due_at;
    }
    assert_eq!(
        w.settlement(newest.id).await.state,
        SettlementState::Draft {}
    );
    picky.heal();
    w.job_later(JobKind::Prove).await;
    let proven = record(&w, newest.id).await;
    assert_eq!((proven.state, proven.attempts), (ProofState::Proven, 5));
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_batch_that_cannot_be_proven_is_on_record_as_failed_with_the_reason() {
    let picky = Picky::new(Illness::Rejects);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(2).await;
    picky.poison([requests[0].1]);
    w.settle_all().await;
    let mut records = Vec::new();
    for settlement in w.settlements().await {
        let record = record(&w, settlement.id).await;
        assert_eq!(record.attempts, 1);
        records.push((record.state, record.error_code));
    }
    let failed = (
        ProofState::Failed,
        Some(CheckError::NoInputs.code().to_owned()),
    );
    assert_eq!(
        records,
        [failed.clone(), failed, (ProofState::Proven, None)]
    );
}

#[tokio::test]
async fn a_proof_of_something_else_is_not_taken_again() {
    let picky = Picky::new(Illness::ProvesNonsense);
    let w = World::with_prover(picky.clone()).await;
    let requests = w.ready_peg_ins(1).await;
    picky.poison([requests[0].1]);
    assert_eq!(w.build().await, Built::Draft);
    w.jobs().await;
    let record = record(&w, w.settlements().await[0].id).await;
    assert_eq!(record.state, ProofState::Queued);
    assert_eq!(record.error_code.as_deref(), Some("prove-differs"));
    let mut reader = w.backend.store.read().await.unwrap();
    let hash = record.request_hash.unwrap();
    let made = reader.made_proof(&hash, picky.kind()).await.unwrap();
    assert_eq!(made, None);
}
