//! The certificate of a chip's key: which chip, and at which level of firmware (AMD 57230, section
//! "VCEK Certificate Extensions").

use p384::ecdsa::VerifyingKey;
use x509_cert::der::{Decode as _, asn1::ObjectIdentifier, asn1::OctetStringRef};

use super::error::SnpError;
use crate::{anchor::Product, certificate::Certificate};

/// Real ones have 1.3 KB.
pub const VCEK_BYTES_MAX: usize = 4096;

const HARDWARE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");

/// The levels in the order of a report's bytes.
const LEVELS: [ObjectIdentifier; 8] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.4"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.5"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.6"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.7"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8"),
];

/// The same of Turin, which begins with its first mutable code.
const LEVELS_OF_TURIN: [ObjectIdentifier; 8] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.5"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.6"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.7"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8"),
];

/// A chip's number has 64 bytes, of which Turin uses the first 8.
const CHIP_ID_BYTES: usize = 64;
const CHIP_ID_BYTES_OF_TURIN: usize = 8;

/// The certificate of a chip's key.
#[derive(Debug)]
pub(crate) struct Vcek<'a>(Certificate<'a>);

impl<'a> Vcek<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, SnpError> {
        if der.len() > VCEK_BYTES_MAX {
            return Err(SnpError::VcekLength {
                max: VCEK_BYTES_MAX,
                got: der.len(),
            });
        }
        let certificate = Certificate::parse(der).map_err(|source| SnpError::Certificate {
            which: "vcek",
            source,
        })?;
        Ok(Self(certificate))
    }

    pub(crate) const fn certificate(&self) -> &Certificate<'a> {
        &self.0
    }

    pub(crate) fn key(&self) -> Result<VerifyingKey, SnpError> {
        self.0.p384_key().map_err(|source| SnpError::Certificate {
            which: "vcek",
            source,
        })
    }

    /// The report is of the chip that the key is certified for.
    pub(crate) fn check_chip(
        &self,
        product: Product,
        chip_id: &[u8; CHIP_ID_BYTES],
    ) -> Result<(), SnpError> {
        let length = match product {
            Product::Milan | Product::Genoa => CHIP_ID_BYTES,
            Product::Turin => CHIP_ID_BYTES_OF_TURIN,
        };
        let value = self.extension(HARDWARE_ID)?;
        // Bare bytes, or DER of them: AMD has issued both, and their lengths tell them apart.
        let certified = if value.len() == length {
            value
        } else {
            let inner = <&OctetStringRef>::from_der(value);
            inner.map_err(|_| malformed(HARDWARE_ID))?.as_bytes()
        };
        if certified.len() != length {
            return Err(malformed(HARDWARE_ID));
        }
        let (got, rest) = chip_id.split_at(length);
        if got == certified && rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(SnpError::Chip {
            expected: hex::encode(certified),
            got: hex::encode(chip_id),
        })
    }

    /// The report is of the firmware that the key is certified for.
    pub(crate) fn check_tcb(&self, product: Product, reported: [u8; 8]) -> Result<(), SnpError> {
        let levels = match product {
            Product::Milan | Product::Genoa => LEVELS,
            Product::Turin => LEVELS_OF_TURIN,
        };
        let mut certified = [0; 8];
        for (level, oid) in certified.iter_mut().zip(levels) {
            *level = u8::from_der(self.extension(oid)?).map_err(|_| malformed(oid))?;
        }
        if certified == reported {
            return Ok(());
        }
        Err(SnpError::Tcb {
            expected: hex::encode(certified),
            got: hex::encode(reported),
        })
    }

    fn extension(&self, oid: ObjectIdentifier) -> Result<&[u8], SnpError> {
        self.0.extension(oid).ok_or_else(|| malformed(oid))
    }
}

fn malformed(oid: ObjectIdentifier) -> SnpError {
    SnpError::VcekExtension {
        oid: oid.to_string(),
    }
}
