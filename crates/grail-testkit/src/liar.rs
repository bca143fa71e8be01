//! An operator that was admitted like any other and does not play by the rules.
//!
//! What it says is its own word: evidence and authentication are good. What it signs is not.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::{All, Keypair, Message, Secp256k1, schnorr::Signature};
use grail_ask::{AnswerMessage, Ask, Challenge, Evidence, Hello, Name, Reply};
use grail_attest::{Protocol, UnixTime};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_broker::messages::{BrokerMessage, decode, encode};
use grail_broker::{Broker, RemoteBroker};
use grail_policy::{Signing, approve};
use grail_script::Sighashes;
use grail_tee::attest_signer;
use grail_types::{BoundedBytes, DevelopmentAllowed, Epoch, Network, TaggedHasher};
use grail_wire::{
    Answer, Attempt, Contribution, Contributions, Envelope, Proposal, ProposalId, RefusalCode,
    RefusalRecord, Text, Verdict, decode_proposal,
};
use tokio::sync::oneshot;

/// What is wrong with an operator's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Signatures of something else.
    WrongSignature,
    /// Good signatures, each in the place of another input's.
    OtherInput,
    /// One signature too few.
    TooFew,
    /// One more, of an input that there is not.
    ExtraInput,
    /// Refuses everything, with a code that no policy knows.
    Refuses,
    /// Refuses what it is asked first, and answers every later attempt with that refusal.
    Replays,
    /// Not a lie: says nothing to the first attempt, refuses the second, signs from the third on.
    Hesitates,
}

/// A lying operator, in a thread of its own. Ends when dropped.
#[derive(Debug)]
pub struct Liar {
    public_key: XOnlyPublicKey,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Work {
    secp: Secp256k1<All>,
    keypair: Keypair,
    tee: InsecureDevTee,
    protocol: Protocol,
    name: Name,
    lie: Lie,
}

impl Liar {
    /// Starts one that says it runs `enclave`, for which the development TEE vouches.
    pub(crate) fn start(
        number: usize,
        lie: Lie,
        protocol: &Protocol,
        enclave: &[u8],
        broker: SocketAddr,
    ) -> Result<Self> {
        let secp = Secp256k1::new();
        let secret = TaggedHasher::new("grail/test-liar/v1")
            .u64(number as u64)
            .finish();
        let keypair = Keypair::from_seckey_slice(&secp, &secret)?;
        let public_key = keypair.x_only_public_key().0;
        let allowed = DevelopmentAllowed::on(Network::Regtest).context("allowed on regtest")?;
        let liar = Work {
            tee: InsecureDevTee::new(allowed, development_pcr0(enclave), secret, clock),
            secp,
            keypair,
            protocol: protocol.clone(),
            name: format!("liar-{number:02}").parse()?,
            lie,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    outcome = liar.run(broker) => outcome.expect("a liar that runs"),
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            public_key,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Its key.
    pub const fn public_key(&self) -> XOnlyPublicKey {
        self.public_key
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Work {
    async fn run(&self, address: SocketAddr) -> Result<()> {
        let broker = RemoteBroker::connect(address.to_string());
        let mut asks = broker.subscribe(Ask::subject()).await?;
        let mut challenges = broker.subscribe(Challenge::subject()).await?;
        let mut link = broker.link();
        link.mark_changed();
        loop {
            tokio::select! {
                changed = link.changed() => {
                    changed.context("the broker ended")?;
                    link.mark_unchanged();
                    self.say(&broker, &Hello {
                        name: self.name.clone(),
                        public_key: self.public_key(),
                        bridge: *self.protocol.bridge(),
                    }).await?;
                }
                challenge = challenges.next() => {
                    let challenge = challenge.context("the broker ended")?;
                    let Challenge { nonce } = decode(&challenge.payload)?;
                    let (bridge, key) = (self.protocol.bridge(), self.public_key());
                    let document = attest_signer(&self.tee, bridge, &key, Some(&nonce))?;
                    self.say(&broker, &Evidence {
                        name: self.name.clone(),
                        nonce,
                        public_key: self.public_key(),
                        bridge: *bridge,
                        document: BoundedBytes::new(document)?,
                    }).await?;
                }
                ask = asks.next() => {
                    let ask = ask.context("the broker ended")?;
                    let Envelope { epoch, message } = grail_wire::decode(&ask.payload)?;
                    self.hear(&broker, epoch, &message).await?;
                }
            }
        }
    }

    async fn hear(&self, broker: &RemoteBroker, epoch: Epoch, ask: &Ask) -> Result<()> {
        let Some(answer) = self.answer(ask)? else {
            return Ok(());
        };
        let answer = BoundedBytes::new(grail_wire::encode(epoch, &answer)?)?;
        let reply = Reply::Answer(AnswerMessage { answer });
        self.say(broker, &reply).await
    }

    /// That nobody hears it is no reason to end.
    async fn say<M: BrokerMessage>(&self, broker: &RemoteBroker, message: &M) -> Result<()> {
        let _ = broker
            .publish(M::subject(), encode(Epoch(0), message)?)
            .await;
        Ok(())
    }

    fn public_key(&self) -> XOnlyPublicKey {
        self.keypair.x_only_public_key().0
    }

    /// What it says to an ask, if anything.
    fn answer(&self, ask: &Ask) -> Result<Option<Answer>> {
        let proposal = decode_proposal(&ask.proposal)?;
        let mut attempt = ask.attempt;
        let verdict = match self.lie {
            Lie::WrongSignature => {
                let other = Message::from_digest(self.protocol.hash().0);
                let wrong = self.secp.sign_schnorr_no_aux_rand(&other, &self.keypair);
                self.contributed(&proposal, |signatures| signatures.fill(wrong))?
            }
            Lie::OtherInput => {
                self.contributed(&proposal, |signatures| signatures.rotate_left(1))?
            }
            Lie::TooFew => self.contributed(&proposal, |signatures| {
                signatures.pop();
            })?,
            Lie::ExtraInput => self.contributed(&proposal, |signatures| {
                signatures.extend(signatures.last().copied());
            })?,
            Lie::Refuses => refused("bad-mood"),
            Lie::Replays => {
                // To the letter what it said then: whoever carries messages can do the same.
                attempt = Attempt {
                    number: 0,
                    ..attempt
                };
                refused("bad-mood")
            }
            Lie::Hesitates => match attempt.number {
                0 => return Ok(None),
                1 => refused("not-yet"),
                _ => self.contributed(&proposal, |_| {})?,
            },
        };
        let (proposal, signer) = (ProposalId::of(&ask.proposal), self.public_key());
        let digest = Answer::digest(&proposal, attempt, &signer, &verdict);
        Ok(Some(Answer {
            proposal,
            attempt,
            signer,
            authentication: self.secp.sign_schnorr_no_aux_rand(&digest, &self.keypair),
            verdict,
        }))
    }

    /// What an honest operator would sign, changed, each signature in its input's place.
    fn contributed(
        &self,
        proposal: &Proposal,
        change: impl FnOnce(&mut Vec<Signature>),
    ) -> Result<Verdict> {
        let bridge = self.protocol.bridge();
        let approved = approve(&self.secp, proposal, bridge, &self.public_key())?;
        let mut signatures = self.signatures(approved.get().signing())?;
        change(&mut signatures);
        let contributions = (0..)
            .zip(signatures)
            .map(|(input_index, signature)| Contribution::Signature {
                input_index,
                signature,
            })
            .collect();
        Ok(Verdict::Contributed(Contributions::new(contributions)?))
    }

    fn signatures(&self, signing: &Signing) -> Result<Vec<Signature>> {
        let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
        signing
            .inputs
            .iter()
            .enumerate()
            .map(|(input_index, input)| {
                let sighash = sighashes.of(input_index, &input.spend)?;
                Ok(self.secp.sign_schnorr_no_aux_rand(&sighash, &self.keypair))
            })
            .collect()
    }
}

fn refused(code: &str) -> Verdict {
    Verdict::Refused(RefusalRecord {
        code: RefusalCode::from(code),
        details: Text::cut("expected better weather"),
    })
}

fn clock() -> UnixTime {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
