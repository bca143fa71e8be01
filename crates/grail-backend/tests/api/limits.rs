//! One caller's limits are not another's, over real connections.

use std::{net::SocketAddr, sync::Arc};

use grail_api::ProblemCode;
use grail_backend::api::{self, Limits, Rate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::support::{TestBackend, at_once, peg_in};

/// Two creations each, and none for a long time.
fn two_each() -> Limits {
    Limits {
        creations_each: Rate {
            burst: 2,
            per_second: 0.001,
        },
        streams_each_max: 2,
        ..at_once()
    }
}

async fn served(t: &TestBackend, limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(api::serve(Arc::clone(&t.backend), listener, limits));
    address
}

/// The answer's first line and its body; with `headers`, each `name: value`.
async fn call(to: SocketAddr, line: &str, headers: &[String], body: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let headers = headers.join("\r\n");
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Creates as whoever the header says.
async fn create(to: SocketAddr, key: &str, forwarded: Option<&str>) -> String {
    let mut headers = vec![
        "content-type: application/json".to_owned(),
        format!("idempotency-key: {key}"),
    ];
    headers.extend(forwarded.map(|from| format!("x-forwarded-for: {from}")));
    call(to, "POST /v1/peg-ins", &headers, &peg_in().to_string()).await
}

#[tokio::test]
async fn one_client_behind_the_proxy_does_not_lock_out_the_others() {
    let t = TestBackend::new().await;
    let limits = Limits {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..two_each()
    };
    let to = served(&t, limits).await;
    for (key, from, status) in [
        ("a", "203.0.113.1", "201"),
        ("b", "203.0.113.1", "201"),
        ("c", "203.0.113.1", "429"),
        // What it writes itself in front of its address changes nothing.
        ("c", "203.0.113.9, 203.0.113.1", "429"),
        ("c", "203.0.113.2", "201"),
        ("d", "2001:db8::1", "201"),
        ("e", "2001:db8::ffff", "201"),
        ("f", "2001:db8::abcd:1", "429"),
        ("f", "2001:db8:0:1::1", "201"),
        // What was made before is found all the same.
        ("a", "203.0.113.1", "200"),
    ] {
        let answer = create(to, key, Some(from)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{key} {from}: {answer}"
        );
        if status == "429" {
            let code = ProblemCode::RateLimited.code();
            assert!(
                answer.contains(code) && answer.contains("retry-after: "),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_trusted_proxy_the_header_is_a_strangers_word() {
    let t = TestBackend::new().await;
    let to = served(&t, two_each()).await;
    for (key, status) in [("a", "201"), ("b", "201"), ("c", "429")] {
        let answer = create(to, key, Some(&format!("203.0.113.{}", key.len()))).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn one_client_cannot_take_all_event_streams() {
    let t = TestBackend::new().await;
    let limits = Limits {
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        streams_max: 3,
        ..two_each()
    };
    let to = served(&t, limits).await;
    let open = async |from: &str| {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let text = format!("GET /v1/events HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {from}\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        (String::from_utf8(status.to_vec()).unwrap(), stream)
    };
    let mut kept = Vec::new();
    for (from, expected) in [
        ("203.0.113.1", "HTTP/1.1 200"),
        ("203.0.113.1", "HTTP/1.1 200"),
        ("203.0.113.1", "HTTP/1.1 503"),
        ("203.0.113.2", "HTTP/1.1 200"),
        ("203.0.113.3", "HTTP/1.1 503"),
    ] {
        let (status, stream) = open(from).await;
        assert_eq!(status, expected, "{from}");
        kept.push(stream);
    }
}
