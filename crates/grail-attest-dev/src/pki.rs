//! The simulated hardware's certificates: root, regional, zonal, instance, leaf, with the lifetimes
//! and constraints of Nitro's own.

use std::time::Duration;

use bitcoin::hex::DisplayHex;
use grail_attest::UnixTime;
use grail_types::TaggedHasher;
use p384::ecdsa::{DerSignature, SigningKey, signature::Signer};
use x509_cert::{
    der::{DateTime, Encode},
    time::Time,
};

use crate::WORTHLESS_SECRET;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// 2020-01-01T00:00:00Z to 2049-12-31T23:59:59Z.
const ROOT_NOT_BEFORE: UnixTime = UnixTime::from_secs(1_577_836_800);
const ROOT_NOT_AFTER: UnixTime = UnixTime::from_secs(2_524_607_999);

// Key usages, as bits from the left (RFC 5280 §4.2.1.3).
const DIGITAL_SIGNATURE: u8 = 0b1000_0000;
const NON_REPUDIATION: u8 = 0b0100_0000;
const KEY_CERT_SIGN: u8 = 0b0000_0100;
const CRL_SIGN: u8 = 0b0000_0010;

const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const OID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const OID_ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;

/// One extension of a certificate.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its identifier, the content of its DER.
    pub oid: Vec<u8>,
    /// Whether a verifier that does not know it must refuse.
    pub critical: bool,
    /// The DER inside its octet string.
    pub value: Vec<u8>,
}

/// A certificate to be issued.
pub struct CertificatePlan {
    /// 1 to 3.
    pub version: u8,
    /// DER of the signature's algorithm.
    pub algorithm: Vec<u8>,
    /// Its common name.
    pub subject: String,
    /// The common name of who issues it.
    pub issuer: String,
    /// The first second of its life.
    pub not_before: UnixTime,
    /// The last second of its life.
    pub not_after: UnixTime,
    /// Its extensions, in the order to be written.
    pub extensions: Vec<Extension>,
    /// The key that it certifies.
    pub key: SigningKey,
}

/// A chain to be issued, from the development root.
pub struct ChainPlan {
    /// Certifies itself.
    pub root: CertificatePlan,
    /// From the root down.
    pub intermediates: Vec<CertificatePlan>,
    /// Certifies the key that signs documents.
    pub leaf: CertificatePlan,
}

/// A chain that was issued.
pub struct IssuedChain {
    /// Root first, DER.
    pub cabundle: Vec<Vec<u8>>,
    /// DER.
    pub leaf: Vec<u8>,
    /// The key of the leaf.
    pub leaf_key: SigningKey,
}

impl ChainPlan {
    /// The chain that the machine `hardware_id` would have at the instant `at`.
    pub fn new(hardware_id: &[u8; 32], at: UnixTime) -> Self {
        let machine = machine_name(hardware_id);
        let root = CertificatePlan {
            subject: "development.grail-insecure-enclaves".to_owned(),
            issuer: "development.grail-insecure-enclaves".to_owned(),
            not_before: ROOT_NOT_BEFORE,
            not_after: ROOT_NOT_AFTER,
            ..CertificatePlan::authority("root", b"", None)
        };
        // Each was issued a while ago, and a level's life is that of Nitro's.
        let regional = CertificatePlan {
            subject: "regional.grail-insecure-enclaves".to_owned(),
            issuer: root.subject.clone(),
            not_before: at.earlier_by_millis(96 * HOUR_MS),
            not_after: at.later_by_millis((481 - 96) * HOUR_MS),
            ..CertificatePlan::authority("regional", b"", Some(2))
        };
        let zonal = CertificatePlan {
            subject: "zonal.grail-insecure-enclaves".to_owned(),
            issuer: regional.subject.clone(),
            not_before: at.earlier_by_millis(48 * HOUR_MS),
            not_after: at.later_by_millis((140 - 48) * HOUR_MS),
            ..CertificatePlan::authority("zonal", b"", Some(1))
        };
        let instance = CertificatePlan {
            subject: format!("{machine}.grail-insecure-enclaves"),
            issuer: zonal.subject.clone(),
            not_before: at.earlier_by_millis(HOUR_MS),
            not_after: at.later_by_millis(23 * HOUR_MS),
            ..CertificatePlan::authority("instance", hardware_id, Some(0))
        };
        let leaf = CertificatePlan {
            subject: format!("{machine}-enc.grail-insecure-enclaves"),
            issuer: instance.subject.clone(),
            // Three hours; begun a while ago, since a verifier's clock may be behind.
            not_before: at.earlier_by_millis(10 * MINUTE_MS),
            not_after: at.later_by_millis(170 * MINUTE_MS),
            extensions: vec![
                basic_constraints(false, None),
                Extension {
                    critical: false,
                    ..key_usage(DIGITAL_SIGNATURE | NON_REPUDIATION)
                },
            ],
            ..CertificatePlan::authority("leaf", hardware_id, None)
        };
        Self {
            root,
            intermediates: vec![regional, zonal, instance],
            leaf,
        }
    }

    /// The name of the enclave's run, as the leaf has it.
    pub fn module_id(&self) -> String {
        self.leaf
            .subject
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// Has each certificate signed by the one above it.
    pub fn issue(self) -> IssuedChain {
        let mut cabundle = vec![self.root.issue(&self.root.key)];
        let mut issuer = &self.root.key;
        for plan in &self.intermediates {
            cabundle.push(plan.issue(issuer));
            issuer = &plan.key;
        }
        IssuedChain {
            cabundle,
            leaf: self.leaf.issue(issuer),
            leaf_key: self.leaf.key,
        }
    }
}

impl CertificatePlan {
    fn authority(level: &str, machine: &[u8], path_length: Option<u8>) -> Self {
        Self {
            version: 3,
            algorithm: sequence(&[tlv(OID, &[OID_ECDSA_WITH_SHA384])]),
            subject: String::new(),
            issuer: String::new(),
            not_before: ROOT_NOT_BEFORE,
            not_after: ROOT_NOT_AFTER,
            extensions: vec![
                basic_constraints(true, path_length),
                key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN),
            ],
            key: worthless_key(level, machine),
        }
    }

    /// The certificate's DER, signed with the issuer's key.
    pub fn issue(&self, issuer: &SigningKey) -> Vec<u8> {
        let tbs = self.to_be_signed();
        let signature: DerSignature = issuer.sign(&tbs);
        sequence(&[
            tbs,
            self.algorithm.clone(),
            tlv(BIT_STRING, &[&[0], signature.as_bytes()]),
        ])
    }

    fn to_be_signed(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let serial = TaggedHasher::new("grail/development-serial/v1")
            .bytes(self.subject.as_bytes())
            .u64(self.not_before.as_secs())
            .finish();
        // A leading byte from 0x40 to 0x7f: positive, and never an encoding that is too long.
        let [_, low @ ..] = serial;
        let high = serial.first().map_or(0x40, |byte| byte & 0x3f | 0x40);
        let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::encode).collect();
        sequence(&[
            tlv(CONTEXT_0, &[&tlv(INTEGER, &[&[self.version - 1]])]),
            tlv(INTEGER, &[&[high], low.get(..15).unwrap_or(&low)]),
            self.algorithm.clone(),
            name(&self.issuer),
            sequence(&[time(self.not_before), time(self.not_after)]),
            name(&self.subject),
            sequence(&[
                sequence(&[tlv(OID, &[OID_EC_PUBLIC_KEY]), tlv(OID, &[OID_SECP384R1])]),
                tlv(BIT_STRING, &[&[0], point.as_bytes()]),
            ]),
            tlv(CONTEXT_3, &[&sequence(&extensions)]),
        ])
    }
}

impl Extension {
    fn encode(&self) -> Vec<u8> {
        let mut parts = vec![tlv(OID, &[&self.oid])];
        if self.critical {
            parts.push(tlv(BOOLEAN, &[&[0xff]]));
        }
        parts.push(tlv(OCTET_STRING, &[&self.value]));
        sequence(&parts)
    }
}

/// A critical basicConstraints.
pub fn basic_constraints(ca: bool, path_length: Option<u8>) -> Extension {
    let mut parts = Vec::new();
    if ca {
        parts.push(tlv(BOOLEAN, &[&[0xff]]));
    }
    if let Some(path_length) = path_length {
        parts.push(tlv(INTEGER, &[&[path_length]]));
    }
    Extension {
        oid: OID_BASIC_CONSTRAINTS.to_vec(),
        critical: true,
        value: sequence(&parts),
    }
}

/// A critical keyUsage; the first usage is the leftmost bit.
pub fn key_usage(bits: u8) -> Extension {
    // At most 7: a keyUsage names at least one use.
    let unused = u8::try_from(bits.trailing_zeros().min(7)).unwrap_or(7);
    Extension {
        oid: OID_KEY_USAGE.to_vec(),
        critical: true,
        value: tlv(BIT_STRING, &[&[unused, bits]]),
    }
}

fn machine_name(hardware_id: &[u8; 32]) -> String {
    let digest = TaggedHasher::new("grail/development-machine/v1")
        .bytes(hardware_id)
        .finish();
    let short: String = digest.to_lower_hex_string().chars().take(17).collect();
    format!("i-{short}")
}

/// The keys of the simulated PKI, known to all.
fn worthless_key(level: &str, machine: &[u8]) -> SigningKey {
    let scalar = TaggedHasher::new("grail/development-key/v1")
        .bytes(WORTHLESS_SECRET)
        .bytes(level.as_bytes())
        .bytes(machine)
        .finish();
    let mut wide = [0; 48];
    if let Some(low) = wide.last_chunk_mut() {
        *low = scalar;
    }
    SigningKey::from_slice(&wide).expect("a hash that is not zero is below the order of p-384")
}

fn name(common_name: &str) -> Vec<u8> {
    sequence(&[tlv(
        SET,
        &[&sequence(&[
            tlv(OID, &[OID_COMMON_NAME]),
            tlv(UTF8_STRING, &[common_name.as_bytes()]),
        ])],
    )])
}

/// Clocks beyond year 9999 get its end, and a certificate that does not verify.
fn time(at: UnixTime) -> Vec<u8> {
    let date = DateTime::from_unix_duration(Duration::from_secs(at.as_secs()))
        .unwrap_or(DateTime::INFINITY);
    Time::from(date)
        .to_der()
        .expect("a date up to year 9999 encodes")
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    tlv(SEQUENCE, &parts)
}

/// Tag, length, value. Certificates here stay below 64 KiB.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let [.., high, low] = value.len().to_be_bytes();
    let mut out = vec![tag];
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend_from_slice(&[0x81, low]),
        _ => out.extend_from_slice(&[0x82, high, low]),
    }
    out.extend_from_slice(&value);
    out
}
