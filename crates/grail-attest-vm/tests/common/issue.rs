//! Issuing certificates and lists of revocations.

use std::sync::LazyLock;

use grail_attest::UnixTime;
use p256::ecdsa::signature::Signer as _;
use rsa::BoxedUint;
use sha2_11::Sha384;

use super::der::{
    BOOLEAN, CONTEXT_0, INTEGER, NULL, bits, integer, name, octets, oid, sequence, time, tlv,
};
use super::{AT, DAY_MS, rsa_key};

const CONTEXT_3: u8 = 0xa3;
const EXPONENT: [u8; 3] = [1, 0, 1];

static RSA: LazyLock<rsa::PrivateKey> = LazyLock::new(|| {
    let number = |text| BoxedUint::from_be_slice(&hex::decode(text).unwrap(), 2048).unwrap();
    rsa::PrivateKey::from_p_q(
        number(rsa_key::PRIME_1),
        number(rsa_key::PRIME_2),
        BoxedUint::from_be_slice(&EXPONENT, 32).unwrap(),
    )
    .unwrap()
});

/// Who signs, and how that is named.
#[derive(Clone)]
pub enum Issuer {
    Rsa,
    P256(p256::ecdsa::SigningKey),
}

#[derive(Clone)]
pub struct Extension {
    pub oid: String,
    pub critical: bool,
    pub value: Vec<u8>,
}

/// A certificate to be issued.
#[derive(Clone)]
pub struct Certificate {
    pub version: u8,
    pub serial: Vec<u8>,
    pub subject: String,
    pub issuer: String,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    /// DER of the `SubjectPublicKeyInfo`.
    pub key: Vec<u8>,
    pub extensions: Vec<Extension>,
    pub signed_by: Issuer,
    /// In place of the algorithm that the signature has.
    pub algorithm: Option<Vec<u8>>,
}

impl Certificate {
    pub fn new(subject: &str, issuer: &str, key: Vec<u8>, signed_by: Issuer) -> Self {
        Self {
            version: 3,
            serial: vec![7],
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            not_before: AT.earlier_by_millis(100 * DAY_MS),
            not_after: AT.later_by_millis(100 * DAY_MS),
            key,
            extensions: vec![],
            signed_by,
            algorithm: None,
        }
    }

    pub fn issue(&self) -> Vec<u8> {
        let algorithm = self
            .algorithm
            .clone()
            .unwrap_or_else(|| self.signed_by.algorithm());
        let extensions: Vec<_> = self.extensions.iter().map(Extension::encode).collect();
        let mut fields = vec![
            tlv(CONTEXT_0, &tlv(INTEGER, &[self.version - 1])),
            integer(&self.serial),
            algorithm.clone(),
            name(&self.issuer),
            sequence(&[time(self.not_before), time(self.not_after)]),
            name(&self.subject),
            self.key.clone(),
        ];
        if !extensions.is_empty() {
            fields.push(tlv(CONTEXT_3, &sequence(&extensions)));
        }
        let tbs = sequence(&fields);
        let signature = self.signed_by.sign(&tbs);
        sequence(&[tbs, algorithm, bits(&signature)])
    }
}

/// A list of revocations to be issued.
#[derive(Clone)]
pub struct Revocations {
    pub issuer: String,
    pub issued: UnixTime,
    pub until: Option<UnixTime>,
    pub serials: Vec<Vec<u8>>,
    pub extensions: Vec<Extension>,
    pub signed_by: Issuer,
    pub algorithm: Option<Vec<u8>>,
}

impl Revocations {
    pub fn issue(&self) -> Vec<u8> {
        let algorithm = self
            .algorithm
            .clone()
            .unwrap_or_else(|| self.signed_by.algorithm());
        let mut fields = vec![
            tlv(INTEGER, &[1]),
            algorithm.clone(),
            name(&self.issuer),
            time(self.issued),
        ];
        fields.extend(self.until.map(time));
        let revoked: Vec<_> = self
            .serials
            .iter()
            .map(|serial| sequence(&[integer(serial), time(self.issued)]))
            .collect();
        if !revoked.is_empty() {
            fields.push(sequence(&revoked));
        }
        let extensions: Vec<_> = self.extensions.iter().map(Extension::encode).collect();
        if !extensions.is_empty() {
            fields.push(tlv(CONTEXT_0, &sequence(&extensions)));
        }
        let tbs = sequence(&fields);
        let signature = self.signed_by.sign(&tbs);
        sequence(&[tbs, algorithm, bits(&signature)])
    }
}

impl Extension {
    pub fn new(oid: &str, value: Vec<u8>) -> Self {
        Self {
            oid: oid.to_owned(),
            critical: false,
            value,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut parts = vec![oid(&self.oid)];
        if self.critical {
            parts.push(tlv(BOOLEAN, &[0xff]));
        }
        parts.push(octets(&self.value));
        sequence(&parts)
    }
}

impl Issuer {
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa => RSA.pss_sign::<Sha384>(message).unwrap(),
            Self::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
        }
    }

    fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::Rsa => pss_sha384(48),
            Self::P256(_) => sequence(&[oid("1.2.840.10045.4.3.2")]),
        }
    }
}

/// RSASSA-PSS with SHA-384 and such a salt.
pub fn pss_sha384(salt: u8) -> Vec<u8> {
    let sha384 = || sequence(&[oid("2.16.840.1.101.3.4.2.2"), tlv(NULL, &[])]);
    let mask = sequence(&[oid("1.2.840.113549.1.1.8"), sha384()]);
    sequence(&[
        oid("1.2.840.113549.1.1.10"),
        sequence(&[
            tlv(0xa0, &sha384()),
            tlv(0xa1, &mask),
            tlv(0xa2, &tlv(INTEGER, &[salt])),
        ]),
    ])
}

pub fn rsa_key_info() -> Vec<u8> {
    let key = sequence(&[
        integer(&hex::decode(rsa_key::MODULUS).unwrap()),
        integer(&EXPONENT),
    ]);
    let algorithm = sequence(&[oid("1.2.840.113549.1.1.1"), tlv(NULL, &[])]);
    sequence(&[algorithm, bits(&key)])
}

pub fn p384_key_info(key: &p384::ecdsa::SigningKey) -> Vec<u8> {
    key_info(
        "1.3.132.0.34",
        key.verifying_key().to_sec1_point(false).as_bytes(),
    )
}

pub fn p256_key_info(key: &p256::ecdsa::SigningKey) -> Vec<u8> {
    key_info(
        "1.2.840.10045.3.1.7",
        key.verifying_key().to_sec1_point(false).as_bytes(),
    )
}

fn key_info(curve: &str, point: &[u8]) -> Vec<u8> {
    let algorithm = sequence(&[oid("1.2.840.10045.2.1"), oid(curve)]);
    sequence(&[algorithm, bits(point)])
}

/// A critical basicConstraints.
pub fn basic_constraints(authority: bool, path_length: Option<u8>) -> Extension {
    let mut parts = vec![];
    if authority {
        parts.push(tlv(BOOLEAN, &[0xff]));
    }
    parts.extend(path_length.map(|length| tlv(INTEGER, &[length])));
    Extension {
        critical: true,
        ..Extension::new("2.5.29.19", sequence(&parts))
    }
}

pub const DIGITAL_SIGNATURE: u8 = 0b1000_0000;
pub const KEY_CERT_SIGN: u8 = 0b0000_0100;

/// A critical keyUsage; the first usage is the leftmost bit.
pub fn key_usage(usages: u8) -> Extension {
    let unused = u8::try_from(usages.trailing_zeros().min(7)).unwrap();
    Extension {
        critical: true,
        ..Extension::new("2.5.29.15", tlv(super::der::BIT_STRING, &[unused, usages]))
    }
}
