//! Blocking client of the API.
//!
//! Owns time limits and size limits of every answer. Believes nothing in them: callers check
//! receipts, terms and evidence. Follows no redirect and never retries; asking twice with one
//! [`IdempotencyKey`] is safe.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use bitcoin::Txid;
use grail_types::{Epoch, RequestId};
use serde::{Serialize, de::DeserializeOwned};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, RequestBuilder};

use crate::proxy::proxy_to;
use crate::{
    BridgeStatus, CreatePegIn, CreatePegOut, CreateSponsor, Event, Health, IDEMPOTENCY_KEY_HEADER,
    IdempotencyKey, Kind, Page, PageQuery, ParamsAnswer, Problem, Proof, ProvingState, Request,
    RequestState, RequestStatus, RequestSummary, Reserves, RestoreRequest, RosterAnswer,
    RosterRecord, RosterSummary, RotationDocument, RotationStatus, Rotations, Settlement,
};

/// Longest wait for a whole answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer read: a roster of a hundred signers has 700 kB of evidence, reserves may list
/// many outputs.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longest line of an event stream.
const EVENT_LINE_BYTES_MAX: u64 = 64 * 1024;
/// Longest silence of an event stream; servers send a comment more often than that.
pub const EVENT_SILENCE_MAX: Duration = Duration::from_mins(1);

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server says no, and why.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// No connection, or it broke, or it took too long.
    #[error("{url}: {reason}")]
    Unreachable {
        /// What was called.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The answer has a form that this client does not know.
    #[error("{url}: unexpected answer ({status}): {reason}")]
    Answer {
        /// What was called.
        url: String,
        /// HTTP status.
        status: u16,
        /// What does not fit.
        reason: String,
    },
}

impl ClientError {
    /// Stable code: the problem's own, or one for the transport.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Problem(problem) => problem.code.code(),
            Self::Unreachable { .. } => "api-unreachable",
            Self::Answer { .. } => "api-answer",
        }
    }
}

/// What became of a receipt that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The server had lost the request, and has it again.
    New(RequestStatus),
    /// It had it.
    Known(RequestStatus),
}

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    agent: Agent,
    /// The proxy that calls go through, `host:port`.
    proxy: Option<String>,
}

impl Client {
    /// A client of the server at `url` (`http://host:port` or `https://host`). Does not connect.
    /// Goes through the proxy that the environment names (`http_proxy`, `all_proxy`, less
    /// `no_proxy`), but never to this machine itself.
    pub fn new(url: &str) -> Self {
        let proxy = proxy_to(url);
        let config = Agent::config_builder()
            .proxy(proxy.clone())
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("grail/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            base: url.trim_end_matches('/').to_owned(),
            agent: Agent::new_with_config(config),
            proxy: proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port())),
        }
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// `GET /v1/params`.
    pub fn params(&self) -> Result<ParamsAnswer, ClientError> {
        self.read("/v1/params")
    }

    /// `GET /v1/roster`.
    pub fn roster(&self) -> Result<RosterAnswer, ClientError> {
        self.read("/v1/roster")
    }

    /// `GET /v1/rosters`.
    pub fn rosters(&self, page: &PageQuery) -> Result<Page<RosterSummary>, ClientError> {
        self.read(&with_query("/v1/rosters", None, page))
    }

    /// `GET /v1/rosters/{epoch}`.
    pub fn roster_of(&self, epoch: Epoch) -> Result<RosterRecord, ClientError> {
        self.read(&format!("/v1/rosters/{epoch}"))
    }

    /// `GET /v1/status`.
    pub fn status(&self) -> Result<BridgeStatus, ClientError> {
        self.read("/v1/status")
    }

    /// `GET /v1/reserves`.
    pub fn reserves(&self) -> Result<Reserves, ClientError> {
        self.read("/v1/reserves")
    }

    /// `POST /v1/peg-ins`.
    pub fn create_peg_in(
        &self,
        body: &CreatePegIn,
        key: &IdempotencyKey,
    ) -> Result<Request, ClientError> {
        self.create("/v1/peg-ins", body, key)
    }

    /// `POST /v1/peg-outs`.
    pub fn create_peg_out(
        &self,
        body: &CreatePegOut,
        key: &IdempotencyKey,
    ) -> Result<Request, ClientError> {
        self.create("/v1/peg-outs", body, key)
    }

    /// `GET /v1/rotations`.
    pub fn rotations(&self) -> Result<Rotations, ClientError> {
        self.read("/v1/rotations")
    }

    /// `POST /v1/rotations`.
    pub fn submit_rotation(
        &self,
        document: &RotationDocument,
    ) -> Result<RotationStatus, ClientError> {
        let url = self.at("/v1/rotations");
        let body = serde_json::to_vec(document).map_err(|error| self.unreachable(&url, &error))?;
        let response = limited(self.agent.post(&url))
            .header("content-type", "application/json")
            .send(&body)
            .map_err(|error| self.unreachable(&url, &error))?;
        success(&url, response).map_err(|error| self.through_proxy(error))
    }

    /// `POST /v1/sponsors`.
    pub fn create_sponsor(
        &self,
        body: &CreateSponsor,
        key: &IdempotencyKey,
    ) -> Result<Request, ClientError> {
        self.create("/v1/sponsors", body, key)
    }

    /// `POST /v1/receipts`.
    pub fn restore(&self, body: &RestoreRequest) -> Result<Restored, ClientError> {
        let url = self.at("/v1/receipts");
        let body = serde_json::to_vec(body).map_err(|error| self.unreachable(&url, &error))?;
        let response = limited(self.agent.post(&url))
            .header("content-type", "application/json")
            .send(&body)
            .map_err(|error| self.unreachable(&url, &error))?;
        let is_new = response.status() == StatusCode::CREATED;
        let status = success(&url, response).map_err(|error| self.through_proxy(error))?;
        Ok(if is_new {
            Restored::New(status)
        } else {
            Restored::Known(status)
        })
    }

    /// `GET /v1/peg-ins/{id}`, `GET /v1/peg-outs/{id}` or `GET /v1/sponsors/{id}`.
    pub fn request(&self, kind: Kind, id: &RequestId) -> Result<RequestStatus, ClientError> {
        let path = match kind {
            Kind::PegIn => "peg-ins",
            Kind::PegOut => "peg-outs",
            Kind::SponsorAnnounce | Kind::SponsorCancel | Kind::SponsorExecute => "sponsors",
        };
        self.read(&format!("/v1/{path}/{id}"))
    }

    /// `GET /v1/requests`.
    pub fn requests(
        &self,
        state: Option<RequestState>,
        page: &PageQuery,
    ) -> Result<Page<RequestSummary>, ClientError> {
        let state = state.map(|state| format!("state={state}"));
        self.read(&with_query("/v1/requests", state, page))
    }

    /// `GET /v1/settlements`.
    pub fn settlements(&self, page: &PageQuery) -> Result<Page<Settlement>, ClientError> {
        self.read(&with_query("/v1/settlements", None, page))
    }

    /// `GET /v1/settlements/{txid}`.
    pub fn settlement(&self, txid: &Txid) -> Result<Settlement, ClientError> {
        self.read(&format!("/v1/settlements/{txid}"))
    }

    /// `GET /v1/proofs`.
    pub fn proofs(
        &self,
        state: Option<ProvingState>,
        page: &PageQuery,
    ) -> Result<Page<Proof>, ClientError> {
        let state = state.map(|state| format!("state={state}"));
        self.read(&with_query("/v1/proofs", state, page))
    }

    /// `GET /healthz`; a failing backend answers too.
    pub fn health(&self) -> Result<Health, ClientError> {
        let url = self.at("/healthz");
        let response = self.call(&url, limited(self.agent.get(&url)))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE {
            json(&url, response).map_err(|error| self.through_proxy(error))
        } else {
            Err(self.through_proxy(failure(&url, response)))
        }
    }

    /// `GET /v1/events`, of one request or of all. Ends when the server ends it or falls silent for
    /// [`EVENT_SILENCE_MAX`].
    pub fn events(&self, request: Option<&RequestId>) -> Result<Events, ClientError> {
        let query = request.map_or_else(String::new, |id| format!("?request={id}"));
        self.stream(&format!("/v1/events{query}"))
    }

    /// `GET /v1/rotations/events`. Ends as [`Client::events`] does.
    pub fn rotation_events(&self) -> Result<Events, ClientError> {
        self.stream("/v1/rotations/events")
    }

    fn stream(&self, path: &str) -> Result<Events, ClientError> {
        let url = self.at(path);
        let builder = self
            .agent
            .get(&url)
            .config()
            .timeout_recv_response(Some(CALL_TIMEOUT))
            .timeout_per_read(Some(EVENT_SILENCE_MAX))
            .build();
        let response = self.call(&url, builder)?;
        if response.status() != StatusCode::OK {
            return Err(self.through_proxy(failure(&url, response)));
        }
        let reader = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        Ok(Events {
            url,
            lines: BufReader::new(Box::new(reader)),
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let url = self.at(path);
        let response = self.call(&url, limited(self.agent.get(&url)))?;
        success(&url, response).map_err(|error| self.through_proxy(error))
    }

    fn create<B: Serialize>(
        &self,
        path: &str,
        body: &B,
        key: &IdempotencyKey,
    ) -> Result<Request, ClientError> {
        let url = self.at(path);
        // Whole, so that its length is declared: servers may refuse chunks.
        let body = serde_json::to_vec(body).map_err(|error| self.unreachable(&url, &error))?;
        let response = limited(self.agent.post(&url))
            .header(IDEMPOTENCY_KEY_HEADER, key.as_str())
            .header("content-type", "application/json")
            .send(&body)
            .map_err(|error| self.unreachable(&url, &error))?;
        success(&url, response).map_err(|error| self.through_proxy(error))
    }

    fn unreachable(&self, url: &str, error: &impl std::fmt::Display) -> ClientError {
        self.through_proxy(unreachable(url, error))
    }

    /// Names the proxy, where there is one: it may be what was not reached, or what answered.
    fn through_proxy(&self, mut error: ClientError) -> ClientError {
        if let (
            ClientError::Unreachable { reason, .. } | ClientError::Answer { reason, .. },
            Some(proxy),
        ) = (&mut error, &self.proxy)
        {
            *reason = format!("{reason} (through the proxy {proxy} that the environment names)");
        }
        error
    }

    fn call(
        &self,
        url: &str,
        builder: RequestBuilder<ureq::typestate::WithoutBody>,
    ) -> Result<Response<Body>, ClientError> {
        builder
            .call()
            .map_err(|error| self.unreachable(url, &error))
    }
}

/// Events of a server, as they come.
pub struct Events {
    url: String,
    lines: BufReader<Box<dyn Read + Send>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// The next line, without its end; `None` at the end of the stream.
    fn line(&mut self) -> Result<Option<String>, ClientError> {
        let mut line = Vec::new();
        let read = (&mut self.lines)
            .take(EVENT_LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|error| unreachable(&self.url, &error))?;
        if read == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == EVENT_LINE_BYTES_MAX {
            return Err(self.unexpected("a line of the event stream is too long"));
        }
        String::from_utf8(line)
            .map(|line| Some(line.trim_end_matches(['\r', '\n']).to_owned()))
            .map_err(|_| self.unexpected("the event stream is not UTF-8"))
    }

    fn unexpected(&self, reason: &str) -> ClientError {
        ClientError::Answer {
            url: self.url.clone(),
            status: StatusCode::OK.as_u16(),
            reason: reason.to_owned(),
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    /// Each event has one `data` line; comments and the other fields say nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.line() {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            if let Some(data) = line.strip_prefix("data:") {
                let event = serde_json::from_str(data.trim_start())
                    .map_err(|error| self.unexpected(&error.to_string()));
                return Some(event);
            }
        }
    }
}

fn limited<B>(builder: RequestBuilder<B>) -> RequestBuilder<B> {
    builder.config().timeout_global(Some(CALL_TIMEOUT)).build()
}

fn with_query(path: &str, first: Option<String>, page: &PageQuery) -> String {
    let after = page.after.as_ref().map(|after| format!("after={after}"));
    let limit = page.limit.map(|limit| format!("limit={limit}"));
    let query: Vec<String> = [first, after, limit].into_iter().flatten().collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

fn success<T: DeserializeOwned>(url: &str, response: Response<Body>) -> Result<T, ClientError> {
    if response.status().is_success() {
        json(url, response)
    } else {
        Err(failure(url, response))
    }
}

fn json<T: DeserializeOwned>(url: &str, response: Response<Body>) -> Result<T, ClientError> {
    let status = response.status().as_u16();
    let answer = |reason: String| ClientError::Answer {
        url: url.to_owned(),
        status,
        reason,
    };
    let body = body(response).map_err(|error| answer(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| answer(error.to_string()))
}

fn failure(url: &str, response: Response<Body>) -> ClientError {
    json(url, response).map_or_else(
        |error| error,
        |problem| ClientError::Problem(Box::new(problem)),
    )
}

fn body(response: Response<Body>) -> Result<Vec<u8>, ureq::Error> {
    response
        .into_body()
        .into_with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
}

fn unreachable(url: &str, error: &impl std::fmt::Display) -> ClientError {
    ClientError::Unreachable {
        url: url.to_owned(),
        reason: error.to_string(),
    }
}
