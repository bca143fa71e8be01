//! What the bridge says of itself, before anything is paid to it.

use grail_api::{
    ProblemCode, ServingState, StatusReason, ToldCode,
    client::{Client, ClientError},
};
use grail_wallet::roster::printable;

use crate::failure::Failure;
use crate::progress::Note;
use crate::report::BridgeReport;
use crate::session::Session;

/// What would come of a request made now, and how much may leave. By the API's word alone: the
/// auditor tells from blocks.
pub fn bridge(session: &Session) -> Result<BridgeReport, Failure> {
    Ok(BridgeReport {
        status: session.api()?.status()?,
    })
}

/// What the bridge says about a request before it is paid.
pub fn warning(reason: &StatusReason) -> Note {
    match &reason.code {
        ToldCode::Known(code) => Note::new(code.name(), printable(&reason.detail)),
        // Of a newer server: what it means is in its words.
        ToldCode::Other(_) => Note::new(
            "bridge-other",
            format!("{}: {}", reason.code, printable(&reason.detail)),
        ),
    }
}

/// Refuses a bridge that says it takes no requests: what is paid to it now may wait until it can be
/// taken back. It can lie about that to no profit.
pub fn must_serve(client: &Client) -> Result<(), Failure> {
    let status = match client.status() {
        Ok(status) => status,
        // A server of before has no status.
        Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if status.state != ServingState::Paused {
        return Ok(());
    }
    let reasons = status.reasons.iter();
    // One that is not known here may be why.
    let paused = reasons.filter(|reason| reason.code.state() != Some(ServingState::Degraded));
    let words: Vec<_> = paused
        .map(|reason| format!("{} ({})", reason.code, reason.detail))
        .collect();
    Err(Failure::new(
        "bridge-paused",
        format!(
            "the bridge takes no requests now: {}; try again later, or ask with --anyway",
            words.join(", ")
        ),
    ))
}
