//! From the pinned root down to the leaf, in the order given.
//!
//! Never builds or searches paths: a Nitro document brings its chain in order, root first, so the
//! work is bounded by its length.

use bitcoin::hashes::{Hash, sha256};
use p384::ecdsa::VerifyingKey;

use crate::{
    anchor::TrustAnchor,
    cache::{ChainCache, Prefix},
    certificate::Certificate,
    error::{CertificateFault, EvidenceError, Position},
    time::UnixTime,
};

/// A leaf certificate that chains to the anchor.
#[derive(Debug)]
pub(crate) struct VerifiedLeaf {
    pub(crate) key: VerifyingKey,
    pub(crate) not_after: UnixTime,
}

/// When a chain must be valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instants {
    /// The instant of verification, for every certificate.
    pub(crate) at: UnixTime,
    /// When the leaf signed, for it.
    pub(crate) signed_at: UnixTime,
}

/// Verifies `cabundle` (root first) and `leaf` at both instants. Signatures that `cache` remembers
/// are not verified again; all else is.
pub(crate) fn verify_chain(
    anchor: &TrustAnchor,
    cabundle: &[&[u8]],
    leaf: &[u8],
    instants: Instants,
    cache: &mut ChainCache,
) -> Result<VerifiedLeaf, EvidenceError> {
    let (root, intermediates): (&[u8], _) = match cabundle {
        [root, intermediates @ ..] => (root, intermediates),
        [] => (&[], &[][..]),
    };
    if root != anchor.der() {
        return Err(EvidenceError::Root {
            expected: hex::encode(anchor.digest()),
            got: sha256::Hash::hash(root).to_string(),
        });
    }

    // Everything cheap first: a chain with a wrong shape costs no signature verification.
    let mut authorities = Vec::with_capacity(cabundle.len());
    authorities.push((Position::Anchor, parse(Position::Anchor, anchor.der())?));
    for (index, der) in (1..).zip(intermediates) {
        let position = Position::Intermediate(index);
        authorities.push((position, parse(position, der)?));
    }
    let leaf_der = leaf;
    let leaf = parse(Position::Leaf, leaf)?;
    let Instants { at, signed_at } = instants;
    for (below, (position, authority)) in authorities.iter().rev().enumerate() {
        authority
            .check_ca(below)
            .and_then(|()| authority.check_validity(at))
            .map_err(refused(*position))?;
    }
    leaf.check_leaf()
        .and_then(|()| leaf.check_validity(at))
        .map_err(refused(Position::Leaf))?;
    leaf.check_validity(signed_at)
        .map_err(|_| EvidenceError::TimestampOutsideLeaf {
            timestamp: signed_at,
        })?;

    let issued = authorities
        .iter()
        .skip(1)
        .map(|(position, certificate)| (*position, certificate))
        .chain([(Position::Leaf, &leaf)]);
    let ders = intermediates.iter().copied().chain([leaf_der]);
    let mut prefix = Prefix::root(anchor.der());
    for (((_, issuer), (position, certificate)), der) in authorities.iter().zip(issued).zip(ders) {
        prefix = prefix.followed_by(der);
        certificate
            .check_issuer(issuer)
            .and_then(|()| cache.once(prefix, || certificate.check_signed_by(issuer)))
            .map_err(refused(position))?;
    }
    Ok(VerifiedLeaf {
        key: *leaf.key(),
        not_after: leaf.not_after(),
    })
}

fn parse(position: Position, der: &[u8]) -> Result<Certificate<'_>, EvidenceError> {
    Certificate::parse(der).map_err(refused(position))
}

fn refused(position: Position) -> impl Fn(CertificateFault) -> EvidenceError {
    move |source| EvidenceError::Certificate { position, source }
}
