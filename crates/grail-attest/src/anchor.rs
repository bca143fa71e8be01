//! The certificates that verification may start from.

use std::fmt;

use bitcoin::hashes::{Hash, sha256};
#[cfg(feature = "development")]
use grail_types::DevelopmentAllowed;
use grail_types::Network;

/// AWS Nitro Enclaves Root-G1 (valid 2019-10-28 to 2049-10-28), byte for byte the first certificate of every
/// production document's `cabundle`; AWS publishes it at
/// <https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip>.
static AWS_NITRO_ROOT_G1: &[u8] = include_bytes!("../roots/aws-nitro-root-g1.der");

/// The root that the simulated hardware of `grail-attest-dev` issues under; a test there compares the two.
#[cfg(feature = "development")]
static DEVELOPMENT_ROOT: &[u8] = include_bytes!("../roots/development-root.der");

/// A pinned root certificate. Only these constructors make one: evidence never brings its own root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustAnchor {
    name: &'static str,
    der: &'static [u8],
}

impl TrustAnchor {
    /// AWS Nitro Enclaves Root-G1.
    pub fn aws_nitro() -> Self {
        Self {
            name: "aws-nitro-root-g1",
            der: AWS_NITRO_ROOT_G1,
        }
    }

    /// The root of a network: AWS's, and on regtest, in a development build, the development root.
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
            name: "development-root",
            der: DEVELOPMENT_ROOT,
        }
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
}
