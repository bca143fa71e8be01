//! X.509 certificates (RFC 5280) as AMD and Intel issue them, checked for the place they have.
//!
//! The signed bytes are those that came: a re-encoding could differ from what was signed.

use grail_attest::{CertificateFault, UnixTime};
use p256::ecdsa::signature::Verifier as _;
use p384::ecdsa::VerifyingKey as P384Key;
use rsa::{BoxedUint, PublicKey as RsaKey};
use sha2_11::Sha384;
use x509_cert::{
    Certificate as Parsed, Version,
    der::{
        Decode, Reader as _, SliceReader,
        asn1::{Any, AnyRef, ObjectIdentifier, UintRef},
        referenced::OwnedToRef as _,
    },
    ext::pkix::{BasicConstraints, KeyUsage},
    name::Name,
    serial_number::SerialNumber,
    spki::AlgorithmIdentifierOwned,
    time::Time,
};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// RSASSA-PSS parameters (RFC 4055, section 3.1): SHA-384, MGF1 with SHA-384, a salt of 48 bytes.
/// AMD writes the default trailer field out in some certificates and leaves it away in others.
const PSS_SHA384: [u8; 52] = [
    0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05,
    0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08,
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2,
    0x03, 0x02, 0x01, 0x30,
];
const TRAILER_FIELD: [u8; 5] = [0xa3, 0x03, 0x02, 0x01, 0x01];

/// A certificate whose own fields are sound; its place and its signature are not yet checked.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    tbs: &'a [u8],
    parsed: Parsed,
    constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
}

impl<'a> Certificate<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, CertificateFault> {
        let parsed = Parsed::from_der(der).map_err(|_| CertificateFault::NotDer)?;
        let tbs = raw_tbs(der).ok_or(CertificateFault::NotDer)?;
        let fields = parsed.tbs_certificate();
        if fields.version() != Version::V3 {
            return Err(CertificateFault::Version {
                got: (fields.version() as u8).saturating_add(1),
            });
        }
        if fields.signature() != parsed.signature_algorithm() {
            return Err(CertificateFault::SignatureAlgorithm);
        }
        let (constraints, key_usage) = read_extensions(&parsed)?;
        Ok(Self {
            tbs,
            parsed,
            constraints,
            key_usage,
        })
    }

    pub(crate) fn subject(&self) -> &Name {
        self.parsed.tbs_certificate().subject()
    }

    pub(crate) fn issuer(&self) -> &Name {
        self.parsed.tbs_certificate().issuer()
    }

    pub(crate) fn serial_number(&self) -> &SerialNumber {
        self.parsed.tbs_certificate().serial_number()
    }

    /// What an extension holds, if there is one.
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.parsed.tbs_certificate().extensions()?;
        let found = extensions.iter().find(|found| found.extn_id == oid)?;
        Some(found.extn_value.as_bytes())
    }

    /// X.509 counts whole seconds, both ends included.
    pub(crate) fn check_validity(&self, at: UnixTime) -> Result<(), CertificateFault> {
        let validity = self.parsed.tbs_certificate().validity();
        let (not_before, not_after) = (instant(validity.not_before), instant(validity.not_after));
        if at.as_secs() < not_before.as_secs() {
            return Err(CertificateFault::NotYetValid { not_before, at });
        }
        if at.as_secs() > not_after.as_secs() {
            return Err(CertificateFault::Expired { not_after, at });
        }
        Ok(())
    }

    /// Fit to sign certificates, with `below` CA certificates between it and the last.
    pub(crate) fn check_authority(&self, below: usize) -> Result<(), CertificateFault> {
        let constraints = self
            .constraints
            .as_ref()
            .ok_or(CertificateFault::BasicConstraintsAbsent)?;
        if !constraints.ca {
            return Err(CertificateFault::NotCa);
        }
        if let Some(max) = constraints.path_len_constraint
            && below > usize::from(max)
        {
            return Err(CertificateFault::PathLength { max, got: below });
        }
        let usage = self.key_usage.ok_or(CertificateFault::KeyUsageAbsent)?;
        if !usage.key_cert_sign() {
            return Err(CertificateFault::KeyUsage);
        }
        Ok(())
    }

    /// Fit to sign what is no certificate.
    pub(crate) fn check_end(&self) -> Result<(), CertificateFault> {
        if self.constraints.as_ref().is_some_and(|found| found.ca) {
            return Err(CertificateFault::LeafIsCa);
        }
        let usage = self.key_usage.ok_or(CertificateFault::KeyUsageAbsent)?;
        if !usage.digital_signature() || usage.key_cert_sign() {
            return Err(CertificateFault::KeyUsage);
        }
        Ok(())
    }

    /// The key on P-384.
    pub(crate) fn p384_key(&self) -> Result<P384Key, CertificateFault> {
        P384Key::from_sec1_bytes(self.point(SECP384R1, 97)?)
            .map_err(|_| CertificateFault::PublicKey)
    }

    /// The key on P-256.
    pub(crate) fn p256_key(&self) -> Result<p256::ecdsa::VerifyingKey, CertificateFault> {
        p256::ecdsa::VerifyingKey::from_sec1_bytes(self.point(SECP256R1, 65)?)
            .map_err(|_| CertificateFault::PublicKey)
    }

    /// Issued by the subject of `issuer`, and signed by its P-256 key.
    pub(crate) fn check_signed_by_p256(&self, issuer: &Self) -> Result<(), CertificateFault> {
        self.check_issuer(issuer)?;
        check_ecdsa_sha256(self.parsed.signature_algorithm())?;
        let signature = self
            .parsed
            .signature()
            .as_bytes()
            .and_then(|der| p256::ecdsa::Signature::from_der(der).ok())
            .ok_or(CertificateFault::Signature)?;
        issuer
            .p256_key()?
            .verify(self.tbs, &signature)
            .map_err(|_| CertificateFault::Signature)
    }

    /// Issued by the subject of `issuer`, and signed by its RSA key: RSASSA-PSS with SHA-384.
    pub(crate) fn check_signed_by_rsa(&self, issuer: &Self) -> Result<(), CertificateFault> {
        self.check_issuer(issuer)?;
        check_pss_sha384(self.parsed.signature_algorithm())?;
        let signature = self
            .parsed
            .signature()
            .as_bytes()
            .ok_or(CertificateFault::Signature)?;
        issuer
            .rsa_key()?
            .pss_verify::<Sha384>(self.tbs, signature)
            .map_err(|_| CertificateFault::Signature)
    }

    fn check_issuer(&self, issuer: &Self) -> Result<(), CertificateFault> {
        if self.issuer() == issuer.subject() {
            return Ok(());
        }
        Err(CertificateFault::Issuer)
    }

    fn point(&self, curve: ObjectIdentifier, length: usize) -> Result<&[u8], CertificateFault> {
        const UNCOMPRESSED: u8 = 4;
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        let algorithm = spki.algorithm.owned_to_ref();
        let found = algorithm
            .parameters_oid()
            .map_err(|_| CertificateFault::PublicKey)?;
        let point = spki
            .subject_public_key
            .as_bytes()
            .ok_or(CertificateFault::PublicKey)?;
        if algorithm.oid != EC_PUBLIC_KEY
            || found != curve
            || point.len() != length
            || point.first() != Some(&UNCOMPRESSED)
        {
            return Err(CertificateFault::PublicKey);
        }
        Ok(point)
    }

    fn rsa_key(&self) -> Result<RsaKey, CertificateFault> {
        /// AMD's keys, to the bit; verification costs what the modulus costs.
        const MODULUS_BITS: u32 = 4096;
        const EXPONENT_BITS: u32 = 32;
        let fault = |_| CertificateFault::PublicKey;
        let spki = self.parsed.tbs_certificate().subject_public_key_info();
        if spki.algorithm.oid != RSA_ENCRYPTION {
            return Err(CertificateFault::PublicKey);
        }
        let der = spki
            .subject_public_key
            .as_bytes()
            .ok_or(CertificateFault::PublicKey)?;
        // RFC 8017, appendix A.1.1: the modulus, then the exponent.
        let outer = AnyRef::from_der(der).map_err(fault)?;
        let mut reader = SliceReader::new(outer.value()).map_err(fault)?;
        let modulus = UintRef::decode(&mut reader).map_err(fault)?;
        let exponent = UintRef::decode(&mut reader).map_err(fault)?;
        reader.finish().map_err(fault)?;
        let number = |value: UintRef<'_>, bits| {
            BoxedUint::from_be_slice(value.as_bytes(), bits)
                .map_err(|_| CertificateFault::PublicKey)
        };
        RsaKey::new(
            number(modulus, MODULUS_BITS)?,
            number(exponent, EXPONENT_BITS)?,
        )
        .map_err(|_| CertificateFault::PublicKey)
    }
}

/// What an outer SEQUENCE holds first, whole: the signed bytes of a certificate or a list.
pub(crate) fn raw_tbs(der: &[u8]) -> Option<&[u8]> {
    let outer = AnyRef::from_der(der).ok()?;
    SliceReader::new(outer.value()).ok()?.tlv_bytes().ok()
}

/// ecdsa-with-SHA256, without parameters (RFC 5758, section 3.2).
pub(crate) fn check_ecdsa_sha256(
    algorithm: &AlgorithmIdentifierOwned,
) -> Result<(), CertificateFault> {
    if algorithm.oid == ECDSA_WITH_SHA256 && algorithm.parameters.is_none() {
        return Ok(());
    }
    Err(CertificateFault::SignatureAlgorithm)
}

/// An instant of X.509.
pub(crate) fn instant(time: Time) -> UnixTime {
    UnixTime::from_secs(time.to_unix_duration().as_secs())
}

fn check_pss_sha384(algorithm: &AlgorithmIdentifierOwned) -> Result<(), CertificateFault> {
    let parameters = algorithm
        .parameters
        .as_ref()
        .map(Any::value)
        .unwrap_or_default();
    let trailer = parameters.strip_prefix(&PSS_SHA384[..]);
    let is_expected = trailer.is_some_and(|rest| rest.is_empty() || rest == TRAILER_FIELD);
    if algorithm.oid == RSASSA_PSS && is_expected {
        return Ok(());
    }
    Err(CertificateFault::SignatureAlgorithm)
}

fn read_extensions(
    parsed: &Parsed,
) -> Result<(Option<BasicConstraints>, Option<KeyUsage>), CertificateFault> {
    let extensions = parsed
        .tbs_certificate()
        .extensions()
        .map_or(&[][..], Vec::as_slice);
    let (mut constraints, mut key_usage) = (None, None);
    for (index, extension) in extensions.iter().enumerate() {
        let oid = extension.extn_id;
        // Certificates are bounded by their readers, so the square is small.
        let mut others = extensions.iter().skip(index.saturating_add(1));
        if others.any(|other| other.extn_id == oid) {
            return Err(CertificateFault::DuplicateExtension {
                oid: oid.to_string(),
            });
        }
        let value = extension.extn_value.as_bytes();
        match oid {
            BASIC_CONSTRAINTS => {
                let decoded = BasicConstraints::from_der(value);
                constraints = Some(decoded.map_err(|_| CertificateFault::NotDer)?);
            }
            KEY_USAGE => {
                let decoded = KeyUsage::from_der(value);
                key_usage = Some(decoded.map_err(|_| CertificateFault::NotDer)?);
            }
            _ if extension.critical => {
                return Err(CertificateFault::UnknownCriticalExtension {
                    oid: oid.to_string(),
                });
            }
            _ => {}
        }
    }
    Ok((constraints, key_usage))
}
