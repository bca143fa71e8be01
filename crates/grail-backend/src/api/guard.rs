//! What every call passes: room, time, panics, and the headers of a public API.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Api,
    answer::Failure,
    buckets::Rate,
    caller::{TrustedProxy, caller},
};

/// How much strangers can make the API do at a time.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Calls being answered at a time. Each may hold a database connection and read a few hundred
    /// rows.
    pub calls_max: usize,
    /// Event streams open at a time. Each costs a connection, a task and a query per commit.
    pub streams_max: usize,
    /// Of them, those of one caller.
    pub streams_each_max: usize,
    /// Requests that can be created: each is a row and a script that are kept for good.
    pub creations: Rate,
    /// Of them, those of one caller.
    pub creations_each: Rate,
    /// Callers whose creations are counted. Each costs some 50 bytes.
    pub callers_max: usize,
    /// Proxies whose word about a caller's address counts.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Longest that a call may take until its answer begins.
    pub call_timeout: Duration,
    /// How old an answer may be that callers share.
    pub fresh: Duration,
    /// How old sums over everything that there ever was may be.
    pub sums_fresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 128,
            streams_max: 256,
            streams_each_max: 32,
            creations: Rate {
                burst: 1_000,
                per_second: 10.0,
            },
            creations_each: Rate {
                burst: 200,
                per_second: 1.0,
            },
            callers_max: 10_000,
            trusted_proxies: Vec::new(),
            call_timeout: Duration::from_secs(15),
            fresh: Duration::from_secs(2),
            sums_fresh: Duration::from_secs(30),
        }
    }
}

/// Gives a call a place and a time limit, and turns a panic into a problem.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let trusted = &api.limits.trusted_proxies;
    let caller = caller(request.extensions(), request.headers(), trusted);
    request.extensions_mut().insert(caller);
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

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_tells_nothing() {
        let response = without_panics(async { panic!("the secret reason") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
