//! The client against a server that answers by script.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;

use grail_api::client::{Client, ClientError};
use grail_api::{
    CreatePegIn, Event, HealthStatus, IdempotencyKey, Kind, PageQuery, Problem, ProblemCode,
    RequestState,
};

/// Answers one call with `answer`; the thread ends with the request's head and body.
fn server(answer: Vec<u8>) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::new(&format!("http://{}/", listener.local_addr().unwrap()));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            request.push_str(&line);
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        // The client may hang up early: that is its right.
        let _ = stream.write_all(&answer);
        request
    });
    (client, thread)
}

fn answer(status: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn a_problem_comes_back_with_its_code() {
    let problem = Problem::new(ProblemCode::AmountZero, "expected more");
    let body = serde_json::to_string(&problem).unwrap();
    let (client, thread) = server(answer(
        "422 Unprocessable Entity",
        "application/problem+json",
        &body,
    ));
    let body = CreatePegIn {
        recipient_address: "a".into(),
        reclaim_public_key: "b".into(),
        fee_cap_sat: 1,
        reclaim_delay: None,
        amount_sat: None,
        nonce: None,
    };
    let key = IdempotencyKey::parse(Some(b"key-1")).unwrap();
    let error = client.create_peg_in(&body, &key).unwrap_err();
    assert_eq!(error.code(), "amount-zero");
    assert!(matches!(error, ClientError::Problem(got) if *got == problem));

    let request = thread.join().unwrap();
    assert!(request.starts_with("POST /v1/peg-ins HTTP/1.1\r\n"));
    assert!(request.contains("idempotency-key: key-1\r\n"));
    assert!(request.ends_with(&serde_json::to_string(&body).unwrap()));
}

#[test]
fn queries_carry_state_and_page() {
    let (client, thread) = server(answer("200 OK", "application/json", r#"{"items":[]}"#));
    let page = PageQuery {
        after: Some("c7".into()),
        limit: Some(2),
    };
    let requests = client.requests(Some(RequestState::Paid), &page).unwrap();
    assert!(requests.items.is_empty() && requests.next.is_none());
    let request = thread.join().unwrap();
    assert!(request.starts_with("GET /v1/requests?state=paid&after=c7&limit=2 HTTP/1.1\r\n"));
}

#[test]
fn an_answer_of_another_shape_is_an_error_and_no_panic() {
    for body in ["", "{}", "[1,2", "\u{0}"] {
        let (client, _thread) = server(answer("200 OK", "application/json", body));
        assert_eq!(client.reserves().unwrap_err().code(), "api-answer");
    }
    let (client, _thread) = server(answer("502 Bad Gateway", "text/html", "<html>"));
    assert_eq!(client.reserves().unwrap_err().code(), "api-answer");
    let (client, _thread) = server(b"nonsense\r\n\r\n".to_vec());
    assert_eq!(client.reserves().unwrap_err().code(), "api-unreachable");
}

#[test]
fn an_answer_that_is_too_long_is_an_error() {
    let (client, _thread) = server(answer("200 OK", "application/json", &" ".repeat(9 << 20)));
    assert_eq!(client.reserves().unwrap_err().code(), "api-answer");
}

#[test]
fn a_redirect_is_not_followed() {
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let (client, _thread) = server(redirect.to_vec());
    let code = client.reserves().unwrap_err().code();
    assert!(["api-answer", "api-unreachable"].contains(&code), "{code}");
}

#[test]
fn no_server_is_unreachable() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = Client::new(&format!("http://127.0.0.1:{port}"));
    assert_eq!(client.params().unwrap_err().code(), "api-unreachable");
}

#[test]
fn a_failing_backend_still_tells_its_health() {
    let body = r#"{"status":"failing","components":[]}"#;
    let (client, _thread) = server(answer("503 Service Unavailable", "application/json", body));
    assert_eq!(client.health().unwrap().status, HealthStatus::Failing);
}

#[test]
fn events_come_one_by_one_between_comments() {
    let id = "ab".repeat(32);
    let request =
        format!(r#"{{"event":"request","id":"{id}","kind":"peg-in","state":"ready","code":null}}"#);
    let tip = format!(
        r#"{{"event":"tip","height":7,"block_hash":"{}"}}"#,
        "0".repeat(64)
    );
    let stream = format!(
        ": hello\n\nevent: request\ndata: {request}\n\n:\n\ndata:{tip}\r\n\r\ndata: {{\n\n"
    );
    let (client, thread) = server(answer("200 OK", "text/event-stream", &stream));
    let mut events = client.events(Some(&id.parse().unwrap())).unwrap();
    assert!(matches!(
        events.next().unwrap().unwrap(),
        Event::Request {
            kind: Kind::PegIn,
            state: RequestState::Ready,
            code: None,
            ..
        }
    ));
    assert!(matches!(
        events.next().unwrap().unwrap(),
        Event::Tip { height: 7, .. }
    ));
    assert_eq!(events.next().unwrap().unwrap_err().code(), "api-answer");
    assert!(events.next().is_none());
    assert!(
        thread
            .join()
            .unwrap()
            .starts_with(&format!("GET /v1/events?request={id} "))
    );
}

#[test]
fn an_endless_line_of_events_is_cut_off() {
    let (client, _thread) = server(answer("200 OK", "text/event-stream", &"x".repeat(1 << 20)));
    let mut events = client.events(None).unwrap();
    assert_eq!(events.next().unwrap().unwrap_err().code(), "api-answer");
}
