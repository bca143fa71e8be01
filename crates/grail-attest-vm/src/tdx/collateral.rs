//! What Intel says of platforms: lists of revocations, TCB info, and the quoting enclave's
//! identity, each signed. Fetched by whoever verifies, for 30 days.

use grail_attest::UnixTime;
use p256::ecdsa::{Signature, signature::Verifier as _};
use serde::Deserialize;
use thiserror::Error;
use x509_cert::der::DateTime;

use super::{
    chain::{Chain, Named, Root, Shape},
    error::TdxError,
    identity::Identity,
    revocation::Revocations,
    tcb_info::TcbInfo,
};

/// Real ones have 16 to 25 KB; lists of revocations grow.
pub const COLLATERAL_BYTES_MAX: usize = 512 * 1024;

/// Intel's collateral for one kind of platform, as it was read: nothing in it is verified before a
/// quote is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collateral {
    root_ca_crl: Vec<u8>,
    pck_crl: Vec<u8>,
    tcb_info: Signed,
    qe_identity: Signed,
}

/// A text, its signature, and the chain of who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signed {
    text: String,
    signature: Vec<u8>,
    chain: String,
}

/// The form in which verifiers of quotes exchange it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCollateral {
    /// Not needed: a quote brings the chain of its own platform.
    #[serde(rename = "pck_crl_issuer_chain")]
    _pck_crl_issuer_chain: Option<String>,
    /// Not needed, likewise.
    #[serde(rename = "pck_certificate_chain")]
    _pck_certificate_chain: Option<String>,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
}

/// Why bytes are no collateral.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CollateralError {
    /// More bytes than collateral has.
    #[error("collateral has {got} bytes, at most {max} are read")]
    TooLarge {
        /// The limit.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// Not the JSON object that it is.
    #[error("collateral is not the json that is expected: {0}")]
    Json(String),
    /// A field that is not hexadecimal.
    #[error("collateral's {field} is not hexadecimal")]
    Hex {
        /// Which.
        field: &'static str,
    },
}

/// When a part of the collateral is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) issued: UnixTime,
    pub(crate) until: UnixTime,
}

/// What Intel says, verified.
pub(crate) struct Verdict {
    pub(crate) root_revocations: Revocations,
    pub(crate) tcb_info: TcbInfo,
    pub(crate) identity: Identity,
    /// When the first of its parts ends.
    pub(crate) until: UnixTime,
}

impl Collateral {
    /// Reads a JSON object with the fields `root_ca_crl`, `pck_crl` (DER, hex), and for `tcb_info`
    /// and `qe_identity` the text as Intel signed it, `_signature` (hex) and `_issuer_chain` (PEM).
    pub fn from_json(json: &[u8]) -> Result<Self, CollateralError> {
        if json.len() > COLLATERAL_BYTES_MAX {
            return Err(CollateralError::TooLarge {
                max: COLLATERAL_BYTES_MAX,
                got: json.len(),
            });
        }
        let raw: RawCollateral = serde_json::from_slice(json)
            .map_err(|error| CollateralError::Json(error.to_string()))?;
        let decoded =
            |field, text: &str| hex::decode(text).map_err(|_| CollateralError::Hex { field });
        Ok(Self {
            root_ca_crl: decoded("root_ca_crl", &raw.root_ca_crl)?,
            pck_crl: decoded("pck_crl", &raw.pck_crl)?,
            tcb_info: Signed {
                signature: decoded("tcb_info_signature", &raw.tcb_info_signature)?,
                text: raw.tcb_info,
                chain: raw.tcb_info_issuer_chain,
            },
            qe_identity: Signed {
                signature: decoded("qe_identity_signature", &raw.qe_identity_signature)?,
                text: raw.qe_identity,
                chain: raw.qe_identity_issuer_chain,
            },
        })
    }

    /// Verifies all but the list of platforms, which waits for who issued the platform.
    pub(crate) fn verify(&self, root: &Root<'_>, at: UnixTime) -> Result<Verdict, TdxError> {
        let root_revocations =
            Revocations::verify("root crl", &self.root_ca_crl, root.certificate(), at)?;
        let verified = |which, signed: &Signed| {
            let chain = Chain::read(Shape::of_leaf(which), signed.chain.as_bytes(), root)?;
            let signer = chain.leaf(root, at)?;
            root_revocations.check(&signer)?;
            signed.check(which, &signer)
        };
        verified("tcb info", &self.tcb_info)?;
        verified("qe identity", &self.qe_identity)?;
        let tcb_info = TcbInfo::read(&self.tcb_info.text)?;
        let identity = Identity::read(&self.qe_identity.text)?;
        tcb_info.dates()?.check("tcb info", at)?;
        identity.dates()?.check("qe identity", at)?;
        let until = [
            root_revocations.until,
            tcb_info.dates()?.until,
            identity.dates()?.until,
        ];
        Ok(Verdict {
            until: until.into_iter().min().unwrap_or(at),
            root_revocations,
            tcb_info,
            identity,
        })
    }

    /// The revocations of the authority that issued a platform.
    pub(crate) fn revocations_of(
        &self,
        authority: &Named<'_>,
        at: UnixTime,
    ) -> Result<Revocations, TdxError> {
        Revocations::verify("pck crl", &self.pck_crl, &authority.certificate, at)
    }
}

impl Signed {
    fn check(&self, which: &'static str, signer: &Named<'_>) -> Result<(), TdxError> {
        let refused = |_| TdxError::CollateralSignature { which };
        let signature = Signature::from_slice(&self.signature).map_err(refused)?;
        signer
            .p256_key()?
            .verify(self.text.as_bytes(), &signature)
            .map_err(refused)
    }
}

impl Verdict {
    /// The lower of the two evaluations that took part.
    pub(crate) fn evaluation_number(&self) -> u32 {
        let (platform, enclave) = (&self.tcb_info, &self.identity);
        platform
            .evaluation_number()
            .min(enclave.evaluation_number())
    }
}

impl Dates {
    /// As Intel writes them: `2025-06-19T10:16:03Z`.
    pub(crate) fn read(which: &'static str, issued: &str, until: &str) -> Result<Self, TdxError> {
        let instant = |text: &str| {
            let date: DateTime = text.parse().map_err(|_| TdxError::CollateralForm {
                which,
                what: "date",
            })?;
            Ok::<_, TdxError>(UnixTime::from_secs(date.unix_duration().as_secs()))
        };
        Ok(Self {
            issued: instant(issued)?,
            until: instant(until)?,
        })
    }

    /// Good at an instant, both ends included.
    pub(crate) fn check(self, which: &'static str, at: UnixTime) -> Result<(), TdxError> {
        let Self { issued, until } = self;
        if at.as_secs() < issued.as_secs() {
            return Err(TdxError::CollateralNotYetValid { which, issued, at });
        }
        if at.as_secs() > until.as_secs() {
            return Err(TdxError::CollateralExpired { which, until, at });
        }
        Ok(())
    }
}
