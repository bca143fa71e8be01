//! Documents that are wrong in exactly one way, each made by the simulated hardware and refused by
//! production verification.
#![allow(clippy::unwrap_used)]

mod chain;
mod envelope;
mod mutation;
mod payload;

use grail_attest::{EvidenceError, TrustAnchor, UnixTime, VerifiedDocument, verify};
use grail_attest_dev::{
    ChainPlan, DocumentPlan, InsecureDevTee, IssuedChain, encode_payload, sign_document,
};
use grail_tee::AttestRequest;
use grail_types::{DevelopmentAllowed, Network};

const AT: UnixTime = UnixTime::from_secs(1_795_000_000);

fn allowed() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).unwrap()
}

fn anchor() -> TrustAnchor {
    TrustAnchor::development(allowed())
}

fn plans_at(at: UnixTime) -> (ChainPlan, DocumentPlan) {
    InsecureDevTee::new(allowed(), [7; 48], [1; 32], move || at).plan(&AttestRequest {
        user_data: Some(b"the user data"),
        nonce: Some(b"the nonce"),
        public_key: Some(b"the public key"),
    })
}

fn signed(document: &DocumentPlan, chain: &IssuedChain) -> Vec<u8> {
    let entries = document.entries(&chain.cabundle, &chain.leaf);
    sign_document(&encode_payload(&entries), &chain.leaf_key)
}

/// A document with another payload than the hardware would make.
fn with_document(change: impl FnOnce(&mut DocumentPlan)) -> Vec<u8> {
    let (chain, mut document) = plans_at(AT);
    change(&mut document);
    signed(&document, &chain.issue())
}

/// A document whose chain was issued otherwise than the hardware would.
fn with_chain(change: impl FnOnce(&mut ChainPlan)) -> Vec<u8> {
    let (mut chain, document) = plans_at(AT);
    change(&mut chain);
    signed(&document, &chain.issue())
}

/// A document whose chain was changed after it was issued.
fn with_issued(change: impl FnOnce(&mut IssuedChain)) -> Vec<u8> {
    let (chain, document) = plans_at(AT);
    let mut chain = chain.issue();
    change(&mut chain);
    signed(&document, &chain)
}

/// A document whose payload has other entries, correctly signed.
fn with_entries(change: impl FnOnce(&mut Vec<(&str, Vec<u8>)>)) -> Vec<u8> {
    let (chain, document) = plans_at(AT);
    let chain = chain.issue();
    let mut entries = document.entries(&chain.cabundle, &chain.leaf);
    change(&mut entries);
    sign_document(&encode_payload(&entries), &chain.leaf_key)
}

/// A document with any payload, correctly signed.
fn with_payload(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (chain, document) = plans_at(AT);
    let chain = chain.issue();
    let mut payload = encode_payload(&document.entries(&chain.cabundle, &chain.leaf));
    change(&mut payload);
    sign_document(&payload, &chain.leaf_key)
}

fn genuine() -> Vec<u8> {
    with_document(|_| {})
}

/// The payload of a document as the simulated hardware writes it: after the envelope's head, the
/// protected header, an empty map and the payload's own head of three bytes; before the signature
/// and its head.
fn payload_of(document: &[u8]) -> Vec<u8> {
    document.get(10..document.len() - 98).unwrap().to_vec()
}

#[track_caller]
fn accepted(document: &[u8]) -> VerifiedDocument {
    verify(document, &anchor(), AT).unwrap()
}

#[track_caller]
fn refusal(document: &[u8]) -> EvidenceError {
    verify(document, &anchor(), AT).unwrap_err()
}
