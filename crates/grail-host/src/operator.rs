//! The operator's life: start the enclave, boot it, answer, and start over when it is gone.

use std::{future, path::PathBuf, time::Duration};

use bitcoin::XOnlyPublicKey;
use grail_ask::{AnswerMessage, Ask, Challenge, Evidence, FaultMessage, Hello, Name, Reply};
use grail_broker::{
    Broker, BrokerError, Link, Message, RemoteBroker, Subscription,
    messages::{self, BrokerMessage},
};
use grail_program::notify::Notify;
use grail_types::{BoundedBytes, Bridge, Epoch};
use grail_wire::{
    Answer, Envelope, Fault, FaultCode, ProposalId, Request, Response, Text, Verdict,
};
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    address::ConnectAddress,
    answers::Answers,
    boot,
    client::{EnclaveClient, LinkError},
    error::HostError,
    fail_safe::{self, Braked, FailSafe, Supplies},
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
    bridge: Bridge,
    state: StateFolder,
    fail_safe: FailSafe,
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
    bridge: Bridge,
    /// Whether the key was made just now.
    is_new: bool,
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
        bridge: Bridge,
        state: StateFolder,
        fail_safe: FailSafe,
        source: EnclaveSource,
        broker: RemoteBroker,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Self, BrokerError> {
        Ok(Self {
            name,
            bridge,
            state,
            fail_safe,
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
                self.bridge.network,
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
            Some(Ok((client, public_key, is_new))) => {
                self.say_ready(&public_key, is_new, process.as_ref());
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
        let (public_key, is_new) = boot::boot(&client, &self.state, &self.bridge).await?;
        Ok((client, public_key, is_new))
    }

    fn say_ready(
        &self,
        public_key: &XOnlyPublicKey,
        is_new: bool,
        process: Option<&EnclaveProcess>,
    ) {
        let ready = Ready {
            event: "ready",
            name: self.name.as_str(),
            public_key: *public_key,
            bridge: self.bridge,
            is_new,
            enclave_pid: process.and_then(EnclaveProcess::id),
        };
        tracing::info!(%public_key, bridge = %self.bridge, is_new, "ready");
        crate::print_line(&ready);
        Notify::from_env().ready();
    }

    /// Answers until the enclave is gone. One question at a time: the enclave decides one at a
    /// time, and what waits is bounded by the subscriptions.
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
                    boot::check_identity(client, public_key, &self.bridge).await?;
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
            bridge: self.bridge,
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
        match client.call(Request::Attest { nonce }).await? {
            Response::Evidence(document) => {
                self.publish(&Evidence {
                    name: self.name.clone(),
                    nonce,
                    public_key: *public_key,
                    bridge: self.bridge,
                    document,
                })
                .await;
            }
            Response::Failed(Fault { code, details }) => {
                tracing::error!(%code, %details, "the enclave does not attest");
            }
            Response::Booted(_)
            | Response::Identity(_)
            | Response::Decided(_)
            | Response::Adopted(_) => {
                return Err(HostError::Protocol("attest"));
            }
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        client: &EnclaveClient,
        public_key: &XOnlyPublicKey,
        message: &Message,
    ) -> Result<(), HostError> {
        let Some(Envelope { epoch, message }) = decoded_with_epoch::<Ask>(message) else {
            return Ok(());
        };
        let Ask { attempt, proposal } = message;
        let id = ProposalId::of(&proposal);
        let fault = |code: FaultCode, details: &dyn std::fmt::Display| {
            tracing::warn!(proposal = %id, %code, %details, "no decision");
            Reply::Fault(FaultMessage {
                proposal: id,
                attempt,
                public_key: *public_key,
                code,
                details: Text::cut(&details.to_string()),
            })
        };
        // A pause is for what was signed before, too: nothing is said that helps.
        if let Err(Braked { code, details }) = self.fail_safe.check_pause() {
            self.reply(epoch, &fault(code, &details)).await;
            return Ok(());
        }
        if let Some(answer) = self.answers.recall(&id) {
            tracing::debug!(proposal = %id, "asked again");
            self.reply(epoch, &answered(answer)).await;
            return Ok(());
        }
        let supplies = match self.fail_safe.check_limit(&proposal, fail_safe::now()) {
            Ok(supplies) => supplies,
            Err(Braked { code, details }) => {
                self.reply(epoch, &fault(code, &details)).await;
                return Ok(());
            }
        };
        let (reply, outcome) = match client.call(Request::Decide { attempt, proposal }).await {
            Ok(Response::Decided(answer)) => {
                log_verdict(&id, &answer);
                match grail_wire::encode(epoch, &answer) {
                    // On disk before anybody has it, or nobody gets it.
                    Ok(encoded) => match self.count(&answer, supplies) {
                        Ok(()) => {
                            self.keep(id, &answer, &encoded);
                            (answered(encoded), Ok(()))
                        }
                        Err(error) => (fault(FaultCode::OperatorLimit, &error), Ok(())),
                    },
                    Err(error) => (fault(FaultCode::AnswerUnencodable, &error), Ok(())),
                }
            }
            Ok(Response::Failed(Fault { code, details })) => (fault(code, &details), Ok(())),
            Ok(
                Response::Booted(_)
                | Response::Identity(_)
                | Response::Evidence(_)
                | Response::Adopted(_),
            ) => (
                fault(
                    FaultCode::EnclaveProtocol,
                    &"the answer does not fit the question",
                ),
                Err(HostError::Protocol("decide")),
            ),
            Err(LinkError::Request(error)) => (fault(FaultCode::ProposalTooLarge, &error), Ok(())),
            Err(error) => (
                fault(FaultCode::EnclaveLost, &error),
                Err(HostError::Link(error)),
            ),
        };
        self.reply(epoch, &reply).await;
        outcome
    }

    /// Counts what leaves the vault by what was signed.
    fn count(&mut self, answer: &Answer, supplies: Option<Supplies>) -> Result<(), HostError> {
        match (&answer.verdict, supplies) {
            (Verdict::Contributed(_), Some(supplies)) => {
                self.fail_safe.signed(supplies, fail_safe::now())
            }
            (Verdict::Contributed(_) | Verdict::Refused(_), _) => Ok(()),
        }
    }

    /// A "no" is for its attempt and is not kept.
    fn keep(&mut self, id: ProposalId, answer: &Answer, encoded: &[u8]) {
        match answer.verdict {
            Verdict::Contributed(_) => self.answers.keep(id, encoded.to_vec()),
            Verdict::Refused(_) => {}
        }
    }

    async fn publish<M: BrokerMessage>(&self, message: &M) {
        self.send(Epoch(0), message).await;
    }

    async fn reply(&self, epoch: Epoch, reply: &Reply) {
        self.send(epoch, reply).await;
    }

    /// Sends a message, or logs why not: whoever needs it asks again.
    async fn send<M: BrokerMessage>(&self, epoch: Epoch, message: &M) {
        let subject = M::subject();
        let bytes = match messages::encode(epoch, message) {
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
    decoded_with_epoch(message).map(|envelope| envelope.message)
}

fn decoded_with_epoch<M: BrokerMessage>(message: &Message) -> Option<Envelope<M>> {
    grail_wire::decode(&message.payload)
        .inspect_err(|error| {
            tracing::warn!(code = error.code(), %error, subject = %message.subject, "message ignored");
        })
        .ok()
}

/// An encoded answer as it travels.
fn answered(encoded: Vec<u8>) -> Reply {
    Reply::Answer(AnswerMessage {
        answer: BoundedBytes::new(encoded).expect("its codec bounds an answer alike"),
    })
}

fn log_verdict(proposal: &ProposalId, answer: &Answer) {
    match &answer.verdict {
        Verdict::Contributed(contributions) => {
            tracing::info!(%proposal, contribution_count = contributions.len(), "signed");
        }
        Verdict::Refused(record) => {
            tracing::warn!(%proposal, code = %record.code, details = %record.details, "refused");
        }
    }
}
