//! The server and the project's client over a real connection.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use grail_api::{
    CreatePegIn, IdempotencyKey, Kind, PageQuery, ProblemCode,
    client::{Client, ClientError},
};
use grail_backend::api;

use super::support::{PATIENCE, TestBackend, peg_in};

async fn served(t: &TestBackend) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = api::Limits::default();
    tokio::spawn(api::serve(Arc::clone(&t.backend), listener, limits));
    address.to_string()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(Some(text.as_bytes())).unwrap()
}

#[tokio::test]
async fn the_client_gets_what_the_server_says() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let url = format!("http://{}", served(&t).await);
    let params = t.backend.params().clone();
    tokio::task::spawn_blocking(move || {
        let client = Client::new(&url);
        assert_eq!(client.params().unwrap().params, params);
        assert_eq!(client.roster().unwrap().signers.len(), 4);
        assert_eq!(client.reserves().unwrap().supply_sat, 0);
        // Failing, for no operator has shown up; an answer all the same.
        assert!(!client.health().unwrap().components.is_empty());

        let mut events = client.events(None).unwrap();
        assert_eq!(events.next().unwrap().unwrap().name(), "tip");
        let body: CreatePegIn = serde_json::from_value(peg_in()).unwrap();
        let made = client.create_peg_in(&body, &key("key-1")).unwrap();
        assert_eq!(client.create_peg_in(&body, &key("key-1")).unwrap(), made);
        let status = client.request(Kind::PegIn, &made.id).unwrap();
        assert_eq!(status.receipt, made.receipt);
        let page = client.requests(None, &PageQuery::default()).unwrap();
        assert_eq!(page.items.len(), 0);
        let page = client.settlements(&PageQuery::default()).unwrap();
        assert_eq!(page.items.len(), 0);

        let mut other = body.clone();
        other.fee_cap_sat = 9_000;
        match client.create_peg_in(&other, &key("key-1")) {
            Err(ClientError::Problem(problem)) => {
                assert_eq!(problem.code, ProblemCode::IdempotencyConflict);
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nonsense_on_the_wire_does_not_disturb_others() {
    let t = TestBackend::new().await;
    let address = served(&t).await;
    tokio::task::spawn_blocking(move || {
        let mut huge = b"GET / HTTP/1.1\r\nx: ".to_vec();
        huge.resize(64 * 1024, b'a');
        let kept: Vec<_> = [
            b"\x16\x03\x01".to_vec(),
            b"\0".repeat(100),
            huge,
            Vec::new(),
        ]
        .into_iter()
        .map(|bytes| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let _ = stream.write_all(&bytes);
            stream
        })
        .collect();
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"GET /v1/params HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        drop(kept);
    })
    .await
    .unwrap();
}
