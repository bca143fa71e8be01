//! The process dies: between any two steps, in the middle of any of them. What was begun is done
//! exactly once.

use grail_backend::{
    roles::{build::Built, scan::Scanner},
    work::finish,
};
use grail_flow::SettlementState;
use grail_store::JobKind;

use super::{
    signers::honest,
    users::{Asked, DEPOSIT_SAT},
    wait::eventually,
    world::{QUORUM, World, settlement_id},
};

/// The settlement's only life: everybody paid once, nothing left to do, no alarm.
async fn check_done_once(w: &World, requests: &[Asked]) {
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let settlements = w.settlements().await;
    assert_eq!(settlements.len(), 1);
    assert_eq!(settlements[0].state.name(), "final");
    for asked in requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    let signed = w.signed(settlements[0].id).await;
    w.check_reserves(w.tokens(&signed).values().sum()).await;
    assert_eq!(w.alarms().await, [""; 0]);
    assert_eq!(w.build().await, Built::Nothing);
    w.jobs().await;
    while let Some(timer) = w.lease_later(JobKind::AskTimeout).await {
        w.finish(&timer).await;
    }
    assert_eq!(w.open_jobs().await, [""; 0]);
}

/// A worker leases a job and does the work, but the process dies before it commits: nothing has
/// happened, and nobody gets the job until the lease ends. What the dead worker's twin still says
/// then counts for nothing.
async fn die_at_work_and_do_it_again(w: &mut World, kind: JobKind) {
    let lease = w.lease_later(kind).await.unwrap();
    let before = w.settlements().await;
    drop(w.work(&lease).await.unwrap());
    assert_eq!(w.settlements().await, before, "{kind}");
    w.crash().await;
    assert_eq!(w.lease(kind).await, None, "{kind}");
    let second = w.lease_much_later(kind).await.unwrap();
    assert_eq!(second.job.id, lease.job.id);
    let outcome = w.work(&lease).await;
    finish(&w.backend, &lease, outcome).await.unwrap();
    assert_eq!(w.settlements().await, before, "{kind}");
    w.finish(&second).await;
    assert_ne!(w.settlements().await, before, "{kind}");
    // Again, as if nobody had noticed that it is done.
    let after = w.settlements().await;
    let outcome = w.work(&second).await;
    finish(&w.backend, &second, outcome).await.unwrap();
    w.work(&second).await.unwrap().commit().await.unwrap();
    let again = w.settlements().await;
    let states = |list: &[grail_store::Settlement]| -> Vec<_> {
        list.iter().map(|settlement| settlement.state).collect()
    };
    assert_eq!(states(&again), states(&after), "{kind}");
    assert_eq!(w.lease(kind).await, None, "{kind}");
}

#[tokio::test]
async fn a_crash_between_any_two_steps_loses_nothing_and_repeats_nothing() {
    let mut w = World::new().await;
    let requests = [w.ask_peg_in().await, w.ask_peg_in().await];
    w.crash().await;
    for asked in &requests {
        let deposit = w.deposit(asked, DEPOSIT_SAT);
        w.chain.relay(deposit);
    }
    w.look().await;
    w.crash().await;
    w.mine_mempool().await;
    w.crash().await;
    assert_eq!(w.build().await, Built::Draft);
    w.crash().await;
    assert_eq!(w.build().await, Built::Nothing);
    for kind in [JobKind::Prove, JobKind::DryRun, JobKind::Ask] {
        assert!(w.job(kind).await, "{kind}");
        w.crash().await;
        assert!(!w.job(kind).await, "{kind}");
    }
    // The question died with the process: it is asked again when its time is up.
    w.job_later(JobKind::AskTimeout).await;
    w.crash().await;
    assert!(w.job(JobKind::Ask).await);
    let ask = w.take_ask().await;
    let id = settlement_id(&ask);
    for seed in QUORUM {
        let answer = honest(seed, w.backend.protocol(), &ask);
        w.send(&answer).await;
        eventually(async || w.verdict(id, seed).await.is_some()).await;
        if seed != 3 {
            w.crash().await;
        }
    }
    w.answered(id).await;
    w.crash().await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Signed {});
    assert!(w.job(JobKind::Publish).await);
    w.crash().await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
    w.mine_mempool().await;
    w.crash().await;
    check_done_once(&w, &requests).await;
}

#[tokio::test]
async fn a_crash_in_the_middle_of_any_job_ends_in_the_job_done_once() {
    let mut w = World::new().await;
    let ready = w.ready_peg_ins(2).await;
    let requests: Vec<Asked> = ready.into_iter().map(|(asked, _)| asked).collect();
    assert_eq!(w.build().await, Built::Draft);
    die_at_work_and_do_it_again(&mut w, JobKind::Prove).await;
    die_at_work_and_do_it_again(&mut w, JobKind::DryRun).await;
    // Asking changes no row but the timer; operators may hear it several times.
    let lease = w.lease(JobKind::Ask).await.unwrap();
    drop(w.work(&lease).await.unwrap());
    w.crash().await;
    assert_eq!(w.lease(JobKind::Ask).await, None);
    assert_eq!(w.lease_later(JobKind::AskTimeout).await, None);
    w.job_later(JobKind::Ask).await;
    let ask = w.take_ask().await;
    die_at_work_and_do_it_again(&mut w, JobKind::AskTimeout).await;
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    die_at_work_and_do_it_again(&mut w, JobKind::Publish).await;
    check_done_once(&w, &requests).await;
}

#[tokio::test]
async fn a_settlement_sent_before_the_crash_and_mined_first_is_not_missed() {
    let mut w = World::new().await;
    let ready = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    let lease = w.lease(JobKind::Publish).await.unwrap();
    drop(w.work(&lease).await.unwrap());
    w.crash().await;
    assert_eq!(w.chain.mempool().len(), 1);
    w.mine_mempool().await;
    assert_eq!(
        w.settlement(settlement_id(&ask)).await.state.name(),
        "confirmed"
    );
    w.job_later(JobKind::Publish).await;
    check_done_once(&w, &[ready[0].0.clone()]).await;
}

#[tokio::test]
async fn a_quorum_in_the_rows_is_combined_by_whoever_runs_next() {
    let mut w = World::new().await;
    let ready = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    // The node is away when the last answer comes: it is on record, and nothing more.
    w.chain.set_away(true);
    w.sign(&ask, &QUORUM).await;
    eventually(async || w.verdict(id, 3).await.is_some()).await;
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    w.crash().await;
    w.chain.set_away(false);
    w.answered(id).await;
    w.jobs().await;
    check_done_once(&w, &[ready[0].0.clone()]).await;
}

#[tokio::test]
async fn an_outage_of_the_node_costs_a_job_no_attempt() {
    let w = World::new().await;
    let ready = w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    w.chain.set_away(true);
    for _ in 0..30 {
        w.job_later(JobKind::Publish).await;
    }
    w.chain.set_away(false);
    w.job_later(JobKind::Publish).await;
    check_done_once(&w, &[ready[0].0.clone()]).await;
}

#[tokio::test]
async fn two_processes_on_one_database_settle_once() {
    let w = World::new().await;
    let ready = w.ready_peg_ins(2).await;
    // Both see the same requests; one of them drafts.
    let (first, second) = tokio::join!(
        grail_backend::roles::build::build_once(&w.backend),
        grail_backend::roles::build::build_once(&w.backend)
    );
    let drafts = [first, second]
        .into_iter()
        .filter(|built| matches!(built, Ok(Built::Draft)));
    assert_eq!(drafts.count(), 1);
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
    let requests: Vec<Asked> = ready.into_iter().map(|(asked, _)| asked).collect();
    check_done_once(&w, &requests).await;
}

#[tokio::test]
async fn two_scanners_take_each_block_once() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.chain.mine(vec![deposit]);
    let (mut one, mut other) = (Scanner::new(&w.backend), Scanner::new(&w.backend));
    // Whoever comes second fails or finds nothing new; the rows are as if there had been one.
    let taken = tokio::join!(one.take_block(), other.take_block());
    assert!(matches!(taken, (Ok(true), _) | (_, Ok(true))), "{taken:?}");
    w.scan().await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
    w.settle().await;
    check_done_once(&w, &[asked]).await;
}

#[tokio::test]
async fn a_job_in_a_newer_form_is_left_to_whoever_knows_it() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    let mut lease = w.lease(JobKind::Prove).await.unwrap();
    // As a row reads that a newer process wrote.
    lease.job.work = None;
    w.finish(&lease).await;
    assert_eq!(w.alarms().await, [""; 0]);
    let again = w.lease_later(JobKind::Prove).await.unwrap();
    assert_eq!((again.job.id, again.job.attempts), (lease.job.id, 1));
}
