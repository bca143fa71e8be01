//! Server-sent events. Hints: what they say has happened, and asking again gives the truth.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use grail_api::{Event, ProblemCode, RequestState};
use grail_flow::BlockRef;
use grail_store::{Reader, StoreError, Subject};
use grail_types::RequestId;
use serde::Deserialize;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Api,
    answer::{Answer, Failure},
    caller::Caller,
    places::Place,
    query::{bad_query, only, parse_id},
    states::settlement_state,
};
use crate::roles::rotation_feed;

/// Where a reader goes on, as browsers send it.
const LAST_EVENT_ID_HEADER: &str = "last-event-id";
/// What keeps proxies from holding events back until they have many.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);
/// Events that a reader may have missed and still gets: an hour's worth on a busy day. One who
/// missed more reads anew what he follows, which costs less.
const REPLAY_MAX: u64 = 1_000;
/// Longest wait for a hint before the rows are looked at again.
const POLL: Duration = Duration::from_secs(2);
/// Silence after which a comment is sent; clients take a minute of silence for a dead stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest that a reader may take to take an event.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest life of a stream; readers come again with their last event.
const STREAM_LIFETIME: Duration = Duration::from_hours(1);
/// Events read at a time, and events waiting for a slow reader.
const BATCH: u32 = 100;
const WAITING_MAX: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    request: Option<String>,
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Answer<Response> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let request = query.request.as_deref().map(parse_id).transpose()?;
    let about = request.map_or(About::Settlements, About::Request);
    stream(api, caller, &headers, about).await
}

/// The same of rotations.
pub(super) async fn rotations(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Answer<Response> {
    stream(api, caller, &headers, About::Rotations).await
}

/// What a stream tells of, beside tips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// Settlements, and requests that are paid.
    Settlements,
    /// One request.
    Request(RequestId),
    /// Rotations.
    Rotations,
}

async fn stream(
    api: Arc<Api>,
    caller: Caller,
    headers: &HeaderMap,
    about: About,
) -> Answer<Response> {
    let resume = last_event_id(headers, incarnation(&api))?;
    let place = api
        .streams
        .take(caller)
        .ok_or_else(|| Failure::unavailable("too many event streams are open"))?;
    let mut reader = api.backend.store.read().await?;
    if let About::Request(id) = about
        && reader.request_kind(&id).await?.is_none()
    {
        return Err(Failure::not_found(format!("no request {id}")));
    }
    let newest = reader.last_event_id().await?;
    let oldest = reader.first_event_id().await?.unwrap_or(newest);
    drop(reader);
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    // A request has few events, whatever their numbers; but old ones are gone (ADR 19). Those of
    // rotations are read among all others.
    let is_reset = match resume {
        Resume::New => false,
        Resume::Elsewhere => true,
        Resume::After(last) => {
            let missed = newest.saturating_sub(last);
            let is_gone = last.saturating_add(1) < oldest;
            let is_of_one = matches!(about, About::Request(_));
            last > newest || is_gone || (!is_of_one && missed > REPLAY_MAX)
        }
    };
    let last_id = match resume {
        Resume::After(last) if !is_reset => last,
        Resume::New | Resume::Elsewhere | Resume::After(_) => newest,
    };
    let feed = Feed {
        api,
        about,
        last_id,
        is_reset,
        tip: None,
        sender,
        _place: place,
    };
    // Ends when the stream is dropped, or its reader is too slow, or its time is over.
    tokio::spawn(feed.run());
    let stream =
        Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([UNBUFFERED], stream).into_response())
}

/// Where a reader goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    /// With what happens from now on.
    New,
    /// After this event.
    After(u64),
    /// After an event of another process: of a database that was restored since, perhaps, whose
    /// numbers mean something else by now.
    Elsewhere,
}

/// What names this process in front of events' numbers.
fn incarnation(api: &Api) -> &str {
    api.backend.instance.get(..8).unwrap_or_default()
}

/// `INCARNATION-NUMBER`, or a number alone: by hand, or of a server from before.
fn last_event_id(headers: &HeaderMap, own: &str) -> Answer<Resume> {
    let name = HeaderName::from_static(LAST_EVENT_ID_HEADER);
    let Some(value) = only(headers, &name).map_err(|_| not_an_id())? else {
        return Ok(Resume::New);
    };
    let text = value.to_str().map_err(|_| not_an_id())?;
    let (incarnation, number) = match text.split_once('-') {
        Some((incarnation, number)) => (Some(incarnation), number),
        None => (None, text),
    };
    let number = number.parse().map_err(|_| not_an_id())?;
    Ok(match incarnation {
        Some(incarnation) if incarnation != own => Resume::Elsewhere,
        Some(_) | None => Resume::After(number),
    })
}

fn not_an_id() -> Failure {
    Failure::new(
        ProblemCode::BadQuery,
        "expected one id of an event as Last-Event-ID",
    )
}

/// Why a stream ends.
enum End {
    /// The reader is gone or too slow, or the stream's time is over.
    Reader,
    /// The rows cannot be read.
    Store(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One stream.
struct Feed {
    api: Arc<Api>,
    about: About,
    last_id: u64,
    /// Whether the reader is to be told that events were left out.
    is_reset: bool,
    tip: Option<BlockRef>,
    sender: mpsc::Sender<Result<SseEvent, Infallible>>,
    _place: Place,
}

impl Feed {
    async fn run(mut self) {
        let end = Instant::now() + STREAM_LIFETIME;
        let api = Arc::clone(&self.api);
        if self.is_reset
            && self
                .send(Some(self.last_id), &Event::Reset {})
                .await
                .is_err()
        {
            return;
        }
        loop {
            // Made before rows are read, so that no commit in between goes unnoticed.
            let hint = api.backend.hints.feed.notified();
            match self.catch_up().await {
                Ok(()) => {}
                Err(End::Reader) => return,
                Err(End::Store(error)) => {
                    return tracing::warn!(%error, "an event stream ends");
                }
            }
            tokio::select! {
                () = self.sender.closed() => return,
                () = tokio::time::sleep_until(end) => return,
                () = hint => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Sends all that is new.
    async fn catch_up(&mut self) -> Result<(), End> {
        loop {
            let mut reader = self.api.backend.store.read().await?;
            let tip = reader.last_block().await?;
            let events = match self.about {
                About::Request(id) => {
                    reader
                        .events_about(Subject::Request(id), self.last_id, BATCH)
                        .await?
                }
                About::Settlements | About::Rotations => {
                    reader.events_after(self.last_id, BATCH).await?
                }
            };
            let mut ready = Vec::with_capacity(events.len());
            let read_count = events.len();
            for event in events {
                let id = event.id;
                let shown = self.describe(&mut reader, event).await?;
                ready.push((id, shown));
            }
            drop(reader);
            for (id, event) in ready {
                if let Some(event) = event {
                    self.send(Some(id), &event).await?;
                }
                self.last_id = id;
            }
            if u32::try_from(read_count).is_ok_and(|count| count < BATCH) {
                return self.tell_tip(tip).await;
            }
        }
    }

    /// A stored event in the API's words; none of what the API does not tell.
    async fn describe(
        &self,
        reader: &mut Reader,
        event: grail_store::Event,
    ) -> Result<Option<Event>, StoreError> {
        let name_of = |field: &str| event.body.get(field).and_then(serde_json::Value::as_str);
        match event.subject {
            Subject::Rotation(attempt) if self.about == About::Rotations => {
                Ok(rotation_feed::read(attempt, &event.body))
            }
            // Each has a stream of its own.
            Subject::Rotation(_) => Ok(None),
            Subject::Request(_) | Subject::Settlement(_) if self.about == About::Rotations => {
                Ok(None)
            }
            Subject::Request(id) => {
                let Some(state) = name_of("to").and_then(|name| name.parse().ok()) else {
                    return Ok(None);
                };
                // Whoever does not name it learns of a request once it is paid, and not before: its
                // name is in its address.
                if self.about != About::Request(id) && state != RequestState::Paid {
                    return Ok(None);
                }
                let kind = reader.request_kind(&id).await?;
                Ok(kind.map(|kind| Event::Request {
                    id,
                    kind: kind.into(),
                    state,
                    code: name_of("code").and_then(|code| code.parse().ok()),
                }))
            }
            Subject::Settlement(id) => {
                let stage = name_of("to").and_then(|name| name.parse().ok());
                let Some(state) = stage.map(settlement_state) else {
                    return Ok(None);
                };
                // A draft has no transaction to name it by.
                let settlement = reader.settlement(id).await?;
                let txid = settlement.and_then(|settlement| settlement.txid);
                Ok(txid.map(|txid| Event::Settlement { txid, state }))
            }
        }
    }

    /// Tips are told as they are, not as they were: they have no number to go on from.
    async fn tell_tip(&mut self, tip: Option<BlockRef>) -> Result<(), End> {
        if let Some(block) = tip.filter(|_| tip != self.tip) {
            let event = Event::Tip {
                height: block.height,
                block_hash: block.hash,
            };
            self.send(None, &event).await?;
        }
        self.tip = tip;
        Ok(())
    }

    async fn send(&self, id: Option<u64>, event: &Event) -> Result<(), End> {
        let message = SseEvent::default().event(event.name());
        let message = match id {
            Some(id) => message.id(format!("{}-{id}", incarnation(&self.api))),
            None => message,
        };
        let message = message.json_data(event).map_err(|_| End::Reader)?;
        self.sender
            .send_timeout(Ok(message), SEND_TIMEOUT)
            .await
            .map_err(|_| End::Reader)
    }
}
