//! The one path from a document's bytes to something that may be believed.

use std::fmt;

use bitcoin::hashes::{Hash, sha256};
use grail_types::Measurement;

use crate::{
    anchor::TrustAnchor,
    cache::ChainCache,
    chain::{Instants, verify_chain},
    cose::Envelope,
    document::{DOCUMENT_BYTES_MAX, PCR_BYTES, Payload, Pcrs},
    error::EvidenceError,
    expect::{Attested, Claims, Expected, expect},
    images::TeeKind,
    time::UnixTime,
};

/// A document may be this much younger than the verifier's clock says it is: clocks differ.
pub const FUTURE_TOLERANCE_MS: u64 = 5 * 60 * 1000;

/// Registers that identify the image; hypervisors zero them in debug mode.
const IMAGE_PCR_COUNT: usize = 3;

/// A document with a sound form, signature and chain, made outside debug mode. Says what ran, not
/// yet whether that is what should run: see [`VerifiedDocument::expect`].
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedDocument {
    tee: TeeKind,
    module_id: String,
    timestamp: UnixTime,
    leaf_not_after: UnixTime,
    pcrs: Pcrs,
    measurement: Measurement,
    public_key: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
    nonce: Option<Vec<u8>>,
    digest: [u8; 32],
}

/// Verifies an attestation document of AWS Nitro's format under `anchor`, as of the instant `at`.
///
/// For an old document `at` may be its own time, with what follows from that: nothing is then said
/// about today. A leaf certificate lives three hours and is reused, so that freshness comes from a
/// nonce alone.
pub fn verify(
    document: &[u8],
    anchor: &TrustAnchor,
    at: UnixTime,
) -> Result<VerifiedDocument, EvidenceError> {
    verify_with(document, anchor, at, &mut ChainCache::new(0))
}

/// The same, with signatures of chains remembered: for whoever verifies many documents. The verdict
/// is that of [`verify`], whatever was verified before.
pub fn verify_with(
    document: &[u8],
    anchor: &TrustAnchor,
    at: UnixTime,
    cache: &mut ChainCache,
) -> Result<VerifiedDocument, EvidenceError> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(EvidenceError::DocumentTooLarge {
            max: DOCUMENT_BYTES_MAX,
            got: document.len(),
        });
    }
    let envelope = Envelope::parse(document)?;
    let payload = Payload::parse(envelope.payload)?;
    let timestamp = payload.timestamp;
    if timestamp > at.later_by_millis(FUTURE_TOLERANCE_MS) {
        return Err(EvidenceError::FromTheFuture { timestamp, at });
    }
    let leaf = verify_chain(
        anchor,
        &payload.cabundle,
        payload.certificate,
        Instants {
            at,
            signed_at: timestamp,
        },
        cache,
    )?;
    envelope.verify(&leaf.key)?;
    Ok(VerifiedDocument {
        tee: anchor.tee(),
        module_id: payload.module_id.to_owned(),
        timestamp,
        leaf_not_after: leaf.not_after,
        measurement: measurement_of(&payload.pcrs)?,
        pcrs: payload.pcrs,
        public_key: payload.public_key.map(<[u8]>::to_vec),
        user_data: payload.user_data.map(<[u8]>::to_vec),
        nonce: payload.nonce.map(<[u8]>::to_vec),
        digest: sha256::Hash::hash(document).to_byte_array(),
    })
}

/// Debug enclaves carry real AWS signatures; only their zero registers tell (hazard 40). Refused
/// here, before any policy that might list zeros.
fn measurement_of(pcrs: &Pcrs) -> Result<Measurement, EvidenceError> {
    let mut image = [[0; PCR_BYTES]; IMAGE_PCR_COUNT];
    for (index, (slot, pcr)) in image.iter_mut().zip(pcrs).enumerate() {
        *slot = pcr.ok_or(EvidenceError::MissingPcr { index })?;
        if *slot == [0; PCR_BYTES] {
            return Err(EvidenceError::DebugMode { index });
        }
    }
    let [pcr0, pcr1, pcr2] = image;
    Ok(Measurement { pcr0, pcr1, pcr2 })
}

impl VerifiedDocument {
    /// Holds the document against what it must say.
    pub fn expect(self, expected: &Expected<'_>) -> Result<Attested, EvidenceError> {
        expect(self, expected)
    }

    /// A platform configuration register, 48 bytes; `None` if the document has none with this
    /// index.
    pub fn pcr(&self, index: usize) -> Option<&[u8; PCR_BYTES]> {
        self.pcrs.get(index)?.as_ref()
    }

    /// PCR0 to PCR2.
    pub fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    /// Up to 512 bytes that the enclave chose.
    pub fn user_data(&self) -> Option<&[u8]> {
        self.user_data.as_deref()
    }

    /// Up to 512 bytes that the enclave chose, by custom a verifier's challenge.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// Up to 1024 bytes that the enclave chose, by custom a public key.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// When the document was made, by the hypervisor's clock.
    pub fn timestamp(&self) -> UnixTime {
        self.timestamp
    }

    /// The name that the hypervisor gave the enclave's run.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    /// When the leaf certificate ends, three hours after it was issued.
    pub fn leaf_not_after(&self) -> UnixTime {
        self.leaf_not_after
    }

    /// SHA-256 of the document's bytes, to name it by. Not unique to what it says: ECDSA
    /// signatures can be rewritten by anyone.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl fmt::Debug for VerifiedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedDocument")
            .field("module_id", &self.module_id)
            .field("timestamp", &self.timestamp)
            .field("pcr0", &hex::encode(self.measurement.pcr0))
            .field("digest", &hex::encode(self.digest))
            .finish_non_exhaustive()
    }
}

impl Claims for VerifiedDocument {
    fn tee(&self) -> TeeKind {
        self.tee
    }

    fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    fn check_user_data(&self, expected: Option<&[u8]>) -> Result<(), EvidenceError> {
        if self.user_data() == expected {
            return Ok(());
        }
        Err(EvidenceError::UserData {
            expected: shown(expected),
            got: shown(self.user_data()),
        })
    }

    fn check_nonce(&self, expected: Option<&[u8]>) -> Result<(), EvidenceError> {
        if self.nonce() == expected {
            return Ok(());
        }
        Err(EvidenceError::Nonce {
            expected: shown(expected),
            got: shown(self.nonce()),
        })
    }
}

impl Attested {
    /// The document.
    pub fn document(&self) -> &VerifiedDocument {
        self.evidence()
    }
}

fn shown(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "null".to_owned(), hex::encode)
}
