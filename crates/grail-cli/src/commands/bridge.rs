//! What the bridge says of itself, before anything is paid to it.

use grail_api::{
    ProblemCode, ServingState,
    client::{Client, ClientError},
};

use crate::failure::Failure;

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
    let paused = reasons.filter(|reason| reason.code.state() == ServingState::Paused);
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
