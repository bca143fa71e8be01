//! Real documents of AWS Nitro, each with its expected verdict.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use grail_attest::{CertificateFault, EvidenceError, TrustAnchor, UnixTime, verify};
use grail_types::{DevelopmentAllowed, Network};
use serde_json::Value;

struct Vector {
    document: Vec<u8>,
    facts: Value,
}

impl Vector {
    fn name(&self) -> &str {
        self.facts["file"].as_str().unwrap()
    }

    fn at(&self) -> UnixTime {
        UnixTime::from_millis(self.facts["timestamp_ms"].as_u64().unwrap())
    }

    fn expected(&self) -> &str {
        self.facts["expected"].as_str().unwrap()
    }

    fn accepted(&self) -> bool {
        self.expected() == "accept at its own timestamp, reject at the wall clock"
    }

    fn length(&self, field: &str) -> Option<usize> {
        self.facts[field]
            .as_u64()
            .map(|length| usize::try_from(length).unwrap())
    }
}

/// None, and it is said, in a clone of the project alone.
fn vectors() -> Vec<Vector> {
    let folder = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/vectors"
            ))
        },
        PathBuf::from,
    );
    let folder = folder.join("nitro");
    let index = folder.join("index.json");
    let Ok(text) = fs::read_to_string(&index) else {
        eprintln!("skipped: no {}; set GRAIL_VECTORS", index.display());
        return Vec::new();
    };
    let facts: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(!facts.is_empty(), "{} lists nothing", index.display());
    facts
        .into_iter()
        .map(|facts| Vector {
            document: fs::read(folder.join(facts["file"].as_str().unwrap())).unwrap(),
            facts,
        })
        .collect()
}

#[test]
fn real_documents_get_their_expected_verdict_at_their_own_time() {
    for vector in vectors() {
        let result = verify(&vector.document, &TrustAnchor::aws_nitro(), vector.at());
        let name = vector.name();
        match vector.expected() {
            "accept at its own timestamp, reject at the wall clock" => {
                let verified = result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                assert_eq!(hex::encode(verified.digest()), vector.facts["sha256"]);
                assert_eq!(verified.timestamp(), vector.at());
                let lengths = [
                    ("public_key_len", verified.public_key()),
                    ("user_data_len", verified.user_data()),
                    ("nonce_len", verified.nonce()),
                ];
                for (field, value) in lengths {
                    assert_eq!(value.map(<[u8]>::len), vector.length(field), "{name}");
                }
                let pcrs: Vec<_> = (0..32)
                    .filter_map(|index| Some((index, verified.pcr(index)?)))
                    .collect();
                assert_eq!(Some(pcrs.len()), vector.length("pcr_count"), "{name}");
                let nonzero: Vec<_> = pcrs
                    .iter()
                    .filter(|(_, pcr)| **pcr != [0; 48])
                    .map(|(index, _)| *index)
                    .collect();
                assert_eq!(serde_json::json!(nonzero), vector.facts["nonzero_pcrs"]);
                assert!(verified.module_id().starts_with("i-"), "{name}");
                assert!(verified.leaf_not_after() > verified.timestamp(), "{name}");
            }
            "reject: debug mode, PCR0-2 are zero" => {
                assert_eq!(result.unwrap_err(), EvidenceError::DebugMode { index: 0 });
            }
            "reject: root is not AWS Nitro Root-G1" => {
                assert_eq!(result.unwrap_err().code(), "root-not-pinned", "{name}");
            }
            other => panic!("{name}: unknown verdict {other:?}"),
        }
    }
}

#[test]
fn real_documents_are_refused_by_todays_clock() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = UnixTime::from_secs(now.as_secs());
    for vector in vectors().into_iter().filter(Vector::accepted) {
        let error = verify(&vector.document, &TrustAnchor::aws_nitro(), now).unwrap_err();
        assert!(
            matches!(
                error,
                EvidenceError::Certificate {
                    source: CertificateFault::Expired { .. },
                    ..
                }
            ),
            "{}: {error:?}",
            vector.name()
        );
    }
}

#[test]
fn real_documents_are_refused_under_the_development_root() {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let anchor = TrustAnchor::development(allowed);
    for vector in vectors() {
        let error = verify(&vector.document, &anchor, vector.at()).unwrap_err();
        assert_eq!(error.code(), "root-not-pinned", "{}", vector.name());
    }
}

#[test]
fn real_documents_are_refused_with_a_byte_changed_anywhere() {
    // A prime step, so that over the documents every kind of field is hit.
    const STEP: usize = 37;
    for (offset, vector) in vectors().into_iter().filter(Vector::accepted).enumerate() {
        for position in (offset..vector.document.len()).step_by(STEP) {
            let mut document = vector.document.clone();
            *document.get_mut(position).unwrap() ^= 1;
            assert!(
                verify(&document, &TrustAnchor::aws_nitro(), vector.at()).is_err(),
                "{} at byte {position}",
                vector.name()
            );
        }
    }
}
