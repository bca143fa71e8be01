//! The certificates that verification may start from.

use std::fmt;

use bitcoin::hashes::{Hash, sha256};
#[cfg(feature = "development")]
use grail_types::DevelopmentAllowed;
use grail_types::Network;

use crate::images::TeeKind;

/// AWS Nitro Enclaves Root-G1 (valid 2019-10-28 to 2049-10-28), byte for byte the first certificate
/// of every production document's `cabundle`; AWS publishes it at
/// <https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip>.
static AWS_NITRO_ROOT_G1: &[u8] = include_bytes!("../roots/aws-nitro-root-g1.der");

/// The root that the simulated hardware of `grail-attest-dev` issues under; a test there compares
/// the two.
#[cfg(feature = "development")]
static DEVELOPMENT_ROOT: &[u8] = include_bytes!("../roots/development-root.der");

/// A pinned root certificate. Only these constructors make one: evidence never brings its own root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustAnchor {
    tee: TeeKind,
    name: &'static str,
    der: &'static [u8],
}

impl TrustAnchor {
    /// AWS Nitro Enclaves Root-G1.
    pub fn aws_nitro() -> Self {
        Self {
            tee: TeeKind::Nitro,
            name: "aws-nitro-root-g1",
            der: AWS_NITRO_ROOT_G1,
        }
    }

    /// The anchor that evidence on `network` must go back to: there is one for each, and nobody
    /// chooses. AWS's root, and on regtest, in a development build, the development root.
    pub fn of(network: Network) -> Self {
        #[cfg(feature = "development")]
        if let Some(allowed) = DevelopmentAllowed::on(network) {
            return Self::development(allowed);
        }
        match network {
            Network::Regtest | Network::Signet | Network::Testnet4 | Network::Mainnet => {
                Self::aws_nitro()
            }
        }
    }

    /// The development root, whose private key is published. The permission exists only on regtest
    /// (invariant I11).
    #[cfg(feature = "development")]
    pub fn development(_: DevelopmentAllowed) -> Self {
        Self {
            tee: TeeKind::Development,
            name: "development-root",
            der: DEVELOPMENT_ROOT,
        }
    }

    /// The kind of TEE that it vouches for; images of other kinds are none that its documents may
    /// show.
    pub const fn tee(&self) -> TeeKind {
        self.tee
    }

    /// A name for logs.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// SHA-256 of the certificate's DER.
    pub fn digest(&self) -> [u8; 32] {
        sha256::Hash::hash(self.der).to_byte_array()
    }

    /// The certificate, DER.
    pub fn der(&self) -> &'static [u8] {
        self.der
    }
}

impl fmt::Debug for TrustAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchor({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_aws_root_is_the_published_one() {
        assert_eq!(
            hex::encode(TrustAnchor::aws_nitro().digest()),
            "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
        );
    }

    #[test]
    fn i11_the_development_root_cannot_be_had_off_regtest() {
        for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
            // The permission is the constructor's only argument, and there is none.
            assert!(
                DevelopmentAllowed::on(network)
                    .map(TrustAnchor::development)
                    .is_none()
            );
            assert_eq!(TrustAnchor::of(network), TrustAnchor::aws_nitro());
        }
        let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
        let development = TrustAnchor::development(allowed);
        assert_ne!(development, TrustAnchor::aws_nitro());
        assert_eq!(TrustAnchor::of(Network::Regtest), development);
    }

    #[test]
    fn each_network_has_one_anchor_for_one_kind_of_tee() {
        for network in Network::ALL {
            let (name, tee) = match network {
                Network::Regtest => ("development-root", TeeKind::Development),
                Network::Signet | Network::Testnet4 | Network::Mainnet => {
                    ("aws-nitro-root-g1", TeeKind::Nitro)
                }
            };
            let anchor = TrustAnchor::of(network);
            assert_eq!((anchor.name(), anchor.tee()), (name, tee), "{network}");
        }
    }
}
