//! What calls ask: ids, pages, filters, read strictly.

use axum::{
    extract::rejection::QueryRejection,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use grail_api::{PageQuery, ProblemCode};
use grail_types::RequestId;
use serde::Deserialize;

use super::answer::{Answer, Failure};

/// Query of a list with states: [`PageQuery`] and a filter. Flattening would let unknown fields
/// pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<String>,
    after: Option<String>,
    limit: Option<u16>,
}

impl ListQuery {
    /// Name of the state, and the page.
    pub(super) fn split(self) -> (Option<String>, PageQuery) {
        let page = PageQuery {
            after: self.after,
            limit: self.limit,
        };
        (self.state, page)
    }
}

/// The name of a request.
pub(super) fn parse_id(text: &str) -> Answer<RequestId> {
    text.parse().map_err(|_| {
        Failure::new(
            ProblemCode::BadId,
            format!(
                "expected an id of 64 hex characters, got {} characters",
                text.chars().count()
            ),
        )
    })
}

/// A query that cannot be read.
pub(super) fn bad_query(rejection: &QueryRejection) -> Failure {
    Failure::new(ProblemCode::BadQuery, rejection.body_text())
}

/// Where a page begins: the number of the last item of the page before.
pub(super) fn parse_after(page: &PageQuery) -> Answer<Option<u64>> {
    page.after
        .as_deref()
        .map(|after| {
            after.parse().map_err(|_| {
                Failure::new(
                    ProblemCode::BadQuery,
                    "expected the `next` of the page before as `after`",
                )
            })
        })
        .transpose()
}

/// The value of a header that may come once: which of several counts, nobody can tell. The error is
/// how many there are.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, usize> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.count()) {
        (value, 0) => Ok(value),
        (_, more) => Err(more.saturating_add(1)),
    }
}
