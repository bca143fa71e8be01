//! The quoting enclave's identity: which enclave makes quotes, and which of its levels are good.

use serde::Deserialize;

use super::{
    collateral::Dates,
    error::TdxError,
    quote::EnclaveReport,
    tcb_info::{SvnLevel, bytes, check_svn, equal_under},
};

const WHICH: &str = "qe identity";

/// Intel signs more fields than these; what is not named here decides nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    id: String,
    version: u32,
    issue_date: String,
    next_update: String,
    tcb_evaluation_data_number: u32,
    miscselect: String,
    miscselect_mask: String,
    attributes: String,
    attributes_mask: String,
    mrsigner: String,
    isvprodid: u16,
    tcb_levels: Vec<SvnLevel>,
}

impl Identity {
    pub(crate) fn read(text: &str) -> Result<Self, TdxError> {
        let malformed = |what| TdxError::CollateralForm { which: WHICH, what };
        let identity: Self = serde_json::from_str(text).map_err(|_| malformed("json"))?;
        if identity.id != "TD_QE" || identity.version != 2 {
            return Err(malformed("not the identity of td_qe in version 2"));
        }
        Ok(identity)
    }

    pub(crate) fn dates(&self) -> Result<Dates, TdxError> {
        Dates::read(WHICH, &self.issue_date, &self.next_update)
    }

    pub(crate) const fn evaluation_number(&self) -> u32 {
        self.tcb_evaluation_data_number
    }

    /// The enclave is the one that Intel describes, and up to date.
    pub(crate) fn check(&self, enclave: &EnclaveReport<'_>) -> Result<(), TdxError> {
        let differs = |field| Err(TdxError::QuotingEnclave { field });
        if bytes::<32>(WHICH, &self.mrsigner)? != enclave.mr_signer {
            return differs("signer");
        }
        if self.isvprodid != enclave.isv_prod_id {
            return differs("product");
        }
        let (expected, mask): ([u8; 4], [u8; 4]) = (
            bytes(WHICH, &self.miscselect)?,
            bytes(WHICH, &self.miscselect_mask)?,
        );
        // Intel writes numbers with the highest byte first; the report has the lowest first.
        let got = u32::from_le_bytes(enclave.misc_select).to_be_bytes();
        if !equal_under(&got, &expected, &mask) {
            return differs("miscselect");
        }
        let (expected, mask): ([u8; 16], [u8; 16]) = (
            bytes(WHICH, &self.attributes)?,
            bytes(WHICH, &self.attributes_mask)?,
        );
        if !equal_under(&enclave.attributes, &expected, &mask) {
            return differs("attributes");
        }
        check_svn("quoting enclave", &self.tcb_levels, enclave.isv_svn)
    }
}
