//! The machine itself.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{All, Secp256k1},
};
use grail_policy::{Approved, Decision, approve};
use grail_script::{SighashError, Sighashes};
use grail_tee::{AttestError, SealContext, SealError, SealNonce, Tee, attest_signer};
use grail_types::{BoundedBytes, Bridge, Epoch};
use grail_wire::{
    Adopt, Answer, Attempt, Boot, Booted, Contribution, Contributions, Fault, FaultCode, Identity,
    ProposalId, Request, Response, Verdict, decode_proposal,
};
use zeroize::Zeroizing;

use crate::{key::SigningKey, rosters::Rosters, sessions::Sessions};

/// What the sealed key is for; opening needs the same words.
const SEAL_PURPOSE: &str = "signer-key";

/// Draws of a key before a broken source of randomness is assumed: a draw fails with probability
/// 2^-128.
const KEY_DRAWS_MAX: usize = 8;

/// Memory that one decision may need at once, its request among it: what an enclave is given must
/// have room for this, its program and nothing else.
pub const DECISION_MAX_BYTES: usize = 96 << 20;

/// Source of fresh randomness, given by the shell: the machine draws none itself, and none can be
/// decoded from a message.
pub trait Entropy {
    /// Fills `bytes` with fresh random bytes.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// There is no randomness to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no randomness: {0}")]
pub struct EntropyError(pub String);

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// Its host asks.
    Request(Request),
}

/// What a node wants done. Its shell does it, in this order, and nothing else.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "at most two at a time")]
pub enum Effect {
    /// Hand these sealed bytes to the host, who must have them on disk before it acts on the
    /// response.
    Keep(Vec<u8>),
    /// Answer the host's request.
    Respond {
        /// The epoch that the response is about; zero where none matters.
        epoch: Epoch,
        /// The answer.
        response: Response,
    },
}

/// A signer in its TEE.
pub struct Node {
    tee: Box<dyn Tee>,
    secp: Secp256k1<All>,
    phase: Phase,
}

enum Phase {
    /// Has no key.
    Waiting,
    /// Has a key and a bridge, for good: there is no way back.
    Ready(Box<Ready>),
}

struct Ready {
    bridge: Bridge,
    key: SigningKey,
    sessions: Sessions,
    rosters: Option<Rosters>,
}

impl Node {
    /// A node that waits to be booted.
    pub fn new(tee: Box<dyn Tee>) -> Self {
        Self {
            tee,
            secp: Secp256k1::new(),
            phase: Phase::Waiting,
        }
    }

    /// Takes one input. Which request is served in which phase:
    ///
    /// | phase | boot | identify | attest | decide | adopt |
    /// |---|---|---|---|---|---|
    /// | waiting | yes | - | - | - | - |
    /// | ready | - | yes | yes | yes | yes |
    pub fn handle(&mut self, input: Input, entropy: &mut dyn Entropy) -> Vec<Effect> {
        let Input::Request(request) = input;
        let outcome = match (&mut self.phase, request) {
            (Phase::Waiting, Request::Boot(boot)) => self.boot(boot, entropy),
            (Phase::Ready(ready), Request::Identify) => Ok(respond(ready.identity())),
            (Phase::Ready(ready), Request::Attest { nonce }) => {
                ready.attest(self.tee.as_ref(), &nonce)
            }
            (Phase::Ready(ready), Request::Decide { attempt, proposal }) => {
                ready.decide(&self.secp, attempt, proposal.into_inner(), entropy)
            }
            (Phase::Ready(ready), Request::Adopt(shown)) => ready.adopt(&self.secp, &shown),
            (Phase::Ready(_), Request::Boot(_)) => Err(Fault::new(
                FaultCode::AlreadyBooted,
                "the signer runs already",
            )),
            (
                Phase::Waiting,
                Request::Identify
                | Request::Attest { .. }
                | Request::Decide { .. }
                | Request::Adopt(_),
            ) => Err(Fault::new(
                FaultCode::NotBooted,
                "expected a boot request first",
            )),
        };
        outcome.unwrap_or_else(|fault| respond(Response::Failed(fault)))
    }

    fn boot(&mut self, boot: Boot, entropy: &mut dyn Entropy) -> Result<Vec<Effect>, Fault> {
        let Boot { bridge, sealed } = boot;
        // Bound to the bridge and its network, so that no host can carry a key from one bridge to
        // another; the TEE binds it to the image. Not bound to parameters: a fee clamp that
        // changes must not cost sixteen keys.
        let context = SealContext {
            purpose: SEAL_PURPOSE,
            bridge,
        };
        let (key, kept) = if let Some(sealed) = sealed {
            (self.restore(&sealed, &context)?, None)
        } else {
            let (key, sealed) = self.generate(&context, entropy)?;
            (key, Some(sealed))
        };
        let public_key = key.public();
        self.phase = Phase::Ready(Box::new(Ready {
            bridge,
            key,
            sessions: Sessions::default(),
            rosters: None,
        }));
        let mut effects: Vec<_> = kept.map(Effect::Keep).into_iter().collect();
        effects.extend(respond(Response::Booted(Booted {
            public_key,
            sealed: None,
        })));
        Ok(effects)
    }

    fn restore(&self, sealed: &[u8], context: &SealContext<'_>) -> Result<SigningKey, Fault> {
        let opened = self
            .tee
            .open(sealed, context)
            .map_err(|error| seal_fault(&error))?;
        let invalid = || Fault::new(FaultCode::SealedKeyInvalid, "the sealed bytes are no key");
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        if opened.len() != secret.len() {
            return Err(invalid());
        }
        secret.copy_from_slice(&opened);
        SigningKey::new(&self.secp, secret).map_err(|_| invalid())
    }

    fn generate(
        &self,
        context: &SealContext<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(SigningKey, Vec<u8>), Fault> {
        for _ in 0..KEY_DRAWS_MAX {
            let mut secret = Box::new(Zeroizing::new([0; 32]));
            entropy
                .fill(secret.as_mut_slice())
                .map_err(|error| entropy_fault(&error))?;
            let Ok(key) = SigningKey::new(&self.secp, secret) else {
                continue;
            };
            let mut nonce = [0; SealNonce::BYTES];
            entropy
                .fill(&mut nonce)
                .map_err(|error| entropy_fault(&error))?;
            let sealed = self
                .tee
                .seal(key.to_be_sealed(), context, SealNonce::from_random(nonce))
                .map_err(|error| seal_fault(&error))?;
            return Ok((key, sealed));
        }
        Err(Fault::new(
            FaultCode::EntropyBroken,
            "no draw gave a valid key",
        ))
    }
}

impl Ready {
    fn identity(&self) -> Response {
        Response::Identity(Identity {
            public_key: self.key.public(),
            bridge: self.bridge,
            adopted: self.rosters.as_ref().map(Rosters::adopted),
        })
    }

    /// Follows the rosters that its host shows, all of them or none.
    fn adopt(&mut self, secp: &Secp256k1<All>, shown: &Adopt) -> Result<Vec<Effect>, Fault> {
        let rosters = match &self.rosters {
            None => Rosters::first(secp, &self.bridge, shown)?,
            Some(known) => known.clone(),
        };
        let rosters = rosters.follow(secp, &self.bridge, shown)?;
        let adopted = rosters.adopted();
        self.rosters = Some(rosters);
        Ok(vec![Effect::Respond {
            epoch: adopted.epoch,
            response: Response::Adopted(adopted),
        }])
    }

    fn attest(&self, tee: &dyn Tee, nonce: &[u8; 32]) -> Result<Vec<Effect>, Fault> {
        let document = attest_signer(tee, &self.bridge, &self.key.public(), Some(nonce))
            .map_err(|error| attest_fault(&error))?;
        let document = BoundedBytes::new(document)
            .map_err(|error| Fault::new(FaultCode::AttestUnavailable, &error))?;
        Ok(respond(Response::Evidence(document)))
    }

    /// Decides on a proposal; yes and no are both answers, authenticated.
    fn decide(
        &mut self,
        secp: &Secp256k1<All>,
        attempt: Attempt,
        encoded: Vec<u8>,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Effect>, Fault> {
        let id = ProposalId::of(&encoded);
        let proposal = decode_proposal(&encoded)
            .map_err(|error| Fault::new(FaultCode::ProposalMalformed, &error))?;
        // Its bytes are in the proposal by now, and a decision's memory is counted.
        drop(encoded);
        let signer = self.key.public();
        let verdict = match approve(secp, &proposal, &self.bridge, &signer) {
            Ok(approved) => {
                let contributions = self.contribute(secp, &approved, entropy)?;
                let session = self.sessions.open(&approved, attempt.asker);
                session.answered = session.answered.saturating_add(1);
                Verdict::Contributed(contributions)
            }
            Err(refusal) => Verdict::Refused(refusal.record()),
        };
        let answer = self.answer(secp, id, attempt, verdict, entropy)?;
        Ok(vec![Effect::Respond {
            epoch: proposal.epoch,
            response: Response::Decided(answer),
        }])
    }

    /// Signs the inputs whose roster this signer is in.
    fn contribute(
        &self,
        secp: &Secp256k1<All>,
        approved: &Approved<Decision>,
        entropy: &mut dyn Entropy,
    ) -> Result<Contributions, Fault> {
        let signing = approved.get().signing();
        let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
        let contributions = self.key.with_pair(secp, |pair| {
            signing
                .inputs_of(&self.key.public())
                .map(|index| {
                    let input = signing.inputs.get(index).expect("an index of this list");
                    let sighash = sighashes
                        .of(index, &input.spend)
                        .map_err(|error| sighash_fault(&error))?;
                    let mut auxiliary = [0; 32];
                    entropy
                        .fill(&mut auxiliary)
                        .map_err(|error| entropy_fault(&error))?;
                    Ok(Contribution::Signature {
                        input_index: u16::try_from(index).expect("at most 200 inputs"),
                        signature: secp.sign_schnorr_with_aux_rand(&sighash, pair, &auxiliary),
                    })
                })
                .collect::<Result<Vec<_>, Fault>>()
        })?;
        Ok(Contributions::new(contributions).expect("one per input, in order"))
    }

    fn answer(
        &self,
        secp: &Secp256k1<All>,
        proposal: ProposalId,
        attempt: Attempt,
        verdict: Verdict,
        entropy: &mut dyn Entropy,
    ) -> Result<Answer, Fault> {
        let signer: XOnlyPublicKey = self.key.public();
        let mut auxiliary = [0; 32];
        entropy
            .fill(&mut auxiliary)
            .map_err(|error| entropy_fault(&error))?;
        let digest = Answer::digest(&proposal, attempt, &signer, &verdict);
        let authentication = self.key.with_pair(secp, |pair| {
            secp.sign_schnorr_with_aux_rand(&digest, pair, &auxiliary)
        });
        Ok(Answer {
            proposal,
            attempt,
            signer,
            verdict,
            authentication,
        })
    }
}

fn respond(response: Response) -> Vec<Effect> {
    vec![Effect::Respond {
        epoch: Epoch(0),
        response,
    }]
}

fn entropy_fault(error: &EntropyError) -> Fault {
    Fault::new(FaultCode::EntropyUnavailable, error)
}

fn sighash_fault(error: &SighashError) -> Fault {
    Fault::new(FaultCode::Sighash, error)
}

fn seal_fault(error: &SealError) -> Fault {
    let code = match error {
        SealError::TooLarge { .. } => FaultCode::SealTooLarge,
        SealError::Malformed => FaultCode::SealMalformed,
        SealError::Foreign => FaultCode::SealForeign,
        SealError::Unavailable { .. } => FaultCode::SealUnavailable,
    };
    Fault::new(code, error)
}

fn attest_fault(error: &AttestError) -> Fault {
    let code = match error {
        AttestError::FieldLength { .. } => FaultCode::AttestFieldLength,
        AttestError::Unavailable { .. } => FaultCode::AttestUnavailable,
    };
    Fault::new(code, error)
}
