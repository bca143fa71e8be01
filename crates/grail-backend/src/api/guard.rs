//! What every call passes: room, time, panics, and the headers of a public API.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use grail_api::ProblemCode;

use super::{Api, answer::Failure};

/// How much strangers can make the API do at a time. Limits per client belong into a proxy in front
/// of it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls being answered at a time. Each may hold a database connection and read a few hundred
    /// rows.
    pub calls_max: usize,
    /// Event streams open at a time. Each costs a connection, a task and a query per commit.
    pub streams_max: usize,
    /// Requests that can be created at once before the rate binds.
    pub creations_burst: u32,
    /// Requests that can be created per second: each is a row and a script that are kept for good.
    pub creations_per_second: u32,
    /// Longest that a call may take until its answer begins.
    pub call_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 128,
            streams_max: 256,
            creations_burst: 500,
            creations_per_second: 10,
            call_timeout: Duration::from_secs(15),
        }
    }
}

/// A token bucket.
pub(super) struct Bucket {
    burst: f64,
    per_second: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        let burst = f64::from(burst);
        Self {
            burst,
            per_second: f64::from(per_second),
            level: Mutex::new((burst, Instant::now())),
        }
    }

    /// Takes one token, or says that there is none.
    pub(super) fn take(&self) -> Result<(), Failure> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Result<(), Failure> {
        // Two numbers, valid after any panic.
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *level;
        let gained = now.saturating_duration_since(since).as_secs_f64() * self.per_second;
        let tokens = (tokens + gained).min(self.burst);
        if tokens < 1.0 {
            *level = (tokens, now);
            return Err(Failure::new(
                ProblemCode::RateLimited,
                "too many requests are being created; try again in a second",
            ));
        }
        *level = (tokens - 1.0, now);
        Ok(())
    }
}

/// Gives a call a place and a time limit, and turns a panic into a problem.
pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let Ok(_place) = api.calls.try_acquire() else {
        return Failure::unavailable("too many calls at a time").into_response();
    };
    let answering = without_panics(next.run(request));
    match tokio::time::timeout(api.limits.call_timeout, answering).await {
        Ok(response) => response,
        Err(_) => Failure::unavailable("the answer took too long").into_response(),
    }
}

async fn without_panics(answering: impl Future<Output = Response>) -> Response {
    let mut answering = pin!(answering);
    // What a handler leaves behind is its own transaction, which is undone; nothing shared is left
    // half changed.
    let outcome = poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await;
    outcome.unwrap_or_else(|| Failure::internal(&"a handler panicked").into_response())
}

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("retry-after"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

const PREFLIGHT_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, idempotency-key, last-event-id"),
    ),
    (
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    ),
];

/// Lets pages of any origin call: everything here is public and nothing goes by cookies.
pub(super) async fn cross_origin(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        (StatusCode::NO_CONTENT, PREFLIGHT_HEADERS).into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = Bucket::new(2, 10);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(bucket.take_at(at(0)).is_ok());
        assert!(bucket.take_at(at(0)).is_ok());
        assert!(bucket.take_at(at(0)).is_err());
        assert!(bucket.take_at(at(90)).is_err());
        assert!(bucket.take_at(at(110)).is_ok());
        assert!(bucket.take_at(at(110)).is_err());
        // A long pause gives the burst again, no more.
        assert!(bucket.take_at(at(60_000)).is_ok());
        assert!(bucket.take_at(at(60_000)).is_ok());
        assert!(bucket.take_at(at(60_000)).is_err());
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_tells_nothing() {
        let response = without_panics(async { panic!("the secret reason") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
