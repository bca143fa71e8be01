//! An operator that was admitted like any other and does not play by the rules.
//!
//! What it says is its own word: evidence and authentication are good. What it signs is not.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::{All, Keypair, Message, Secp256k1, schnorr::Signature};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_attest::{Protocol, UnixTime, attest_signer};
use grail_broker::messages::{
    AnswerMessage, Ask, BrokerMessage, Challenge, Evidence, Hello, Name, Reply, decode, encode,
};
use grail_broker::{Broker, RemoteBroker};
use grail_policy::{Approved, RefusalRecord, Settlement, approve};
use grail_script::Sighashes;
use grail_signer::{
    Answer, SettlementSignatures, Verdict, decode_proposal, encode_answer, proposal_id,
};
use grail_types::{DevelopmentAllowed, Network, TaggedHasher};
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
    /// Refuses everything, with a code that no policy knows.
    Refuses,
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
                        params_hash: self.protocol.hash(),
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
                        params_hash: self.protocol.hash(),
                        document,
                    }).await?;
                }
                ask = asks.next() => {
                    let Ask { settlement, proposal } = decode(&ask.context("the broker ended")?.payload)?;
                    let answer = encode_answer(&self.answer(&proposal)?)?;
                    self.say(&broker, &Reply::Answer(AnswerMessage { settlement, answer })).await?;
                }
            }
        }
    }

    /// That nobody hears it is no reason to end.
    async fn say<M: BrokerMessage>(&self, broker: &RemoteBroker, message: &M) -> Result<()> {
        let _ = broker.publish(M::subject(), encode(message)?).await;
        Ok(())
    }

    fn public_key(&self) -> XOnlyPublicKey {
        self.keypair.x_only_public_key().0
    }

    fn answer(&self, encoded: &[u8]) -> Result<Answer> {
        let proposal = decode_proposal(encoded)?;
        let approved = approve(
            &self.secp,
            &proposal,
            self.protocol.params(),
            self.protocol.bridge(),
            Some(&self.public_key()),
        )?;
        let mut signatures = self.signatures(&approved)?;
        let verdict = match self.lie {
            Lie::WrongSignature => {
                let other = Message::from_digest(self.protocol.hash().0);
                signatures.fill(self.secp.sign_schnorr_no_aux_rand(&other, &self.keypair));
                Verdict::Signed(SettlementSignatures(signatures))
            }
            Lie::OtherInput => {
                signatures.rotate_left(1);
                Verdict::Signed(SettlementSignatures(signatures))
            }
            Lie::TooFew => {
                signatures.pop();
                Verdict::Signed(SettlementSignatures(signatures))
            }
            Lie::Refuses => Verdict::Refused(RefusalRecord {
                code: "bad-mood".to_owned(),
                details: "expected better weather".to_owned(),
            }),
        };
        let (proposal, signer) = (proposal_id(encoded), self.public_key());
        let digest = Answer::digest(&proposal, &signer, &verdict);
        Ok(Answer {
            proposal,
            signer,
            authentication: self.secp.sign_schnorr_no_aux_rand(&digest, &self.keypair),
            verdict,
        })
    }

    /// What an honest operator would sign.
    fn signatures(&self, approved: &Approved<Settlement>) -> Result<Vec<Signature>> {
        let settlement = approved.get();
        let mut sighashes = Sighashes::new(&settlement.transaction, &settlement.prevouts);
        settlement
            .spends
            .iter()
            .enumerate()
            .map(|(input_index, spend)| {
                let sighash = sighashes.of(input_index, spend)?;
                Ok(self.secp.sign_schnorr_no_aux_rand(&sighash, &self.keypair))
            })
            .collect()
    }
}

fn clock() -> UnixTime {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
