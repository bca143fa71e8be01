//! One request, over HTTP, with patience: what may pass is tried again, the rest ends it.

use std::io::Read as _;
use std::time::Duration;

use ureq::http::{StatusCode, Uri};
use ureq::{Agent, Body, http::Response};

use super::layout::AnswerError;
use super::{CharmsConfig, CharmsConfigError};
use crate::port::{ProverError, TransientError};

/// Longest answer read. The transaction of a standard spell is at most 200 kB, written in hex.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How much of a refusal is read.
const REFUSAL_BYTES_MAX: u64 = 4 * 1024;
/// How much of it is repeated, characters.
const REFUSAL_CHARS_MAX: usize = 500;
/// Longest time for the question whether the server is there.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Chooses a pause, given the longest allowed; the caller brings randomness.
pub type Jitter = Box<dyn Fn(Duration) -> Duration + Send + Sync>;

pub(super) struct Transport {
    agent: Agent,
    url: String,
    attempts_max: u32,
    pause: Duration,
    pause_max: Duration,
    jitter: Jitter,
}

/// Why one attempt gave no answer.
enum Attempt {
    /// The next may.
    Passing(String),
    /// None will.
    Final(ProverError),
}

impl Transport {
    pub(super) fn new(config: &CharmsConfig, jitter: Jitter) -> Result<Self, CharmsConfigError> {
        let url = checked_url(&config.url)?;
        if config.attempts_max == 0
            || config.connect_timeout.is_zero()
            || config.total_timeout.is_zero()
        {
            return Err(CharmsConfigError::Patience);
        }
        let agent = Agent::config_builder()
            .timeout_connect(Some(config.connect_timeout))
            .timeout_global(Some(config.total_timeout))
            .http_status_as_error(false)
            // A prover that moved is asked at its new address by a person, not by a header.
            .max_redirects(0)
            .proxy(None)
            // Proofs are minutes apart: a kept connection would be a dead one.
            .max_idle_connections(0)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            url,
            attempts_max: config.attempts_max,
            pause: config.pause,
            pause_max: config.pause_max,
            jitter,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn ready(&self) -> Result<(), TransientError> {
        let url = format!("{}/ready", self.url);
        let answer = self
            .agent
            .get(&url)
            .config()
            .timeout_global(Some(READY_TIMEOUT))
            .build()
            .call();
        match answer {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
            Ok(answer) => Err(TransientError {
                reason: format!("{url} answers with status {}", answer.status().as_u16()),
            }),
            Err(error) => Err(TransientError {
                reason: format!("{url}: {error}"),
            }),
        }
    }

    /// The body of the server's answer. Blocks, pauses between attempts included.
    pub(super) fn ask(&self, body: &[u8]) -> Result<Vec<u8>, ProverError> {
        let mut pause = self.pause.min(self.pause_max);
        let mut attempt = 1_u32;
        loop {
            match self.attempt(body) {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Passing(reason)) if attempt >= self.attempts_max => {
                    let reason = format!("{reason} (attempt {attempt} of {})", self.attempts_max);
                    return Err(TransientError { reason }.into());
                }
                Err(Attempt::Passing(_)) => {
                    std::thread::sleep((self.jitter)(pause).min(pause));
                    pause = pause.saturating_mul(2).min(self.pause_max);
                    attempt = attempt.saturating_add(1);
                }
            }
        }
    }

    fn attempt(&self, body: &[u8]) -> Result<Vec<u8>, Attempt> {
        let answer = self
            .agent
            .post(format!("{}/spells/prove", self.url))
            .header("content-type", "application/cbor")
            .send(body)
            .map_err(|error| passing(&error))?;
        let status = answer.status();
        match status.as_u16() {
            200 => read_answer(answer),
            // Overload and time limits of whatever stands before the server pass, as failures of
            // the server do.
            408 | 425 | 429 | 500..=599 => Err(Attempt::Passing(format!(
                "status {}: {}",
                status.as_u16(),
                words(answer)
            ))),
            400..=499 => Err(Attempt::Final(ProverError::Refused {
                status: status.as_u16(),
                reason: words(answer),
            })),
            status => Err(Attempt::Final(AnswerError::Status { status }.into())),
        }
    }
}

fn passing(error: &ureq::Error) -> Attempt {
    Attempt::Passing(sanitised(&error.to_string()))
}

fn read_answer(answer: Response<Body>) -> Result<Vec<u8>, Attempt> {
    answer
        .into_body()
        .into_with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => Attempt::Final(
                AnswerError::TooLarge {
                    allowed: ANSWER_BYTES_MAX,
                }
                .into(),
            ),
            error => passing(&error),
        })
}

/// The beginning of what the server says. What cannot be read is not worth an error of its own.
fn words(answer: Response<Body>) -> String {
    let mut bytes = Vec::new();
    let _ = answer
        .into_body()
        .into_reader()
        .take(REFUSAL_BYTES_MAX)
        .read_to_end(&mut bytes);
    sanitised(&String::from_utf8_lossy(&bytes))
}

/// Foreign words for logs and people: printable, on one line, of bounded length.
pub(super) fn sanitised(text: &str) -> String {
    let mut words: String = text
        .chars()
        .take(REFUSAL_CHARS_MAX)
        .map(|letter| {
            // Marks that turn writing round could make a log line read as another.
            let turns = matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if letter.is_control() || turns {
                ' '
            } else {
                letter
            }
        })
        .collect();
    if text.chars().nth(REFUSAL_CHARS_MAX).is_some() {
        words.push('…');
    }
    words
}

fn checked_url(url: &str) -> Result<String, CharmsConfigError> {
    let uri = url.parse::<Uri>().ok();
    let is_address = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| {
                !authority.as_str().contains('@') && !authority.host().is_empty()
            })
    });
    if is_address {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    // What stands before an `@` may be a password.
    let shown = url.rsplit('@').next().unwrap_or_default();
    Err(CharmsConfigError::Url {
        url: sanitised(shown),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn foreign_words_are_cut_and_printable() {
        assert_eq!(sanitised("a\nb\u{1b}[31m\u{202e}c"), "a b [31m c");
        let long = "x".repeat(REFUSAL_CHARS_MAX);
        assert_eq!(sanitised(&long), long);
        assert_eq!(sanitised(&format!("{long}y")), format!("{long}…"));
    }

    #[test]
    fn an_address_is_http_with_a_host_and_no_credentials() {
        for url in ["http://127.0.0.1:17784", "https://prover.example/v15/"] {
            assert_eq!(checked_url(url).unwrap(), url.trim_end_matches('/'));
        }
        for url in [
            "",
            "prover.example",
            "ftp://prover.example",
            "http://",
            "http://h/?q=1",
        ] {
            assert!(checked_url(url).is_err(), "{url}");
        }
        let shown = checked_url("http://me:secret@host").unwrap_err();
        assert!(!shown.to_string().contains("secret"), "{shown}");
    }
}
