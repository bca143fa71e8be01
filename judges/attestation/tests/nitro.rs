//! `nitro_attest` and `attestation-doc-validation` as judges of Nitro documents.
#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use attestation_doc_validation::attestation_doc::decode_attestation_document;
use grail_attest::{TrustAnchor, UnixTime, VerifiedDocument, verify};
use nitro_attest::{AttestationDoc, UnparsedAttestationDoc};
use serde_json::Value;
use time::OffsetDateTime;

/// None, and it is said, in a clone of the project alone.
fn documents() -> Vec<(Value, Vec<u8>)> {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join("nitro");
    let Ok(index) = fs::read_to_string(folder.join("index.json")) else {
        println!("skipped: no documents at {} (set GRAIL_VECTORS)", folder.display());
        return vec![];
    };
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    index
        .into_iter()
        .map(|facts| {
            let bytes = fs::read(folder.join(facts["file"].as_str().unwrap())).unwrap();
            (facts, bytes)
        })
        .collect()
}

fn own_time(facts: &Value) -> UnixTime {
    UnixTime::from_millis(facts["timestamp_ms"].as_u64().unwrap())
}

fn judged(document: &[u8], at: UnixTime) -> Result<AttestationDoc, nitro_attest::Error> {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(at.as_secs()).unwrap()).unwrap();
    UnparsedAttestationDoc::from(document).parse_and_verify(at)
}

fn ours(document: &[u8], at: UnixTime) -> Result<VerifiedDocument, &'static str> {
    verify(document, &TrustAnchor::aws_nitro(), at).map_err(|error| error.code())
}

#[test]
fn the_judge_reads_the_same_from_what_is_accepted() {
    for (facts, document) in documents() {
        let at = own_time(&facts);
        let name = facts["file"].as_str().unwrap();
        match (ours(&document, at), judged(&document, at)) {
            (Ok(ours), Ok(judged)) => {
                assert_eq!(ours.module_id(), judged.module_id, "{name}");
                let seconds = u64::try_from(judged.timestamp.unix_timestamp()).unwrap();
                assert_eq!(ours.timestamp().as_secs(), seconds, "{name}");
                let judged_bytes = [&judged.public_key, &judged.user_data, &judged.nonce];
                let our_bytes = [ours.public_key(), ours.user_data(), ours.nonce()];
                for (ours, judged) in our_bytes.into_iter().zip(judged_bytes) {
                    assert_eq!(ours, judged.as_ref().map(|bytes| &bytes[..]), "{name}");
                }
                for (index, digest) in &judged.pcrs {
                    let register = ours.pcr(usize::from(*index)).unwrap();
                    assert_eq!(register[..], digest.value[..], "{name}");
                }
            }
            // The judge looks at signatures, and lets debug mode pass.
            (Err("debug-mode"), judged) => {
                judged.unwrap();
            }
            (Err(code), judged) => assert!(judged.is_err(), "{name}: {code}"),
            (Ok(_), Err(error)) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn the_judge_accepts_no_changed_document_that_is_refused_for_its_signatures() {
    for (facts, document) in documents() {
        let at = own_time(&facts);
        for position in (0..document.len()).step_by(101) {
            let mut changed = document.clone();
            changed[position] ^= 1;
            let refused = ours(&changed, at).unwrap_err();
            let signature = ["certificate-signature", "document-signature"].contains(&refused);
            if signature {
                assert!(judged(&changed, at).is_err(), "byte {position}");
            }
        }
    }
}

#[test]
fn another_reader_of_cbor_reads_the_same_registers() {
    for (facts, document) in documents() {
        let Ok(ours) = ours(&document, own_time(&facts)) else {
            continue;
        };
        let (_, other) = decode_attestation_document(&document).unwrap();
        for (index, value) in &other.pcrs {
            assert_eq!(ours.pcr(*index).unwrap()[..], value[..]);
        }
        assert_eq!(ours.user_data(), other.user_data.as_ref().map(|bytes| &bytes[..]));
        assert_eq!(ours.nonce(), other.nonce.as_ref().map(|bytes| &bytes[..]));
    }
}
