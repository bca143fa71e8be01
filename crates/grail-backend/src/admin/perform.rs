//! Does what is asked: each change and its record in one step.

use grail_flow::{AlarmCode, AlarmSubject, SettlementEvent, SettlementId};
use grail_store::{
    AdminAction, AlarmScope, DoneAction, Job, JobId, NewAction, StoreError, StoreTx, StoredAlarm,
    Work,
};

use super::protocol::{
    ActionRow, AdminCode, AlarmRow, Answer, JobRow, LaneRow, Listed, PAGE_MAX, Part, Reason,
    Refusal, Request, Standing,
};
use crate::{
    backend::Backend,
    clock,
    roles::{
        lane,
        scan::{RescanError, rescan_base},
    },
    step::Step,
};

type Done = Result<Answer, Refusal>;

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(AdminCode::Internal, format!("{}: {error}", error.code()))
    }
}

/// Who asks for what, and why.
#[derive(Clone, Copy)]
struct Asked<'a> {
    uid: u32,
    action: AdminAction,
    reason: Option<&'a Reason>,
}

impl Asked<'_> {
    /// Records it with the step that does it.
    async fn record(&self, tx: &mut StoreTx, subject: &str) -> Result<u64, Refusal> {
        let new = NewAction {
            action: self.action,
            subject,
            reason: self.reason.map(Reason::as_str),
            uid: self.uid,
            now: tx.now(clock::now()),
        };
        let id = tx.record_action(&new).await?;
        tracing::warn!(
            action = %self.action,
            subject,
            uid = self.uid,
            reason = self.reason.map(Reason::as_str),
            "asked for by hand"
        );
        Ok(id)
    }
}

/// Does what user `uid` of this machine asks for.
pub async fn perform(backend: &Backend, uid: u32, request: Request) -> Result<Answer, Refusal> {
    let asked = |action, reason| Asked {
        uid,
        action,
        reason,
    };
    match &request {
        Request::Status {} => status(backend).await,
        Request::Jobs { part } => jobs(backend, part).await,
        Request::Alarms { all, part } => {
            let scope = if *all {
                AlarmScope::All
            } else {
                AlarmScope::Open
            };
            alarms(backend, scope, part).await
        }
        Request::Log { part } => log(backend, part).await,
        Request::Pause { reason } => pause(backend, asked(AdminAction::Pause, Some(reason))).await,
        Request::Resume { reason } => {
            resume(backend, asked(AdminAction::Resume, reason.as_ref())).await
        }
        Request::Cancel { settlement, reason } => {
            let asked = asked(AdminAction::Cancel, Some(reason));
            cancel(backend, asked, SettlementId(*settlement)).await
        }
        Request::DiscardJob { job, reason } => {
            let asked = asked(AdminAction::DiscardJob, Some(reason));
            discard_job(backend, asked, JobId(*job)).await
        }
        Request::Acknowledge { alarm, reason } => {
            let asked = asked(AdminAction::Acknowledge, Some(reason));
            acknowledge(backend, asked, *alarm).await
        }
        Request::Rescan {
            from_height,
            reason,
        } => {
            let asked = asked(AdminAction::Rescan, reason.as_ref());
            rescan(backend, asked, *from_height).await
        }
    }
}

fn done(action: u64, note: impl Into<String>) -> Answer {
    Answer::Done {
        action,
        note: note.into(),
    }
}

async fn pause(backend: &Backend, asked: Asked<'_>) -> Done {
    let mut tx = backend.store.begin().await?;
    let action = asked.record(&mut tx, "").await?;
    match tx.begin_pause(action).await {
        Ok(()) => {}
        Err(StoreError::Stale { .. }) => {
            let detail = "expected a bridge that serves, it is paused already";
            return Err(Refusal::new(AdminCode::AlreadyPaused, detail));
        }
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    let note = "no settlement is planned and no request taken; what was planned before goes on";
    Ok(done(action, note))
}

async fn resume(backend: &Backend, asked: Asked<'_>) -> Done {
    let mut tx = backend.store.begin().await?;
    match tx.end_pause().await {
        Ok(()) => {}
        Err(StoreError::Stale { .. }) => {
            let detail = "expected a bridge that is paused by hand, it is not";
            return Err(Refusal::new(AdminCode::NotPaused, detail));
        }
        Err(error) => return Err(error.into()),
    }
    let action = asked.record(&mut tx, "").await?;
    tx.commit().await?;
    backend.hints.build.notify_one();
    Ok(done(
        action,
        "settlements are planned and requests taken again",
    ))
}

/// Under the lane's own rule: only what nobody but us can have mined.
async fn cancel(backend: &Backend, asked: Asked<'_>, id: SettlementId) -> Done {
    let mut step = Step::begin(backend).await?;
    let Some(settlement) = step.tx.settlement(id).await? else {
        let detail = format!("expected the number of a settlement, got {id}");
        return Err(Refusal::new(AdminCode::NotFound, detail));
    };
    let stage = settlement.state.stage();
    let refused = |code, why: &str| {
        let detail = format!("settlement {id} is {stage}: {why}");
        Err(Refusal::new(code, detail))
    };
    if stage.is_given_up() {
        return refused(AdminCode::SettlementEnded, "it was given up before");
    }
    if settlement.state.block().is_some() {
        return refused(AdminCode::SettlementMined, "only a reorg undoes a block");
    }
    if stage.is_published() {
        let why = "the network has it, and any node may have it mined";
        return refused(AdminCode::SettlementPublished, why);
    }
    if !stage.is_unsigned() {
        let why = "a quorum signed it, so that it may be mined whatever we do";
        return refused(AdminCode::SettlementSigned, why);
    }
    step.tell_settlement(id, SettlementEvent::Cancelled).await?;
    let action = asked
        .record(&mut step.tx, &format!("settlement:{id}"))
        .await?;
    step.commit().await?;
    let note = "its requests are ready again and are planned anew, unless the bridge is paused";
    Ok(done(action, note))
}

async fn discard_job(backend: &Backend, asked: Asked<'_>, id: JobId) -> Done {
    let mut tx = backend.store.begin().await?;
    let refused = |code, detail: String| Err(Refusal::new(code, detail));
    let Some(job) = tx.job(id).await? else {
        let detail = format!("expected the number of a job, got {}", id.0);
        return refused(AdminCode::NotFound, detail);
    };
    let key = &job.idempotency_key;
    if !job.state.is_left() {
        let detail = format!("expected a job that is not done, {key} is");
        return refused(AdminCode::JobEnded, detail);
    }
    let settlement = match job.work {
        Some(Work::Publish { settlement, .. }) => {
            // What is signed may be mined by whoever has it, so it is always published.
            let row = tx.settlement(settlement).await?;
            if row.is_some_and(|row| row.state.stage().is_live()) {
                let detail = format!("{key} publishes a settlement that a quorum signed");
                return refused(AdminCode::JobNeeded, detail);
            }
            settlement
        }
        Some(
            Work::Prove { settlement }
            | Work::DryRun { settlement }
            | Work::Ask { settlement, .. }
            | Work::AskTimeout { settlement, .. },
        ) => settlement,
        None => {
            let detail = format!("{key} is a newer version's to judge");
            return refused(AdminCode::JobNewer, detail);
        }
    };
    let note = format!("discarded by user {}", asked.uid);
    let now = tx.now(clock::now());
    tx.discard_job(id, &note, now).await?;
    // Its alarm is about nothing any more.
    let subject = AlarmSubject::Job(key.clone());
    if let Some(alarm) = tx.open_alarm(AlarmCode::DeadJob, &subject).await? {
        tx.acknowledge_alarm(alarm, now).await?;
    }
    let action = asked.record(&mut tx, &subject.to_string()).await?;
    tx.commit().await?;
    let note =
        format!("settlement {settlement} stays where it stands, if it has not ended: cancel it");
    Ok(done(action, note))
}

async fn acknowledge(backend: &Backend, asked: Asked<'_>, id: u64) -> Done {
    let mut tx = backend.store.begin().await?;
    let now = tx.now(clock::now());
    match tx.acknowledge_alarm(id, now).await {
        Ok(()) => {}
        Err(StoreError::NotFound { .. }) => {
            let detail = format!("expected the number of an open alarm, got {id}");
            return Err(Refusal::new(AdminCode::AlarmNotOpen, detail));
        }
        Err(error) => return Err(error.into()),
    }
    let action = asked.record(&mut tx, &format!("alarm:{id}")).await?;
    tx.commit().await?;
    backend.hints.build.notify_one();
    Ok(done(
        action,
        "if its cause is still there, it is raised again",
    ))
}

/// The scanner undoes the blocks, as at a reorg, before it reads the next one.
async fn rescan(backend: &Backend, asked: Asked<'_>, from_height: u32) -> Done {
    let mut tx = backend.store.begin().await?;
    let recent = tx.recent_blocks().await?;
    let start = backend.deployment.start_height;
    if let Err(error) = rescan_base(&recent, start, from_height) {
        let code = match error {
            RescanError::BeforeBridge { .. } => AdminCode::RescanBeforeBridge,
            RescanError::AboveTip { .. } => AdminCode::RescanAboveTip,
            RescanError::TooDeep { .. } => AdminCode::RescanTooDeep,
        };
        return Err(Refusal::new(code, error.to_string()));
    }
    let action = asked
        .record(&mut tx, &format!("height:{from_height}"))
        .await?;
    match tx.ask_rescan(action, from_height).await {
        Ok(()) => {}
        Err(StoreError::Stale { .. }) => {
            let detail = "the scanner has yet to begin with the one asked for before";
            return Err(Refusal::new(AdminCode::RescanPending, detail));
        }
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    let note = "the scanner begins at its next look; until it is done the bridge takes no request";
    Ok(done(action, note))
}

async fn status(backend: &Backend) -> Done {
    let now = clock::now();
    let lane = lane::under_way(backend).await?;
    let mut reader = backend.store.read().await?;
    let open = reader.open_alarms().await?;
    Ok(Answer::Status(Standing {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        paused: reader.pause().await?.map(action_row),
        height: reader.last_block().await?.map(|block| block.height),
        rescan_from: reader.rescan_from().await?,
        alarms_stop: open.stop,
        alarms_look: open.look,
        lane: lane
            .iter()
            .map(|row| LaneRow {
                settlement: row.id.0,
                stage: row.state.name().to_owned(),
                age_seconds: now.saturating_sub(row.stage_since),
                deadline_seconds: lane::deadline(row.state.stage()),
                txid: row.txid.map(|txid| txid.to_string()),
            })
            .collect(),
    }))
}

fn limit(part: &Part) -> Result<u32, Refusal> {
    if (1..=PAGE_MAX).contains(&part.limit) {
        return Ok(part.limit.into());
    }
    let detail = format!("expected a limit of 1 to {PAGE_MAX}, got {}", part.limit);
    Err(Refusal::new(AdminCode::BadRequest, detail))
}

/// A page, and where the next one begins if this one is full.
fn listed<T, R>(rows: Vec<T>, limit: u32, id: fn(&T) -> u64, show: fn(T) -> R) -> Listed<R> {
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
    Listed {
        next: rows.last().map(id).filter(|_| is_full),
        items: rows.into_iter().map(show).collect(),
    }
}

async fn jobs(backend: &Backend, part: &Part) -> Done {
    let limit = limit(part)?;
    let after = part.from.unwrap_or(0);
    let rows = backend.store.read().await?.jobs_left(after, limit).await?;
    Ok(Answer::Jobs(listed(rows, limit, |job| job.id.0, job_row)))
}

async fn alarms(backend: &Backend, scope: AlarmScope, part: &Part) -> Done {
    let limit = limit(part)?;
    let mut reader = backend.store.read().await?;
    let rows = reader.newest_alarms(scope, part.from, limit).await?;
    Ok(Answer::Alarms(listed(
        rows,
        limit,
        |alarm| alarm.id,
        alarm_row,
    )))
}

async fn log(backend: &Backend, part: &Part) -> Done {
    let limit = limit(part)?;
    let mut reader = backend.store.read().await?;
    let rows = reader.admin_actions(part.from, limit).await?;
    Ok(Answer::Log(listed(
        rows,
        limit,
        |action| action.id,
        action_row,
    )))
}

fn job_row(job: Job) -> JobRow {
    JobRow {
        id: job.id.0,
        key: job.idempotency_key,
        state: job.state.name().to_owned(),
        attempts: job.attempts,
        due_at: job.due_at,
        last_error: job.last_error,
    }
}

fn alarm_row(alarm: StoredAlarm) -> AlarmRow {
    AlarmRow {
        id: alarm.id,
        code: alarm.code.name().to_owned(),
        severity: alarm.code.severity().name().to_owned(),
        subject: alarm.subject,
        details: alarm.details,
        seen: alarm.seen,
        at: alarm.at,
        last_at: alarm.last_at,
        acknowledged_at: alarm.acknowledged_at,
    }
}

fn action_row(action: DoneAction) -> ActionRow {
    ActionRow {
        id: action.id,
        at: action.at,
        uid: action.uid,
        action: action.action,
        subject: action.subject,
        reason: action.reason,
    }
}
