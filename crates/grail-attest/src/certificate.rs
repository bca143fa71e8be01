//! One X.509 certificate (RFC 5280), checked for the place it has in a Nitro chain.
//!
//! Narrower than the standard: version 3, ECDSA P-384 with SHA-384, and no critical extension but
//! basicConstraints and keyUsage. Whatever a chain of Nitro does not need is refused.

use p384::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use x509_cert::{
    Certificate as Parsed, Version,
    der::{
        Decode, Reader, SliceReader,
        asn1::{AnyRef, ObjectIdentifier},
        referenced::OwnedToRef,
    },
    ext::pkix::{BasicConstraints, KeyUsage},
    name::Name,
    spki::AlgorithmIdentifierOwned,
    time::Time,
};

use crate::{error::CertificateFault, time::UnixTime};

const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

const UNCOMPRESSED_POINT_BYTES: usize = 97;
const UNCOMPRESSED: u8 = 4;

/// A certificate whose own fields are sound; its place and its signature are not yet checked.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    tbs: &'a [u8],
    signature: Signature,
    subject: Name,
    issuer: Name,
    key: VerifyingKey,
    not_before: UnixTime,
    not_after: UnixTime,
    constraints: BasicConstraints,
    constraints_critical: bool,
    key_usage: KeyUsage,
}

impl<'a> Certificate<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, CertificateFault> {
        let parsed = Parsed::from_der(der).map_err(|_| CertificateFault::NotDer)?;
        let tbs = raw_tbs(der).ok_or(CertificateFault::NotDer)?;
        let fields = parsed.tbs_certificate();
        if fields.version() != Version::V3 {
            return Err(CertificateFault::Version {
                got: fields.version() as u8 + 1,
            });
        }
        check_algorithm(fields.signature())?;
        check_algorithm(parsed.signature_algorithm())?;
        let signature = parsed
            .signature()
            .as_bytes()
            .and_then(|der| Signature::from_der(der).ok())
            .ok_or(CertificateFault::Signature)?;
        let (constraints_critical, constraints, key_usage) = read_extensions(&parsed)?;
        Ok(Self {
            tbs,
            signature,
            subject: fields.subject().clone(),
            issuer: fields.issuer().clone(),
            key: read_key(&parsed)?,
            not_before: instant(fields.validity().not_before),
            not_after: instant(fields.validity().not_after),
            constraints,
            constraints_critical,
            key_usage,
        })
    }

    /// Fit to sign certificates, with `below` CA certificates between it and the leaf.
    pub(crate) fn check_ca(&self, below: usize) -> Result<(), CertificateFault> {
        if !self.constraints.ca || !self.constraints_critical {
            return Err(CertificateFault::NotCa);
        }
        if let Some(max) = self.constraints.path_len_constraint
            && below > usize::from(max)
        {
            return Err(CertificateFault::PathLength { max, got: below });
        }
        if !self.key_usage.key_cert_sign() {
            return Err(CertificateFault::KeyUsage);
        }
        Ok(())
    }

    /// Fit to sign documents, and nothing else.
    pub(crate) fn check_leaf(&self) -> Result<(), CertificateFault> {
        if self.constraints.ca {
            return Err(CertificateFault::LeafIsCa);
        }
        if !self.key_usage.digital_signature() || self.key_usage.key_cert_sign() {
            return Err(CertificateFault::KeyUsage);
        }
        Ok(())
    }

    /// X.509 counts whole seconds, both ends included.
    pub(crate) fn check_validity(&self, at: UnixTime) -> Result<(), CertificateFault> {
        if at.as_secs() < self.not_before.as_secs() {
            return Err(CertificateFault::NotYetValid {
                not_before: self.not_before,
                at,
            });
        }
        if at.as_secs() > self.not_after.as_secs() {
            return Err(CertificateFault::Expired {
                not_after: self.not_after,
                at,
            });
        }
        Ok(())
    }

    pub(crate) fn check_issuer(&self, issuer: &Self) -> Result<(), CertificateFault> {
        if self.issuer == issuer.subject {
            return Ok(());
        }
        Err(CertificateFault::Issuer)
    }

    /// The dear part: a P-384 verification.
    pub(crate) fn check_signed_by(&self, issuer: &Self) -> Result<(), CertificateFault> {
        issuer
            .key
            .verify(self.tbs, &self.signature)
            .map_err(|_| CertificateFault::Signature)
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    pub(crate) fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// The signed bytes as they came: a re-encoding could differ from what was signed.
fn raw_tbs(der: &[u8]) -> Option<&[u8]> {
    let outer = AnyRef::from_der(der).ok()?;
    SliceReader::new(outer.value()).ok()?.tlv_bytes().ok()
}

fn check_algorithm(algorithm: &AlgorithmIdentifierOwned) -> Result<(), CertificateFault> {
    // RFC 5758 §3.2: parameters are absent.
    if algorithm.oid == ECDSA_WITH_SHA384 && algorithm.parameters.is_none() {
        return Ok(());
    }
    Err(CertificateFault::SignatureAlgorithm)
}

fn read_key(parsed: &Parsed) -> Result<VerifyingKey, CertificateFault> {
    let spki = parsed.tbs_certificate().subject_public_key_info();
    let algorithm = spki.algorithm.owned_to_ref();
    let curve = algorithm
        .parameters_oid()
        .map_err(|_| CertificateFault::PublicKey)?;
    let point = spki
        .subject_public_key
        .as_bytes()
        .ok_or(CertificateFault::PublicKey)?;
    if algorithm.oid != EC_PUBLIC_KEY
        || curve != SECP384R1
        || point.len() != UNCOMPRESSED_POINT_BYTES
        || point.first() != Some(&UNCOMPRESSED)
    {
        return Err(CertificateFault::PublicKey);
    }
    VerifyingKey::from_sec1_bytes(point).map_err(|_| CertificateFault::PublicKey)
}

fn read_extensions(
    parsed: &Parsed,
) -> Result<(bool, BasicConstraints, KeyUsage), CertificateFault> {
    let extensions = parsed
        .tbs_certificate()
        .extensions()
        .map_or(&[][..], Vec::as_slice);
    let mut constraints = None;
    let mut key_usage = None;
    for (index, extension) in extensions.iter().enumerate() {
        let oid = extension.extn_id;
        // At most 1 KiB of certificate, so the square is small.
        if extensions
            .iter()
            .skip(index + 1)
            .any(|other| other.extn_id == oid)
        {
            return Err(CertificateFault::DuplicateExtension {
                oid: oid.to_string(),
            });
        }
        let value = extension.extn_value.as_bytes();
        match oid {
            BASIC_CONSTRAINTS => {
                let decoded =
                    BasicConstraints::from_der(value).map_err(|_| CertificateFault::NotDer)?;
                constraints = Some((extension.critical, decoded));
            }
            KEY_USAGE => {
                key_usage = Some(KeyUsage::from_der(value).map_err(|_| CertificateFault::NotDer)?);
            }
            _ if extension.critical => {
                return Err(CertificateFault::UnknownCriticalExtension {
                    oid: oid.to_string(),
                });
            }
            _ => {}
        }
    }
    let (critical, constraints) = constraints.ok_or(CertificateFault::BasicConstraintsAbsent)?;
    let key_usage = key_usage.ok_or(CertificateFault::KeyUsageAbsent)?;
    Ok((critical, constraints, key_usage))
}

fn instant(time: Time) -> UnixTime {
    UnixTime::from_secs(time.to_unix_duration().as_secs())
}
