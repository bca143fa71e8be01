//! What a TEE does for the program in it.
//!
//! Two traits, since an HSM seals but cannot attest; [`Tee`] is both.

use grail_types::Bridge;
use thiserror::Error;
use zeroize::Zeroizing;

/// Fields of the document to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttestRequest<'a> {
    /// At most 512 bytes.
    pub user_data: Option<&'a [u8]>,
    /// At most 512 bytes.
    pub nonce: Option<&'a [u8]>,
    /// At most 1024 bytes.
    pub public_key: Option<&'a [u8]>,
}

/// Makes attestation documents about the program it runs in.
pub trait Attester {
    /// A document of AWS Nitro's format with these fields.
    fn attest(&self, request: &AttestRequest<'_>) -> Result<Vec<u8>, AttestError>;
}

/// Why no document was made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AttestError {
    /// A field is longer than the platform takes.
    #[error("{field} has {got} bytes, at most {max} fit")]
    FieldLength {
        /// Which.
        field: &'static str,
        /// At most.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// The platform did not answer, or answered with an error.
    #[error("attestation is not available: {reason}")]
    Unavailable {
        /// What it said.
        reason: String,
    },
}

/// No key share, session or state that an enclave seals is larger.
pub const SEALED_PLAINTEXT_BYTES_MAX: usize = 64 * 1024;

/// What a sealed secret is for; opening needs the same. Protocol parameters are not part of it:
/// governance changes those, and a key that could not be opened any more would be lost with them.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// A fixed word, such as `signer-key`.
    pub purpose: &'a str,
    /// The bridge, with its network, that the secret belongs to.
    pub bridge: Bridge,
}

/// 24 random bytes, used for one sealing: neither `Clone` nor `Copy`.
#[derive(Debug)]
pub struct SealNonce([u8; Self::BYTES]);

impl SealNonce {
    /// Its length: long enough to be drawn at random without count.
    pub const BYTES: usize = 24;

    /// From fresh randomness of the caller.
    pub const fn from_random(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// For the cipher.
    pub const fn into_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }
}

/// Keeps secrets that only the same program on the same hardware reads again.
pub trait Sealer {
    /// Encrypts and authenticates `plaintext` to this measurement and context.
    fn seal(
        &self,
        plaintext: &[u8],
        context: &SealContext<'_>,
        nonce: SealNonce,
    ) -> Result<Vec<u8>, SealError>;

    /// Gives back what was sealed with the same measurement and context.
    fn open(
        &self,
        sealed: &[u8],
        context: &SealContext<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError>;
}

/// Why a secret was not sealed or opened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// More than is ever sealed.
    #[error("{got} bytes, at most {max} are sealed")]
    TooLarge {
        /// At most.
        max: usize,
        /// How many.
        got: usize,
    },
    /// Not a sealed secret of a known version.
    #[error("not a sealed secret of a known version")]
    Malformed,
    /// Sealed by another program, on other hardware, for another purpose, bridge or network; or
    /// tampered with. Authenticated encryption does not tell which.
    #[error("sealed secret does not open with this measurement, hardware, purpose and bridge")]
    Foreign,
    /// The platform did not answer, or answered with an error.
    #[error("sealing is not available: {reason}")]
    Unavailable {
        /// What it said.
        reason: String,
    },
}

/// A trusted execution environment, as the enclave's program sees it.
pub trait Tee: Attester + Sealer + Send + Sync {}

impl<T: Attester + Sealer + Send + Sync> Tee for T {}
