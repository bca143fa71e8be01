//! Sealing under a key that the simulated hardware derives from the measurement.
//!
//! A sealed secret is a version byte, 24 bytes of nonce, and XChaCha20-Poly1305's ciphertext and
//! tag.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use grail_tee::{SEALED_PLAINTEXT_BYTES_MAX, SealContext, SealError, SealNonce};
use grail_types::{Measurement, TaggedHasher};
use zeroize::Zeroizing;

use crate::WORTHLESS_SECRET;

/// Version 1 bound the parameters too.
const VERSION: u8 = 2;
const TAG_BYTES: usize = 16;
const OVERHEAD_BYTES: usize = 1 + SealNonce::BYTES + TAG_BYTES;

/// Another image or another machine has another key.
pub(super) fn sealing_key(
    hardware_id: &[u8; 32],
    measurement: &Measurement,
) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(
        TaggedHasher::new("grail/development-sealing-key/v1")
            .bytes(WORTHLESS_SECRET)
            .bytes(hardware_id)
            .bytes(&measurement.pcr0)
            .bytes(&measurement.pcr1)
            .bytes(&measurement.pcr2)
            .finish(),
    )
}

pub(super) fn seal(
    key: &[u8; 32],
    plaintext: &[u8],
    context: &SealContext<'_>,
    nonce: SealNonce,
) -> Result<Vec<u8>, SealError> {
    if plaintext.len() > SEALED_PLAINTEXT_BYTES_MAX {
        return Err(SealError::TooLarge {
            max: SEALED_PLAINTEXT_BYTES_MAX,
            got: plaintext.len(),
        });
    }
    let nonce = nonce.into_bytes();
    let payload = Payload {
        msg: plaintext,
        aad: &associated_data(context),
    };
    let ciphertext = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), payload)
        .expect("64 KiB are far below the cipher's 256 GiB");
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

pub(super) fn open(
    key: &[u8; 32],
    sealed: &[u8],
    context: &SealContext<'_>,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let max = SEALED_PLAINTEXT_BYTES_MAX + OVERHEAD_BYTES;
    if sealed.len() > max {
        return Err(SealError::TooLarge {
            max,
            got: sealed.len(),
        });
    }
    let Some((&VERSION, rest)) = sealed.split_first() else {
        return Err(SealError::Malformed);
    };
    let Some((nonce, ciphertext)) = rest.split_first_chunk::<{ SealNonce::BYTES }>() else {
        return Err(SealError::Malformed);
    };
    let payload = Payload {
        msg: ciphertext,
        aad: &associated_data(context),
    };
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Foreign)
}

fn associated_data(context: &SealContext<'_>) -> [u8; 32] {
    let SealContext { purpose, bridge } = context;
    TaggedHasher::new("grail/sealing-context/v2")
        .u8(VERSION)
        .bytes(purpose.as_bytes())
        .bridge(bridge)
        .finish()
}
