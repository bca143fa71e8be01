//! The record of proving: written by who holds the lease, kept ahead of the settlement's step,
//! found again by request.

use bitcoin::{Amount, TxOut};
use grail_flow::SettlementId;
use grail_store::{
    Enqueued, JobKind, Lease, NewAttempt, NewJob, NewProof, OP_RETURN_BYTES_MAX, ProofRecord,
    ProofState, StoreError, StoreTx, Work,
};

use crate::support::{
    NOW, add_deposit, code, create_settlement, item, new_store, outpoint, script,
};

const LEASE: u64 = 60;
const HASH: [u8; 32] = [7; 32];
const PROOF: NewProof<'_> = NewProof {
    op_return: b"spell and proof",
    fuel: 1_234_567,
    fee_output: None,
    duration_ms: 90_500,
};

/// A settlement of request number `seed`, with its proving job.
async fn queued(tx: &mut StoreTx, seed: u8) -> SettlementId {
    add_deposit(tx, seed).await;
    let id = create_settlement(tx, outpoint(50 + seed), &[item(seed)])
        .await
        .unwrap();
    let job = NewJob {
        work: Work::Prove { settlement: id },
        run_after: NOW,
        now: NOW,
    };
    let Enqueued::New(job) = tx.enqueue(&job).await.unwrap() else {
        panic!("expected a new job");
    };
    tx.queue_proof(id, job, NOW).await.unwrap();
    id
}

async fn lease(tx: &mut StoreTx, now: u64) -> Lease {
    tx.lease_job(JobKind::Prove, now, LEASE)
        .await
        .unwrap()
        .unwrap()
}

fn attempt(settlement: SettlementId) -> NewAttempt<'static> {
    NewAttempt {
        settlement,
        worker: "a1b2",
        prover: "mock",
        request_hash: &HASH,
        now: NOW + 1,
    }
}

async fn record(tx: &mut StoreTx, id: SettlementId) -> ProofRecord {
    tx.proof_record(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_record_follows_the_proving_from_queue_to_proof() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = queued(&mut tx, 1).await;
    let fresh = record(&mut tx, id).await;
    assert_eq!(
        (fresh.state, fresh.attempts, fresh.queued_at),
        (ProofState::Queued, 0, NOW)
    );
    let lease = lease(&mut tx, NOW).await;
    tx.begin_proof(&attempt(id), &lease).await.unwrap();
    let begun = record(&mut tx, id).await;
    assert_eq!((begun.state, begun.attempts), (ProofState::Proving, 1));
    assert_eq!(begun.started_at, Some(NOW + 1));
    assert_eq!(begun.worker.as_deref(), Some("a1b2"));
    assert_eq!(begun.request_hash, Some(HASH));
    assert_eq!(begun.due_at, NOW + LEASE);
    assert_eq!(tx.made_proof(&HASH, "mock").await.unwrap(), None);

    let fee_output = TxOut {
        value: Amount::from_sat(330),
        script_pubkey: script(9),
    };
    let proof = NewProof {
        fee_output: Some(&fee_output),
        ..PROOF
    };
    tx.keep_proof(id, &proof, &lease, NOW + 2).await.unwrap();
    let made = tx.made_proof(&HASH, "mock").await.unwrap().unwrap();
    assert_eq!((made.settlement, made.fuel), (id, PROOF.fuel));
    assert_eq!(made.op_return, PROOF.op_return);
    assert_eq!(made.fee_output.as_ref(), Some(&fee_output));
    assert_eq!(record(&mut tx, id).await.state, ProofState::Proving);

    tx.finish_proof(id, &HASH, "mock", NOW + 3).await.unwrap();
    let proven = record(&mut tx, id).await;
    assert_eq!(
        (proven.state, proven.is_reused),
        (ProofState::Proven, false)
    );
    assert_eq!(proven.finished_at, Some(NOW + 3));
    assert_eq!(proven.duration_ms, Some(PROOF.duration_ms));
    assert_eq!(
        (proven.fuel, proven.fee),
        (Some(PROOF.fuel), Some(fee_output.value))
    );
    // It has its end: nothing follows.
    for again in [
        tx.finish_proof(id, &HASH, "mock", NOW + 4).await,
        tx.fail_proof(id, "late", "", NOW + 4).await,
        tx.begin_proof(&attempt(id), &lease).await,
        tx.keep_proof(id, &PROOF, &lease, NOW + 4).await,
    ] {
        assert_eq!(code(again), "stale");
    }
    tx.abandon_proof(id, NOW + 4).await.unwrap();
    tx.requeue_proof(id, None).await.unwrap();
    assert_eq!(record(&mut tx, id).await, proven);
}

#[tokio::test]
async fn who_lost_the_lease_can_neither_begin_nor_keep_a_proof() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = queued(&mut tx, 1).await;
    let old = lease(&mut tx, NOW).await;
    tx.begin_proof(&attempt(id), &old).await.unwrap();
    let new = lease(&mut tx, NOW + LEASE).await;
    assert_eq!(
        code(tx.keep_proof(id, &PROOF, &old, NOW + LEASE).await),
        "stale"
    );
    assert_eq!(code(tx.begin_proof(&attempt(id), &old).await), "stale");
    assert_eq!(record(&mut tx, id).await.attempts, 1);
    assert_eq!(tx.made_proof(&HASH, "mock").await.unwrap(), None);
    tx.begin_proof(&attempt(id), &new).await.unwrap();
    assert_eq!(record(&mut tx, id).await.attempts, 2);
    tx.keep_proof(id, &PROOF, &new, NOW + LEASE).await.unwrap();
    // Nor does the lease of another settlement's job do.
    let other = queued(&mut tx, 2).await;
    assert_eq!(code(tx.begin_proof(&attempt(other), &new).await), "stale");
}

#[tokio::test]
async fn a_proof_is_found_by_request_and_kind_of_prover_and_taken_over_whole() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (first, second) = (queued(&mut tx, 1).await, queued(&mut tx, 2).await);
    let lease = lease(&mut tx, NOW).await;
    let fee_output = TxOut {
        value: Amount::from_sat(330),
        script_pubkey: script(9),
    };
    let proof = NewProof {
        fee_output: Some(&fee_output),
        ..PROOF
    };
    tx.begin_proof(&attempt(first), &lease).await.unwrap();
    tx.keep_proof(first, &proof, &lease, NOW).await.unwrap();
    assert_eq!(tx.made_proof(&[8; 32], "mock").await.unwrap(), None);
    assert_eq!(tx.made_proof(&HASH, "charms").await.unwrap(), None);
    let missing = tx.finish_proof(second, &HASH, "charms", NOW).await;
    assert_eq!(code(missing), "not-found");

    tx.finish_proof(second, &HASH, "mock", NOW).await.unwrap();
    let taken = record(&mut tx, second).await;
    assert_eq!(
        (taken.state, taken.is_reused, taken.attempts),
        (ProofState::Proven, true, 0)
    );
    assert_eq!((taken.duration_ms, taken.fuel), (None, Some(PROOF.fuel)));
    let totals = tx.proof_totals().await.unwrap();
    assert_eq!((totals.reused_count, totals.timed_count), (1, 1));
    // Its cost is not counted twice.
    assert_eq!((totals.fuel, totals.fee), (PROOF.fuel, fee_output.value));
    assert_eq!(taken.fee, Some(fee_output.value));

    // No good: neither the proof nor its copy is taken again.
    tx.forget_proof(second).await.unwrap();
    assert_eq!(tx.made_proof(&HASH, "mock").await.unwrap(), None);
}

#[tokio::test]
async fn attempts_without_verdict_are_counted_and_a_verdict_ends_them() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = queued(&mut tx, 1).await;
    let lease = lease(&mut tx, NOW).await;
    for expected in 1..=3 {
        tx.begin_proof(&attempt(id), &lease).await.unwrap();
        let away = Some(("prove-unavailable", "connection refused"));
        tx.requeue_proof(id, away).await.unwrap();
        let waiting = record(&mut tx, id).await;
        assert_eq!(
            (waiting.state, waiting.attempts),
            (ProofState::Queued, expected)
        );
        assert_eq!(waiting.error_code.as_deref(), Some("prove-unavailable"));
        let totals = tx.proof_totals().await.unwrap();
        assert_eq!(totals.interrupted_count, expected);
        assert_eq!(tx.proof_waiting_since().await.unwrap(), Some(NOW));
    }
    tx.begin_proof(&attempt(id), &lease).await.unwrap();
    assert_eq!(tx.proof_totals().await.unwrap().interrupted_count, 3);
    tx.fail_proof(id, "no-inputs", &"x".repeat(5_000), NOW + 9)
        .await
        .unwrap();
    let failed = record(&mut tx, id).await;
    assert_eq!(failed.state, ProofState::Failed);
    assert_eq!(failed.error_text.unwrap().len(), 1_000);
    let totals = tx.proof_totals().await.unwrap();
    assert_eq!(totals.interrupted_count, 3);
    assert_eq!(tx.proof_waiting_since().await.unwrap(), None);
    assert_eq!(totals.by_state, [("failed".to_owned(), 1)]);
}

#[tokio::test]
async fn a_proof_larger_than_a_transaction_is_refused_and_numbers_are_cut() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = queued(&mut tx, 1).await;
    let lease = lease(&mut tx, NOW).await;
    tx.begin_proof(&attempt(id), &lease).await.unwrap();
    let keep = async |tx: &mut StoreTx, length: usize| -> Result<(), StoreError> {
        let proof = NewProof {
            op_return: &vec![0; length],
            fuel: u64::MAX,
            duration_ms: u64::MAX,
            ..PROOF
        };
        tx.keep_proof(id, &proof, &lease, NOW).await
    };
    assert_eq!(
        code(keep(&mut tx, OP_RETURN_BYTES_MAX + 1).await),
        "out-of-range"
    );
    keep(&mut tx, OP_RETURN_BYTES_MAX).await.unwrap();
    let made = tx.made_proof(&HASH, "mock").await.unwrap().unwrap();
    assert_eq!(made.fuel, u64::try_from(i64::MAX).unwrap());
    let long = "k".repeat(65);
    let named = NewAttempt {
        prover: &long,
        ..attempt(id)
    };
    assert_eq!(code(tx.begin_proof(&named, &lease).await), "out-of-range");
}

#[tokio::test]
async fn the_next_proof_is_expected_to_take_what_the_middle_one_took() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.proof_estimate_ms("mock").await.unwrap(), None);
    for (seed, duration_ms) in (1..).zip([10, 1_000_000, 20, 30]) {
        let id = queued(&mut tx, seed).await;
        let lease = lease(&mut tx, NOW).await;
        let hash = [seed; 32];
        let attempt = NewAttempt {
            request_hash: &hash,
            ..attempt(id)
        };
        tx.begin_proof(&attempt, &lease).await.unwrap();
        let proof = NewProof {
            duration_ms,
            ..PROOF
        };
        tx.keep_proof(id, &proof, &lease, NOW).await.unwrap();
        tx.finish_proof(id, &hash, "mock", NOW).await.unwrap();
    }
    // One that hung for long does not spoil it.
    assert_eq!(tx.proof_estimate_ms("mock").await.unwrap(), Some(30));
    assert_eq!(tx.proof_estimate_ms("charms").await.unwrap(), None);
}

#[tokio::test]
async fn proofs_are_listed_newest_first_by_state_and_page() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let mut ids = Vec::new();
    for seed in 1..=3 {
        ids.push(queued(&mut tx, seed).await);
    }
    tx.abandon_proof(ids[1], NOW).await.unwrap();
    let list = async |tx: &mut StoreTx, state, before, limit| -> Vec<SettlementId> {
        let rows = tx.proofs_newest_first(state, before, limit).await.unwrap();
        assert!(
            rows.iter()
                .all(|row| row.request_count == 1 && row.txid.is_none())
        );
        rows.into_iter().map(|row| row.record.settlement).collect()
    };
    assert_eq!(list(&mut tx, None, None, 9).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(&mut tx, None, Some(ids[2].0), 1).await, [ids[1]]);
    let queued = Some(ProofState::Queued);
    assert_eq!(list(&mut tx, queued, None, 9).await, [ids[2], ids[0]]);
    assert_eq!(
        list(&mut tx, Some(ProofState::Abandoned), None, 9).await,
        [ids[1]]
    );
}

sqlite_alone! {
/// The database as a version without records of proving left it.
async fn downgrade(store: &crate::support::TestStore) {
    store.close().await;
    for sql in [
        "DROP TABLE proofs",
        "DELETE FROM _sqlx_migrations WHERE version = 3",
    ] {
        crate::support::run(store, sql).await.unwrap();
    }
}

#[tokio::test]
async fn drafts_from_before_records_wait_for_their_proof_after_the_upgrade() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (draft, proven) = (queued(&mut tx, 1).await, queued(&mut tx, 2).await);
    crate::support::move_settlement(&mut tx, proven, grail_flow::SettlementState::Proven {})
        .await
        .unwrap();
    tx.commit().await.unwrap();
    downgrade(&store).await;

    let again = grail_store::Store::open(&store.url).await.unwrap();
    let mut tx = again.begin().await.unwrap();
    assert_eq!(tx.proof_record(proven).await.unwrap(), None);
    let upgraded = record(&mut tx, draft).await;
    assert_eq!(
        (upgraded.state, upgraded.attempts, upgraded.queued_at),
        (ProofState::Queued, 0, NOW)
    );
    let lease = lease(&mut tx, NOW).await;
    tx.begin_proof(&attempt(draft), &lease).await.unwrap();
}
}
