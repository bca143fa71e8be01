//! The operator's life: start the enclave, boot it, answer, and start over when it is gone.

use std::{future, path::PathBuf, time::Duration};

use bitcoin::XOnlyPublicKey;
use grail_attest::Protocol;
use grail_broker::{
    Broker, BrokerError, Link, Message, RemoteBroker, Subscription,
    messages::{
        self, AnswerMessage, Ask, BrokerMessage, Challenge, Evidence, FaultMessage, Hello, Name,
        Reply,
    },
};
use grail_enclave::stream::ConnectAddress;
use grail_signer::{Answer, Fault, Request, Response, Verdict, encode_answer, proposal_id};
use grail_types::ParamsHash;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    answers::Answers,
    boot,
    client::{EnclaveClient, LinkError},
    error::HostError,
    process::EnclaveProcess,
    state::StateFolder,
};

/// How long an enclave may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// An idle enclave is asked who it is this often, so that its loss is noticed before it is needed.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);

/// First and longest pause before the enclave is started again.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// An enclave that ran this long was fine: the next pause is the first again.
const GOOD_AFTER: Duration = Duration::from_mins(1);

/// Where the enclave is.
#[derive(Clone, Debug)]
pub enum EnclaveSource {
    /// A program to start, under the development TEE.
    Program(PathBuf),
    /// It runs already.
    Running(ConnectAddress),
}

/// An operator, between two starts of its enclave.
pub struct Operator {
    name: Name,
    protocol: Protocol,
    params_hash: ParamsHash,
    state: StateFolder,
    source: EnclaveSource,
    broker: RemoteBroker,
    link: watch::Receiver<Link>,
    asks: Subscription,
    challenges: Subscription,
    answers: Answers,
    shutdown: watch::Receiver<bool>,
}

/// What scripts wait for, one line of JSON on standard output per boot.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    name: &'a str,
    public_key: XOnlyPublicKey,
    params_hash: ParamsHash,
    /// Whether the key was born just now.
    born: bool,
    /// The enclave's process, where it is this host's child.
    enclave_pid: Option<u32>,
}

/// An enclave that was booted.
struct Running {
    process: Option<EnclaveProcess>,
    client: EnclaveClient,
    public_key: XOnlyPublicKey,
}

/// The operator was asked to end.
struct Shutdown;

impl Operator {
    /// An operator; its enclave is not started yet. `shutdown` turns true when it is to end.
    pub async fn new(
        name: Name,
        protocol: Protocol,
        state: StateFolder,
        source: EnclaveSource,
        broker: RemoteBroker,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Self, BrokerError> {
        Ok(Self {
            name,
            params_hash: protocol.hash(),
            protocol,
            state,
            source,
            link: broker.link(),
            asks: broker.subscribe(Ask::subject()).await?,
            challenges: broker.subscribe(Challenge::subject()).await?,
            broker,
            answers: Answers::default(),
            shutdown,
        })
    }

    /// Runs until asked to end, or until a person is needed.
    pub async fn run(mut self) -> Result<(), HostError> {
        let mut backoff = BACKOFF_MIN;
        loop {
            let started = Instant::now();
            let error = match self.run_once().await {
                Ok(Shutdown) => return Ok(()),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            if started.elapsed() >= GOOD_AFTER {
                backoff = BACKOFF_MIN;
            }
            let pause = backoff.mul_f64(0.5 + 0.5 * fastrand::f64());
            tracing::warn!(%error, ?pause, "the enclave is lost, starting over");
            tokio::select! {
                () = sleep(pause) => {}
                () = asked_to_end(&mut self.shutdown) => return Ok(()),
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// One life of the enclave.
    async fn run_once(&mut self) -> Result<Shutdown, HostError> {
        let mut process = match &self.source {
            EnclaveSource::Program(program) => Some(EnclaveProcess::start(
                program,
                &self.state,
                self.protocol.bridge().network,
            )?),
            EnclaveSource::Running(_) => None,
        };
        let address = match (&process, &self.source) {
            (Some(process), _) => process.address(),
            (None, EnclaveSource::Running(address)) => address.clone(),
            (None, EnclaveSource::Program(_)) => {
                return Err(HostError::Protocol("no enclave was started"));
            }
        };
        let mut shutdown = self.shutdown.clone();
        let started = tokio::select! {
            started = self.start(address) => Some(started),
            error = ended(&mut process) => return Err(error),
            () = asked_to_end(&mut shutdown) => None,
        };
        let outcome = match started {
            None => Ok(Shutdown),
            Some(Err(error)) => Err(error),
            Some(Ok((client, public_key, born))) => {
                self.say_ready(&public_key, born, process.as_ref());
                let mut running = Running {
                    process: process.take(),
                    client,
                    public_key,
                };
                let outcome = self.serve(&mut running).await;
                process = running.process;
                outcome
            }
        };
        if let Some(process) = process {
            process.end().await;
        }
        outcome
    }

    async fn start(
        &self,
        address: ConnectAddress,
    ) -> Result<(EnclaveClient, XOnlyPublicKey, bool), HostError> {
        let client = EnclaveClient::connect(address, START_PATIENCE).await?;
        let (public_key, born) = boot::boot(&client, &self.state, &self.protocol).await?;
        Ok((client, public_key, born))
    }

    fn say_ready(&self, public_key: &XOnlyPublicKey, born: bool, process: Option<&EnclaveProcess>) {
        let ready = Ready {
            event: "ready",
            name: self.name.as_str(),
            public_key: *public_key,
            params_hash: self.params_hash,
            born,
            enclave_pid: process.and_then(EnclaveProcess::id),
        };
        tracing::info!(%public_key, params_hash = %self.params_hash, born, "ready");
        crate::print_line(&ready);
    }

    /// Answers until the enclave is gone. One question at a time: the enclave decides one at a time, and what
    /// waits is bounded by the subscriptions.
    async fn serve(&mut self, running: &mut Running) -> Result<Shutdown, HostError> {
        let Running {
            process,
            client,
            public_key,
        } = running;
        let mut heartbeat = interval(HEARTBEAT_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Seen or not: this enclave has not introduced itself.
        self.link.mark_changed();
        loop {
            tokio::select! {
                biased;
                () = asked_to_end(&mut self.shutdown) => return Ok(Shutdown),
                error = ended(process) => return Err(error),
                changed = self.link.changed() => {
                    changed.map_err(|_| HostError::Protocol("the broker's client ended"))?;
                    self.introduce(public_key).await;
                }
                challenge = self.challenges.next() => {
                    let challenge = heard(challenge)?;
                    self.attest(client, public_key, &challenge).await?;
                }
                ask = self.asks.next() => {
                    let ask = heard(ask)?;
                    self.decide(client, public_key, &ask).await?;
                }
                _ = heartbeat.tick() => {
                    boot::check_identity(client, public_key, &self.params_hash).await?;
                }
            }
        }
    }

    async fn introduce(&mut self, public_key: &XOnlyPublicKey) {
        let link = *self.link.borrow_and_update();
        if link == Link::Down {
            return;
        }
        self.publish(&Hello {
            name: self.name.clone(),
            public_key: *public_key,
            params_hash: self.params_hash,
        })
        .await;
    }

    async fn attest(
        &self,
        client: &EnclaveClient,
        public_key: &XOnlyPublicKey,
        message: &Message,
    ) -> Result<(), HostError> {
        let Some(Challenge { nonce }) = decoded(message) else {
            return Ok(());
        };
        match client.call(&Request::Attest { nonce }).await? {
            Response::Evidence(document) => {
                self.publish(&Evidence {
                    name: self.name.clone(),
                    nonce,
                    public_key: *public_key,
                    params_hash: self.params_hash,
                    document,
                })
                .await;
            }
            Response::Failed(Fault { code, details }) => {
                tracing::error!(code, details, "the enclave does not attest");
            }
            _ => return Err(HostError::Protocol("attest")),
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        client: &EnclaveClient,
        public_key: &XOnlyPublicKey,
        message: &Message,
    ) -> Result<(), HostError> {
        let Some(Ask {
            settlement,
            proposal,
        }) = decoded(message)
        else {
            return Ok(());
        };
        let id = proposal_id(&proposal);
        if let Some(answer) = self.answers.recall(&id) {
            tracing::debug!(settlement, "asked again");
            let answer = AnswerMessage { settlement, answer };
            self.publish(&Reply::Answer(answer)).await;
            return Ok(());
        }
        let fault = |code: &str, details: &str| {
            tracing::warn!(settlement, code, details, "no decision");
            Reply::Fault(FaultMessage::new(settlement, *public_key, code, details))
        };
        let (reply, outcome) = match client.call(&Request::Decide { proposal }).await {
            Ok(Response::Decided(answer)) => {
                log_verdict(settlement, &answer);
                match encode_answer(&answer) {
                    Ok(answer) => {
                        self.answers.keep(id, answer.clone());
                        let answer = AnswerMessage { settlement, answer };
                        (Reply::Answer(answer), Ok(()))
                    }
                    Err(error) => (fault("answer-unencodable", &error.to_string()), Ok(())),
                }
            }
            Ok(Response::Failed(Fault { code, details })) => (fault(&code, &details), Ok(())),
            Ok(_) => (
                fault("enclave-protocol", "the answer does not fit the question"),
                Err(HostError::Protocol("decide")),
            ),
            Err(LinkError::Request(error)) => {
                (fault("proposal-too-large", &error.to_string()), Ok(()))
            }
            Err(error) => (
                fault("enclave-lost", &error.to_string()),
                Err(HostError::Link(error)),
            ),
        };
        self.publish(&reply).await;
        outcome
    }

    /// Sends a message, or logs why not: whoever needs it asks again.
    async fn publish<M: BrokerMessage>(&self, message: &M) {
        let subject = M::subject();
        let bytes = match messages::encode(message) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(code = error.code(), %error, %subject, "message not sent");
                return;
            }
        };
        if let Err(error) = self.broker.publish(subject, bytes).await {
            tracing::warn!(code = error.code(), %error, %subject, "message not sent");
        }
    }
}

/// The end of an own process; one that is not ours has none that could be seen.
async fn ended(process: &mut Option<EnclaveProcess>) -> HostError {
    match process {
        Some(process) => process.ended().await,
        None => future::pending().await,
    }
}

/// A sender that is gone will not ask either, and is taken for the end.
async fn asked_to_end(shutdown: &mut watch::Receiver<bool>) {
    drop(shutdown.wait_for(|&asked| asked).await);
}

fn heard(message: Option<Message>) -> Result<Message, HostError> {
    message.ok_or(HostError::Protocol("the broker's client ended"))
}

fn decoded<M: BrokerMessage>(message: &Message) -> Option<M> {
    messages::decode(&message.payload)
        .inspect_err(|error| {
            tracing::warn!(code = error.code(), %error, subject = %message.subject, "message ignored");
        })
        .ok()
}

fn log_verdict(settlement: i64, answer: &Answer) {
    match &answer.verdict {
        Verdict::Signed(signatures) => {
            tracing::info!(settlement, signature_count = signatures.0.len(), "signed");
        }
        Verdict::Refused(record) => {
            tracing::warn!(
                settlement,
                code = record.code,
                details = record.details,
                "refused"
            );
        }
    }
}
