//! Which operators are there, by evidence.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bitcoin::XOnlyPublicKey;
use grail_ask::{Challenge, Evidence, Hello};
use grail_attest::{Protocol, SignerExpectation, verify_signer_evidence};
use grail_broker::{
    Broker, BrokerError,
    messages::{BrokerMessage, decode, encode},
};
use grail_store::{Reader, Store};
use grail_types::{Epoch, Roster};
use grail_wire::FaultCode;
use tokio::sync::Notify;

use crate::{clock, deployment::SignerRecord};

/// How often everybody is challenged afresh.
const CHALLENGE_INTERVAL: Duration = Duration::from_mins(10);
/// Fastest that hellos can make us challenge: each challenge has every enclave make evidence, and
/// us check it.
const CHALLENGE_SPACING: Duration = Duration::from_secs(1);
/// Challenges whose answers are taken: a minute's worth at the fastest. With the newest alone, one
/// operator that keeps saying hello would keep everybody's evidence from being taken.
const CHALLENGES_KEPT: usize = 60;
/// Whoever was heard within so long is there: two rounds of challenges, and some.
const ALIVE_SECONDS: u64 = 25 * 60;
/// Most signers remembered; a stranger with good evidence costs a whole enclave.
const OPERATORS_MAX: usize = 4 * grail_types::SIGNERS_MAX;

/// The brake of an operator's own that kept it from an answer, by its host's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// Which.
    pub code: FaultCode,
    /// When we heard of it, unix seconds.
    pub at: u64,
}

impl Brake {
    /// The codes that tell of one: the rest are faults, which nobody wanted.
    pub const CODES: [FaultCode; 2] = [FaultCode::OperatorPaused, FaultCode::OperatorLimit];
}

/// The operators that have shown evidence since we started.
pub struct Operators {
    protocol: Protocol,
    known: Mutex<BTreeMap<XOnlyPublicKey, SignerRecord>>,
    /// Of those in rosters that were asked, so that strangers cannot fill it.
    brakes: Mutex<BTreeMap<XOnlyPublicKey, Brake>>,
    heard: Mutex<Heard>,
    newly_expected: Notify,
}

/// Who answered a challenge last, unix seconds: of those with evidence, and of former rosters whose
/// signers are waited for.
#[derive(Default)]
struct Heard {
    at: BTreeMap<XOnlyPublicKey, u64>,
    expected: BTreeSet<XOnlyPublicKey>,
}

impl Operators {
    /// Knows nobody yet.
    pub fn new(protocol: Protocol) -> Arc<Self> {
        Arc::new(Self {
            protocol,
            known: Mutex::default(),
            brakes: Mutex::default(),
            heard: Mutex::default(),
            newly_expected: Notify::new(),
        })
    }

    /// Everybody with evidence.
    pub fn known(&self) -> Vec<SignerRecord> {
        self.lock().values().cloned().collect()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The brakes that operators told of last, and that no signature of theirs has ended since.
    /// Anybody on the broker's network can say so in anybody's name: it informs.
    pub fn brakes(&self) -> BTreeMap<XOnlyPublicKey, Brake> {
        self.lock_brakes().clone()
    }

    /// A signer of a roster that was asked tells of its brake.
    pub(crate) fn braked(&self, signer: XOnlyPublicKey, code: FaultCode) {
        let at = clock::now();
        self.lock_brakes().insert(signer, Brake { code, at });
    }

    /// A signer signed.
    pub(crate) fn unbraked(&self, signer: &XOnlyPublicKey) {
        self.lock_brakes().remove(signer);
    }

    /// Whose answers to challenges are noted, whether their evidence verifies or not. Who is not
    /// expected yet is challenged within a moment.
    pub(crate) fn expect(&self, signers: BTreeSet<XOnlyPublicKey>) {
        let mut heard = self.lock_heard();
        if !signers.is_subset(&heard.expected) {
            self.newly_expected.notify_one();
        }
        heard.expected = signers;
    }

    /// Whether a quorum of a former roster answers challenges, as of `now`, unix seconds. Its
    /// images may be older than those that evidence is held against here, so that its evidence need
    /// not verify: anybody on the broker's network can answer in anybody's name. It decides whether
    /// to ask, and nothing else.
    pub(crate) fn has_quorum(&self, former: &Roster, now: u64) -> bool {
        let heard = self.lock_heard();
        let since = now.saturating_sub(ALIVE_SECONDS);
        let at = |signer: &XOnlyPublicKey| heard.at.get(signer).copied();
        let signers = former.signers().iter();
        let there = signers.filter(|signer| at(signer).is_some_and(|at| at >= since));
        there.count() >= usize::from(former.threshold().0)
    }

    fn lock_heard(&self) -> MutexGuard<'_, Heard> {
        // As the other maps.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_brakes(&self) -> MutexGuard<'_, BTreeMap<XOnlyPublicKey, Brake>> {
        // As the other map.
        self.brakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<XOnlyPublicKey, SignerRecord>> {
        // The map is valid after any single insert, so a panic elsewhere does not spoil it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Challenges operators and takes their evidence, for as long as it is polled. Keeps the newest
    /// of each in rows, where there are any, for the API to show once they are away.
    pub async fn run(
        self: Arc<Self>,
        broker: Arc<dyn Broker>,
        store: Option<Store>,
    ) -> anyhow::Result<()> {
        let mut hellos = broker.subscribe(Hello::subject()).await?;
        let mut evidence = broker.subscribe(Evidence::subject()).await?;
        let mut nonces = VecDeque::from([self.challenge(broker.as_ref()).await?]);
        let mut due = tokio::time::interval(CHALLENGE_INTERVAL);
        due.tick().await;
        // A hello is answered by one challenge for all; several at once share it.
        let mut greeted = false;
        let mut spacing = tokio::time::interval(CHALLENGE_SPACING);
        spacing.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = hellos.next() => match message {
                    Some(message) => match decode::<Hello>(&message.payload) {
                        Ok(hello) => {
                            tracing::debug!(name = %hello.name, public_key = %hello.public_key, "operator says hello");
                            greeted = true;
                        }
                        Err(error) => tracing::debug!(code = error.code(), %error, "hello ignored"),
                    },
                    None => return Ok(()),
                },
                message = evidence.next() => match message {
                    Some(message) => {
                        // A chain of certificates costs milliseconds; all roles share one task.
                        let operators = Arc::clone(&self);
                        let kept = nonces.clone();
                        let taken = move || operators.take(&message.payload, &kept);
                        let taken = tokio::task::spawn_blocking(taken).await?;
                        if let Some(record) = taken {
                            if let Some(store) = &store {
                                keep(store, &record).await?;
                            }
                            let (signer, now) = (record.public_key, clock::now());
                            self.lock_heard().at.insert(signer, now);
                            self.lock().insert(signer, record);
                        }
                    }
                    None => return Ok(()),
                },
                _ = due.tick() => greeted = true,
                () = self.newly_expected.notified() => greeted = true,
                _ = spacing.tick(), if greeted => {
                    greeted = false;
                    nonces.truncate(CHALLENGES_KEPT.saturating_sub(1));
                    nonces.push_front(self.challenge(broker.as_ref()).await?);
                }
            }
        }
    }

    async fn challenge(&self, broker: &dyn Broker) -> anyhow::Result<[u8; 32]> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)?;
        match broker
            .publish(
                Challenge::subject(),
                encode(Epoch(0), &Challenge { nonce })?,
            )
            .await
        {
            Ok(()) | Err(BrokerError::Disconnected | BrokerError::Overloaded(_)) => Ok(nonce),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads evidence that verifies, if there is room for it.
    fn take(&self, payload: &[u8], nonces: &VecDeque<[u8; 32]>) -> Option<SignerRecord> {
        let evidence = match decode::<Evidence>(payload) {
            Ok(evidence) => evidence,
            Err(error) => {
                tracing::debug!(code = error.code(), %error, "evidence ignored");
                return None;
            }
        };
        let nonce = &evidence.nonce;
        if !nonces.contains(nonce) {
            tracing::debug!(name = %evidence.name, "evidence for a challenge of long ago");
            return None;
        }
        let signer = evidence.public_key;
        let mut heard = self.lock_heard();
        if heard.expected.contains(&signer) {
            heard.at.insert(signer, clock::now());
        }
        drop(heard);
        let expectation = SignerExpectation {
            images: self.protocol.images(),
            bridge: *self.protocol.bridge(),
            nonce: Some(nonce),
        };
        match verify_signer_evidence(&evidence.document, &expectation, clock::unix_time()) {
            Ok(attested) => {
                let record = SignerRecord {
                    name: evidence.name.to_string(),
                    public_key: attested.public_key(),
                    evidence: BASE64_STANDARD.encode(&*evidence.document),
                    nonce: hex::encode(nonce),
                    pcr0: hex::encode(attested.measurement().pcr0),
                    attested_at: attested.at().as_secs(),
                };
                let known = self.lock();
                let has_room =
                    known.len() < OPERATORS_MAX || known.contains_key(&record.public_key);
                has_room.then_some(record)
            }
            Err(error) => {
                tracing::warn!(name = %evidence.name, %error, "evidence does not verify");
                None
            }
        }
    }
}

async fn keep(store: &Store, record: &SignerRecord) -> anyhow::Result<()> {
    let text = serde_json::to_string(record)?;
    let mut tx = store.begin().await?;
    let most = u32::try_from(OPERATORS_MAX).unwrap_or(u32::MAX);
    let now = tx.now(clock::now());
    tx.put_evidence(&record.public_key, &text, most, now)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// What a signer is on record with, from before this process.
pub async fn recorded(
    reader: &mut Reader,
    signer: &XOnlyPublicKey,
) -> anyhow::Result<Option<SignerRecord>> {
    let text = reader.evidence(signer).await?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}
