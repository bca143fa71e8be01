//! Server-sent events: delivered, filtered, and resumed where a reader left off.

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::Request as HttpRequest,
};
use grail_api::{Event, Request, RequestState};
use tokio_stream::StreamExt;
use tower::ServiceExt;

use super::{
    settlement::{asked, deposited, proven, published},
    support::{PATIENCE, TestBackend, peg_in},
};

struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(router: &Router, path: &str, last: Option<&str>) -> Self {
        let mut request = HttpRequest::builder().uri(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers().get("content-type").unwrap(),
            "text/event-stream"
        );
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event and its number.
    async fn next(&mut self) -> (Option<String>, Event) {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let message: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    message
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim().to_owned())
                };
                let Some(data) = field("data:") else { continue };
                let event: Event = serde_json::from_str(&data).unwrap();
                assert_eq!(field("event:").as_deref(), Some(event.name()));
                return (field("id:"), event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .expect("an event in time")
                .expect("the stream goes on")
                .unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event that is no tip.
    async fn next_change(&mut self) -> (String, Event) {
        loop {
            let (id, event) = self.next().await;
            if !matches!(event, Event::Tip { .. }) {
                return (id.unwrap(), event);
            }
            assert_eq!(id, None);
        }
    }
}

fn state_of(event: &Event) -> &'static str {
    match event {
        Event::Request { state, .. } => state.name(),
        Event::Settlement { state, .. } => state.name(),
        Event::Tip { .. } => "tip",
    }
}

#[tokio::test]
async fn events_come_as_they_happen_and_resume_after_the_last_one_seen() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let mut events = Events::open(&t.router, "/v1/events", None).await;
    let (id, event) = events.next().await;
    assert_eq!((id, state_of(&event)), (None, "tip"));

    let request = deposited(&t, 40).await;
    let (first_id, event) = events.next_change().await;
    let Event::Request {
        id, state, code, ..
    } = event
    else {
        panic!("expected an event of a request, got {event:?}")
    };
    assert_eq!(
        (id, state, code),
        (request.id, RequestState::AwaitingDeposit, None)
    );
    assert_eq!(state_of(&events.next_change().await.1), "ready");

    let settlement = proven(&t).await;
    asked(&t).await;
    let transaction = published(&t, settlement).await;
    t.mine(vec![transaction.clone()]).await;
    t.mine(Vec::new()).await;
    let mut seen = Vec::new();
    let mut last_id = String::new();
    while seen.last() != Some(&"paid") {
        let (id, event) = events.next_change().await;
        if let Event::Settlement { txid, .. } = &event {
            assert_eq!(*txid, transaction.compute_txid());
        }
        seen.push(state_of(&event));
        last_id = id;
    }
    assert!(
        seen.contains(&"settling") && seen.contains(&"signing"),
        "{seen:?}"
    );
    assert!(
        seen.contains(&"published") && seen.contains(&"final"),
        "{seen:?}"
    );

    // Another reader who saw the first one gets all the rest, and then what is new.
    let mut resumed = Events::open(&t.router, "/v1/events", Some(&first_id)).await;
    assert_eq!(state_of(&resumed.next_change().await.1), "ready");
    for expected in &seen {
        assert_eq!(state_of(&resumed.next_change().await.1), *expected);
    }
    let mut resumed = Events::open(&t.router, "/v1/events", Some(&last_id)).await;
    let (_, event) = resumed.next().await;
    assert_eq!(state_of(&event), "tip");
    let next: Request = t.post("/v1/peg-ins", "another", &peg_in()).await.parse();
    let (_, event) = resumed.next_change().await;
    assert!(matches!(event, Event::Request { id, .. } if id == next.id));
}

#[tokio::test]
async fn a_stream_of_one_request_has_its_events_and_tips_alone() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let own: Request = t.post("/v1/peg-ins", "own", &peg_in()).await.parse();
    let path = format!("/v1/events?request={}", own.id);
    // From the start.
    let mut events = Events::open(&t.router, &path, Some("0")).await;
    assert_eq!(state_of(&events.next_change().await.1), "awaiting-deposit");
    let other = deposited(&t, 41).await;
    assert_ne!(other.id, own.id);
    let deposit = super::bridge::payment(
        42,
        super::support::script(&own.deposit_address),
        super::settlement::DEPOSIT_SAT,
    );
    t.mine(vec![deposit]).await;
    let (_, event) = events.next_change().await;
    assert!(matches!(event, Event::Request { id, .. } if id == own.id));
    assert_eq!(state_of(&event), "ready");
}

#[tokio::test]
async fn a_number_of_another_database_begins_at_the_newest() {
    let t = TestBackend::new().await;
    let last = u64::MAX.to_string();
    let mut events = Events::open(&t.router, "/v1/events", Some(&last)).await;
    t.post("/v1/peg-ins", "key", &peg_in()).await;
    assert_eq!(state_of(&events.next_change().await.1), "awaiting-deposit");
}

#[tokio::test]
async fn a_closed_stream_gives_its_place_back() {
    let t = TestBackend::new().await;
    let narrow = t.limited(grail_backend::api::Limits {
        streams_max: 1,
        ..Default::default()
    });
    let open = async || {
        let request = HttpRequest::builder().uri("/v1/events");
        let request = request.body(Body::empty()).unwrap();
        narrow.clone().oneshot(request).await.unwrap()
    };
    let first = open().await;
    assert_eq!(first.status(), 200);
    assert_eq!(open().await.status(), 503);
    drop(first);
    super::support::eventually(async || open().await.status() == 200).await;
}
