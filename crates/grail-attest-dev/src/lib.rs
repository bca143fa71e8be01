//! A TEE that protects nothing, for regtest.
//!
//! Simulated hardware that issues genuine documents of AWS Nitro's format, under the development
//! root: its private key is derived from a constant in this file, worthless by design. The
//! documents go through the verification that production uses; only the anchor differs.
//! [`InsecureDevTee`] and [`TrustAnchor::development`](grail_attest::TrustAnchor::development) both
//! ask for a [`DevelopmentAllowed`], which exists only on regtest, and only in development builds
//! (invariant I11). No production program contains this crate (ADR 10).
//!
//! Whatever makes a document is public: tests make documents that are wrong in exactly one way.

mod document;
mod pki;
mod seal;

use bitcoin::hashes::{Hash, sha384};
use grail_attest::{
    NONCE_BYTES_MAX, PUBLIC_KEY_BYTES_MAX, USER_DATA_BYTES_MAX, UnixTime, writing::PCR_BYTES,
};
use grail_tee::{AttestError, AttestRequest, Attester, SealContext, SealError, SealNonce, Sealer};
use grail_types::{DevelopmentAllowed, Measurement};
use zeroize::Zeroizing;

pub use document::{DocumentPlan, encode_payload, sign_document};
pub use pki::{CertificatePlan, ChainPlan, Extension, IssuedChain, basic_constraints, key_usage};

/// Everything secret about the simulated hardware, published.
const WORTHLESS_SECRET: &[u8] =
    b"the secret of grail's development hardware: published, worthless by design";

/// Registers that every Nitro document carries.
const PCR_COUNT: u8 = 16;

/// A simulated enclave.
pub struct InsecureDevTee {
    measurement: Measurement,
    hardware_id: [u8; 32],
    clock: Box<dyn Fn() -> UnixTime + Send + Sync>,
}

impl InsecureDevTee {
    /// An enclave that runs an image with this PCR0 (see [`development_pcr0`]) on the machine
    /// `hardware_id`, under the given clock. A zero PCR0 simulates debug mode, whose documents
    /// are refused.
    pub fn new(
        _: DevelopmentAllowed,
        pcr0: [u8; 48],
        hardware_id: [u8; 32],
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        Self {
            measurement: development_measurement(pcr0),
            hardware_id,
            clock: Box::new(clock),
        }
    }

    /// The measurement that its documents carry.
    pub fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    /// What it would issue and sign for `request`, lengths unchecked.
    pub fn plan(&self, request: &AttestRequest<'_>) -> (ChainPlan, DocumentPlan) {
        let at = (self.clock)();
        let chain = ChainPlan::new(&self.hardware_id, at);
        let mut pcrs: Vec<_> = (0..u64::from(PCR_COUNT))
            .map(|index| (index, [0; PCR_BYTES].to_vec()))
            .collect();
        let filled = [
            (0, self.measurement.pcr0),
            (1, self.measurement.pcr1),
            (2, self.measurement.pcr2),
            // On Nitro the hash of the machine's id.
            (4, sha384_of(&self.hardware_id)),
        ];
        for (index, value) in filled {
            if let Some((_, pcr)) = pcrs.get_mut(index) {
                *pcr = value.to_vec();
            }
        }
        let document = DocumentPlan {
            module_id: chain.module_id(),
            digest: "SHA384".to_owned(),
            timestamp: at,
            pcrs,
            public_key: request.public_key.map(<[u8]>::to_vec),
            user_data: request.user_data.map(<[u8]>::to_vec),
            nonce: request.nonce.map(<[u8]>::to_vec),
        };
        (chain, document)
    }
}

impl Attester for InsecureDevTee {
    fn attest(&self, request: &AttestRequest<'_>) -> Result<Vec<u8>, AttestError> {
        let fields = [
            ("user_data", request.user_data, USER_DATA_BYTES_MAX),
            ("nonce", request.nonce, NONCE_BYTES_MAX),
            ("public_key", request.public_key, PUBLIC_KEY_BYTES_MAX),
        ];
        for (field, value, max) in fields {
            let got = value.map_or(0, <[u8]>::len);
            if got > max {
                return Err(AttestError::FieldLength { field, max, got });
            }
        }
        let (chain, document) = self.plan(request);
        let chain = chain.issue();
        let entries = document.entries(&chain.cabundle, &chain.leaf);
        Ok(sign_document(&encode_payload(&entries), &chain.leaf_key))
    }
}

impl Sealer for InsecureDevTee {
    fn seal(
        &self,
        plaintext: &[u8],
        context: &SealContext<'_>,
        nonce: SealNonce,
    ) -> Result<Vec<u8>, SealError> {
        let key = seal::sealing_key(&self.hardware_id, &self.measurement);
        seal::seal(&key, plaintext, context, nonce)
    }

    fn open(
        &self,
        sealed: &[u8],
        context: &SealContext<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = seal::sealing_key(&self.hardware_id, &self.measurement);
        seal::open(&key, sealed, context)
    }
}

/// PCR0 of a program: SHA-384 of its bytes.
pub fn development_pcr0(program: &[u8]) -> [u8; 48] {
    sha384_of(program)
}

/// The measurement of the simulated enclave with this PCR0. The other two registers are constants,
/// as kernel and ramdisk are the same for all.
pub fn development_measurement(pcr0: [u8; 48]) -> Measurement {
    Measurement {
        pcr0,
        pcr1: sha384_of(b"grail/development-tee/pcr1/v1"),
        pcr2: sha384_of(b"grail/development-tee/pcr2/v1"),
    }
}

fn sha384_of(bytes: &[u8]) -> [u8; 48] {
    sha384::Hash::hash(bytes).to_byte_array()
}

#[cfg(test)]
mod tests;
