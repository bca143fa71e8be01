//! Chains whose signatures are remembered: the verdict is what it would be without.
#![allow(clippy::unwrap_used)]

use grail_attest::{ChainCache, TrustAnchor, UnixTime, verify, verify_with};
use grail_attest_dev::{
    ChainPlan, DocumentPlan, InsecureDevTee, development_pcr0, encode_payload, sign_document,
};
use grail_tee::AttestRequest;
use grail_types::{DevelopmentAllowed, Network};

const AT: UnixTime = UnixTime::from_secs(1_795_000_000);
const HOUR_MS: u64 = 3600 * 1000;

fn anchor() -> TrustAnchor {
    TrustAnchor::of(Network::Regtest)
}

fn plan(machine: u8) -> (ChainPlan, DocumentPlan) {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    InsecureDevTee::new(allowed, development_pcr0(b"signer"), [machine; 32], || AT)
        .plan(&AttestRequest::default())
}

fn signed((chain, document): (ChainPlan, DocumentPlan)) -> Vec<u8> {
    let chain = chain.issue();
    let entries = document.entries(&chain.cabundle, &chain.leaf);
    sign_document(&encode_payload(&entries), &chain.leaf_key)
}

/// After a true document, this one gets the same verdict as from a verifier that remembers nothing.
fn code_after_a_true_one(document: &[u8], at: UnixTime) -> &'static str {
    let mut cache = ChainCache::new(16);
    verify_with(&signed(plan(1)), &anchor(), AT, &mut cache).unwrap();
    let fresh = verify(document, &anchor(), at);
    let remembered = verify_with(document, &anchor(), at, &mut cache);
    assert_eq!(fresh, remembered);
    fresh.map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn four_certificates_of_a_chain_are_remembered_and_shared() {
    let mut cache = ChainCache::new(16);
    verify_with(&signed(plan(1)), &anchor(), AT, &mut cache).unwrap();
    assert_eq!(cache.len(), 4);
    verify_with(&signed(plan(1)), &anchor(), AT, &mut cache).unwrap();
    assert_eq!(cache.len(), 4);
    // Another machine of the same zone has an instance and a leaf of its own.
    verify_with(&signed(plan(2)), &anchor(), AT, &mut cache).unwrap();
    assert_eq!(cache.len(), 6);
}

#[test]
fn dates_are_checked_at_each_instant() {
    let document = signed(plan(1));
    assert_eq!(code_after_a_true_one(&document, AT), "accepted");
    let after = AT.later_by_millis(3 * HOUR_MS);
    assert_eq!(
        code_after_a_true_one(&document, after),
        "certificate-expired"
    );
    let before = AT.earlier_by_millis(HOUR_MS);
    assert_eq!(
        code_after_a_true_one(&document, before),
        "document-from-the-future"
    );
}

#[test]
fn a_documents_own_signature_is_never_remembered() {
    let mut document = signed(plan(1));
    *document.last_mut().unwrap() ^= 1;
    assert_eq!(code_after_a_true_one(&document, AT), "document-signature");
}

#[test]
fn a_certificate_under_another_authority_is_verified_anew() {
    // An instance with another key has another certificate: not remembered, and sound.
    let (mut chain, document) = plan(1);
    chain.intermediates[2].key = chain.root.key.clone();
    assert_eq!(
        code_after_a_true_one(&signed((chain, document)), AT),
        "accepted"
    );
    // A true leaf below an instance that the root's key did not sign.
    let (chain, document) = plan(1);
    let mut issued = chain.issue();
    *issued.cabundle[3].last_mut().unwrap() ^= 1;
    let entries = document.entries(&issued.cabundle, &issued.leaf);
    let forged = sign_document(&encode_payload(&entries), &issued.leaf_key);
    assert_eq!(code_after_a_true_one(&forged, AT), "certificate-signature");
}

#[test]
fn what_fails_is_not_remembered() {
    let (chain, document) = plan(1);
    let mut issued = chain.issue();
    *issued.cabundle[2].last_mut().unwrap() ^= 1;
    let entries = document.entries(&issued.cabundle, &issued.leaf);
    let forged = sign_document(&encode_payload(&entries), &issued.leaf_key);
    let mut cache = ChainCache::new(16);
    for _ in 0..2 {
        let refused = verify_with(&forged, &anchor(), AT, &mut cache).unwrap_err();
        assert_eq!(refused.code(), "certificate-signature");
        // The regional authority above it is genuine.
        assert_eq!(cache.len(), 1);
    }
}
