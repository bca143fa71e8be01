//! What people asked for by hand, and what stands of it.

use grail_flow::{Alarm, SettlementId};
use grail_store::{
    AdminAction, AlarmScope, Enqueued, JobId, JobKind, JobState, NewAction, NewJob,
    REASON_CHARS_MAX, Work,
};

use crate::support::{NOW, code, dead_job, new_store, run};

fn action(action: AdminAction, reason: Option<&str>, now: u64) -> NewAction<'_> {
    NewAction {
        action,
        subject: "",
        reason,
        uid: 1_000,
        now,
    }
}

#[tokio::test]
async fn actions_are_listed_newest_first_in_pages() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seconds in 0..5 {
        let new = NewAction {
            subject: "settlement:7",
            ..action(AdminAction::Cancel, Some("a\ntest"), NOW + seconds)
        };
        let id = tx.record_action(&new).await.unwrap();
        assert_eq!(id, seconds + 1);
    }
    let first = tx.admin_actions(None, 2).await.unwrap();
    assert_eq!([first[0].id, first[1].id], [5, 4]);
    assert_eq!((first[0].uid, first[0].at), (1_000, NOW + 4));
    assert_eq!(first[0].action, "cancel");
    assert_eq!(first[0].subject, "settlement:7");
    // No line of a log can be forged.
    assert_eq!(first[0].reason.as_deref(), Some("a\u{fffd}test"));
    let rest = tx.admin_actions(Some(4), 1_000).await.unwrap();
    let rest: Vec<_> = rest.iter().map(|action| action.id).collect();
    assert_eq!(rest, [3, 2, 1]);
}

#[tokio::test]
async fn a_reason_that_is_too_long_is_refused_and_not_cut() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let fits = "é".repeat(REASON_CHARS_MAX);
    let new = action(AdminAction::Pause, Some(&fits), NOW);
    tx.record_action(&new).await.unwrap();
    let long = format!("{fits}.");
    let new = action(AdminAction::Pause, Some(&long), NOW);
    assert_eq!(code(tx.record_action(&new).await), "out-of-range");
}

#[tokio::test]
async fn one_pause_stands_at_a_time_and_is_the_one_that_was_asked_for() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.pause().await.unwrap(), None);
    assert_eq!(code(tx.end_pause().await), "stale");
    let new = action(AdminAction::Pause, Some("moving house"), NOW);
    let id = tx.record_action(&new).await.unwrap();
    tx.begin_pause(id).await.unwrap();
    assert_eq!(code(tx.begin_pause(id).await), "stale");
    tx.commit().await.unwrap();
    let paused = store.read().await.unwrap().pause().await.unwrap().unwrap();
    assert_eq!((paused.id, paused.at), (id, NOW));
    assert_eq!(paused.reason.as_deref(), Some("moving house"));
    let mut tx = store.begin().await.unwrap();
    tx.end_pause().await.unwrap();
    assert_eq!(tx.pause().await.unwrap(), None);
}

#[tokio::test]
async fn blocks_are_asked_to_be_read_again_once_at_a_time() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.rescan_from().await.unwrap(), None);
    assert_eq!(code(tx.begin_rescan().await), "stale");
    let new = action(AdminAction::Rescan, None, NOW);
    let id = tx.record_action(&new).await.unwrap();
    tx.ask_rescan(id, 7).await.unwrap();
    assert_eq!(code(tx.ask_rescan(id, 8).await), "stale");
    assert_eq!(tx.rescan_from().await.unwrap(), Some(7));
    tx.begin_rescan().await.unwrap();
    assert_eq!(tx.rescan_from().await.unwrap(), None);
}

#[tokio::test]
async fn the_schema_refuses_controls_that_nobody_asked_for() {
    let store = new_store().await;
    for sql in [
        "INSERT INTO controls (name, action) VALUES ('pause', 1)",
        "INSERT INTO controls (name, action) VALUES ('other', 1)",
        "INSERT INTO controls (name, action, from_height) VALUES ('pause', 1, 7)",
        "INSERT INTO controls (name, action) VALUES ('rescan', 1)",
    ] {
        assert!(run(&store, sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_discarded_job_is_never_done_revived_or_put_in_again() {
    let store = new_store().await;
    let work = Work::Prove {
        settlement: SettlementId(7),
    };
    let new = NewJob {
        work,
        run_after: NOW,
        now: NOW,
    };
    let mut tx = store.begin().await.unwrap();
    tx.enqueue(&new).await.unwrap();
    let lease = tx
        .lease_job(JobKind::Prove, NOW, 60)
        .await
        .unwrap()
        .unwrap();
    let id = lease.job.id;
    let left = tx.jobs_left(0, 10).await.unwrap();
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
    tx.discard_job(id, "not wanted", NOW + 1).await.unwrap();
    // Whoever is at it finds that it is his no more.
    let ended = tx.complete_job(id, lease.token, NOW + 2).await;
    assert_eq!(code(ended), "stale");
    assert_eq!(code(tx.revive_job(id, NOW + 2).await), "not-found");
    assert_eq!(code(tx.discard_job(id, "again", NOW).await), "stale");
    assert_eq!(code(tx.discard_job(JobId(99), "none", NOW).await), "stale");
    assert_eq!(tx.enqueue(&new).await.unwrap(), Enqueued::Existing(id));
    let later = tx.lease_job(JobKind::Prove, NOW + 1_000, 60).await.unwrap();
    assert_eq!(later, None);
    assert_eq!(tx.jobs_left(0, 10).await.unwrap(), []);
    let job = tx.job(id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Done);
    assert_eq!(job.last_error.as_deref(), Some("not wanted"));
}

#[tokio::test]
async fn alarms_are_listed_newest_first_and_open_ones_alone_where_asked() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for key in ["a", "b", "c"] {
        tx.raise_alarm(&dead_job(key), NOW).await.unwrap();
    }
    tx.raise_alarm(&Alarm::EventLoop, NOW).await.unwrap();
    tx.acknowledge_alarm(2, NOW).await.unwrap();
    let listed = async |tx: &mut grail_store::StoreTx, scope, before, limit| -> Vec<u64> {
        let alarms = tx.newest_alarms(scope, before, limit).await.unwrap();
        alarms.iter().map(|alarm| alarm.id).collect()
    };
    let all = listed(&mut tx, AlarmScope::All, None, 3).await;
    assert_eq!(all, [4, 3, 2]);
    let all = listed(&mut tx, AlarmScope::All, Some(2), 3).await;
    assert_eq!(all, [1]);
    let open = listed(&mut tx, AlarmScope::Open, None, 9).await;
    assert_eq!(open, [4, 3, 1]);
    let counts = tx.open_alarms_by_code().await.unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|(code, count)| (code.name(), *count))
        .collect();
    assert_eq!(counts, [("dead-job", 2), ("event-loop", 1)]);
}
