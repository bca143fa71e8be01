//! `grail attest verify`: evidence of a TEE, judged without wallet, node or network.
//!
//! Owns the reading of files. The verdict is `grail_attest`'s and `grail_attest_vm`'s; this command
//! only adds what the user expects. Every byte is foreign, and bounded.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::hashes::{Hash as _, sha256};
use grail_attest::{
    Claims, DOCUMENT_BYTES_MAX, EvidenceError, PCR_COUNT_MAX, TeeKind, TrustAnchor, UnixTime,
    VerifiedDocument,
};
use grail_attest_vm::{
    COLLATERAL_BYTES_MAX, Collateral, CollateralError, Evidence, Platform, QUOTE_BYTES_MAX,
    SNP_REPORT_BYTES, SnpAnchor, SnpEvidence, SnpFloor, TdxAnchor, TdxEvidence, TdxFloor, Trust,
    VCEK_BYTES_MAX, VerifiedVm, VmError,
};

use crate::arguments::{EvidenceKind, ExpectedRegister, VerifyEvidence};
use crate::failure::Failure;
use crate::report::{EvidenceReport, EvidenceView, PlatformView, RegisterView};

/// The name that stands for standard input.
const STDIN: &str = "-";

/// Why evidence is not what was asked for.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Document(#[from] EvidenceError),
    #[error(transparent)]
    Vm(#[from] VmError),
    #[error(transparent)]
    Collateral(#[from] CollateralError),
    #[error("there is no register {0}")]
    NoRegister(String),
    #[error("register {name} is not the expected one: expected {expected}, got {got}")]
    Register {
        name: String,
        expected: String,
        got: String,
    },
}

impl Refused {
    const fn code(&self) -> &'static str {
        match self {
            Self::Document(error) => error.code(),
            Self::Vm(error) => error.code(),
            Self::Collateral(_) => "collateral-malformed",
            Self::NoRegister(_) => "register-unknown",
            Self::Register { .. } => "register-mismatch",
        }
    }
}

/// Judges one file; `stdin` is what `-` reads.
pub fn verify_evidence(
    asked: &VerifyEvidence,
    stdin: &mut dyn Read,
) -> Result<EvidenceReport, Failure> {
    let at = match asked.at {
        Some(millis) => UnixTime::from_millis(millis),
        None => now()?,
    };
    let bytes = read_evidence(asked, stdin)?;
    let judged = match asked.kind {
        EvidenceKind::Nitro => judge_document(asked, &bytes, &TrustAnchor::aws_nitro(), at),
        EvidenceKind::Snp => {
            let vcek = companion(asked.vcek.as_deref(), VCEK_BYTES_MAX)?;
            let evidence = Evidence::SevSnp(SnpEvidence {
                report: &bytes,
                vcek: &vcek,
            });
            judge_vm(asked, &evidence, at)
        }
        EvidenceKind::Tdx => {
            let json = companion(asked.collateral.as_deref(), COLLATERAL_BYTES_MAX)?;
            Collateral::from_json(&json)
                .map_err(Refused::from)
                .and_then(|collateral| {
                    let evidence = Evidence::Tdx(TdxEvidence {
                        quote: &bytes,
                        collateral: &collateral,
                    });
                    judge_vm(asked, &evidence, at)
                })
        }
        #[cfg(feature = "development")]
        EvidenceKind::Dev => judge_document(asked, &bytes, &development()?, at),
    };
    let digest = sha256::Hash::hash(&bytes).to_string();
    let report = EvidenceReport::new(asked.kind.name(), at.as_millis(), digest);
    Ok(match judged {
        Ok(view) => report.valid(view),
        Err(refused) => report.refused(refused.code(), refused.to_string()),
    })
}

#[cfg(feature = "development")]
fn development() -> Result<TrustAnchor, Failure> {
    use grail_types::{DevelopmentAllowed, Network};
    DevelopmentAllowed::on(Network::Regtest)
        .map(TrustAnchor::development)
        .ok_or_else(|| Failure::new("development-absent", "this build has no development root"))
}

fn judge_document(
    asked: &VerifyEvidence,
    bytes: &[u8],
    anchor: &TrustAnchor,
    at: UnixTime,
) -> Result<EvidenceView, Refused> {
    let document = grail_attest::verify(bytes, anchor, at)?;
    let registers = (0..PCR_COUNT_MAX)
        .filter_map(|index| Some((format!("PCR{index}"), document.pcr(index)?.to_vec())))
        .collect();
    let registers = expected_registers(registers, &asked.expect)?;
    check(asked, &document)?;
    Ok(view_of_document(&document, anchor.tee(), registers))
}

fn view_of_document(
    document: &VerifiedDocument,
    tee: TeeKind,
    registers: Vec<RegisterView>,
) -> EvidenceView {
    let shown = |value: Option<&[u8]>| value.map(hex::encode);
    EvidenceView {
        tee: tee.name(),
        registers,
        user_data: shown(document.user_data()),
        nonce: shown(document.nonce()),
        public_key: shown(document.public_key()),
        report_data: None,
        module_id: Some(document.module_id().to_owned()),
        made_at_ms: Some(document.timestamp().as_millis()),
        valid_until_ms: Some(document.leaf_not_after().as_millis()),
        platform: None,
    }
}

fn judge_vm(
    asked: &VerifyEvidence,
    evidence: &Evidence<'_>,
    at: UnixTime,
) -> Result<EvidenceView, Refused> {
    let verified = grail_attest_vm::verify(evidence, &trust(asked), at)?;
    let registers = verified
        .registers()
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .collect();
    let registers = expected_registers(registers, &asked.expect)?;
    check(asked, &verified)?;
    Ok(view_of_vm(&verified, registers))
}

fn view_of_vm(verified: &VerifiedVm, registers: Vec<RegisterView>) -> EvidenceView {
    let (platform, valid_until_ms) = match *verified.platform() {
        Platform::SevSnp {
            product,
            report_version,
            reported_tcb,
            chip_id,
        } => {
            let platform = PlatformView::SevSnp {
                product: product.name(),
                report_version,
                reported_tcb: reported_tcb.to_string(),
                chip_id: hex::encode(chip_id),
            };
            (platform, None)
        }
        Platform::Tdx {
            fmspc,
            tee_tcb_svn,
            quoting_enclave_svn,
            evaluation_number,
            collateral_until,
        } => {
            let platform = PlatformView::Tdx {
                fmspc: hex::encode(fmspc),
                tee_tcb_svn: hex::encode(tee_tcb_svn),
                quoting_enclave_svn,
                evaluation_number,
            };
            (platform, Some(collateral_until.as_millis()))
        }
    };
    EvidenceView {
        tee: verified.tee().name(),
        registers,
        user_data: None,
        nonce: None,
        public_key: None,
        report_data: Some(hex::encode(verified.report_data())),
        module_id: None,
        made_at_ms: None,
        valid_until_ms,
        platform: Some(platform),
    }
}

/// AMD's and Intel's own roots, with the floors that were asked for.
fn trust(asked: &VerifyEvidence) -> Trust {
    Trust {
        snp: SnpAnchor::amd(),
        snp_floor: SnpFloor::same(asked.tcb_floor.unwrap_or_default()),
        tdx: TdxAnchor::intel(),
        tdx_floor: TdxFloor {
            evaluation_number: asked.evaluation_floor.unwrap_or_default(),
            tee_tcb_svn: [0; 16],
            quoting_enclave_svn: 0,
        },
    }
}

/// What the user expects beside what must always hold.
fn check(asked: &VerifyEvidence, claims: &impl Claims) -> Result<(), EvidenceError> {
    if let Some(user_data) = &asked.user_data {
        claims.check_user_data(Some(&user_data.0))?;
    }
    if let Some(nonce) = &asked.nonce {
        claims.check_nonce(Some(&nonce.0))?;
    }
    Ok(())
}

fn expected_registers(
    registers: Vec<(String, Vec<u8>)>,
    expected: &[ExpectedRegister],
) -> Result<Vec<RegisterView>, Refused> {
    for ExpectedRegister { name, value } in expected {
        let (_, got) = registers
            .iter()
            .find(|(found, _)| found == name)
            .ok_or_else(|| Refused::NoRegister(name.clone()))?;
        if got != value {
            return Err(Refused::Register {
                name: name.clone(),
                expected: hex::encode(value),
                got: hex::encode(got),
            });
        }
    }
    let views = registers.into_iter().map(|(name, value)| RegisterView {
        name,
        value: hex::encode(value),
    });
    Ok(views.collect())
}

fn now() -> Result<UnixTime, Failure> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Failure::new("clock-wrong", "this machine's clock is before 1970"))?;
    Ok(UnixTime::from_secs(since.as_secs()))
}

/// The evidence: bytes as they are, or hexadecimal. No kind of evidence begins with a letter or
/// digit that hexadecimal has.
fn read_evidence(asked: &VerifyEvidence, stdin: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let max = match asked.kind {
        EvidenceKind::Snp => SNP_REPORT_BYTES,
        EvidenceKind::Tdx => QUOTE_BYTES_MAX,
        EvidenceKind::Nitro => DOCUMENT_BYTES_MAX,
        #[cfg(feature = "development")]
        EvidenceKind::Dev => DOCUMENT_BYTES_MAX,
    };
    // Two letters to a byte, and a line break after every few of them.
    let max_of_text = max.saturating_mul(4);
    let bytes = if asked.file.as_os_str() == STDIN {
        read_bounded(stdin, max_of_text, STDIN)?
    } else {
        read_file(&asked.file, max_of_text)?
    };
    let is_text = |byte: &u8| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace();
    if bytes.is_empty() || !bytes.iter().all(is_text) {
        return Ok(bytes);
    }
    let digits: Vec<u8> = bytes
        .into_iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    hex::decode(digits).map_err(|error| Failure::new("hex-malformed", error.to_string()))
}

/// A file beside the evidence. Which kind needs which, the command line says.
fn companion(file: Option<&Path>, max: usize) -> Result<Vec<u8>, Failure> {
    let file = file.ok_or_else(|| {
        Failure::new(
            "companion-missing",
            "snp needs --vcek FILE, tdx needs --collateral FILE",
        )
    })?;
    read_file(file, max)
}

fn read_file(file: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    let name = file.display().to_string();
    let mut source = File::open(file)
        .map_err(|error| Failure::new("file-unreadable", format!("{name}: {error}")))?;
    read_bounded(&mut source, max, &name)
}

fn read_bounded(source: &mut dyn Read, max: usize, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    source
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new("file-unreadable", format!("{name}: {error}")))?;
    if bytes.len() > max {
        return Err(Failure::new(
            "file-too-large",
            format!("{name}: longer than {max} bytes"),
        ));
    }
    Ok(bytes)
}
