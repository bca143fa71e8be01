//! SEV-SNP reports and their chips' certificates.

use grail_attest::UnixTime;
use grail_attest_vm::{
    Evidence, Product, SnpAnchor, SnpEvidence, SnpFloor, Tcb, TdxAnchor, TdxFloor, Trust,
    VerifiedVm, VmError, report_data, verify,
};
use p384::ecdsa::{Signature, SigningKey, signature::Signer as _};

use super::der::integer;
use super::issue::{Certificate, Extension, Issuer, p384_key_info, rsa_key_info};
use super::{AT, DAY_MS, NONCE, USER_DATA, allowed};

pub const SIGNED: usize = 672;
pub const LEVEL: [u8; 8] = [3, 1, 0, 0, 0, 0, 8, 115];
const INTERMEDIATE: &str = "SEV-Test";

/// The levels' extensions, in the order of a report's bytes, and the chip's.
pub const LEVELS: [u8; 8] = [1, 2, 4, 5, 6, 7, 3, 8];
pub const LEVELS_OF_TURIN: [u8; 8] = [9, 1, 2, 3, 5, 6, 7, 8];
pub const HARDWARE_ID: &str = "1.3.6.1.4.1.3704.1.4";

/// A report to be signed.
#[derive(Clone)]
pub struct Plan {
    pub product: Product,
    pub report: Vec<u8>,
    pub vcek: Certificate,
    pub key: SigningKey,
    pub intermediate_not_after: UnixTime,
    pub floor: Tcb,
    pub at: UnixTime,
    /// Changes the signed report.
    pub after: fn(&mut Vec<u8>),
    /// Changes the issued certificate.
    pub after_vcek: fn(&mut Vec<u8>),
    pub anchor: Option<SnpAnchor>,
}

pub fn chip_key() -> SigningKey {
    SigningKey::from_slice(&[5; 48]).unwrap()
}

impl Plan {
    /// True evidence.
    pub fn new(product: Product) -> Self {
        let key = chip_key();
        let mut vcek = Certificate::new("SEV-VCEK", INTERMEDIATE, p384_key_info(&key), Issuer::Rsa);
        let (levels, chip, level) = match product {
            Product::Turin => (LEVELS_OF_TURIN, vec![9; 8], [2, 3, 1, 8, 0, 0, 0, 115]),
            Product::Milan | Product::Genoa => (LEVELS, vec![9; 64], LEVEL),
        };
        vcek.extensions = levels
            .iter()
            .zip(level)
            .map(|(number, level)| {
                Extension::new(&format!("1.3.6.1.4.1.3704.1.3.{number}"), integer(&[level]))
            })
            .chain([Extension::new(HARDWARE_ID, chip.clone())])
            .collect();
        let mut plan = Self {
            product,
            report: vec![0; SIGNED],
            vcek,
            key,
            intermediate_not_after: AT.later_by_millis(100 * DAY_MS),
            floor: Tcb {
                fmc: if product == Product::Turin { 2 } else { 0 },
                bootloader: 3,
                tee: 1,
                snp: 8,
                microcode: 115,
            },
            at: AT,
            after: |_| {},
            after_vcek: |_| {},
            anchor: None,
        };
        let processor = match product {
            Product::Milan => [0x19, 0x01],
            Product::Genoa => [0x19, 0x11],
            Product::Turin => [0x1a, 0x02],
        };
        plan.put(0, &3_u32.to_le_bytes());
        plan.put(0x08, &0x3_0000_u64.to_le_bytes());
        plan.put(0x34, &[1]);
        for level_at in [0x38, 0x180, 0x1e0, 0x1f0] {
            plan.put(level_at, &level);
        }
        plan.put(0x50, &report_data(Some(USER_DATA), Some(NONCE)));
        plan.put(0x90, &[0x11; 48]);
        plan.put(0x160, &[0xff; 32]);
        plan.put(0x188, &processor);
        plan.put(0x1a0, &chip);
        plan
    }

    /// Writes into what will be signed.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.report
            .get_mut(offset..end)
            .unwrap()
            .copy_from_slice(bytes);
    }

    pub fn report(&self) -> Vec<u8> {
        let signature: Signature = self.key.sign(&self.report);
        let (r, s) = signature.split_bytes();
        let mut report = self.report.clone();
        for number in [r, s] {
            report.extend(number.iter().rev());
            report.extend([0; 24]);
        }
        report.resize(1184, 0);
        (self.after)(&mut report);
        report
    }

    pub fn vcek(&self) -> Vec<u8> {
        let mut vcek = self.vcek.issue();
        (self.after_vcek)(&mut vcek);
        vcek
    }

    pub fn trust(&self) -> Trust {
        let mut intermediate =
            Certificate::new(INTERMEDIATE, "ARK-Test", rsa_key_info(), Issuer::Rsa);
        intermediate.not_after = self.intermediate_not_after;
        let own = || SnpAnchor::development(allowed(), self.product, intermediate.issue());
        Trust {
            snp: self.anchor.clone().unwrap_or_else(own),
            snp_floor: SnpFloor::same(self.floor),
            tdx: TdxAnchor::intel(),
            tdx_floor: TdxFloor {
                evaluation_number: 0,
                tee_tcb_svn: [0; 16],
                quoting_enclave_svn: 0,
            },
        }
    }

    pub fn verify(&self) -> Result<VerifiedVm, VmError> {
        verify_snp(&self.report(), &self.vcek(), &self.trust(), self.at)
    }
}

pub fn verify_snp(
    report: &[u8],
    vcek: &[u8],
    trust: &Trust,
    at: UnixTime,
) -> Result<VerifiedVm, VmError> {
    verify(&Evidence::SevSnp(SnpEvidence { report, vcek }), trust, at)
}
