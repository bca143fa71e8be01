//! Server-sent events: delivered, filtered, and resumed where a reader left off.

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::Request as HttpRequest,
};
use grail_api::{Event, Request, RequestState, RotationStage, Rotations};
use grail_backend::roles::rotation_feed;
use grail_store::{NewEvent, Subject};
use tokio_stream::StreamExt;
use tower::ServiceExt;

use super::{
    bridge::payment,
    rotations::{begin_announcing, document},
    settlement::{DEPOSIT_SAT, asked, deposited, proven, published},
    support::{PATIENCE, TestBackend, peg_in, script},
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
        Event::Rotation { stage, .. } => stage.name(),
        Event::Tip { .. } => "tip",
        Event::Reset {} => "reset",
    }
}

/// The number in an event's id.
fn number(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn events_of_a_request_come_as_they_happen_and_resume_after_the_last() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let own: Request = t.post("/v1/peg-ins", "own", &peg_in()).await.parse();
    let path = format!("/v1/events?request={}", own.id);
    // From the start.
    let mut events = Events::open(&t.router, &path, Some("0")).await;
    let (first_id, event) = events.next_change().await;
    let Event::Request {
        id, state, code, ..
    } = event
    else {
        panic!("expected an event of a request, got {event:?}")
    };
    assert_eq!(
        (id, state, code),
        (own.id, RequestState::AwaitingDeposit, None)
    );
    let other = deposited(&t, 41).await;
    assert_ne!(other.id, own.id);
    let deposit = payment(42, script(&own.deposit_address), DEPOSIT_SAT);
    t.mine(vec![deposit]).await;
    let settlement = proven(&t).await;
    asked(&t).await;
    let transaction = published(&t, settlement).await;
    t.mine(vec![transaction]).await;
    t.mine(Vec::new()).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&"paid") {
        let (_, event) = events.next_change().await;
        assert!(matches!(event, Event::Request { id, .. } if id == own.id));
        seen.push(state_of(&event));
    }
    assert_eq!(seen[..2], ["ready", "settling"]);

    // Another reader who saw the first one gets all the rest.
    let mut resumed = Events::open(&t.router, &path, Some(&first_id)).await;
    for expected in &seen {
        assert_eq!(state_of(&resumed.next_change().await.1), *expected);
    }
}

#[tokio::test]
async fn the_public_stream_names_no_request_before_it_is_paid() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let mut events = Events::open(&t.router, "/v1/events", None).await;
    let (id, event) = events.next().await;
    assert_eq!((id, state_of(&event)), (None, "tip"));
    let request = deposited(&t, 40).await;
    let settlement = proven(&t).await;
    asked(&t).await;
    let transaction = published(&t, settlement).await;
    t.mine(vec![transaction.clone()]).await;
    t.mine(Vec::new()).await;
    let (mut seen, mut ids) = (Vec::new(), Vec::new());
    while seen.last() != Some(&"paid") {
        let (id, event) = events.next_change().await;
        match &event {
            Event::Settlement { txid, .. } => assert_eq!(*txid, transaction.compute_txid()),
            Event::Request { id, state, .. } => {
                assert_eq!((*id, *state), (request.id, RequestState::Paid));
            }
            other => panic!("expected a settlement or a paid request, got {other:?}"),
        }
        seen.push(state_of(&event));
        ids.push(id);
    }
    for expected in ["signing", "published", "final"] {
        assert!(seen.contains(&expected), "{seen:?}");
    }
    let mut resumed = Events::open(&t.router, "/v1/events", ids.first().map(|id| &**id)).await;
    for expected in &seen[1..] {
        assert_eq!(state_of(&resumed.next_change().await.1), *expected);
    }
    let mut resumed = Events::open(&t.router, "/v1/events", ids.last().map(|id| &**id)).await;
    assert_eq!(state_of(&resumed.next().await.1), "tip");
}

#[tokio::test]
async fn a_reader_that_missed_more_than_is_sent_again_is_told_to_read_anew() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let request: Request = t.post("/v1/peg-ins", "key", &peg_in()).await.parse();
    let body = serde_json::json!({ "to": "paid" });
    let mut tx = t.backend.store.begin().await.unwrap();
    for _ in 0..1_000 {
        let event = NewEvent {
            subject: Subject::Request(request.id),
            kind: "test",
            body: &body,
            now: 1,
        };
        tx.append_event(&event).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (reset_id, event) = Events::open(&t.router, "/v1/events", Some("0"))
        .await
        .next_change()
        .await;
    assert_eq!(state_of(&event), "reset");
    // From there on it goes on as usual.
    let mut resumed = Events::open(&t.router, "/v1/events", Some(&reset_id)).await;
    assert_eq!(state_of(&resumed.next().await.1), "tip");
    // One less is sent again.
    let (id, event) = Events::open(&t.router, "/v1/events", Some("1"))
        .await
        .next_change()
        .await;
    assert_eq!((number(&id), state_of(&event)), (2, "paid"));
}

#[tokio::test]
async fn a_number_of_another_database_is_told_to_read_anew_from_the_newest() {
    let t = TestBackend::new().await;
    let request: Request = t.post("/v1/peg-ins", "key", &peg_in()).await.parse();
    let last = u64::MAX.to_string();
    for path in [
        "/v1/events".to_owned(),
        format!("/v1/events?request={}", request.id),
    ] {
        let mut events = Events::open(&t.router, &path, Some(&last)).await;
        let (id, event) = events.next_change().await;
        assert_eq!((number(&id), state_of(&event)), (1, "reset"));
    }
}

/// Of one request as of all: what happened in between is not there any more.
#[tokio::test]
async fn who_goes_on_from_an_event_that_is_gone_is_told_to_read_anew() {
    let t = TestBackend::new().await;
    let own: Request = t.post("/v1/peg-ins", "own", &peg_in()).await.parse();
    let _: Request = t.post("/v1/peg-ins", "other", &peg_in()).await.parse();
    let _: Request = t.post("/v1/peg-ins", "third", &peg_in()).await.parse();
    let mut tx = t.backend.store.begin().await.unwrap();
    assert_eq!(tx.forget_events(u64::MAX >> 1, 1).await.unwrap(), 1);
    tx.commit().await.unwrap();
    for path in [
        "/v1/events".to_owned(),
        format!("/v1/events?request={}", own.id),
    ] {
        let mut events = Events::open(&t.router, &path, Some("0")).await;
        let (id, event) = events.next_change().await;
        assert_eq!((number(&id), state_of(&event)), (3, "reset"), "{path}");
    }
    // From the newest that is gone on, nothing was missed.
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let mut events = Events::open(&t.router, "/v1/events", Some("1")).await;
    assert_eq!(state_of(&events.next().await.1), "tip");
}

/// After a restore the same numbers are those of other events.
#[tokio::test]
async fn an_event_of_another_process_is_told_to_read_anew() {
    let t = TestBackend::new().await;
    let own: Request = t.post("/v1/peg-ins", "own", &peg_in()).await.parse();
    let path = format!("/v1/events?request={}", own.id);
    let mut events = Events::open(&t.router, &path, Some("0")).await;
    let (own_id, event) = events.next_change().await;
    assert_eq!(state_of(&event), "awaiting-deposit");
    let mut events = Events::open(&t.router, &path, Some("00000000-1")).await;
    assert_eq!(state_of(&events.next_change().await.1), "reset");
    // This process's own is one to go on from.
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let mut events = Events::open(&t.router, &path, Some(&own_id)).await;
    assert_eq!(state_of(&events.next().await.1), "tip");
}

#[tokio::test]
async fn proxies_are_told_not_to_hold_events_back() {
    let t = TestBackend::new().await;
    let request = HttpRequest::builder().uri("/v1/events");
    let request = request.body(Body::empty()).unwrap();
    let response = t.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["cache-control"], "no-store");
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

/// Hands in a signed rotation, and has the feed told.
async fn consented(t: &TestBackend) {
    let told: Rotations = t.get("/v1/rotations").await.parse();
    let body = serde_json::json!(document(&told, 3));
    assert_eq!(t.post("/v1/rotations", "a", &body).await.status, 201);
    assert_eq!(rotation_feed::tell(&t.backend).await.unwrap(), 1);
}

#[tokio::test]
async fn a_rotation_is_told_of_once_for_each_stage_and_in_its_own_stream() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    assert_eq!(rotation_feed::tell(&t.backend).await.unwrap(), 0);
    let path = "/v1/rotations/events";
    let mut events = Events::open(&t.router, path, None).await;
    assert_eq!(state_of(&events.next().await.1), "tip");
    let mut public = Events::open(&t.router, "/v1/events", None).await;
    assert_eq!(state_of(&public.next().await.1), "tip");
    consented(&t).await;
    // Nothing has changed since.
    assert_eq!(rotation_feed::tell(&t.backend).await.unwrap(), 0);
    let (first, event) = events.next_change().await;
    let expected = Event::Rotation {
        attempt: 1,
        epoch: 0,
        stage: RotationStage::Consented,
        blocks_left: None,
    };
    assert_eq!(event, expected);
    // A request of somebody's, among them.
    let _: Request = t.post("/v1/peg-ins", "own", &peg_in()).await.parse();
    begin_announcing(&t).await;
    assert_eq!(rotation_feed::tell(&t.backend).await.unwrap(), 1);
    assert_eq!(state_of(&events.next_change().await.1), "announcing");
    // Who saw the first one gets the rest; who saw all, nothing; who comes from elsewhere begins
    // anew.
    let mut resumed = Events::open(&t.router, path, Some(&first)).await;
    let (second, event) = resumed.next_change().await;
    assert_eq!(state_of(&event), "announcing");
    let mut resumed = Events::open(&t.router, path, Some(&second)).await;
    assert_eq!(state_of(&resumed.next().await.1), "tip");
    let mut foreign = Events::open(&t.router, path, Some("00000000-1")).await;
    assert_eq!(state_of(&foreign.next_change().await.1), "reset");
    // None of it in the stream of settlements.
    t.mine(Vec::new()).await;
    assert_eq!(state_of(&public.next().await.1), "tip");
}

#[tokio::test]
async fn streams_of_rotations_take_the_same_places() {
    let t = TestBackend::new().await;
    let narrow = t.limited(grail_backend::api::Limits {
        streams_max: 1,
        ..Default::default()
    });
    let open = async |path: &str| {
        let request = HttpRequest::builder().uri(path);
        let request = request.body(Body::empty()).unwrap();
        narrow.clone().oneshot(request).await.unwrap()
    };
    let first = open("/v1/rotations/events").await;
    assert_eq!(first.status(), 200);
    assert_eq!(open("/v1/events").await.status(), 503);
    drop(first);
    super::support::eventually(async || open("/v1/rotations/events").await.status() == 200).await;
}
