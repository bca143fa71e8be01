#![allow(clippy::unwrap_used)]

use grail_attest::{TrustAnchor, verify};
use grail_types::Network;

use super::*;

const AT: UnixTime = UnixTime::from_secs(1_795_000_000);

fn allowed() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).unwrap()
}

#[test]
fn the_pinned_development_root_is_the_one_that_signs() {
    let built = ChainPlan::new(&[1; 32], AT).issue().cabundle.remove(0);
    let pinned = TrustAnchor::development(allowed()).der();
    assert_eq!(hex::encode(built), hex::encode(pinned));
}

#[test]
fn its_documents_pass_production_verification() {
    let tee = InsecureDevTee::new(allowed(), [7; 48], [1; 32], || AT);
    let request = AttestRequest {
        user_data: Some(b"user data"),
        nonce: Some(&[]),
        public_key: None,
    };
    let document = tee.attest(&request).unwrap();
    let verified = verify(&document, &TrustAnchor::development(allowed()), AT).unwrap();
    assert_eq!(verified.user_data(), request.user_data);
    assert_eq!(verified.nonce(), request.nonce);
    assert_eq!(verified.public_key(), None);
    assert_eq!(verified.measurement(), tee.measurement());
    assert_eq!(verified.timestamp(), AT);
}
