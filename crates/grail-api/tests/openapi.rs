//! The committed `OpenAPI` document is the code's, and its schemas of domain types are true.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(grail_api::openapi()).unwrap()
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_committed_document_is_current() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/openapi.json");
    let committed: Value =
        serde_json::from_str(&std::fs::read_to_string(committed).unwrap()).unwrap();
    assert!(
        committed == document(),
        "docs/api/openapi.json is old: cargo run -p grail-api --bin grail-openapi > docs/api/openapi.json"
    );
}

#[test]
fn schemas_of_domain_types_have_exactly_their_fields() {
    let document = document();
    let bridge = serde_json::to_value(common::bridge()).unwrap();
    let images = serde_json::to_value(common::images()).unwrap();
    let image = images["images"][0].clone();
    let examples = [
        ("Params", serde_json::to_value(common::params()).unwrap()),
        ("Bridge", bridge.clone()),
        ("BridgeApp", bridge["app"].clone()),
        ("Images", images.clone()),
        ("Image", image.clone()),
        ("Measurement", image["measurement"].clone()),
        ("Terms", serde_json::to_value(common::terms()).unwrap()),
        ("Roster", serde_json::to_value(common::roster()).unwrap()),
    ];
    for (name, example) in examples {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(names(&schema["properties"]), names(&example), "{name}");
        let required: BTreeSet<String> =
            serde_json::from_value(schema["required"].clone()).unwrap();
        assert_eq!(required, names(&example), "{name}");
    }
}

#[test]
fn closed_lists_have_the_names_that_are_on_the_wire() {
    use grail_api::{
        HoldingRoster, Kind, ProvingState, ReclaimCode, RequestState, RotationStage, ServingState,
        SettlementState, SignerOutcome, StatusCode,
    };
    fn json<T: serde::Serialize>(values: &[T]) -> Value {
        serde_json::to_value(values).unwrap()
    }
    let document = document();
    for (name, values) in [
        ("Kind", json(Kind::ALL)),
        ("RequestState", json(RequestState::ALL)),
        ("ReclaimCode", json(ReclaimCode::ALL)),
        ("SettlementState", json(SettlementState::ALL)),
        ("SignerOutcome", json(SignerOutcome::ALL)),
        ("ProvingState", json(ProvingState::ALL)),
        ("ServingState", json(ServingState::ALL)),
        ("StatusCode", json(StatusCode::ALL)),
        ("RotationStage", json(RotationStage::ALL)),
        ("HoldingRoster", json(HoldingRoster::ALL)),
    ] {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["enum"], values, "{name}");
        assert_eq!(schema["type"], "string", "{name}");
    }
}

#[test]
fn every_route_is_described() {
    let expected = [
        "/healthz",
        "/livez",
        "/openapi.json",
        "/readyz",
        "/v1/events",
        "/v1/params",
        "/v1/peg-ins",
        "/v1/peg-ins/{id}",
        "/v1/peg-outs",
        "/v1/peg-outs/{id}",
        "/v1/proofs",
        "/v1/receipts",
        "/v1/requests",
        "/v1/reserves",
        "/v1/roster",
        "/v1/rosters",
        "/v1/rosters/{epoch}",
        "/v1/rotations",
        "/v1/rotations/events",
        "/v1/settlements",
        "/v1/settlements/{txid}",
        "/v1/sponsors",
        "/v1/sponsors/{id}",
        "/v1/status",
    ];
    assert_eq!(
        names(&document()["paths"]),
        expected.iter().map(ToString::to_string).collect()
    );
}

#[test]
fn no_reference_dangles() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match (key.as_str(), value) {
                        ("$ref", Value::String(target)) => {
                            found.insert(target.clone());
                        }
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => (),
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}
