//! A hostile backend: sits where operators look for theirs, and asks them to sign what it should
//! not get.

mod attacks;
mod draft;
mod foreign;
mod rotation;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::Secp256k1;
use grail_ask::{Ask, Reply, VerifiedAnswer};
use grail_attest::Protocol;
use grail_broker::messages::{BrokerMessage as _, decode, encode};
use grail_broker::{Broker as _, EmbeddedBroker};
use grail_policy::judge;
use grail_types::{BoundedBytes, Bridge, Network, Roster};
use grail_wire::{
    Answer, AskerId, Attempt, Proposal, ProposalId, RefusalCode, Verdict, encode_proposal,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

pub use attacks::{Attack, attacks};
pub use draft::Draft;
pub use rotation::{HandOver, OwnSponsors};

/// What it calls itself.
const ASKER: [u8; 16] = *b"hostile backend!";
/// Longest wait for operators.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two times of asking the same.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// A hub in the place of the backend's, which must not run.
pub struct HostileBackend {
    runtime: Runtime,
    broker: EmbeddedBroker,
}

impl std::fmt::Debug for HostileBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostileBackend").finish_non_exhaustive()
    }
}

impl HostileBackend {
    /// Takes the place, and waits until `operators` of them have come.
    pub fn listen(address: SocketAddr, operators: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let broker = runtime.block_on(EmbeddedBroker::listen(address))?;
        let hostile = Self { runtime, broker };
        crate::until("operators to connect to the hostile backend", || {
            let connected = hostile.broker.counters().connection_count;
            Ok((connected >= operators as u64).then_some(()))
        })?;
        Ok(hostile)
    }

    /// Asks all operators for signatures and returns what `expected` of the roster's answer, each
    /// answer authenticated. Operators who are in no roster yet answer too, and do not count.
    pub fn ask(
        &self,
        proposal: &Proposal,
        roster: &Roster,
        expected: usize,
    ) -> Result<BTreeMap<XOnlyPublicKey, Verdict>> {
        let encoded = encode_proposal(proposal)?;
        let id = ProposalId::of(&encoded);
        let attempt = Attempt {
            asker: AskerId(ASKER),
            number: 0,
        };
        let ask = Ask {
            attempt,
            proposal: BoundedBytes::new(encoded)?,
        };
        let ask = encode(proposal.epoch, &ask)?;
        self.runtime.block_on(async {
            let mut replies = self.broker.subscribe(Reply::subject()).await?;
            let mut verdicts = BTreeMap::new();
            let deadline = Instant::now() + PATIENCE;
            let mut again = tokio::time::interval(ASK_INTERVAL);
            while verdicts.len() < expected {
                tokio::select! {
                    _ = again.tick() => {
                        if Instant::now() >= deadline {
                            bail!("{} of {expected} operators answer", verdicts.len());
                        }
                        self.broker.publish(Ask::subject(), ask.clone()).await?;
                    }
                    reply = replies.next() => {
                        let reply = reply.context("the broker ended")?;
                        let Reply::Answer(message) = decode(&reply.payload)? else { continue };
                        let answer: Answer = grail_wire::decode(&message.answer)?.message;
                        let answer = VerifiedAnswer::new(&Secp256k1::verification_only(), answer)?
                            .into_inner();
                        // An answer to the question before this one may come late.
                        if answer.proposal == id && roster.position(&answer.signer).is_some() {
                            verdicts.insert(answer.signer, answer.verdict);
                        }
                    }
                }
            }
            Ok(verdicts)
        })
    }

    /// Asks for what must be refused: every answer must be a no with the attack's code.
    pub fn attempt(&self, attack: &Attack, roster: &Roster, expected: usize) -> Result<()> {
        for (operator, verdict) in self.ask(&attack.proposal, roster, expected)? {
            match verdict {
                Verdict::Refused(record) if record.code == attack.code => {}
                Verdict::Refused(record) => bail!(
                    "{}: {operator} refuses with {} ({}), expected {}",
                    attack.what,
                    record.code,
                    record.details,
                    attack.code
                ),
                Verdict::Contributed(_) => bail!("{}: {operator} SIGNED", attack.what),
            }
        }
        Ok(())
    }
}

/// The code with which an operator of another network refuses a proposal that is a good one on
/// regtest.
pub fn refusal_on(
    network: Network,
    protocol: &Protocol,
    proposal: &Proposal,
) -> Result<RefusalCode> {
    let app = protocol.bridge().app;
    match judge(&Secp256k1::new(), proposal, &Bridge { network, app }) {
        Ok(_) => bail!("{network} approves a mock spell"),
        Err(refusal) => Ok(refusal.code()),
    }
}
