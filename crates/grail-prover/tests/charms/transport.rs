//! What passes is tried again, what does not ends it.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use grail_prover::{CharmsConfigError, CharmsProver, MockProver, Prover as _, ProverVerdict};

use crate::common::mock_allowed;
use crate::server::{Behaviour, Server};
use crate::{ask, ask_with, cbor_of, client, code, config, deployment, fee, made};

fn well() -> Behaviour {
    Behaviour::Answer(200, cbor_of(&[made(&deployment(0), None)]))
}

#[test]
fn gives_what_the_mock_prover_gives_when_all_is_well() {
    let (outcome, requests) = ask(vec![well()]);
    let expected = MockProver::new(mock_allowed()).prove(&deployment(0).1);
    assert_eq!(outcome.unwrap(), expected.unwrap());
    assert_eq!(requests, 1);
}

#[test]
fn failures_of_the_server_are_tried_again() {
    for status in [500, 502, 503, 504, 599, 408, 425, 429] {
        let failure = Behaviour::Answer(status, b" transient prover failure: x".to_vec());
        let (outcome, requests) = ask(vec![failure.clone(), failure, well()]);
        assert_eq!((code(&outcome), requests), ("proven", 3), "{status}");
    }
}

#[test]
fn closed_and_cut_connections_are_tried_again() {
    for failure in [Behaviour::Closes, Behaviour::Truncated(vec![0x81])] {
        let (outcome, requests) = ask(vec![failure.clone(), well()]);
        assert_eq!((code(&outcome), requests), ("proven", 2), "{failure:?}");
    }
}

#[test]
fn patience_ends_after_the_last_attempt() {
    let failure = Behaviour::Answer(503, b"busy".to_vec());
    let (outcome, requests) = ask(vec![failure]);
    let error = outcome.unwrap_err();
    assert_eq!(error.verdict(), ProverVerdict::None);
    assert_eq!((error.code(), requests), ("prove-unavailable", 3));
    assert!(
        error
            .to_string()
            .contains("status 503: busy (attempt 3 of 3)"),
        "{error}"
    );
}

#[test]
fn a_server_that_hangs_or_drips_is_not_waited_for() {
    for behaviour in [Behaviour::Hangs, Behaviour::Drips] {
        let start = Instant::now();
        let (outcome, _) = ask_with(vec![behaviour.clone()], |config| {
            config.total_timeout = Duration::from_millis(300);
            config.attempts_max = 2;
        });
        assert!(
            matches!(&outcome, Err(error) if error.verdict() == ProverVerdict::None),
            "{behaviour:?}: {outcome:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(20), "{behaviour:?}");
    }
}

#[test]
fn nobody_listening_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = client(config(&url)).prove(&deployment(0).1);
    assert_eq!(code(&outcome), "prove-unavailable");
    assert!(client(config(&url)).ready().is_err());
}

#[test]
fn pauses_double_up_to_the_longest_and_jitter_only_shortens_them() {
    let server = Server::start(vec![Behaviour::Answer(500, Vec::new())]);
    let mut config = config(&server.url());
    (config.attempts_max, config.pause, config.pause_max) =
        (5, Duration::from_millis(2), Duration::from_millis(5));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let jitter = {
        let asked = Arc::clone(&asked);
        move |longest| {
            asked.lock().unwrap().push(longest);
            // More than allowed: cut down.
            Duration::from_hours(1)
        }
    };
    let outcome = CharmsProver::new(config, Box::new(jitter))
        .unwrap()
        .prove(&deployment(0).1);
    assert_eq!(code(&outcome), "prove-unavailable");
    let millis: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .map(Duration::as_millis)
        .collect();
    assert_eq!(millis, [2, 4, 5, 5]);
}

#[test]
fn a_refusal_is_final_and_its_words_are_cut_and_cleaned() {
    for status in [400, 401, 404, 413, 422, 451] {
        let words = format!(
            "spell\r\nverification \u{1b}[2Jfailed {}",
            "x".repeat(1_000_000)
        );
        let (outcome, requests) = ask(vec![Behaviour::Answer(status, words.into_bytes())]);
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), requests), ("prove-refused", 1), "{status}");
        assert_eq!(error.verdict(), ProverVerdict::Provers);
        let text = error.to_string();
        assert!(
            text.contains(&format!(
                "status {status}: spell  verification  [2Jfailed xxx"
            )),
            "{text}"
        );
        assert!(text.chars().count() < 600 && !text.chars().any(char::is_control));
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(vec![well()]);
    let header: &'static str = format!("Location: {}/spells/prove", elsewhere.url()).leak();
    for status in [301, 302, 307, 308] {
        let (outcome, _) = ask(vec![Behaviour::AnswerWith(status, header, Vec::new())]);
        assert_eq!(code(&outcome), "prove-answer-status", "{status}");
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_success_without_an_answer_is_none() {
    let (outcome, _) = ask(vec![Behaviour::Answer(204, Vec::new())]);
    assert_eq!(code(&outcome), "prove-answer-status");
}

#[test]
fn an_answer_that_does_not_end_is_cut_off() {
    let declared = Behaviour::Answer(200, vec![0x80; 1024 * 1024 + 1]);
    for behaviour in [declared, Behaviour::Endless] {
        let (outcome, requests) = ask(vec![behaviour]);
        assert_eq!((code(&outcome), requests), ("prove-answer-too-large", 1));
    }
}

#[test]
fn the_same_request_is_proved_once() {
    let server = Server::start(vec![well()]);
    let prover = client(config(&server.url()));
    let request = deployment(0).1;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| prover.prove(&request).unwrap());
        }
    });
    prover.prove(&request).unwrap();
    assert_eq!(server.requests().len(), 1);
    // Another request is another proof; the server's answer does not fit it.
    let outcome = prover.prove(&deployment(1).1);
    assert_eq!(code(&outcome), "prove-answer-other-spell");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_failed_request_is_asked_again() {
    let refuse = Behaviour::Answer(400, b"no".to_vec());
    let server = Server::start(vec![refuse, well()]);
    let prover = client(config(&server.url()));
    let request = deployment(0).1;
    assert_eq!(code(&prover.prove(&request)), "prove-refused");
    assert_eq!(code(&prover.prove(&request)), "proven");
}

#[test]
fn readiness_is_status_200_of_ready() {
    for (status, is_ready) in [(200, true), (404, false), (503, false)] {
        let server = Server::start(vec![Behaviour::Answer(status, b"OK".to_vec())]);
        let ready = client(config(&server.url())).ready();
        assert_eq!(ready.is_ok(), is_ready, "{status}: {ready:?}");
    }
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let refused = |change: fn(&mut grail_prover::CharmsConfig)| {
        let mut config = config("http://127.0.0.1:1");
        change(&mut config);
        CharmsProver::new(config, Box::new(|longest| longest)).unwrap_err()
    };
    let patience = [
        refused(|config| config.attempts_max = 0),
        refused(|config| config.connect_timeout = Duration::ZERO),
        refused(|config| config.total_timeout = Duration::ZERO),
    ];
    assert!(
        patience
            .iter()
            .all(|error| *error == CharmsConfigError::Patience)
    );
    let url = refused(|config| config.url = "https://me:word@host".to_owned());
    assert!(matches!(url, CharmsConfigError::Url { .. }), "{url}");
    let least = refused(|config| config.fee = Some(fee(700, 999)));
    assert!(matches!(least, CharmsConfigError::Fee { .. }), "{least}");
    let mut enough = config("http://127.0.0.1:1");
    enough.fee = Some(fee(700, 1_000));
    assert_eq!(client(enough).kind(), "charms");
}
