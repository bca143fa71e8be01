//! TCB info: which levels of a platform and of TDX modules are good.

use serde::Deserialize;

use super::{collateral::Dates, error::TdxError, pck::Pck, quote::TdReport};

const WHICH: &str = "tcb info";
const COMPONENTS: usize = 16;
/// The one status that is accepted.
const UP_TO_DATE: &str = "UpToDate";

/// Intel signs more fields than these; what is not named here decides nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TcbInfo {
    id: String,
    version: u32,
    issue_date: String,
    next_update: String,
    fmspc: String,
    pce_id: String,
    tcb_evaluation_data_number: u32,
    tdx_module: Module,
    #[serde(default)]
    tdx_module_identities: Vec<ModuleIdentity>,
    tcb_levels: Vec<PlatformLevel>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Module {
    mrsigner: String,
    attributes: String,
    attributes_mask: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModuleIdentity {
    id: String,
    #[serde(flatten)]
    module: Module,
    tcb_levels: Vec<SvnLevel>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlatformLevel {
    tcb: PlatformTcb,
    tcb_status: String,
}

#[derive(Debug, Deserialize)]
struct PlatformTcb {
    sgxtcbcomponents: Vec<Component>,
    pcesvn: u16,
    tdxtcbcomponents: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Component {
    svn: u8,
}

/// A level of something with one number: a TDX module, a quoting enclave.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SvnLevel {
    tcb: Svn,
    tcb_status: String,
}

#[derive(Debug, Deserialize)]
struct Svn {
    isvsvn: u16,
}

impl TcbInfo {
    pub(crate) fn read(text: &str) -> Result<Self, TdxError> {
        let info: Self = serde_json::from_str(text).map_err(|_| malformed("json"))?;
        if info.id != "TDX" || info.version != 3 {
            return Err(malformed("not tcb info of tdx in version 3"));
        }
        Ok(info)
    }

    pub(crate) fn dates(&self) -> Result<Dates, TdxError> {
        Dates::read(WHICH, &self.issue_date, &self.next_update)
    }

    pub(crate) const fn evaluation_number(&self) -> u32 {
        self.tcb_evaluation_data_number
    }

    /// The platform and the TDX module are up to date.
    pub(crate) fn check(&self, pck: &Pck, report: &TdReport) -> Result<(), TdxError> {
        if bytes::<6>(WHICH, &self.fmspc)? != pck.fmspc {
            return Err(TdxError::OtherPlatform { what: "fmspc" });
        }
        if bytes::<2>(WHICH, &self.pce_id)? != pck.pce_id {
            return Err(TdxError::OtherPlatform { what: "pce id" });
        }
        self.check_module(report)?;
        let mut found = None;
        for level in &self.tcb_levels {
            if level.tcb.is_reached(pck, report)? {
                found = Some(level.tcb_status.as_str());
                break;
            }
        }
        check_status("platform", found)
    }

    /// Modules from version 1 on have an identity of their own; the second number of the report's
    /// levels is the module's version, the first its level.
    fn check_module(&self, report: &TdReport) -> Result<(), TdxError> {
        let [svn, version, ..] = report.tee_tcb_svn;
        if version == 0 {
            return self.tdx_module.check(report);
        }
        let id = format!("TDX_{version:02x}");
        let identity = self
            .tdx_module_identities
            .iter()
            .find(|identity| identity.id.eq_ignore_ascii_case(&id))
            .ok_or(TdxError::Module { field: "version" })?;
        identity.module.check(report)?;
        check_svn("tdx module", &identity.tcb_levels, u16::from(svn))
    }
}

impl Module {
    fn check(&self, report: &TdReport) -> Result<(), TdxError> {
        if bytes::<48>(WHICH, &self.mrsigner)? != report.mr_signer_seam {
            return Err(TdxError::Module { field: "signer" });
        }
        let mask: [u8; 8] = bytes(WHICH, &self.attributes_mask)?;
        let expected: [u8; 8] = bytes(WHICH, &self.attributes)?;
        if !equal_under(&report.seam_attributes, &expected, &mask) {
            return Err(TdxError::Module {
                field: "attributes",
            });
        }
        Ok(())
    }
}

impl PlatformTcb {
    fn is_reached(&self, pck: &Pck, report: &TdReport) -> Result<bool, TdxError> {
        if self.sgxtcbcomponents.len() != COMPONENTS || self.tdxtcbcomponents.len() != COMPONENTS {
            return Err(malformed("number of components"));
        }
        // The module's own two numbers have levels of their own from version 1 on.
        let [_, version, ..] = report.tee_tcb_svn;
        let skipped = if version == 0 { 0 } else { 2 };
        let platform = pck.components.iter().zip(&self.sgxtcbcomponents);
        let mut module = report
            .tee_tcb_svn
            .iter()
            .zip(&self.tdxtcbcomponents)
            .skip(skipped);
        Ok(pck.pce_svn >= self.pcesvn
            && platform.into_iter().all(|(svn, least)| *svn >= least.svn)
            && module.all(|(svn, least)| *svn >= least.svn))
    }
}

/// Something with one number is up to date. Levels come highest first.
pub(crate) fn check_svn(
    which: &'static str,
    levels: &[SvnLevel],
    svn: u16,
) -> Result<(), TdxError> {
    let level = levels.iter().find(|level| level.tcb.isvsvn <= svn);
    check_status(which, level.map(|level| level.tcb_status.as_str()))
}

/// Bytes in hexadecimal.
pub(crate) fn bytes<const N: usize>(which: &'static str, text: &str) -> Result<[u8; N], TdxError> {
    let mut decoded = [0; N];
    hex::decode_to_slice(text, &mut decoded).map_err(|_| TdxError::CollateralForm {
        which,
        what: "bytes in hexadecimal",
    })?;
    Ok(decoded)
}

/// Equal where the mask has ones.
pub(crate) fn equal_under(got: &[u8], expected: &[u8], mask: &[u8]) -> bool {
    let pairs = got.iter().zip(expected).zip(mask);
    pairs
        .into_iter()
        .all(|((got, expected), mask)| got & mask == expected & mask)
}

fn check_status(which: &'static str, status: Option<&str>) -> Result<(), TdxError> {
    match status {
        Some(UP_TO_DATE) => Ok(()),
        Some(got) => Err(TdxError::Status {
            which,
            got: got.chars().take(32).collect(),
        }),
        None => Err(TdxError::NoLevel { which }),
    }
}

const fn malformed(what: &'static str) -> TdxError {
    TdxError::CollateralForm { which: WHICH, what }
}
