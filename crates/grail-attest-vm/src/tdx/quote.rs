//! The quote: fixed offsets and a few lengths, "Intel TDX DCAP Quoting Library API", appendix A.3.

use super::error::TdxError;
use crate::cursor::{Cursor, Truncated};

/// Real ones have 5 KB, padding included.
pub const QUOTE_BYTES_MAX: usize = 16 * 1024;

const VERSION: u16 = 4;
const ECDSA_P256: u16 = 2;
const TDX: u32 = 0x81;
/// The number of Intel's own quoting enclave.
const INTEL: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];
/// Certification data that holds the quoting enclave's report.
const QUOTING_ENCLAVE_REPORT: u16 = 6;
/// Certification data that holds the platform's chain, PEM.
const PCK_CHAIN: u16 = 5;

const HEADER_BYTES: usize = 48;
const REPORT_BYTES: usize = 584;
const ENCLAVE_REPORT_BYTES: usize = 384;

/// Bits 0 to 7: under test or debug, whichever is set.
const ATTRIBUTES_DEBUG: u64 = 0xff;
const ATTRIBUTES_MIGRATABLE: u64 = 1 << 29;
/// No #VE on a page that the host takes away: without it the host steers the guest's exceptions.
const ATTRIBUTES_SEPT_VE_DISABLE: u64 = 1 << 28;

const ENCLAVE_FLAG_DEBUG: u64 = 1 << 1;

/// A quote taken apart; nothing in it is verified yet.
#[derive(Debug)]
pub(crate) struct Quote<'a> {
    pub(crate) signed: &'a [u8],
    pub(crate) report: TdReport,
    pub(crate) signature: [u8; 64],
    pub(crate) attestation_key: [u8; 64],
    pub(crate) quoting_enclave: EnclaveReport<'a>,
    pub(crate) quoting_enclave_signature: [u8; 64],
    pub(crate) authentication_data: &'a [u8],
    pub(crate) pck_chain: &'a [u8],
}

/// What the TDX module reports of a trust domain.
#[derive(Debug)]
pub(crate) struct TdReport {
    pub(crate) tee_tcb_svn: [u8; 16],
    pub(crate) mr_signer_seam: [u8; 48],
    pub(crate) seam_attributes: [u8; 8],
    pub(crate) attributes: u64,
    pub(crate) xfam: [u8; 8],
    pub(crate) mr_td: [u8; 48],
    pub(crate) mr_config_id: [u8; 48],
    pub(crate) mr_owner: [u8; 48],
    pub(crate) mr_owner_config: [u8; 48],
    pub(crate) rtmrs: [[u8; 48]; 4],
    pub(crate) report_data: [u8; 64],
}

/// What the processor reports of the quoting enclave.
#[derive(Debug)]
pub(crate) struct EnclaveReport<'a> {
    pub(crate) signed: &'a [u8],
    pub(crate) misc_select: [u8; 4],
    pub(crate) attributes: [u8; 16],
    pub(crate) mr_signer: [u8; 32],
    pub(crate) isv_prod_id: u16,
    pub(crate) isv_svn: u16,
    pub(crate) report_data: [u8; 64],
}

impl<'a> Quote<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, TdxError> {
        if bytes.len() > QUOTE_BYTES_MAX {
            return Err(TdxError::QuoteTooLarge {
                max: QUOTE_BYTES_MAX,
                got: bytes.len(),
            });
        }
        let (signed, after) =
            bytes
                .split_at_checked(HEADER_BYTES + REPORT_BYTES)
                .ok_or(TdxError::QuoteLength {
                    part: "header and report",
                })?;
        let (header, report) = signed.split_at(HEADER_BYTES);
        check_header(header)?;
        let report = TdReport::read(report).map_err(in_part("report"))?;

        let mut cursor = Cursor::new(after);
        let at = in_part("signature data");
        let signature_data = sized(&mut cursor).map_err(&at)?;
        if cursor.rest().iter().any(|byte| *byte != 0) {
            return Err(TdxError::QuoteTrailing);
        }
        let mut cursor = Cursor::new(signature_data);
        let signature = cursor.array().map_err(&at)?;
        let attestation_key = cursor.array().map_err(&at)?;
        let certification = certification_data(&mut cursor, QUOTING_ENCLAVE_REPORT)?;

        let at = in_part("certification data");
        let mut cursor = Cursor::new(certification);
        let enclave = cursor.slice(ENCLAVE_REPORT_BYTES).map_err(&at)?;
        let quoting_enclave = EnclaveReport::read(enclave).map_err(&at)?;
        let quoting_enclave_signature = cursor.array().map_err(&at)?;
        let length = cursor.u16().map_err(&at)?;
        let authentication_data = cursor.slice(usize::from(length)).map_err(&at)?;
        let pck_chain = certification_data(&mut cursor, PCK_CHAIN)?;
        Ok(Self {
            signed,
            report,
            signature,
            attestation_key,
            quoting_enclave,
            quoting_enclave_signature,
            authentication_data,
            pck_chain,
        })
    }
}

impl TdReport {
    fn read(bytes: &[u8]) -> Result<Self, Truncated> {
        let mut cursor = Cursor::new(bytes);
        let tee_tcb_svn = cursor.array()?;
        // MRSEAM: TCB info identifies the module by its signer and its level.
        cursor.skip(48)?;
        Ok(Self {
            tee_tcb_svn,
            mr_signer_seam: cursor.array()?,
            seam_attributes: cursor.array()?,
            attributes: cursor.u64()?,
            xfam: cursor.array()?,
            mr_td: cursor.array()?,
            mr_config_id: cursor.array()?,
            mr_owner: cursor.array()?,
            mr_owner_config: cursor.array()?,
            rtmrs: [
                cursor.array()?,
                cursor.array()?,
                cursor.array()?,
                cursor.array()?,
            ],
            report_data: cursor.array()?,
        })
    }

    /// What must hold of every guest, on whichever platform.
    pub(crate) fn check_guest(&self) -> Result<(), TdxError> {
        if self.attributes & ATTRIBUTES_DEBUG != 0 {
            return Err(TdxError::DebugMode);
        }
        if self.attributes & ATTRIBUTES_MIGRATABLE != 0 {
            return Err(TdxError::Migratable);
        }
        if self.attributes != ATTRIBUTES_SEPT_VE_DISABLE {
            return Err(TdxError::Attributes {
                expected: ATTRIBUTES_SEPT_VE_DISABLE,
                got: self.attributes,
            });
        }
        if self.mr_td == [0; 48] {
            return Err(TdxError::ZeroMeasurement);
        }
        Ok(())
    }
}

impl<'a> EnclaveReport<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let mut cursor = Cursor::new(bytes);
        // CPUSVN: the PCK certificate is of the platform's level.
        cursor.skip(16)?;
        let misc_select = cursor.array()?;
        cursor.skip(28)?;
        let attributes = cursor.array()?;
        // MRENCLAVE changes with each build; identity is by signer, product and level.
        cursor.skip(64)?;
        let mr_signer = cursor.array()?;
        cursor.skip(96)?;
        let isv_prod_id = cursor.u16()?;
        let isv_svn = cursor.u16()?;
        cursor.skip(60)?;
        Ok(Self {
            signed: bytes,
            misc_select,
            attributes,
            mr_signer,
            isv_prod_id,
            isv_svn,
            report_data: cursor.array()?,
        })
    }

    pub(crate) fn check_not_debug(&self) -> Result<(), TdxError> {
        let [flags, _] = self.attributes.as_chunks::<8>().0 else {
            return Err(TdxError::QuotingEnclaveDebug);
        };
        if u64::from_le_bytes(*flags) & ENCLAVE_FLAG_DEBUG == 0 {
            return Ok(());
        }
        Err(TdxError::QuotingEnclaveDebug)
    }
}

fn check_header(bytes: &[u8]) -> Result<(), TdxError> {
    let mut cursor = Cursor::new(bytes);
    let at = in_part("header");
    let version = cursor.u16().map_err(&at)?;
    if version != VERSION {
        return Err(TdxError::QuoteVersion { got: version });
    }
    let key_type = cursor.u16().map_err(&at)?;
    if key_type != ECDSA_P256 {
        return Err(TdxError::KeyType { got: key_type });
    }
    let tee_type = cursor.u32().map_err(&at)?;
    if tee_type != TDX {
        return Err(TdxError::TeeType { got: tee_type });
    }
    cursor.skip(4).map_err(&at)?;
    let vendor: [u8; 16] = cursor.array().map_err(&at)?;
    if vendor != INTEL {
        return Err(TdxError::Vendor {
            got: hex::encode(vendor),
        });
    }
    Ok(())
}

/// A part that says its own length, to the end of what holds it.
fn certification_data<'a>(cursor: &mut Cursor<'a>, expected: u16) -> Result<&'a [u8], TdxError> {
    let at = in_part("certification data");
    let got = cursor.u16().map_err(&at)?;
    if got != expected {
        return Err(TdxError::CertificationType { expected, got });
    }
    let data = sized(cursor).map_err(&at)?;
    if cursor.rest().is_empty() {
        return Ok(data);
    }
    Err(at(Truncated))
}

fn sized<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Truncated> {
    let length = usize::try_from(cursor.u32()?).map_err(|_| Truncated)?;
    cursor.slice(length)
}

fn in_part(part: &'static str) -> impl Fn(Truncated) -> TdxError {
    move |_| TdxError::QuoteLength { part }
}
