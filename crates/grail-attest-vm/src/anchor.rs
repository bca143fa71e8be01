//! The certificates that verification may start from.

use std::borrow::Cow;

use grail_attest::TeeKind;
#[cfg(feature = "development")]
use grail_types::DevelopmentAllowed;

/// A generation of AMD's processors: each has a root, and an intermediate, of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Third generation EPYC.
    Milan,
    /// Fourth generation EPYC, with Bergamo and Siena.
    Genoa,
    /// Fifth generation EPYC.
    Turin,
}

/// The intermediates (ASK) that certify the keys of chips (VCEK). AMD publishes them at
/// <https://kdsintf.amd.com/vcek/v1/Milan/cert_chain> and likewise for the others; they are static,
/// and a test holds each against AMD's root (ARK).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpAnchor {
    tee: TeeKind,
    products: Vec<(Product, Cow<'static, [u8]>)>,
}

/// The Intel SGX Root CA, under which keys of platforms and collateral are certified. Intel
/// publishes it at <https://certificates.trustedservices.intel.com/IntelSGXRootCA.der>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxAnchor {
    tee: TeeKind,
    der: Cow<'static, [u8]>,
}

impl Product {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "milan",
            Self::Genoa => "genoa",
            Self::Turin => "turin",
        }
    }
}

impl SnpAnchor {
    /// AMD's own.
    pub fn amd() -> Self {
        let products: [(Product, &'static [u8]); 3] = [
            (Product::Milan, include_bytes!("../roots/amd-ask-milan.der")),
            (Product::Genoa, include_bytes!("../roots/amd-ask-genoa.der")),
            (Product::Turin, include_bytes!("../roots/amd-ask-turin.der")),
        ];
        Self {
            tee: TeeKind::SevSnp,
            products: products.map(|(name, der)| (name, der.into())).to_vec(),
        }
    }

    /// One of somebody's own, DER. What it vouches for is development hardware. The permission
    /// exists only on regtest (invariant I11).
    #[cfg(feature = "development")]
    pub fn development(_: DevelopmentAllowed, product: Product, der: Vec<u8>) -> Self {
        Self {
            tee: TeeKind::Development,
            products: vec![(product, der.into())],
        }
    }

    /// The kind of TEE that it vouches for.
    pub const fn tee(&self) -> TeeKind {
        self.tee
    }

    /// Each intermediate, DER.
    pub(crate) fn products(&self) -> impl Iterator<Item = (Product, &[u8])> {
        self.products.iter().map(|(name, der)| (*name, &**der))
    }
}

impl TdxAnchor {
    /// Intel's own.
    pub fn intel() -> Self {
        Self {
            tee: TeeKind::Tdx,
            der: include_bytes!("../roots/intel-sgx-root.der").into(),
        }
    }

    /// One of somebody's own, DER. What it vouches for is development hardware. The permission
    /// exists only on regtest (invariant I11).
    #[cfg(feature = "development")]
    pub fn development(_: DevelopmentAllowed, der: Vec<u8>) -> Self {
        Self {
            tee: TeeKind::Development,
            der: der.into(),
        }
    }

    /// The kind of TEE that it vouches for.
    pub const fn tee(&self) -> TeeKind {
        self.tee
    }

    /// The certificate, DER.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::hashes::{Hash as _, sha256};

    use super::*;
    use crate::certificate::Certificate;

    /// AMD's roots and their digests, as AMD publishes them.
    const ARKS: [(&[u8], &str); 3] = [
        (
            include_bytes!("../roots/amd-ark-milan.der"),
            "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
        ),
        (
            include_bytes!("../roots/amd-ark-genoa.der"),
            "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
        ),
        (
            include_bytes!("../roots/amd-ark-turin.der"),
            "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
        ),
    ];

    #[test]
    fn amds_intermediates_are_signed_by_amds_roots() {
        let anchor = SnpAnchor::amd();
        assert_eq!(anchor.products().count(), ARKS.len());
        for ((product, der), (root, digest)) in anchor.products().zip(ARKS) {
            assert_eq!(sha256::Hash::hash(root).to_string(), digest);
            let root = Certificate::parse(root).unwrap();
            root.check_signed_by_rsa(&root).unwrap();
            let intermediate = Certificate::parse(der).unwrap();
            intermediate.check_signed_by_rsa(&root).unwrap();
            let other = anchor.products().find(|(other, _)| *other != product);
            let other = Certificate::parse(other.unwrap().1).unwrap();
            assert!(other.check_signed_by_rsa(&root).is_err(), "{product:?}");
        }
    }

    #[test]
    fn intels_root_is_the_published_one() {
        assert_eq!(
            sha256::Hash::hash(TdxAnchor::intel().der()).to_string(),
            "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
        );
    }

    #[test]
    fn each_anchor_vouches_for_its_own_kind() {
        assert_eq!(SnpAnchor::amd().tee(), TeeKind::SevSnp);
        assert_eq!(TdxAnchor::intel().tee(), TeeKind::Tdx);
    }

    #[test]
    fn i11_an_anchor_of_ones_own_vouches_for_no_real_hardware() {
        use grail_types::Network;
        for network in Network::ALL {
            let Some(allowed) = DevelopmentAllowed::on(network) else {
                continue;
            };
            assert_eq!(network, Network::Regtest);
            let snp = SnpAnchor::development(allowed, Product::Milan, vec![]);
            assert_eq!(snp.tee(), TeeKind::Development);
            let tdx = TdxAnchor::development(allowed, vec![]);
            assert_eq!(tdx.tee(), TeeKind::Development);
        }
    }
}
