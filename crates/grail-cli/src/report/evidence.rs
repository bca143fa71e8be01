//! Answers of `grail attest verify`.

use std::fmt::{Display, Formatter, Result};

use serde::Serialize;

/// The verdict on evidence. Fields that do not apply are null.
#[derive(Debug, Serialize)]
pub struct EvidenceReport {
    /// Whether it is valid at the instant asked about, and says what was expected.
    pub is_valid: bool,
    /// The kind of evidence, as it was asked for.
    pub kind: &'static str,
    /// The instant, milliseconds since 1970.
    pub at_ms: u64,
    /// SHA-256 of the evidence.
    pub sha256: String,
    /// Why it is not valid: stable.
    pub code: Option<&'static str>,
    /// Why it is not valid, in words.
    pub reason: Option<String>,
    /// What valid evidence says.
    pub evidence: Option<EvidenceView>,
}

/// What valid evidence says; hex where it is bytes.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "named as the platforms name them")]
pub struct EvidenceView {
    /// Whose word it is: `nitro`, `sev-snp`, `tdx` or `development`.
    pub tee: &'static str,
    pub registers: Vec<RegisterView>,
    pub user_data: Option<String>,
    pub nonce: Option<String>,
    pub public_key: Option<String>,
    /// The 64 bytes of a confidential VM, which stand for `user_data` and nonce.
    pub report_data: Option<String>,
    pub module_id: Option<String>,
    pub made_at_ms: Option<u64>,
    /// When the leaf certificate, or the collateral, ends.
    pub valid_until_ms: Option<u64>,
    pub platform: Option<PlatformView>,
}

/// A register.
#[derive(Debug, Serialize)]
pub struct RegisterView {
    /// Its name.
    pub name: String,
    /// Its value, hex.
    pub value: String,
}

/// What the hardware says of itself.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "as in grail_attest_vm::Platform")]
pub enum PlatformView {
    SevSnp {
        product: &'static str,
        report_version: u32,
        reported_tcb: String,
        chip_id: String,
    },
    Tdx {
        fmspc: String,
        tee_tcb_svn: String,
        quoting_enclave_svn: u16,
        evaluation_number: u32,
    },
}

impl EvidenceReport {
    /// A report without its verdict.
    pub fn new(kind: &'static str, at_ms: u64, sha256: String) -> Self {
        Self {
            is_valid: false,
            kind,
            at_ms,
            sha256,
            code: None,
            reason: None,
            evidence: None,
        }
    }

    /// It is valid.
    #[must_use]
    pub fn valid(mut self, evidence: EvidenceView) -> Self {
        self.is_valid = true;
        self.evidence = Some(evidence);
        self
    }

    /// It is not.
    #[must_use]
    pub fn refused(mut self, code: &'static str, reason: String) -> Self {
        self.code = Some(code);
        self.reason = Some(reason);
        self
    }
}

impl Display for EvidenceReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (kind, at) = (self.kind, self.at_ms);
        if let (Some(reason), Some(code)) = (&self.reason, self.code) {
            // Names and words of certificates, documents and collateral are in it.
            let reason = plain(reason);
            write!(f, "{kind}: INVALID at {at} ms: {reason} [{code}]")?;
        } else {
            write!(f, "{kind}: valid at {at} ms")?;
        }
        write!(f, "\n  sha256        {}", self.sha256)?;
        match &self.evidence {
            Some(evidence) => write!(f, "{evidence}"),
            None => Ok(()),
        }
    }
}

/// Foreign text for a terminal: whole, since values are compared by eye, and without control
/// characters.
fn plain(text: &str) -> String {
    let letters = text.chars();
    letters.filter(|letter| !letter.is_control()).collect()
}

impl Display for EvidenceView {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for RegisterView { name, value } in &self.registers {
            let is_zero = value.bytes().all(|digit| digit == b'0');
            write!(f, "\n  {name:<13} {}", if is_zero { "0" } else { value })?;
        }
        let texts = [
            ("user data", &self.user_data),
            ("nonce", &self.nonce),
            ("public key", &self.public_key),
            ("report data", &self.report_data),
            ("module", &self.module_id),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                write!(f, "\n  {name:<13} {}", plain(text))?;
            }
        }
        if let Some(made) = self.made_at_ms {
            write!(f, "\n  made at       {made} ms")?;
        }
        if let Some(until) = self.valid_until_ms {
            write!(f, "\n  valid until   {until} ms")?;
        }
        match &self.platform {
            Some(platform) => write!(f, "{platform}"),
            None => Ok(()),
        }
    }
}

impl Display for PlatformView {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::SevSnp {
                product,
                report_version,
                reported_tcb,
                chip_id,
            } => write!(
                f,
                "\n  processor     {product}, report version {report_version}\n  \
                 firmware      {reported_tcb}\n  chip          {chip_id}"
            ),
            Self::Tdx {
                fmspc,
                tee_tcb_svn,
                quoting_enclave_svn,
                evaluation_number,
            } => write!(
                f,
                "\n  platform      {fmspc}, up to date by evaluation {evaluation_number}\n  \
                 module        {tee_tcb_svn}\n  quoting svn   {quoting_enclave_svn}"
            ),
        }
    }
}
