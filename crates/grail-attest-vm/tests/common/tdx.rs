//! TDX quotes and their collateral.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitcoin::hashes::{Hash as _, sha256};
use grail_attest::UnixTime;
use grail_attest_vm::{
    Collateral, Evidence, SnpAnchor, SnpFloor, Tcb, TdxAnchor, TdxEvidence, TdxFloor, Trust,
    VerifiedVm, report_data, verify,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};

use super::der::{integer, octets, oid, sequence};
use super::issue::{
    Certificate, DIGITAL_SIGNATURE, Extension, Issuer, KEY_CERT_SIGN, Revocations,
    basic_constraints, key_usage, p256_key_info,
};
use super::{AT, DAY_MS, NONCE, USER_DATA, allowed};

pub const HEADER: usize = 48;
/// Header and report.
pub const SIGNED: usize = HEADER + 584;
pub const ENCLAVE_REPORT: usize = 384;
pub const PCK_EXTENSION: &str = "1.2.840.113741.1.13.1";
const ROOT: &str = "Test Root";
const AUTHORITY: &str = "Test Platform CA";

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn issuer(seed: u8) -> Issuer {
    Issuer::P256(key(seed))
}

/// What a platform's certificate says of it.
#[derive(Clone)]
pub struct PckFields {
    pub components: [u8; 16],
    pub pce_svn: u16,
    pub pce_id: Vec<u8>,
    pub fmspc: Vec<u8>,
    /// Instead of all that.
    pub raw: Option<Vec<u8>>,
}

/// A quote to be signed.
#[derive(Clone)]
pub struct Plan {
    /// Header and report.
    pub quote: Vec<u8>,
    pub enclave: Vec<u8>,
    /// Bound to the attestation key; `None` takes the right hash.
    pub enclave_binding: Option<Vec<u8>>,
    /// What follows that hash.
    pub after_binding: [u8; 32],
    pub attestation_key: SigningKey,
    /// As the quote shows it.
    pub shown_key: SigningKey,
    pub certification_type: u16,
    pub chain_type: u16,
    pub root: Certificate,
    pub authority: Certificate,
    pub pck: Certificate,
    pub pck_fields: PckFields,
    pub enclave_signer: SigningKey,
    pub signer: Certificate,
    pub collateral_key: SigningKey,
    pub tcb_info: Value,
    pub identity: Value,
    pub root_crl: Revocations,
    pub pck_crl: Revocations,
    /// Changes the chain of the quote.
    pub chain: fn(&mut Vec<Vec<u8>>),
    /// Changes its text.
    pub chain_text: fn(&mut String),
    /// Changes the finished quote.
    pub after: fn(&mut Vec<u8>),
    /// Changes the finished collateral.
    pub after_collateral: fn(&mut Value),
    pub floor: TdxFloor,
    pub at: UnixTime,
    pub anchor: Option<TdxAnchor>,
}

impl Plan {
    /// True evidence.
    pub fn new() -> Self {
        let mut root = Certificate::new(ROOT, ROOT, p256_key_info(&key(1)), issuer(1));
        root.extensions = vec![basic_constraints(true, Some(1)), key_usage(KEY_CERT_SIGN)];
        let mut authority = Certificate::new(AUTHORITY, ROOT, p256_key_info(&key(2)), issuer(1));
        authority.serial = vec![2];
        authority.extensions = vec![basic_constraints(true, Some(0)), key_usage(KEY_CERT_SIGN)];
        let mut pck = Certificate::new("Test PCK", AUTHORITY, p256_key_info(&key(3)), issuer(2));
        pck.serial = vec![3];
        pck.extensions = vec![basic_constraints(false, None), key_usage(DIGITAL_SIGNATURE)];
        let mut signer =
            Certificate::new("Test TCB Signing", ROOT, p256_key_info(&key(4)), issuer(1));
        signer.serial = vec![4];
        signer.extensions = vec![basic_constraints(false, None), key_usage(DIGITAL_SIGNATURE)];
        let revocations = |name: &str, seed| Revocations {
            issuer: name.to_owned(),
            issued: AT.earlier_by_millis(DAY_MS),
            until: Some(AT.later_by_millis(29 * DAY_MS)),
            serials: vec![vec![99]],
            extensions: vec![],
            signed_by: issuer(seed),
            algorithm: None,
        };
        let mut plan = Self {
            quote: vec![0; SIGNED],
            enclave: vec![0; ENCLAVE_REPORT],
            enclave_binding: None,
            after_binding: [0; 32],
            attestation_key: key(5),
            shown_key: key(5),
            certification_type: 6,
            chain_type: 5,
            root,
            authority,
            pck,
            pck_fields: PckFields {
                components: [5; 16],
                pce_svn: 11,
                pce_id: vec![0, 0],
                fmspc: vec![0xb0, 0xc0, 0x6f, 0, 0, 0],
                raw: None,
            },
            enclave_signer: key(3),
            signer,
            collateral_key: key(4),
            tcb_info: tcb_info(),
            identity: identity(),
            root_crl: revocations(ROOT, 1),
            pck_crl: revocations(AUTHORITY, 2),
            chain: |_| {},
            chain_text: |_| {},
            after: |_| {},
            after_collateral: |_| {},
            floor: TdxFloor {
                evaluation_number: 17,
                tee_tcb_svn: [6, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                quoting_enclave_svn: 4,
            },
            at: AT,
            anchor: None,
        };
        plan.put(0, &[4, 0, 2, 0, 0x81]);
        plan.put(
            12,
            &hex::decode("939a7233f79c4ca9940a0db3957f0607").unwrap(),
        );
        // The TDX module's level 6 and version 1.
        plan.put(HEADER, &[6, 1, 3]);
        plan.put(HEADER + 123, &[0x10]);
        plan.put(HEADER + 136, &[0x22; 48]);
        plan.put(HEADER + 520, &report_data(Some(USER_DATA), Some(NONCE)));
        plan.put_enclave(48, &[0x11]);
        plan.put_enclave(128, &[0xdc; 32]);
        plan.put_enclave(256, &[2, 0, 4, 0]);
        plan
    }

    /// Writes into what the attestation key will sign.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.quote
            .get_mut(offset..end)
            .unwrap()
            .copy_from_slice(bytes);
    }

    /// Writes into what the platform's key will sign.
    pub fn put_enclave(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.enclave
            .get_mut(offset..end)
            .unwrap()
            .copy_from_slice(bytes);
    }

    pub fn quote(&self) -> Vec<u8> {
        const AUTHENTICATION_DATA: &[u8] = &[7; 32];
        let point = self.shown_key.verifying_key().to_sec1_point(false);
        let shown = point.as_bytes().get(1..).unwrap().to_vec();
        let mut enclave = self.enclave.clone();
        let bound = sha256::Hash::hash(&[&shown, AUTHENTICATION_DATA].concat());
        let hash = self.enclave_binding.clone();
        let hash = hash.unwrap_or_else(|| bound.to_byte_array().to_vec());
        let binding = [&hash[..], &self.after_binding].concat();
        enclave.get_mut(320..).unwrap().copy_from_slice(&binding);

        let chain = self.chain_pem().into_bytes();
        let mut certification = [&enclave[..], &raw(&self.enclave_signer, &enclave)].concat();
        certification.extend(32_u16.to_le_bytes());
        certification.extend(AUTHENTICATION_DATA);
        certification.extend(self.chain_type.to_le_bytes());
        certification.extend(sized(&[&chain[..], &[0]].concat()));

        let mut signature_data = raw(&self.attestation_key, &self.quote);
        signature_data.extend(shown);
        signature_data.extend(self.certification_type.to_le_bytes());
        signature_data.extend(sized(&certification));
        let mut quote = [&self.quote[..], &sized(&signature_data)].concat();
        (self.after)(&mut quote);
        quote
    }

    fn chain_pem(&self) -> String {
        let mut pck = self.pck.clone();
        let fields = self.pck_fields.encode();
        pck.extensions.push(Extension::new(PCK_EXTENSION, fields));
        let mut chain = vec![pck.issue(), self.authority.issue(), self.root.issue()];
        (self.chain)(&mut chain);
        let mut text = pem(&chain);
        (self.chain_text)(&mut text);
        text
    }

    pub fn collateral(&self) -> Value {
        let chain = pem(&[self.signer.issue(), self.root.issue()]);
        let (tcb_info, identity) = (self.tcb_info.to_string(), self.identity.to_string());
        let sign = |text: &str| hex::encode(raw(&self.collateral_key, text.as_bytes()));
        let mut collateral = json!({
            "root_ca_crl": hex::encode(self.root_crl.issue()),
            "pck_crl": hex::encode(self.pck_crl.issue()),
            "tcb_info_issuer_chain": chain,
            "tcb_info_signature": sign(&tcb_info),
            "tcb_info": tcb_info,
            "qe_identity_issuer_chain": chain,
            "qe_identity_signature": sign(&identity),
            "qe_identity": identity,
        });
        (self.after_collateral)(&mut collateral);
        collateral
    }

    pub fn trust(&self) -> Trust {
        let own = || TdxAnchor::development(allowed(), self.root.issue());
        Trust {
            snp: SnpAnchor::amd(),
            snp_floor: SnpFloor::same(Tcb::default()),
            tdx: self.anchor.clone().unwrap_or_else(own),
            tdx_floor: self.floor,
        }
    }

    pub fn verify(&self) -> Result<VerifiedVm, &'static str> {
        let collateral = self.collateral().to_string();
        verify_tdx(&self.quote(), collateral.as_bytes(), &self.trust(), self.at)
    }
}

/// Both ways in which it can fail, as codes.
pub fn verify_tdx(
    quote: &[u8],
    collateral: &[u8],
    trust: &Trust,
    at: UnixTime,
) -> Result<VerifiedVm, &'static str> {
    let collateral = Collateral::from_json(collateral).map_err(|_| "collateral-malformed")?;
    let evidence = TdxEvidence {
        quote,
        collateral: &collateral,
    };
    verify(&Evidence::Tdx(evidence), trust, at).map_err(|error| error.code())
}

impl PckFields {
    pub fn encode(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let field =
            |number: &str, value| sequence(&[oid(&format!("{PCK_EXTENSION}.{number}")), value]);
        let levels: Vec<_> = (1..)
            .zip(self.components)
            .map(|(number, svn)| field(&format!("2.{number}"), integer(&[svn])))
            .chain([field("2.17", integer(&self.pce_svn.to_be_bytes()))])
            .collect();
        sequence(&[
            field("1", octets(&[1; 16])),
            field("2", sequence(&levels)),
            field("3", octets(&self.pce_id)),
            field("4", octets(&self.fmspc)),
        ])
    }
}

fn tcb_info() -> Value {
    let components =
        |svns: [u8; 16]| -> Vec<Value> { svns.iter().map(|svn| json!({ "svn": svn })).collect() };
    let level = |platform, pce_svn: u16, module: [u8; 16], status: &str| {
        json!({
            "tcb": {
                "sgxtcbcomponents": components([platform; 16]),
                "pcesvn": pce_svn,
                "tdxtcbcomponents": components(module),
            },
            "tcbDate": "2026-01-01T00:00:00Z",
            "tcbStatus": status,
        })
    };
    let mut module = [0; 16];
    // The first two are the module's own, and have levels of their own.
    module[0] = 9;
    module[2] = 3;
    let mut old = module;
    old[2] = 2;
    json!({
        "id": "TDX",
        "version": 3,
        "issueDate": "2026-11-17T00:00:00Z",
        "nextUpdate": "2026-12-17T00:00:00Z",
        "fmspc": "B0C06F000000",
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 17,
        "tdxModule": {
            "mrsigner": "00".repeat(48),
            "attributes": "00".repeat(8),
            "attributesMask": "FF".repeat(8),
        },
        "tdxModuleIdentities": [{
            "id": "TDX_01",
            "mrsigner": "00".repeat(48),
            "attributes": "00".repeat(8),
            "attributesMask": "FF".repeat(8),
            "tcbLevels": [
                { "tcb": { "isvsvn": 6 }, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": "UpToDate" },
                { "tcb": { "isvsvn": 4 }, "tcbDate": "2024-01-01T00:00:00Z", "tcbStatus": "OutOfDate" },
            ],
        }],
        "tcbLevels": [
            level(5, 11, module, "UpToDate"),
            level(4, 5, old, "OutOfDate"),
        ],
    })
}

fn identity() -> Value {
    json!({
        "id": "TD_QE",
        "version": 2,
        "issueDate": "2026-11-17T00:00:00Z",
        "nextUpdate": "2026-12-17T00:00:00Z",
        "tcbEvaluationDataNumber": 18,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        // Debug is masked out here, as it would be in an identity that forgot it.
        "attributesMask": "F9FFFFFFFFFFFFFF0000000000000000",
        "mrsigner": "DC".repeat(32),
        "isvprodid": 2,
        "tcbLevels": [
            { "tcb": { "isvsvn": 4 }, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": "UpToDate" },
            { "tcb": { "isvsvn": 2 }, "tcbDate": "2024-01-01T00:00:00Z", "tcbStatus": "OutOfDate" },
        ],
    })
}

/// `r || s`.
pub fn raw(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign(message);
    signature.to_bytes().to_vec()
}

fn sized(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap();
    [&length.to_le_bytes()[..], value].concat()
}

pub fn pem(chain: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for der in chain {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(der).as_bytes().chunks(64) {
            text.push_str(std::str::from_utf8(line).unwrap());
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
