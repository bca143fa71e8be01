//! Proofs that take long: made once, by whoever holds the lease, through crashes, stops and slow or
//! absent provers.

use std::{collections::BTreeSet, sync::Arc};

use bitcoin::OutPoint;
use grail_backend::{
    backend::Backend, clock, commands::run, draft::Draft, roles::build::Built, step::Step, work,
};
use grail_flow::{AbandonCode, SettlementEvent, SettlementId, SettlementState};
use grail_spell::{read_strict, utxo_id_from_outpoint};
use grail_store::{JobKind, JobState, NewSettlement, ProofRecord, ProofState};
use grail_wire::PreviousTx;

use super::{
    bridge::{payment, vault_script},
    gate::{Gate, OpenAtEnd, worker},
    users::DEPOSIT_SAT,
    wait::{PATIENCE, eventually},
    world::World,
};

/// What is on record of a settlement's proving.
pub async fn record(w: &World, id: SettlementId) -> ProofRecord {
    let mut reader = w.backend.store.read().await.unwrap();
    reader.proof_record(id).await.unwrap().unwrap()
}

async fn states(w: &World) -> Vec<&'static str> {
    let settlements = w.settlements().await.into_iter();
    settlements
        .map(|settlement| settlement.state.name())
        .collect()
}

/// A world with a closed gate, and a draft of one request.
async fn drafted() -> (World, Arc<Gate>, OpenAtEnd, SettlementId) {
    drafted_with_lease(60).await
}

async fn drafted_with_lease(lease_seconds: u64) -> (World, Arc<Gate>, OpenAtEnd, SettlementId) {
    let gate = Gate::new();
    let w = World::with_lease(gate.clone(), lease_seconds).await;
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    let id = w.settlements().await[0].id;
    (w, Arc::clone(&gate), OpenAtEnd(gate), id)
}

#[tokio::test]
async fn a_process_killed_while_it_proves_is_taken_over_after_its_lease() {
    let (mut w, gate, _end, id) = drafted().await;
    let dead = worker(&w.backend);
    gate.until_waiting(1).await;
    let begun = record(&w, id).await;
    assert_eq!((begun.state, begun.attempts), (ProofState::Proving, 1));
    assert_eq!(begun.worker.as_deref(), Some(w.backend.instance.as_str()));
    assert!(begun.due_at > clock::now());
    dead.abort();
    w.crash().await;
    assert_eq!(w.lease(JobKind::Prove).await, None);
    gate.pass(1);
    w.job_later(JobKind::Prove).await;
    assert_eq!(states(&w).await, ["proven"]);
    let proven = record(&w, id).await;
    assert_eq!((proven.state, proven.attempts), (ProofState::Proven, 2));
    assert_eq!(proven.worker.as_deref(), Some(w.backend.instance.as_str()));
    assert_ne!(proven.worker, begun.worker);
    // The prover of the dead process ends too: nobody listens.
    gate.pass(0);
    eventually(async || gate.waiting().is_empty()).await;
    assert_eq!(record(&w, id).await, proven);
    let calls = gate.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0], calls[1]);
    assert_eq!(w.lease_later(JobKind::Prove).await, None);
}

#[tokio::test]
async fn a_crash_between_proof_and_step_costs_no_second_proof() {
    let (mut w, gate, _end, id) = drafted().await;
    gate.pass(0);
    let lease = w.lease_later(JobKind::Prove).await.unwrap();
    drop(w.work(&lease).await.unwrap());
    assert_eq!(states(&w).await, ["draft"]);
    assert_eq!(record(&w, id).await.state, ProofState::Proving);
    w.crash().await;
    let again = w.lease_much_later(JobKind::Prove).await.unwrap();
    w.finish(&again).await;
    assert_eq!(states(&w).await, ["proven"]);
    assert_eq!(gate.calls().len(), 1);
    let proven = record(&w, id).await;
    assert_eq!((proven.attempts, proven.is_reused), (1, false));
    assert!(proven.duration_ms.is_some() && proven.fuel.is_some());
    // And it is the proof: the policy passes it.
    assert!(w.job(JobKind::DryRun).await);
    assert_eq!(states(&w).await, ["asked"]);
}

#[tokio::test]
async fn a_settlement_that_asks_for_the_same_takes_the_proof_that_is_there() {
    let (w, gate, _end, id) = drafted().await;
    gate.pass(0);
    assert!(w.job(JobKind::Prove).await);
    let mut step = Step::begin(&w.backend).await.unwrap();
    step.tell_settlement(id, SettlementEvent::Cancelled)
        .await
        .unwrap();
    step.commit().await.unwrap();
    assert_eq!(w.build().await, Built::Draft);
    assert!(w.job(JobKind::Prove).await);
    assert_eq!(states(&w).await, ["abandoned", "proven"]);
    assert_eq!(gate.calls().len(), 1);
    let second = w.settlements().await[1].id;
    let taken = record(&w, second).await;
    assert_eq!(
        (taken.state, taken.attempts, taken.is_reused),
        (ProofState::Proven, 0, true)
    );
    assert_eq!(taken.request_hash, record(&w, id).await.request_hash);
    w.jobs().await;
    assert_eq!(states(&w).await, ["abandoned", "asked"]);
}

#[tokio::test]
async fn a_proof_that_takes_longer_than_its_lease_keeps_it() {
    let (w, gate, _end, id) = drafted_with_lease(1).await;
    let working = worker(&w.backend);
    gate.until_waiting(1).await;
    let first = record(&w, id).await.due_at;
    let other = worker(&w.another().await);
    eventually(async || {
        assert_eq!(w.lease(JobKind::Prove).await, None);
        record(&w, id).await.due_at > first + 2 && clock::now() > first
    })
    .await;
    gate.pass(0);
    eventually(async || states(&w).await == ["proven"]).await;
    assert_eq!(gate.calls().len(), 1);
    assert_eq!(record(&w, id).await.attempts, 1);
    for worker in [working, other] {
        assert!(!worker.is_finished());
        worker.abort();
    }
}

#[tokio::test]
async fn what_a_worker_proved_whose_lease_another_has_is_discarded() {
    let (w, gate, _end, id) = drafted().await;
    let old = w.lease(JobKind::Prove).await.unwrap();
    let backend = Arc::clone(&w.backend);
    let (held, late) = (old.clone(), old);
    let working = tokio::spawn(async move {
        let outcome = work::perform(&backend, &held).await;
        let is_void = outcome.is_err();
        work::finish(&backend, &late, outcome).await.unwrap();
        is_void
    });
    gate.until_waiting(1).await;
    let new = w.lease_later(JobKind::Prove).await.unwrap();
    let before = record(&w, id).await;
    gate.pass(0);
    assert!(working.await.unwrap());
    assert_eq!(record(&w, id).await, before);
    assert_eq!(states(&w).await, ["draft"]);
    // The holder proves for itself.
    gate.pass(1);
    w.finish(&new).await;
    assert_eq!(states(&w).await, ["proven"]);
    assert_eq!(record(&w, id).await.attempts, 2);
}

#[tokio::test]
async fn a_worker_drops_its_work_once_it_notices_that_its_lease_is_lost() {
    let (w, gate, _end, id) = drafted_with_lease(1).await;
    let working = worker(&w.backend);
    gate.until_waiting(1).await;
    let new = w.lease_later(JobKind::Prove).await.unwrap();
    gate.pass(1);
    w.finish(&new).await;
    assert_eq!(states(&w).await, ["proven"]);
    let proven = record(&w, id).await;
    // It is free for the next settlement while its first proof is still being made.
    let next = synthetic(&w.backend, 1).await;
    gate.pass(2);
    eventually(async || record(&w, next[0]).await.state == ProofState::Proven).await;
    assert_eq!(gate.waiting(), BTreeSet::from([0]));
    assert_eq!(record(&w, id).await, proven);
    working.abort();
}

/// Drafts that spend NFTs of their own, so that several can be proven at a time.
async fn synthetic(backend: &Arc<Backend>, count: u8) -> Vec<SettlementId> {
    let mut step = Step::begin(backend).await.unwrap();
    let first = step.tx.settlements(0, 1).await.unwrap()[0].id;
    let draft = step.tx.draft(first).await.unwrap();
    let proposal = step.tx.proposal(first).await.unwrap();
    let mut ids = Vec::new();
    for seed in 200..200 + count {
        let nft = payment(seed, vault_script(), 1_000);
        let nft_input = OutPoint::new(nft.compute_txid(), 0);
        let mut draft = match (&draft, &proposal) {
            (Some(draft), _) => Draft::decode(draft).unwrap(),
            // The first is proven by now: its draft is what it was before.
            (None, proposal) => {
                let mut proposal = grail_wire::decode_proposal(proposal.as_ref().unwrap()).unwrap();
                let read = read_strict(&proposal.transaction, backend.mock()).unwrap();
                proposal.transaction.output.pop();
                Draft {
                    spell: read.spell().clone(),
                    proposal,
                }
            }
        };
        draft.proposal.transaction.input[0].previous_output = nft_input;
        let inputs = draft.spell.tx.ins.as_mut().unwrap();
        inputs[0] = utxo_id_from_outpoint(nft_input);
        draft.proposal.previous.push(PreviousTx::new(&nft).unwrap());
        let encoded = draft.encode().unwrap();
        let new = NewSettlement {
            epoch: grail_types::Epoch(0),
            nft_input,
            draft: &encoded,
            items: &[],
            now: step.now(),
        };
        let id = step.tx.create_settlement(&new).await.unwrap();
        step.enqueue_proving(id).await.unwrap();
        ids.push(id);
    }
    step.commit().await.unwrap();
    ids
}

#[tokio::test]
async fn workers_of_two_processes_share_ten_settlements_and_prove_each_once() {
    let (w, gate, _end, first) = drafted().await;
    let mut ids = synthetic(&w.backend, 9).await;
    ids.push(first);
    let other = w.another().await;
    let workers = [worker(&w.backend), worker(&other)];
    for call in 0..10 {
        // Both are at it, never at the same one.
        let at_a_time = (10 - call).min(2);
        gate.until_waiting(at_a_time).await;
        let calls = gate.calls();
        let waiting: BTreeSet<_> = gate.waiting().iter().map(|call| calls[*call]).collect();
        assert_eq!(waiting.len(), at_a_time);
        gate.pass(call);
        // It waits until it notices, and must not be counted with those after it.
        eventually(async || !gate.waiting().contains(&call)).await;
    }
    eventually(async || states(&w).await == ["proven"; 10]).await;
    let calls: BTreeSet<_> = gate.calls().into_iter().collect();
    assert_eq!((calls.len(), gate.calls().len()), (10, 10));
    let mut proven_by = BTreeSet::new();
    for id in ids {
        let proven = record(&w, id).await;
        assert_eq!((proven.state, proven.attempts), (ProofState::Proven, 1));
        proven_by.insert(proven.worker.unwrap());
    }
    assert_eq!(
        proven_by,
        BTreeSet::from([w.backend.instance.clone(), other.instance.clone()])
    );
    for worker in workers {
        worker.abort();
    }
}

#[tokio::test]
async fn a_slow_proof_keeps_no_other_role_waiting_and_no_stop_either() {
    let gate = Gate::new();
    let _end = OpenAtEnd(Arc::clone(&gate));
    let w = World::with_prover(gate.clone()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let doors = run::Doors {
        admin: None,
        api: listener,
        metrics: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
        limits: grail_backend::api::Limits::default(),
        page: None,
    };
    let serving = tokio::spawn(run::serve(Arc::clone(&w.backend), doors));
    let first = w.ask_peg_in().await;
    w.chain.mine(vec![w.deposit(&first, DEPOSIT_SAT)]);
    gate.until_waiting(1).await;
    // Requests are made, blocks are read, deposits become ready.
    let second = w.ask_peg_in().await;
    w.chain.mine(vec![w.deposit(&second, DEPOSIT_SAT)]);
    eventually(async || w.standing(&second).await.0 == "ready").await;
    assert_eq!(w.standing(&first).await.0, "settling");
    w.backend.stop();
    let ended = tokio::time::timeout(PATIENCE, serving).await;
    ended.unwrap().unwrap().unwrap();
    assert_eq!(gate.waiting().len(), 1);
    let lease = w.lease(JobKind::Prove).await.unwrap();
    assert_eq!(lease.job.attempts, 1);
}

#[tokio::test]
async fn a_backend_that_stops_gives_its_job_back_for_anybody_to_take_at_once() {
    let (w, gate, _end, id) = drafted().await;
    let working = worker(&w.backend);
    gate.until_waiting(1).await;
    w.backend.stop();
    let ended = tokio::time::timeout(PATIENCE, working).await;
    ended.unwrap().unwrap().unwrap();
    assert_eq!(record(&w, id).await.state, ProofState::Queued);
    let mut reader = w.backend.store.read().await.unwrap();
    let jobs = reader.jobs_in_state(JobState::Ready, 0, 10).await.unwrap();
    assert_eq!(jobs.len(), 1);
    let kind = jobs[0].work.map(|work| work.kind());
    assert_eq!((kind, jobs[0].attempts), (Some(JobKind::Prove), 0));
    assert!(jobs[0].due_at <= clock::now());
    drop(reader);
    // A worker that starts now takes nothing; another process does.
    worker(&w.backend).await.unwrap().unwrap();
    let other = w.another().await;
    let working = worker(&other);
    gate.pass(1);
    eventually(async || states(&w).await == ["proven"]).await;
    assert_eq!(record(&w, id).await.attempts, 2);
    working.abort();
}

#[tokio::test]
async fn a_settlement_given_up_while_it_is_proven_takes_its_record_along() {
    let (w, gate, _end, id) = drafted().await;
    let lease = w.lease(JobKind::Prove).await.unwrap();
    let backend = Arc::clone(&w.backend);
    let working = tokio::spawn(async move {
        let outcome = work::perform(&backend, &lease).await;
        work::finish(&backend, &lease, outcome).await.unwrap();
    });
    gate.until_waiting(1).await;
    w.mine_empty(24).await;
    let code = AbandonCode::Cancelled;
    assert_eq!(
        w.settlement(id).await.state,
        SettlementState::Abandoned { code }
    );
    let given_up = record(&w, id).await;
    assert_eq!(given_up.state, ProofState::Abandoned);
    gate.pass(0);
    working.await.unwrap();
    assert_eq!(record(&w, id).await.state, ProofState::Abandoned);
    w.job_later(JobKind::Prove).await;
    assert_eq!(gate.calls().len(), 1);
    assert_eq!(w.open_jobs().await, [""; 0]);
    assert_eq!(w.alarms().await, [""; 0]);
}
