//! Answers that are a no, as problem details.

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use grail_api::{BridgeStatus, Problem, ProblemCode};
use grail_store::StoreError;

/// Media type of a problem (RFC 9457).
const PROBLEM_MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a call is refused.
#[derive(Clone, Debug)]
pub(super) struct Failure(Problem);

pub(super) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(super) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::NotFound, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Unavailable, detail)
    }

    /// The bridge takes no requests now.
    pub(super) fn paused(status: &BridgeStatus) -> Self {
        let detail = format!("{}; see /v1/status", status.pausing());
        let problem = Problem::new(ProblemCode::Paused, detail);
        Self(match status.retry_after {
            Some(seconds) => problem.with_retry_after(seconds),
            None => problem,
        })
    }

    /// A bug or a broken database: told to the log, not to the caller.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a call failed");
        Self::new(ProblemCode::Internal, "it is in the log")
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Transient(_) => {
                tracing::warn!(%error, "a call found the database unavailable");
                Self::unavailable("the database is busy")
            }
            error => Self::internal(&error),
        }
    }
}

/// Of parts of the backend that roles share: the database may only be busy.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => Self::internal(&format!("{error:#}")),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (code, retry_after) = (self.0.code, self.0.retry_after);
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// No route.
pub(super) async fn not_found() -> Failure {
    Failure::not_found("no such path; see /openapi.json")
}

/// A route with another method.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    Failure::new(
        ProblemCode::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
}
