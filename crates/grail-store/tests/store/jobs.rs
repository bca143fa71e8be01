//! Jobs: once by key, one holder at a time, dead ones out of the way.

use grail_flow::{Alarm, SettlementId};
use grail_store::{
    ATTEMPTS_MAX, BACKOFF_MAX_SECONDS, Enqueued, Failed, JobId, JobKind, JobState, NewJob, StoreTx,
    Work,
};

use crate::support::{NONE_OPEN, NOW, code, dead_job, new_store, run};

const LEASE: u64 = 60;
const PROVE: JobKind = JobKind::Prove;

/// A proof of settlement number `number`.
fn proof(number: u64) -> Work {
    Work::Prove {
        settlement: SettlementId(number),
    }
}

async fn put(tx: &mut StoreTx, work: Work) -> Enqueued {
    put_for(tx, work, NOW).await
}

async fn put_for(tx: &mut StoreTx, work: Work, run_after: u64) -> Enqueued {
    let job = NewJob {
        work,
        run_after,
        now: NOW,
    };
    tx.enqueue(&job).await.unwrap()
}

#[tokio::test]
async fn a_key_makes_one_job_even_after_it_is_done() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let Enqueued::New(id) = put(&mut tx, proof(1)).await else {
        panic!("expected a new job");
    };
    assert_eq!(put(&mut tx, proof(1)).await, Enqueued::Existing(id));
    let lease = tx.lease_job(PROVE, NOW, LEASE).await.unwrap().unwrap();
    assert_eq!(lease.job.work, Some(proof(1)));
    assert_eq!(lease.job.attempts, 1);
    tx.complete_job(id, lease.token, NOW).await.unwrap();
    assert_eq!(put(&mut tx, proof(1)).await, Enqueued::Existing(id));
    assert_eq!(tx.lease_job(PROVE, NOW + 999, LEASE).await.unwrap(), None);
    let job = tx.job_by_key("prove:1:0").await.unwrap().unwrap();
    assert_eq!((job.id, job.state), (id, JobState::Done));
}

#[tokio::test]
async fn jobs_of_a_newer_process_are_listed_and_left_to_it() {
    let store = new_store().await;
    for row in [
        "INSERT INTO jobs VALUES (1, 'rotate', 'rotate:1:0', '{\"epoch\":2}', 'ready', 0, 5, 0, NULL, 5, 5)",
        "INSERT INTO jobs VALUES (2, 'prove', 'prove:1:0', '{\"v\":9}', 'ready', 0, 5, 0, NULL, 5, 5)",
    ] {
        run(&store, row).await.unwrap();
    }
    let mut tx = store.begin().await.unwrap();
    for kind in JobKind::ALL {
        let lease = tx.lease_job(*kind, NOW, LEASE).await.unwrap();
        assert_eq!(lease.is_some(), *kind == PROVE, "{kind}");
        assert!(lease.is_none_or(|lease| lease.job.work.is_none()));
    }
    let waiting = tx.jobs_in_state(JobState::Ready, 0, 10).await.unwrap();
    assert_eq!(waiting[0].idempotency_key, "rotate:1:0");
    assert_eq!(waiting[0].work, None);
}

#[tokio::test]
async fn a_job_put_in_by_a_step_that_failed_does_not_exist() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put(&mut tx, proof(1)).await;
    drop(tx);
    assert_eq!(store.lease_job(PROVE, NOW, LEASE).await.unwrap(), None);
}

#[tokio::test]
async fn a_job_is_leased_by_one_at_a_time_in_order_of_due_time() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put_for(&mut tx, proof(3), NOW + 10).await;
    put(&mut tx, proof(1)).await;
    put(&mut tx, proof(2)).await;
    let ask = Work::Ask {
        settlement: SettlementId(1),
        round: 1,
    };
    put(&mut tx, ask).await;
    tx.commit().await.unwrap();
    let mut keys = Vec::new();
    while let Some(lease) = store.lease_job(PROVE, NOW, LEASE).await.unwrap() {
        keys.push(lease.job.idempotency_key);
    }
    assert_eq!(keys, ["prove:1:0", "prove:2:0"]);
    let due = store.read().await.unwrap().next_job_due_at(PROVE).await;
    assert_eq!(due.unwrap(), Some(NOW + 10));
    let late = store.lease_job(PROVE, NOW + 10, LEASE).await.unwrap();
    assert_eq!(late.unwrap().job.idempotency_key, "prove:3:0");
    let due = store
        .read()
        .await
        .unwrap()
        .next_job_due_at(JobKind::Publish)
        .await;
    assert_eq!(due.unwrap(), None);
}

#[tokio::test]
async fn a_lease_ends_at_its_time_and_its_token_is_void_from_the_next_lease_on() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put(&mut tx, proof(1)).await;
    let old = tx.lease_job(PROVE, NOW, LEASE).await.unwrap().unwrap();
    let id = old.job.id;
    assert_eq!(
        tx.lease_job(PROVE, NOW + LEASE - 1, LEASE).await.unwrap(),
        None
    );
    let new = tx
        .lease_job(PROVE, NOW + LEASE, LEASE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((new.job.id, new.job.attempts), (id, 2));
    assert!(new.token > old.token);

    let now = NOW + LEASE;
    assert_eq!(code(tx.complete_job(id, old.token, now).await), "stale");
    assert_eq!(code(tx.fail_job(id, old.token, "", now).await), "stale");
    assert_eq!(
        code(tx.defer_job(id, old.token, "", now, now).await),
        "stale"
    );
    assert_eq!(code(tx.poison_job(id, old.token, "", now).await), "stale");
    assert_eq!(
        code(tx.extend_lease(id, old.token, now, LEASE).await),
        "stale"
    );

    tx.extend_lease(id, new.token, now, 2 * LEASE)
        .await
        .unwrap();
    assert_eq!(tx.lease_job(PROVE, now + LEASE, LEASE).await.unwrap(), None);
    tx.complete_job(id, new.token, now).await.unwrap();
    // Done is done: the same token does not end it twice.
    assert_eq!(code(tx.complete_job(id, new.token, now).await), "stale");
    assert_eq!(code(tx.fail_job(JobId(99), 1, "", now).await), "not-found");
}

#[tokio::test]
async fn a_job_completes_with_its_step_or_is_leased_again() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put(&mut tx, proof(1)).await;
    tx.commit().await.unwrap();
    let lease = store.lease_job(PROVE, NOW, LEASE).await.unwrap().unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.raise_alarm(&Alarm::EventLoop, NOW).await.unwrap();
    tx.complete_job(lease.job.id, lease.token, NOW)
        .await
        .unwrap();
    drop(tx); // the process ends here
    let again = store.lease_job(PROVE, NOW + LEASE, LEASE).await.unwrap();
    assert_eq!(again.unwrap().job.id, lease.job.id);
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.open_alarms().await.unwrap(), NONE_OPEN);
}

#[tokio::test]
async fn a_failing_job_waits_longer_and_longer_then_is_dead_and_blocks_nobody() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put(&mut tx, proof(1)).await;
    let mut now = NOW;
    let mut waits = Vec::new();
    let id = loop {
        let lease = tx.lease_job(PROVE, now, LEASE).await.unwrap().unwrap();
        match tx
            .fail_job(lease.job.id, lease.token, "boom", now)
            .await
            .unwrap()
        {
            Failed::Retry { run_after } => {
                assert_eq!(
                    tx.lease_job(PROVE, run_after - 1, LEASE).await.unwrap(),
                    None
                );
                waits.push(run_after - now);
                now = run_after;
            }
            Failed::Dead => break lease.job.id,
        }
    };
    assert_eq!(waits.len() as u64, ATTEMPTS_MAX - 1);
    assert!(waits[0] <= 2);
    assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX_SECONDS));
    assert!(waits.last().unwrap() >= &(BACKOFF_MAX_SECONDS / 2));
    let dead = tx.jobs_in_state(JobState::Dead, 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].id, dead[0].last_error.as_deref()),
        (id, Some("boom"))
    );

    put(&mut tx, proof(2)).await;
    let lease = tx.lease_job(PROVE, now, LEASE).await.unwrap().unwrap();
    assert_eq!(lease.job.idempotency_key, "prove:2:0");

    tx.revive_job(id, now).await.unwrap();
    assert_eq!(code(tx.revive_job(id, now).await), "not-found");
    let lease = tx.lease_job(PROVE, now, LEASE).await.unwrap().unwrap();
    assert_eq!((lease.job.id, lease.job.attempts), (id, 1));
}

#[tokio::test]
async fn a_job_that_ends_its_worker_each_time_is_dead_in_the_end() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put(&mut tx, proof(1)).await;
    put_for(&mut tx, proof(2), NOW + 1_000 * LEASE).await;
    let mut now = NOW;
    for _ in 0..ATTEMPTS_MAX {
        let lease = tx.lease_job(PROVE, now, LEASE).await.unwrap().unwrap();
        assert_eq!(lease.job.idempotency_key, "prove:1:0");
        now += LEASE; // nobody tells how it ended
    }
    now = NOW + 1_000 * LEASE;
    let lease = tx.lease_job(PROVE, now, LEASE).await.unwrap().unwrap();
    assert_eq!(lease.job.idempotency_key, "prove:2:0");
    let dead = tx.jobs_in_state(JobState::Dead, 0, 10).await.unwrap();
    assert_eq!(dead[0].idempotency_key, "prove:1:0");
    assert!(dead[0].last_error.is_some());
}

#[tokio::test]
async fn poison_is_dead_at_once_and_deferring_costs_no_attempt() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    put(&mut tx, proof(1)).await;
    let lease = tx.lease_job(PROVE, NOW, LEASE).await.unwrap().unwrap();
    let error = "é".repeat(5_000);
    tx.poison_job(lease.job.id, lease.token, &error, NOW)
        .await
        .unwrap();
    let job = tx.job(lease.job.id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.last_error.unwrap().chars().count(), 1_000);

    put(&mut tx, proof(2)).await;
    for turn in 0..2 * ATTEMPTS_MAX {
        let now = NOW + turn;
        let lease = tx.lease_job(PROVE, now, LEASE).await.unwrap().unwrap();
        assert_eq!(lease.job.attempts, 1);
        tx.defer_job(lease.job.id, lease.token, "node is down", now + 1, now)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn extremes_are_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let job = NewJob {
        work: proof(1),
        run_after: u64::MAX,
        now: NOW,
    };
    assert_eq!(code(tx.enqueue(&job).await), "out-of-range");
    put(&mut tx, proof(1)).await;
    assert_eq!(
        code(tx.lease_job(PROVE, NOW, u64::MAX).await),
        "out-of-range"
    );
    assert_eq!(tx.job(JobId(u64::MAX)).await.unwrap(), None);
}

#[tokio::test]
async fn many_workers_of_two_processes_do_each_job_once() {
    const JOBS: u64 = 30;
    let first = new_store().await;
    let second = grail_store::Store::open(&first.url).await.unwrap();
    let mut tx = first.begin().await.unwrap();
    for number in 0..JOBS {
        put(&mut tx, proof(number)).await;
    }
    tx.commit().await.unwrap();
    let workers: Vec<_> = (0..6)
        .map(|number| {
            let store = if number % 2 == 0 {
                first.store.clone()
            } else {
                second.clone()
            };
            tokio::spawn(async move {
                while let Some(lease) = store.lease_job(PROVE, NOW, LEASE).await.unwrap() {
                    let mut tx = store.begin().await.unwrap();
                    tx.raise_alarm(&dead_job(&lease.job.idempotency_key), NOW)
                        .await
                        .unwrap();
                    tx.complete_job(lease.job.id, lease.token, NOW)
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut reader = first.read().await.unwrap();
    let mut done: Vec<_> = reader
        .alarms(0, 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|alarm| alarm.details)
        .collect();
    assert_eq!(done.len() as u64, JOBS);
    done.sort();
    done.dedup();
    assert_eq!(done.len() as u64, JOBS);
}
