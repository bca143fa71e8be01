//! The report: fixed offsets, AMD 56860, table "`ATTESTATION_REPORT` Structure".

use p384::{FieldBytes, ecdsa::Signature};

use super::{error::SnpError, tcb::TcbName};
use crate::{
    anchor::Product,
    cursor::{Cursor, Truncated},
};

/// What every report has, whatever its version.
pub const SNP_REPORT_BYTES: usize = 1184;
/// What the signature covers.
const SIGNED_BYTES: usize = 672;

/// Versions whose fields are known; 3 adds the processor's family and model, 5 mitigations.
const VERSION_MIN: u32 = 2;
const VERSION_MAX: u32 = 5;
const VERSION_WITH_PROCESSOR: u32 = 3;

const ECDSA_P384_SHA384: u32 = 1;
/// Bits 2 to 4 of the flags: 0 is the chip's own key, 1 a provider's.
const SIGNING_KEY_SHIFT: u32 = 2;
const SIGNING_KEY_MASK: u32 = 0b111;
const VCEK: u32 = 0;
/// What stands for "no migration agent".
const NO_AGENT: [u8; 32] = [0xff; 32];

const POLICY_RESERVED_ONE: u64 = 1 << 17;
const POLICY_MIGRATE: u64 = 1 << 18;
const POLICY_DEBUG: u64 = 1 << 19;
/// ABI version (0-15), SMT (16), reserved one (17), migration (18), debug (19), single socket (20),
/// CXL (21), AES-256-XTS (22), no RAPL (23), hidden ciphertext (24), no page swap (25).
const POLICY_KNOWN: u64 = (1 << 26) - 1;

/// R and S: little-endian, each padded with zeros to 72 bytes.
const NUMBER_BYTES: usize = 48;
const NUMBER_PADDED_BYTES: usize = 72;

/// A report taken apart; nothing in it is verified yet.
#[derive(Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the specification's names, in which the report is one of the words"
)]
pub(crate) struct Report<'a> {
    pub(crate) signed: &'a [u8],
    pub(crate) version: u32,
    pub(crate) guest_svn: u32,
    pub(crate) policy: u64,
    pub(crate) family_id: [u8; 16],
    pub(crate) image_id: [u8; 16],
    vmpl: u32,
    signature_algorithm: u32,
    current_tcb: [u8; 8],
    flags: u32,
    pub(crate) report_data: [u8; 64],
    pub(crate) measurement: [u8; 48],
    pub(crate) host_data: [u8; 32],
    pub(crate) id_key_digest: [u8; 48],
    pub(crate) author_key_digest: [u8; 48],
    report_id_of_agent: [u8; 32],
    pub(crate) reported_tcb: [u8; 8],
    processor_family: u8,
    processor_model: u8,
    pub(crate) chip_id: [u8; 64],
    committed_tcb: [u8; 8],
    launch_tcb: [u8; 8],
    pub(crate) signature: Signature,
}

impl<'a> Report<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, SnpError> {
        let wrong_length = |_: Truncated| SnpError::ReportLength {
            expected: SNP_REPORT_BYTES,
            got: bytes.len(),
        };
        if bytes.len() != SNP_REPORT_BYTES {
            return Err(wrong_length(Truncated));
        }
        let mut whole = Cursor::new(bytes);
        let signed = whole.slice(SIGNED_BYTES).map_err(wrong_length)?;
        let signature = read_signature(whole.rest())?;
        Self::read(signed, signature).map_err(wrong_length)
    }

    fn read(signed: &'a [u8], signature: Signature) -> Result<Self, Truncated> {
        let mut cursor = Cursor::new(signed);
        let version = cursor.u32()?;
        let guest_svn = cursor.u32()?;
        let policy = cursor.u64()?;
        let family_id = cursor.array()?;
        let image_id = cursor.array()?;
        let vmpl = cursor.u32()?;
        let signature_algorithm = cursor.u32()?;
        let current_tcb = cursor.array()?;
        // What the platform has switched on; nothing here depends on it.
        cursor.skip(8)?;
        let flags = cursor.u32()?;
        cursor.skip(4)?;
        let report_data = cursor.array()?;
        let measurement = cursor.array()?;
        let host_data = cursor.array()?;
        let id_key_digest = cursor.array()?;
        let author_key_digest = cursor.array()?;
        // The guest's own identifier, drawn at launch.
        cursor.skip(32)?;
        let report_id_of_agent = cursor.array()?;
        let reported_tcb = cursor.array()?;
        let [processor_family, processor_model] = cursor.array()?;
        // The stepping, and what is reserved.
        cursor.skip(22)?;
        let chip_id = cursor.array()?;
        let committed_tcb = cursor.array()?;
        // The firmware's build and version, current and committed.
        cursor.skip(8)?;
        let launch_tcb = cursor.array()?;
        Ok(Self {
            signed,
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            signature_algorithm,
            current_tcb,
            flags,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id_of_agent,
            reported_tcb,
            processor_family,
            processor_model,
            chip_id,
            committed_tcb,
            launch_tcb,
            signature,
        })
    }

    /// What must hold of every guest, on whichever chip.
    pub(crate) fn check_guest(&self) -> Result<(), SnpError> {
        if !(VERSION_MIN..=VERSION_MAX).contains(&self.version) {
            return Err(SnpError::Version { got: self.version });
        }
        if self.signature_algorithm != ECDSA_P384_SHA384 {
            return Err(SnpError::SignatureAlgorithm {
                got: self.signature_algorithm,
            });
        }
        let signing_key = (self.flags >> SIGNING_KEY_SHIFT) & SIGNING_KEY_MASK;
        if signing_key != VCEK {
            return Err(SnpError::SigningKey { got: signing_key });
        }
        if self.policy & POLICY_DEBUG != 0 {
            return Err(SnpError::DebugMode);
        }
        if self.policy & POLICY_MIGRATE != 0 {
            return Err(SnpError::MigrationAllowed);
        }
        if self.report_id_of_agent != NO_AGENT {
            return Err(SnpError::MigrationAgent);
        }
        if self.policy & POLICY_RESERVED_ONE == 0 || self.policy & !POLICY_KNOWN != 0 {
            return Err(SnpError::PolicyBits { got: self.policy });
        }
        if self.vmpl != 0 {
            return Err(SnpError::Vmpl { got: self.vmpl });
        }
        if self.measurement == [0; 48] {
            return Err(SnpError::ZeroMeasurement);
        }
        if self.chip_id == [0; 64] {
            return Err(SnpError::ChipMasked);
        }
        Ok(())
    }

    /// Reports that name their processor name one of the product that certifies its key.
    pub(crate) fn check_processor(&self, product: Product) -> Result<(), SnpError> {
        let (family, model) = (self.processor_family, self.processor_model);
        let is_of_product = match product {
            Product::Milan => family == 0x19 && model <= 0x0f,
            Product::Genoa => family == 0x19 && matches!(model, 0x10..=0x1f | 0xa0..=0xaf),
            Product::Turin => family == 0x1a && model <= 0x11,
        };
        if self.version < VERSION_WITH_PROCESSOR || is_of_product {
            return Ok(());
        }
        Err(SnpError::Processor {
            product: product.name(),
            family,
            model,
        })
    }

    /// Every firmware level that the report names.
    pub(crate) fn tcbs(&self) -> [(TcbName, [u8; 8]); 4] {
        [
            (TcbName::Reported, self.reported_tcb),
            (TcbName::Committed, self.committed_tcb),
            (TcbName::Current, self.current_tcb),
            (TcbName::Launch, self.launch_tcb),
        ]
    }
}

fn read_signature(bytes: &[u8]) -> Result<Signature, SnpError> {
    let mut cursor = Cursor::new(bytes);
    let mut number = || -> Option<FieldBytes> {
        let padded: [u8; NUMBER_PADDED_BYTES] = cursor.array().ok()?;
        let (value, padding) = padded.split_at(NUMBER_BYTES);
        let mut number = FieldBytes::default();
        for (to, from) in number.iter_mut().zip(value.iter().rev()) {
            *to = *from;
        }
        padding.iter().all(|byte| *byte == 0).then_some(number)
    };
    let (r, s) = (number(), number());
    // Not signed, so that anybody could write here.
    let is_clean = cursor.rest().iter().all(|byte| *byte == 0);
    r.zip(s)
        .filter(|_| is_clean)
        .and_then(|(r, s)| Signature::from_scalars(r, s).ok())
        .ok_or(SnpError::SignatureForm)
}
