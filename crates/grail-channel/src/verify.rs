//! Evidence of the other end: the dear part of a handshake.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bitcoin::{
    XOnlyPublicKey,
    hashes::{Hash as _, sha256},
};
use grail_attest::{
    EvidenceError, Expected, PinnedImages, TrustAnchor, UnixTime, VerifiedDocument, verify,
};
use grail_types::{Bridge, Measurement};

/// What evidence must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The verifier's bridge, whose network names the root.
    pub bridge: Bridge,
    /// The signer key that the evidence must carry as its `public_key`.
    pub signer: XOnlyPublicKey,
    /// Its nonce: the transcript.
    pub nonce: [u8; 32],
    /// Its `user_data`: signer and statement, for the purpose of a channel.
    pub user_data: [u8; 32],
    /// The counter of images that the speaker goes by; covered by `user_data`.
    pub images_counter: u64,
}

/// What evidence vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// What runs.
    pub measurement: Measurement,
    /// SHA-256 of the evidence.
    pub evidence_digest: [u8; 32],
}

/// Evidence that is not believed, by a stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("evidence refused: {0}")]
pub struct EvidenceRefused(pub &'static str);

/// Verifies evidence: production's is [`AttestVerifier`], and a shell may put counting or another
/// kind of TEE before it. There is no other way into an open channel.
pub trait Verifier {
    /// Holds `evidence` against `claim`, now.
    fn verify(&mut self, claim: &Claim, evidence: &[u8]) -> Result<Vouched, EvidenceRefused>;
}

/// By `grail-attest`, as of one instant.
pub struct AttestVerifier<'a> {
    /// The images that may run.
    pub images: &'a PinnedImages,
    /// Now, by the TEE's clock.
    pub at: UnixTime,
    /// Documents that were verified lately.
    pub cache: &'a mut DocumentCache,
}

impl Verifier for AttestVerifier<'_> {
    fn verify(&mut self, claim: &Claim, evidence: &[u8]) -> Result<Vouched, EvidenceRefused> {
        let anchor = TrustAnchor::of(claim.bridge.network);
        let document = self
            .cache
            .verified(evidence, &anchor, self.at)
            .map_err(|error| EvidenceRefused(error.code()))?;
        if document.public_key() != Some(claim.signer.serialize().as_slice()) {
            return Err(EvidenceRefused("signer-key-mismatch"));
        }
        // An image that is listed for one kind of TEE is not listed for another.
        let references: Vec<_> = self
            .images
            .get()
            .images()
            .iter()
            .filter(|image| image.tee == anchor.tee())
            .map(|image| image.measurement)
            .collect();
        let attested = document
            .expect(&Expected {
                references: &references,
                user_data: Some(&claim.user_data),
                nonce: Some(&claim.nonce),
            })
            .map_err(|error| EvidenceRefused(error.code()))?;
        Ok(Vouched {
            measurement: *attested.document().measurement(),
            evidence_digest: attested.document().digest(),
        })
    }
}

/// Documents that are remembered.
const CACHE_MAX: usize = 256;

/// How long a verdict on a document's signatures and certificates is taken for today's.
const CACHED_FOR: Duration = Duration::from_mins(5);

/// Documents whose form, signature and certificates verified lately, by hash of anchor and bytes.
/// What they say is held against the claim every time. Only what verified is remembered: whoever
/// wants to be refused often can alter a byte as often.
#[derive(Default)]
pub struct DocumentCache {
    documents: BTreeMap<[u8; 32], Remembered>,
    oldest_first: VecDeque<[u8; 32]>,
    verified: u64,
}

struct Remembered {
    document: VerifiedDocument,
    from: UnixTime,
    until: UnixTime,
}

impl DocumentCache {
    /// How many documents were verified in full so far.
    pub const fn verified_in_full(&self) -> u64 {
        self.verified
    }

    fn verified(
        &mut self,
        evidence: &[u8],
        anchor: &TrustAnchor,
        at: UnixTime,
    ) -> Result<VerifiedDocument, EvidenceError> {
        let digest = sha256::Hash::hash(evidence).to_byte_array();
        let key = [anchor.digest(), digest].concat();
        let key = sha256::Hash::hash(&key).to_byte_array();
        if let Some(known) = self.documents.get(&key)
            && (known.from..=known.until).contains(&at)
        {
            return Ok(known.document.clone());
        }
        self.verified = self.verified.saturating_add(1);
        let document = verify(evidence, anchor, at)?;
        self.remember(key, &document, at);
        Ok(document)
    }

    fn remember(&mut self, key: [u8; 32], document: &VerifiedDocument, at: UnixTime) {
        let millis = u64::try_from(CACHED_FOR.as_millis()).unwrap_or(0);
        let until = at.later_by_millis(millis).min(document.leaf_not_after());
        let remembered = Remembered {
            document: document.clone(),
            from: at,
            until,
        };
        if self.documents.insert(key, remembered).is_none() {
            self.oldest_first.push_back(key);
        }
        if self.oldest_first.len() > CACHE_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.documents.remove(&oldest);
        }
    }
}
