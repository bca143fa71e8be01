//! Lists of revoked certificates (RFC 5280, section 5).

use grail_attest::UnixTime;
use p256::ecdsa::{Signature, signature::Verifier as _};
use x509_cert::{crl::CertificateList, der::Decode as _};

use super::{chain::Named, collateral::Dates, error::TdxError};
use crate::certificate::{Certificate, check_ecdsa_sha256, instant, raw_tbs};

/// A list that its issuer signed, within its dates.
#[derive(Debug)]
pub(crate) struct Revocations {
    list: CertificateList,
    pub(crate) until: UnixTime,
}

impl Revocations {
    /// Reads the list `which`, which `issuer` must have signed.
    pub(crate) fn verify(
        which: &'static str,
        der: &[u8],
        issuer: &Certificate<'_>,
        at: UnixTime,
    ) -> Result<Self, TdxError> {
        let malformed = |what| TdxError::CollateralForm { which, what };
        let list = CertificateList::from_der(der).map_err(|_| malformed("not der"))?;
        let tbs = raw_tbs(der).ok_or(malformed("not der"))?;
        let fields = &list.tbs_cert_list;
        if fields.signature != list.signature_algorithm
            || check_ecdsa_sha256(&list.signature_algorithm).is_err()
        {
            return Err(malformed("signature algorithm"));
        }
        // A critical one could say that the list is partial, or somebody else's.
        let mut extensions = fields.crl_extensions.iter().flatten();
        if extensions.any(|extension| extension.critical) {
            return Err(malformed("critical extension"));
        }
        if &fields.issuer != issuer.subject() {
            return Err(TdxError::CollateralIssuer { which });
        }
        let until = fields.next_update.ok_or(malformed("no next update"))?;
        let dates = Dates {
            issued: instant(fields.this_update),
            until: instant(until),
        };
        dates.check(which, at)?;
        let refused = |_| TdxError::CollateralSignature { which };
        let signature = list.signature.as_bytes().unwrap_or_default();
        let signature = Signature::from_der(signature).map_err(refused)?;
        let key = issuer
            .p256_key()
            .map_err(|source| TdxError::Certificate { which, source })?;
        key.verify(tbs, &signature).map_err(refused)?;
        Ok(Self {
            list,
            until: dates.until,
        })
    }

    /// A certificate is not on the list.
    pub(crate) fn check(&self, named: &Named<'_>) -> Result<(), TdxError> {
        let revoked = self
            .list
            .tbs_cert_list
            .revoked_certificates
            .iter()
            .flatten();
        let serial_number = named.certificate.serial_number();
        if revoked
            .into_iter()
            .any(|entry| &entry.serial_number == serial_number)
        {
            return Err(TdxError::Revoked { which: named.which });
        }
        Ok(())
    }
}
