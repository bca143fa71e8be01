//! What a person may ask for by hand: what it does, what it never does, and to whom it is refused.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use grail_backend::{
    admin::{
        self, Door, ask, perform,
        protocol::{
            ActionRow, AdminCode, Answer, Part, REQUEST_BYTES_MAX, Refusal, Request, Standing,
        },
    },
    clock,
    roles::{build::Built, scan::Scanner},
};
use grail_flow::{AbandonCode, Alarm, SettlementId, SettlementState};
use grail_store::JobKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    users::DEPOSIT_SAT,
    world::{QUORUM, World, settlement_id},
};

/// A user of this machine.
const UID: u32 = 1_234;
const CANCELLED: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Cancelled,
};

fn reason() -> admin::protocol::Reason {
    "a test".parse().unwrap()
}

async fn told(w: &World, request: Request) -> Answer {
    perform(&w.backend, UID, request).await.unwrap()
}

async fn refused(w: &World, request: Request) -> AdminCode {
    let before = log(w).await;
    let refusal = perform(&w.backend, UID, request).await.unwrap_err();
    assert!(!refusal.detail.is_empty());
    assert_eq!(log(w).await, before, "what is refused leaves no trace");
    refusal.code
}

async fn pause(w: &World) {
    told(w, Request::Pause { reason: reason() }).await;
}

fn cancel(id: SettlementId) -> Request {
    Request::Cancel {
        settlement: id.0,
        reason: reason(),
    }
}

fn part(from: Option<u64>) -> Part {
    Part { from, limit: 200 }
}

async fn log(w: &World) -> Vec<ActionRow> {
    match told(w, Request::Log { part: part(None) }).await {
        Answer::Log(listed) => listed.items,
        other => panic!("{other:?}"),
    }
}

async fn standing(w: &World) -> Standing {
    match told(w, Request::Status {}).await {
        Answer::Status(standing) => standing,
        other => panic!("{other:?}"),
    }
}

async fn newest(w: &World) -> SettlementId {
    w.settlements().await.pop().unwrap().id
}

#[tokio::test]
async fn a_pause_plans_nothing_and_lets_go_on_what_was_planned() {
    let mut w = World::new().await;
    let first = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let second = w.ask_peg_in().await;
    pause(&w).await;
    let again = Request::Pause { reason: reason() };
    assert_eq!(refused(&w, again).await, AdminCode::AlreadyPaused);
    w.mine(vec![w.deposit(&second, DEPOSIT_SAT)]).await;
    assert_eq!(w.build().await, Built::Hold);
    // What operators were asked about is signed, published, mined and final; deposits are seen.
    w.sign_and_publish(&ask).await;
    assert_eq!(w.build().await, Built::Hold);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&first[0].0).await, ("paid", None));
    assert_eq!(w.standing(&second).await, ("ready", None));
    w.crash().await;
    assert_eq!(w.build().await, Built::Hold);
    let paused = standing(&w).await.paused.unwrap();
    assert_eq!(
        (paused.uid, paused.reason.as_deref()),
        (UID, Some("a test"))
    );

    told(&w, Request::Resume { reason: None }).await;
    let again = Request::Resume { reason: None };
    assert_eq!(refused(&w, again).await, AdminCode::NotPaused);
    assert_eq!(standing(&w).await.paused, None);
    w.settle().await;
    assert_eq!(w.standing(&second).await.0, "settling");
}

#[tokio::test]
async fn a_paused_bridge_publishes_again_what_the_mempool_lost() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (id, _) = w.settle().await;
    pause(&w).await;
    w.chain.clear_mempool();
    w.look().await;
    assert!(w.job(JobKind::Publish).await);
    w.mine_mempool().await;
    assert_eq!(w.settlement(id).await.state.name(), "confirmed");
}

#[tokio::test]
async fn what_nobody_signed_is_called_off_and_its_requests_are_planned_anew() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    let draft = newest(&w).await;
    told(&w, cancel(draft)).await;
    assert_eq!(w.settlement(draft).await.state, CANCELLED);
    assert_eq!(w.standing(&requests[0].0).await, ("ready", None));
    // Its job finds nothing to do.
    w.jobs().await;
    assert_eq!(refused(&w, cancel(draft)).await, AdminCode::SettlementEnded);

    let ask = w.ask_operators().await;
    let asked = settlement_id(&ask);
    told(&w, cancel(asked)).await;
    assert_eq!(w.settlement(asked).await.state, CANCELLED);
    w.settle().await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn what_may_be_mined_is_not_called_off_and_the_code_says_why() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    assert_eq!(
        refused(&w, cancel(SettlementId(99))).await,
        AdminCode::NotFound
    );
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.sign(&ask, &QUORUM).await;
    w.answered(id).await;
    assert_eq!(refused(&w, cancel(id)).await, AdminCode::SettlementSigned);
    w.jobs().await;
    assert_eq!(
        refused(&w, cancel(id)).await,
        AdminCode::SettlementPublished
    );
    w.mine_mempool().await;
    assert_eq!(refused(&w, cancel(id)).await, AdminCode::SettlementMined);
    w.mine_empty(1).await;
    assert_eq!(refused(&w, cancel(id)).await, AdminCode::SettlementMined);
    assert_eq!(w.settlement(id).await.state.name(), "final");
}

fn discard(job: u64) -> Request {
    Request::DiscardJob {
        job,
        reason: reason(),
    }
}

async fn jobs(w: &World) -> Vec<(u64, String)> {
    match told(w, Request::Jobs { part: part(None) }).await {
        Answer::Jobs(listed) => {
            let jobs = listed.items.into_iter();
            jobs.map(|job| (job.id, job.key)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_discarded_job_is_over_with_its_alarm_and_is_not_tried_again() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    let (job, key) = jobs(&w).await.pop().unwrap();
    assert_eq!(key, format!("prove:{}:0", newest(&w).await));
    let mut tx = w.backend.store.begin().await.unwrap();
    let alarm = Alarm::DeadJob {
        job: key,
        error: "a test".to_owned(),
    };
    tx.raise_alarm(&alarm, clock::now()).await.unwrap();
    tx.commit().await.unwrap();
    told(&w, discard(job)).await;
    assert_eq!(w.alarms().await, [""; 0]);
    assert_eq!(jobs(&w).await, []);
    assert!(!w.job(JobKind::Prove).await);
    w.look().await;
    assert!(!w.job(JobKind::Prove).await);
    assert_eq!(refused(&w, discard(job)).await, AdminCode::JobEnded);
    assert_eq!(refused(&w, discard(99)).await, AdminCode::NotFound);
    // What is left of it is called off like any other.
    told(&w, cancel(newest(&w).await)).await;
    w.settle().await;
}

#[tokio::test]
async fn the_job_that_publishes_what_is_signed_is_not_discarded() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    let all = jobs(&w).await;
    let (job, _) = all
        .iter()
        .find(|(_, key)| key.starts_with("publish"))
        .unwrap();
    assert_eq!(refused(&w, discard(*job)).await, AdminCode::JobNeeded);
    assert!(w.job(JobKind::Publish).await);
}

#[tokio::test]
async fn an_alarm_is_acknowledged_once_with_a_reason_and_listed_newest_first() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let mut tx = w.backend.store.begin().await.unwrap();
    tx.raise_alarm(&Alarm::EventLoop, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(w.build().await, Built::Hold);
    let acknowledge = || Request::Acknowledge {
        alarm: 1,
        reason: reason(),
    };
    told(&w, acknowledge()).await;
    assert_eq!(refused(&w, acknowledge()).await, AdminCode::AlarmNotOpen);
    assert_eq!(w.build().await, Built::Draft);
    for (all, count) in [(false, 0), (true, 1)] {
        let request = Request::Alarms {
            all,
            part: part(None),
        };
        match told(&w, request).await {
            Answer::Alarms(listed) => assert_eq!(listed.items.len(), count),
            other => panic!("{other:?}"),
        }
    }
}

fn rescan(from_height: u32) -> Request {
    Request::Rescan {
        from_height,
        reason: None,
    }
}

#[tokio::test]
async fn blocks_are_read_again_and_everything_is_as_it_was() {
    let w = World::new().await;
    let paid = w.ready_peg_ins(2).await;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let waiting = w.ready_peg_ins(1).await;
    let tip = w.tip_height().await;
    assert_eq!(
        refused(&w, rescan(tip + 1)).await,
        AdminCode::RescanAboveTip
    );
    let totals = async || {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.vault_totals().await.unwrap()
    };
    let before = totals().await;
    let start = w.backend.deployment.start_height;
    for from in [tip, 2, start] {
        told(&w, rescan(from)).await;
        assert_eq!(refused(&w, rescan(from)).await, AdminCode::RescanPending);
        assert_eq!(standing(&w).await.rescan_from, Some(from));
        let mut scanner = Scanner::new(&w.backend);
        scanner.rescan().await.unwrap();
        assert_eq!(standing(&w).await.rescan_from, None);
        let height = standing(&w).await.height;
        assert_eq!(height, from.checked_sub(1).filter(|_| from > start));
        w.look().await;
        w.jobs().await;
        assert_eq!(w.tip_height().await, tip);
        for (asked, _) in &paid {
            assert_eq!(w.standing(asked).await, ("paid", None));
            assert_eq!(w.paid_count(asked).await, 1);
        }
        assert_eq!(w.standing(&waiting[0].0).await, ("ready", None));
        assert_eq!(totals().await, before);
        assert_eq!(w.alarms().await, [""; 0]);
    }
    // And the bridge goes on.
    w.settle().await;
}

#[tokio::test]
async fn the_log_says_who_did_what_when_and_why() {
    let w = World::new().await;
    let since = clock::now();
    pause(&w).await;
    told(&w, Request::Resume { reason: None }).await;
    told(&w, rescan(1)).await;
    let log = log(&w).await;
    let actions: Vec<_> = log
        .iter()
        .map(|row| (row.id, row.action.as_str()))
        .collect();
    assert_eq!(actions, [(3, "rescan"), (2, "resume"), (1, "pause")]);
    assert!(log.iter().all(|row| row.uid == UID && row.at >= since));
    assert_eq!(log[0].subject, "height:1");
    assert_eq!(log[2].reason.as_deref(), Some("a test"));
    let one = Part {
        from: None,
        limit: 1,
    };
    match told(&w, Request::Log { part: one }).await {
        Answer::Log(listed) => {
            assert_eq!(listed.next, Some(3));
            let rest = part(listed.next);
            match told(&w, Request::Log { part: rest }).await {
                Answer::Log(listed) => assert_eq!((listed.items.len(), listed.next), (2, None)),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
    for limit in [0, 201] {
        let part = Part { from: None, limit };
        let code = refused(&w, Request::Log { part }).await;
        assert_eq!(code, AdminCode::BadRequest);
    }
}

/// A world with its socket, which answers.
struct Served {
    w: World,
    path: PathBuf,
    _folder: tempfile::TempDir,
    serving: tokio::task::JoinHandle<()>,
}

async fn served(users: Option<&[u32]>) -> Served {
    let (w, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("grail.db.admin.sock");
    let mut door = Door::open(&path).await.unwrap();
    if let Some(users) = users {
        door = door.for_users(users);
    }
    let serving = tokio::spawn(door.serve(Arc::clone(&w.backend)));
    Served {
        w,
        path,
        _folder: folder,
        serving,
    }
}

/// Bytes as they are, and what is answered.
async fn say(path: &Path, bytes: &[u8]) -> Answer {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn code(answer: &Answer) -> AdminCode {
    match answer {
        Answer::Refused(Refusal { code, .. }) => *code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_answers_one_request_each() {
    let served = served(None).await;
    let mode = std::fs::metadata(&served.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = ask(&served.path, &Request::Status {}).await.unwrap();
    assert!(matches!(answer, Answer::Status(_)), "{answer:?}");
    let pause = Request::Pause { reason: reason() };
    let answer = ask(&served.path, &pause).await.unwrap();
    assert!(
        matches!(answer, Answer::Done { action: 1, .. }),
        "{answer:?}"
    );
    assert_eq!(served.w.build().await, Built::Hold);
    // By the kernel's word.
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    assert_eq!(log(&served.w).await[0].uid, own);
}

#[tokio::test]
async fn a_stranger_is_refused_before_he_is_heard_and_changes_nothing() {
    let served = served(Some(&[4_000_000])).await;
    let pause = Request::Pause { reason: reason() };
    let answer = ask(&served.path, &pause).await.unwrap();
    assert_eq!(code(&answer), AdminCode::NotAllowed);
    assert_eq!(log(&served.w).await, []);
    assert_eq!(standing(&served.w).await.paused, None);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_one_is_answered() {
    let served = served(None).await;
    let path = &served.path;
    // Who only looks whether somebody is there.
    drop(UnixStream::connect(path).await.unwrap());
    for wrong in [
        b"\n".to_vec(),
        b"{}\n".to_vec(),
        b"{\"ask\":\"sign\"}\n".to_vec(),
        b"{\"ask\":\"status\"}".to_vec(),
        b"{\"ask\":\"pause\",\"reason\":\"\"}\n".to_vec(),
        vec![b' '; REQUEST_BYTES_MAX + 1],
        vec![0xff; 100],
    ] {
        assert_eq!(code(&say(path, &wrong).await), AdminCode::BadRequest);
    }
    let answer = ask(path, &Request::Status {}).await.unwrap();
    assert!(matches!(answer, Answer::Status(_)));
    assert_eq!(log(&served.w).await, []);
}

#[tokio::test]
async fn one_process_has_the_socket_and_the_next_takes_it_when_that_ends() {
    let served = served(None).await;
    let second = Door::open(&served.path).await.unwrap();
    // The first one still answers: it was not pushed aside.
    ask(&served.path, &Request::Status {}).await.unwrap();
    drop(second);
    assert!(served.path.exists());
    served.serving.abort();
    let _ = served.serving.await;
    let gone = ask(&served.path, &Request::Status {}).await.unwrap_err();
    assert!(matches!(gone, admin::AskError::NotRunning(_)), "{gone:?}");
    // One that was killed leaves its file behind.
    drop(std::os::unix::net::UnixListener::bind(&served.path).unwrap());
    let gone = ask(&served.path, &Request::Status {}).await.unwrap_err();
    assert!(matches!(gone, admin::AskError::NotRunning(_)), "{gone:?}");
    let next = Door::open(&served.path).await.unwrap();
    let _serving = tokio::spawn(next.serve(Arc::clone(&served.w.backend)));
    ask(&served.path, &Request::Status {}).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grail.db.admin.sock");
    std::fs::write(&path, "somebody's").unwrap();
    assert!(Door::open(&path).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
}
