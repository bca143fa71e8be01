//! Chains of certificates in PEM, leaf first, that end at the pinned root.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grail_attest::{CertificateFault, UnixTime};
use p256::ecdsa::VerifyingKey;

use super::error::TdxError;
use crate::certificate::Certificate;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Real certificates have at most 1.3 KB of DER.
const CERTIFICATE_BYTES_MAX: usize = 4096;

/// The pinned root, within its dates.
#[derive(Debug)]
pub(crate) struct Root<'a> {
    der: &'a [u8],
    certificate: Certificate<'a>,
}

/// A chain by what it is called in errors, and how many certificates it has, the root included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) which: &'static str,
    pub(crate) length: usize,
}

/// Platform, authority, root.
pub(crate) const PCK: Shape = Shape {
    which: "pck",
    length: 3,
};

/// What stands below the root in a chain, leaf first.
#[derive(Debug)]
pub(crate) struct Chain {
    shape: Shape,
    below: Vec<Vec<u8>>,
}

/// A certificate, and what it is called in errors.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    pub(crate) which: &'static str,
    pub(crate) certificate: Certificate<'a>,
}

impl<'a> Root<'a> {
    pub(crate) fn parse(der: &'a [u8], at: UnixTime) -> Result<Self, TdxError> {
        let refused = |source| TdxError::Certificate {
            which: "root",
            source,
        };
        let certificate = Certificate::parse(der).map_err(refused)?;
        certificate.check_validity(at).map_err(refused)?;
        certificate.check_authority(1).map_err(refused)?;
        Ok(Self { der, certificate })
    }

    pub(crate) const fn certificate(&self) -> &Certificate<'a> {
        &self.certificate
    }
}

impl Chain {
    /// Reads PEM whose last certificate is the root, byte for byte.
    pub(crate) fn read(shape: Shape, pem: &[u8], root: &Root<'_>) -> Result<Self, TdxError> {
        let Shape { which, length } = shape;
        let malformed = || shape.malformed();
        // Quotes end with a zero byte, as texts in C do.
        let pem = pem.strip_suffix(&[0]).unwrap_or(pem);
        let mut rest = std::str::from_utf8(pem).map_err(|_| malformed())?.trim();
        let mut certificates = Vec::with_capacity(length);
        while !rest.is_empty() {
            let body = rest.strip_prefix(BEGIN).ok_or_else(malformed)?;
            let (body, after) = body.split_once(END).ok_or_else(malformed)?;
            if certificates.len() == length || body.len() > 2 * CERTIFICATE_BYTES_MAX {
                return Err(malformed());
            }
            let text: String = body.split_ascii_whitespace().collect();
            certificates.push(STANDARD.decode(text).map_err(|_| malformed())?);
            rest = after.trim_start();
        }
        if certificates.len() != length {
            return Err(malformed());
        }
        let last = certificates.pop().ok_or_else(malformed)?;
        if last != root.der {
            return Err(TdxError::Root { which });
        }
        Ok(Self {
            shape,
            below: certificates,
        })
    }

    /// Of a platform's chain: the platform's certificate, and who issued it.
    pub(crate) fn leaf_and_authority(&self) -> Result<(Named<'_>, Named<'_>), TdxError> {
        let [leaf, authority] = &self.below[..] else {
            return Err(self.shape.malformed());
        };
        Ok((
            Named::parse("pck", leaf)?,
            Named::parse("pck authority", authority)?,
        ))
    }

    /// Of a chain of two: its leaf, which the root issued.
    pub(crate) fn leaf(&self, root: &Root<'_>, at: UnixTime) -> Result<Named<'_>, TdxError> {
        let [leaf] = &self.below[..] else {
            return Err(self.shape.malformed());
        };
        let leaf = Named::parse(self.shape.which, leaf)?;
        leaf.check_end(root.certificate(), at)?;
        Ok(leaf)
    }
}

impl Shape {
    /// A leaf that the root itself issued.
    pub(crate) const fn of_leaf(which: &'static str) -> Self {
        Self { which, length: 2 }
    }

    const fn malformed(self) -> TdxError {
        TdxError::ChainForm {
            which: self.which,
            expected: self.length,
        }
    }
}

impl<'a> Named<'a> {
    fn parse(which: &'static str, der: &'a [u8]) -> Result<Self, TdxError> {
        let certificate =
            Certificate::parse(der).map_err(|source| TdxError::Certificate { which, source })?;
        Ok(Self { which, certificate })
    }

    /// The root issued it, to issue platforms' certificates with.
    pub(crate) fn check_authority_under(
        &self,
        root: &Root<'_>,
        at: UnixTime,
    ) -> Result<(), TdxError> {
        self.certificate
            .check_authority(0)
            .and_then(|()| self.certificate.check_validity(at))
            .and_then(|()| self.certificate.check_signed_by_p256(root.certificate()))
            .map_err(|source| self.refused(source))
    }

    /// `issuer` issued it, and it issues nothing.
    pub(crate) fn check_end_of(&self, issuer: &Named<'_>, at: UnixTime) -> Result<(), TdxError> {
        self.check_end(&issuer.certificate, at)
    }

    pub(crate) fn p256_key(&self) -> Result<VerifyingKey, TdxError> {
        self.certificate
            .p256_key()
            .map_err(|source| self.refused(source))
    }

    fn check_end(&self, issuer: &Certificate<'_>, at: UnixTime) -> Result<(), TdxError> {
        self.certificate
            .check_end()
            .and_then(|()| self.certificate.check_validity(at))
            .and_then(|()| self.certificate.check_signed_by_p256(issuer))
            .map_err(|source| self.refused(source))
    }

    fn refused(&self, source: CertificateFault) -> TdxError {
        TdxError::Certificate {
            which: self.which,
            source,
        }
    }
}
