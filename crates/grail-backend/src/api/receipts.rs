//! Receipts handed in: a request that these rows do not have is made again.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use grail_api::{ProblemCode, RESTORE_BYTES_MAX, RequestStatus, RestoreRequest};
use grail_store::Created;

use super::{
    Api,
    answer::{Answer, Failure},
    caller::Caller,
    create::{check_media_type, unread},
    requests,
};
use crate::receipts::{NotRestored, restore};

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<(StatusCode, Json<RequestStatus>)> {
    let backend = &api.backend;
    check_media_type(&headers)?;
    let body = body.map_err(|rejection| unread(&rejection, RESTORE_BYTES_MAX))?;
    let RestoreRequest { receipt, deposit } = RestoreRequest::from_json(&body)?;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let roster = rosters
        .of(receipt.terms.epoch)
        .map(|it| (it.roster(), it.governance()));
    let checked = receipt.check_for(backend.bridge(), backend.params(), roster)?;
    let known = reader.request(&checked.request()).await?;
    drop(reader);
    let created = if let Some(request) = known {
        Created::Existing(request)
    } else {
        // Each is a row that is kept for good, as a new request is, and costs the node more.
        api.creations.take(caller)?;
        restore(backend, &checked, deposit).await?
    };
    let (status, request) = match created {
        Created::New(request) => {
            backend.hints.feed.notify_waiters();
            (StatusCode::CREATED, request)
        }
        Created::Existing(request) => (StatusCode::OK, request),
    };
    let mut reader = backend.store.read().await?;
    let answer = requests::read(backend, &mut reader, request).await?;
    Ok((status, Json(answer)))
}

impl From<NotRestored> for Failure {
    fn from(error: NotRestored) -> Self {
        match error {
            NotRestored::NoDeposit => Self::new(ProblemCode::DepositNotFound, error.to_string()),
            NotRestored::Moving => Self::unavailable(error.to_string()),
            NotRestored::Node(error) => {
                Self::unavailable(format!("the chain cannot be seen now: {}", error.code()))
            }
            NotRestored::Store(error) => error.into(),
            NotRestored::Other(error) => error.into(),
        }
    }
}
