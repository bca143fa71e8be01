//! Hub and clients over real sockets.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use grail_broker::{
    Broker, BrokerError, Bytes, EmbeddedBroker, HubConfig, Link, Message, PAYLOAD_MAX_BYTES,
    RemoteBroker, RemoteConfig, Subject, Subscription,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const DEADLINE: Duration = Duration::from_secs(30);
static DOWN: Subject = Subject::from_static("test.down");
static UP: Subject = Subject::from_static("test.up");

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn hub_config() -> HubConfig {
    HubConfig {
        remote_subjects: vec![UP.clone()],
        ..HubConfig::default()
    }
}

/// A port that a hub has just left is free a moment later.
async fn hub_at(address: SocketAddr, config: HubConfig) -> EmbeddedBroker {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match EmbeddedBroker::listen_with(address, config.clone()).await {
            Ok(hub) => return hub,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

fn client(address: SocketAddr) -> RemoteBroker {
    let config = RemoteConfig {
        backoff_max: Duration::from_millis(200),
        ..RemoteConfig::default()
    };
    RemoteBroker::connect_with(address.to_string(), config)
}

/// Waits until the client is connected, with a connection after the given one.
async fn connected(client: &RemoteBroker, after: u64) -> u64 {
    let mut link = client.link();
    let up = |link: &Link| matches!(link, Link::Up { connection } if *connection > after);
    let link = *timeout(DEADLINE, link.wait_for(up)).await.unwrap().unwrap();
    match link {
        Link::Up { connection } => connection,
        Link::Down => unreachable!(),
    }
}

async fn next(subscription: &mut Subscription) -> Message {
    timeout(DEADLINE, subscription.next())
        .await
        .unwrap()
        .unwrap()
}

/// Publishes until the subscriber hears it: a subscription takes effect a moment after it is made.
async fn reaches(publisher: &dyn Broker, subject: &Subject, subscription: &mut Subscription) {
    let marker = Bytes::from(format!("marker {}", fresh_number()));
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        // While disconnected it is refused; tried again.
        drop(publisher.publish(subject, marker.clone()).await);
        let wait = timeout(Duration::from_millis(50), async {
            while let Some(message) = subscription.next().await {
                if message.payload == marker {
                    return true;
                }
            }
            false
        });
        if wait.await == Ok(true) {
            // Repetitions of the marker may still be on their way; the tests tell messages apart.
            return;
        }
    }
    panic!("nothing arrived under {subject}");
}

fn fresh_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

async fn next_but_markers(subscription: &mut Subscription) -> Message {
    loop {
        let message = next(subscription).await;
        if !message.payload.starts_with(b"marker") {
            return message;
        }
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn messages_pass_both_ways_and_only_under_their_subject() {
    let hub = hub_at(any_port(), hub_config()).await;
    let client = client(hub.address());
    let mut down = client.subscribe(&DOWN).await.unwrap();
    let mut up = hub.subscribe(&UP).await.unwrap();
    reaches(&hub, &DOWN, &mut down).await;
    reaches(&client, &UP, &mut up).await;
    hub.publish(&DOWN, Bytes::from_static(b"to you"))
        .await
        .unwrap();
    assert_eq!(next_but_markers(&mut down).await.payload, "to you");
    client
        .publish(&UP, Bytes::from_static(b"to me"))
        .await
        .unwrap();
    let message = next_but_markers(&mut up).await;
    assert_eq!(
        (message.subject, &*message.payload),
        (UP.clone(), &b"to me"[..])
    );
}

#[tokio::test]
async fn sixteen_clients_hear_every_message_and_are_all_heard() {
    let hub = hub_at(any_port(), hub_config()).await;
    let mut up = hub.subscribe(&UP).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..16 {
        let client = client(hub.address());
        let mut down = client.subscribe(&DOWN).await.unwrap();
        reaches(&hub, &DOWN, &mut down).await;
        clients.push((client, down));
    }
    for number in 0..20_u8 {
        hub.publish(&DOWN, vec![number].into()).await.unwrap();
    }
    for (index, (client, down)) in clients.iter_mut().enumerate() {
        for number in 0..20_u8 {
            assert_eq!(&*next_but_markers(down).await.payload, [number]);
        }
        let payload = u8::try_from(index).unwrap();
        client.publish(&UP, vec![payload].into()).await.unwrap();
    }
    let mut heard = Vec::new();
    for _ in 0..16 {
        heard.extend_from_slice(&next(&mut up).await.payload);
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..16).collect::<Vec<u8>>());
    assert_eq!(hub.counters().lost_count, 0);
}

#[tokio::test]
async fn the_largest_payload_passes_and_one_byte_more_is_refused() {
    let hub = hub_at(any_port(), hub_config()).await;
    let client = client(hub.address());
    let mut down = client.subscribe(&DOWN).await.unwrap();
    reaches(&hub, &DOWN, &mut down).await;
    let largest = Bytes::from(vec![7; PAYLOAD_MAX_BYTES]);
    hub.publish(&DOWN, largest.clone()).await.unwrap();
    assert!(next_but_markers(&mut down).await.payload == largest);
    let too_large = Bytes::from(vec![7; PAYLOAD_MAX_BYTES + 1]);
    let expected = BrokerError::PayloadTooLarge {
        max: PAYLOAD_MAX_BYTES,
        got: PAYLOAD_MAX_BYTES + 1,
    };
    assert_eq!(
        hub.publish(&DOWN, too_large.clone()).await,
        Err(expected.clone())
    );
    assert_eq!(client.publish(&UP, too_large).await, Err(expected));
}

#[tokio::test]
async fn a_client_outlives_the_hub_and_subscribes_again() {
    let first = hub_at(any_port(), hub_config()).await;
    let address = first.address();
    let client = client(address);
    let mut down = client.subscribe(&DOWN).await.unwrap();
    reaches(&first, &DOWN, &mut down).await;
    let connection = connected(&client, 0).await;
    drop(first);
    let mut link = client.link();
    let is_down = |link: &Link| *link == Link::Down;
    timeout(DEADLINE, link.wait_for(is_down))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        client.publish(&UP, Bytes::new()).await,
        Err(BrokerError::Disconnected)
    );

    let second = hub_at(address, hub_config()).await;
    connected(&client, connection).await;
    reaches(&second, &DOWN, &mut down).await;
    let mut up = second.subscribe(&UP).await.unwrap();
    reaches(&client, &UP, &mut up).await;
}

#[tokio::test]
async fn a_client_that_starts_before_the_hub_finds_it() {
    let reserved = std::net::TcpListener::bind(any_port()).unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let client = client(address);
    let mut down = client.subscribe(&DOWN).await.unwrap();
    let hub = hub_at(address, hub_config()).await;
    reaches(&hub, &DOWN, &mut down).await;
}

#[tokio::test]
async fn a_slow_consumer_loses_messages_and_delays_nobody() {
    let hub = hub_at(any_port(), hub_config()).await;
    // A peer that subscribes and then never reads.
    let mut slow = raw(hub.address()).await;
    slow.write_all(&subscribe_frame(&DOWN)).await.unwrap();
    let fast = client(hub.address());
    let mut down = fast.subscribe(&DOWN).await.unwrap();
    reaches(&hub, &DOWN, &mut down).await;
    let payload = Bytes::from(vec![1; 8 * 1024 * 1024]);
    let started = Instant::now();
    for _ in 0..40 {
        hub.publish(&DOWN, payload.clone()).await.unwrap();
        assert_eq!(
            next_but_markers(&mut down).await.payload.len(),
            payload.len()
        );
    }
    assert!(started.elapsed() < DEADLINE);
    assert!(hub.counters().lost_count > 0);
    assert_eq!(down.lost_count(), 0);
}

#[tokio::test]
async fn a_local_subscriber_that_does_not_read_loses_messages_and_counts_them() {
    let hub = hub_at(any_port(), hub_config()).await;
    let idle = hub.subscribe(&DOWN).await.unwrap();
    for _ in 0..2_000 {
        hub.publish(&DOWN, Bytes::new()).await.unwrap();
    }
    assert_eq!(idle.lost_count(), hub.counters().lost_count);
    assert!(idle.lost_count() > 0);
}

/// A connection that has greeted.
async fn raw(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"grailbr2").await.unwrap();
    let mut greeting = [0; 8];
    timeout(DEADLINE, stream.read_exact(&mut greeting))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&greeting, b"grailbr2");
    stream
}

fn subscribe_frame(subject: &Subject) -> Vec<u8> {
    frame(2, subject, b"")
}

fn frame(kind: u8, subject: &Subject, payload: &[u8]) -> Vec<u8> {
    let text = subject.as_str().as_bytes();
    let mut body = vec![kind, u8::try_from(text.len()).unwrap()];
    body.extend_from_slice(text);
    body.extend_from_slice(payload);
    let mut frame = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    frame.append(&mut body);
    frame
}

async fn is_disconnected(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // End or reset, either is the hub's goodbye.
    drop(
        timeout(DEADLINE, stream.read_to_end(&mut rest))
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn whoever_breaks_the_protocol_loses_only_the_own_connection() {
    let hub = hub_at(any_port(), hub_config()).await;
    let honest = client(hub.address());
    let mut down = honest.subscribe(&DOWN).await.unwrap();
    reaches(&hub, &DOWN, &mut down).await;
    let connection = connected(&honest, 0).await;

    let mut many_subjects = Vec::new();
    for number in 0..=16 {
        let subject = Subject::new(&format!("test.{number}")).unwrap();
        many_subjects.extend(subscribe_frame(&subject));
    }
    let offences = [
        u32::MAX.to_le_bytes().to_vec(),
        vec![0; 4],
        b"\x01\0\0\0\x09".to_vec(),
        b"\x03\0\0\0\x02\x01A".to_vec(),
        frame(1, &DOWN, b"in the backend's place"),
        many_subjects,
    ];
    for (index, offence) in offences.iter().enumerate() {
        let mut stream = raw(hub.address()).await;
        stream.write_all(offence).await.unwrap();
        is_disconnected(stream).await;
        let counted = u64::try_from(index + 1).unwrap();
        until("the offence is counted", || {
            hub.counters().broken_count == counted
        })
        .await;
    }
    let mut stranger = TcpStream::connect(hub.address()).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    is_disconnected(stranger).await;

    hub.publish(&DOWN, Bytes::from_static(b"still here"))
        .await
        .unwrap();
    assert_eq!(next_but_markers(&mut down).await.payload, "still here");
    assert_eq!(connected(&honest, 0).await, connection);
}

#[tokio::test]
async fn a_frame_cut_off_by_its_sender_is_not_published() {
    let hub = hub_at(any_port(), hub_config()).await;
    let mut up = hub.subscribe(&UP).await.unwrap();
    let mut stream = raw(hub.address()).await;
    let whole = frame(1, &UP, b"half of this");
    stream.write_all(&whole[..whole.len() - 3]).await.unwrap();
    drop(stream);
    until("the peer is gone", || hub.counters().connection_count == 0).await;
    hub.publish(&UP, Bytes::from_static(b"whole"))
        .await
        .unwrap();
    assert_eq!(next(&mut up).await.payload, "whole");
}

#[tokio::test]
async fn silent_peers_are_disconnected_and_pinging_ones_stay() {
    let config = HubConfig {
        ping_interval: Duration::from_millis(50),
        silence_max: Duration::from_millis(500),
        ..hub_config()
    };
    let hub = hub_at(any_port(), config).await;
    let pinging = RemoteBroker::connect_with(
        hub.address().to_string(),
        RemoteConfig {
            ping_interval: Duration::from_millis(50),
            silence_max: Duration::from_secs(10),
            ..RemoteConfig::default()
        },
    );
    let connection = connected(&pinging, 0).await;
    is_disconnected(raw(hub.address()).await).await;
    is_disconnected(TcpStream::connect(hub.address()).await.unwrap()).await;
    let mut unfinished = raw(hub.address()).await;
    unfinished.write_all(b"\xff\0\0\0\x01").await.unwrap();
    is_disconnected(unfinished).await;
    assert_eq!(connected(&pinging, 0).await, connection);
}

#[tokio::test]
async fn a_silent_hub_is_left() {
    let listener = tokio::net::TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let _client = RemoteBroker::connect_with(
        address.to_string(),
        RemoteConfig {
            silence_max: Duration::from_millis(100),
            backoff_max: Duration::from_millis(100),
            ..RemoteConfig::default()
        },
    );
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(timeout(DEADLINE, listener.accept()).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn peers_beyond_the_limit_are_turned_away_until_one_leaves() {
    let config = HubConfig {
        connections_max: 2,
        ..hub_config()
    };
    let hub = hub_at(any_port(), config).await;
    let first = raw(hub.address()).await;
    let _second = raw(hub.address()).await;
    is_disconnected(TcpStream::connect(hub.address()).await.unwrap()).await;
    assert_eq!(hub.counters().turned_away_count, 1);
    drop(first);
    until("a place is free", || hub.counters().connection_count == 1).await;
    raw(hub.address()).await;
}

#[tokio::test]
async fn a_client_subscribes_to_a_bounded_number_of_subjects() {
    let client = client(any_port());
    let mut kept = Vec::new();
    for number in 0..16 {
        let subject = Subject::new(&format!("test.{number}")).unwrap();
        kept.push(client.subscribe(&subject).await.unwrap());
        kept.push(client.subscribe(&subject).await.unwrap());
    }
    assert!(matches!(
        client.subscribe(&UP).await,
        Err(BrokerError::TooManySubjects { max: 16 })
    ));
    kept.truncate(30);
    client.subscribe(&UP).await.unwrap();
}

#[tokio::test]
async fn subscriptions_end_with_their_broker() {
    let hub: Arc<dyn Broker> = Arc::new(hub_at(any_port(), hub_config()).await);
    let mut local = hub.subscribe(&UP).await.unwrap();
    drop(hub);
    assert_eq!(timeout(DEADLINE, local.next()).await.unwrap(), None);
    let client = client(any_port());
    let mut remote = client.subscribe(&UP).await.unwrap();
    drop(client);
    assert_eq!(timeout(DEADLINE, remote.next()).await.unwrap(), None);
}
