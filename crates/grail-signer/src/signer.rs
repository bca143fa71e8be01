//! The machine itself.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{All, Keypair, Secp256k1, SecretKey},
};
use grail_attest::{SealContext, SealNonce, Tee, attest_signer};
use grail_policy::{Approved, Settlement, approve};
use grail_script::Sighashes;
use grail_types::{Bridge, Params, ParamsHash};
use zeroize::Zeroizing;

use crate::{
    answer::{Answer, ProposalId, SettlementSignatures, Verdict},
    message::{Boot, Born, Fault, Identity, Request, Response},
    wire::{decode_proposal, proposal_id},
};

/// What the sealed key is for; opening needs the same words.
const SEAL_PURPOSE: &str = "signer-key";

/// Draws of a key before a broken source of randomness is assumed: a draw fails with probability 2^-128.
const KEY_DRAWS_MAX: usize = 8;

/// Source of fresh randomness, given by the program: the machine draws none itself.
pub trait Entropy {
    /// Fills `bytes` with fresh random bytes.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault>;
}

/// A signer in its TEE.
pub struct Signer {
    tee: Box<dyn Tee>,
    secp: Secp256k1<All>,
    phase: Phase,
}

enum Phase {
    /// Not booted.
    Waiting,
    /// Has a key and parameters, for good: there is no way back.
    Ready(Box<Ready>),
}

struct Ready {
    bridge: Bridge,
    params: Params,
    params_hash: ParamsHash,
    key: SigningKey,
}

/// The one secret. Erased when dropped; never shown, copied or compared.
struct SigningKey(Keypair);

impl SigningKey {
    fn public(&self) -> XOnlyPublicKey {
        self.0.x_only_public_key().0
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl Signer {
    /// A signer that waits to be booted.
    pub fn new(tee: Box<dyn Tee>) -> Self {
        Self {
            tee,
            secp: Secp256k1::new(),
            phase: Phase::Waiting,
        }
    }

    /// Serves one request. Which request is served in which phase:
    ///
    /// | phase | boot | identify | attest | decide |
    /// |---|---|---|---|---|
    /// | waiting | yes | - | - | - |
    /// | ready | - | yes | yes | yes |
    pub fn handle(&mut self, request: Request, entropy: &mut dyn Entropy) -> Response {
        let outcome = match (&self.phase, request) {
            (Phase::Waiting, Request::Boot(boot)) => self.boot(boot, entropy).map(Response::Booted),
            (Phase::Ready(ready), Request::Identify) => Ok(Response::Identity(ready.identity())),
            (Phase::Ready(ready), Request::Attest { nonce }) => attest_signer(
                self.tee.as_ref(),
                &ready.bridge,
                &ready.key.public(),
                Some(&nonce),
            )
            .map(Response::Evidence)
            .map_err(|error| Fault::new(error.code(), &error)),
            (Phase::Ready(ready), Request::Decide { proposal }) => ready
                .decide(&self.secp, &proposal, entropy)
                .map(Response::Decided),
            (Phase::Ready(_), Request::Boot(_)) => {
                Err(Fault::new("already-booted", "the signer runs already"))
            }
            (Phase::Waiting, _) => Err(Fault::new("not-booted", "expected a boot request first")),
        };
        outcome.unwrap_or_else(Response::Failed)
    }

    fn boot(&mut self, boot: Boot, entropy: &mut dyn Entropy) -> Result<Born, Fault> {
        let Boot {
            bridge,
            params,
            sealed,
        } = boot;
        let params_hash = params.hash(&bridge);
        let context = SealContext {
            purpose: SEAL_PURPOSE,
            bridge,
        };
        let (key, sealed) = if let Some(sealed) = sealed {
            let secret = self
                .tee
                .open(&sealed, &context)
                .map_err(|error| Fault::new(error.code(), &error))?;
            (self.restore(&secret)?, None)
        } else {
            let (key, sealed) = self.give_birth(&context, entropy)?;
            (key, Some(sealed))
        };
        let public_key = key.public();
        self.phase = Phase::Ready(Box::new(Ready {
            bridge,
            params,
            params_hash,
            key,
        }));
        Ok(Born {
            public_key,
            sealed: sealed.map(Into::into),
        })
    }

    fn restore(&self, secret: &[u8]) -> Result<SigningKey, Fault> {
        Keypair::from_seckey_slice(&self.secp, secret)
            .map(SigningKey)
            .map_err(|_| Fault::new("sealed-key-invalid", "the sealed bytes are no key"))
    }

    fn give_birth(
        &self,
        context: &SealContext<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(SigningKey, Vec<u8>), Fault> {
        let mut secret = Zeroizing::new([0; 32]);
        for _ in 0..KEY_DRAWS_MAX {
            entropy.fill(secret.as_mut())?;
            let Ok(mut drawn) = SecretKey::from_slice(secret.as_ref()) else {
                continue;
            };
            let key = SigningKey(Keypair::from_secret_key(&self.secp, &drawn));
            drawn.non_secure_erase();
            let mut nonce = [0; SealNonce::BYTES];
            entropy.fill(&mut nonce)?;
            let sealed = self
                .tee
                .seal(secret.as_ref(), context, SealNonce::from_random(nonce))
                .map_err(|error| Fault::new(error.code(), &error))?;
            return Ok((key, sealed));
        }
        Err(Fault::new("entropy-broken", "no draw gave a valid key"))
    }
}

impl Ready {
    fn identity(&self) -> Identity {
        Identity {
            public_key: self.key.public(),
            params_hash: self.params_hash,
        }
    }

    /// Decides on a proposal; yes and no are both answers, authenticated.
    fn decide(
        &self,
        secp: &Secp256k1<All>,
        encoded: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Answer, Fault> {
        let id = proposal_id(encoded);
        let proposal =
            decode_proposal(encoded).map_err(|error| Fault::new("proposal-malformed", &error))?;
        let verdict = match approve(
            secp,
            &proposal,
            &self.params,
            &self.bridge,
            Some(&self.key.public()),
        ) {
            Ok(approved) => Verdict::Signed(self.sign(secp, &approved, entropy)?),
            Err(refusal) => Verdict::Refused(refusal.record()),
        };
        self.answer(secp, id, verdict, entropy)
    }

    fn sign(
        &self,
        secp: &Secp256k1<All>,
        approved: &Approved<Settlement>,
        entropy: &mut dyn Entropy,
    ) -> Result<SettlementSignatures, Fault> {
        let settlement = approved.get();
        let mut sighashes = Sighashes::new(&settlement.transaction, &settlement.prevouts);
        let signatures = settlement
            .spends
            .iter()
            .enumerate()
            .map(|(input_index, spend)| {
                let sighash = sighashes
                    .script_path(input_index, spend.leaf_hash())
                    .map_err(|error| Fault::new("sighash", &error))?;
                let mut aux = [0; 32];
                entropy.fill(&mut aux)?;
                Ok(secp.sign_schnorr_with_aux_rand(&sighash, &self.key.0, &aux))
            })
            .collect::<Result<_, Fault>>()?;
        Ok(SettlementSignatures(signatures))
    }

    fn answer(
        &self,
        secp: &Secp256k1<All>,
        proposal: ProposalId,
        verdict: Verdict,
        entropy: &mut dyn Entropy,
    ) -> Result<Answer, Fault> {
        let signer = self.key.public();
        let mut aux = [0; 32];
        entropy.fill(&mut aux)?;
        let digest = Answer::digest(&proposal, &signer, &verdict);
        let authentication = secp.sign_schnorr_with_aux_rand(&digest, &self.key.0, &aux);
        Ok(Answer {
            proposal,
            signer,
            verdict,
            authentication,
        })
    }
}
