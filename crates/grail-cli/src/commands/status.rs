//! `grail status`: where a request stands.

use std::time::Duration;

use grail_api::client::ClientError;
use grail_api::{Kind, ProblemCode, RequestStatus};
use grail_types::RequestId;

use crate::failure::Failure;
use crate::report::StatusReport;
use crate::session::Session;

/// Between two looks when the event stream is not to be had.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Failed looks in a row before watching ends.
const WATCH_FAILURES_MAX: u32 = 15;

/// Where a request stands.
pub fn status(session: &Session, id: &RequestId) -> Result<StatusReport, Failure> {
    Ok(report(session, look(session, id)?))
}

/// Calls `seen` with every change of a request until it has ended, or nobody can be shown it.
pub fn watch(
    session: &Session,
    id: &RequestId,
    mut seen: impl FnMut(StatusReport) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let client = session.api()?;
    let mut last: Option<RequestStatus> = None;
    let mut failures = 0_u32;
    loop {
        // The stream is opened before looking, so that no change falls between.
        let events = client.events(Some(id));
        match look(session, id) {
            Ok(status) => {
                failures = 0;
                let is_terminal = status.state.is_terminal();
                if last.as_ref() != Some(&status) {
                    seen(report(session, status.clone()))?;
                    last = Some(status);
                }
                if is_terminal {
                    return Ok(());
                }
            }
            Err(failure) => {
                failures = failures.saturating_add(1);
                if last.is_none() || failures > WATCH_FAILURES_MAX {
                    return Err(failure);
                }
            }
        }
        // Any event, or the end of the stream, is a reason to look again.
        let hint = events.ok().and_then(|mut events| events.next());
        if !matches!(hint, Some(Ok(_))) {
            std::thread::sleep(WATCH_INTERVAL);
        }
    }
}

/// What the API says, and what it cannot know yet.
fn report(session: &Session, status: RequestStatus) -> StatusReport {
    let deposits = match session.home.receipt(&status.id) {
        Ok(receipt) => session.wallet.outputs_at(receipt.script_pubkey()),
        Err(_) => Vec::new(),
    };
    StatusReport {
        status,
        sent_here: deposits
            .iter()
            .map(|(outpoint, _)| outpoint.to_string())
            .collect(),
    }
}

/// Asks for the request by its kind; where no receipt tells it, tries all.
fn look(session: &Session, id: &RequestId) -> Result<RequestStatus, Failure> {
    let client = session.api()?;
    let kinds = match session.home.receipt(id) {
        Ok(receipt) => vec![receipt.terms().kind.into()],
        // All sponsors are one to the API.
        Err(_) => vec![Kind::PegIn, Kind::PegOut, Kind::SponsorAnnounce],
    };
    let mut not_found = None;
    for kind in kinds {
        match client.request(kind, id) {
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => {
                not_found = Some(problem);
            }
            other => return Ok(other?),
        }
    }
    Err(not_found.map_or_else(
        || Failure::new("not-found", "no such request"),
        |problem| (*problem).into(),
    ))
}
