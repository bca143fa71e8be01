//! The same calls, natively here and in wasm by `web/tests/verdicts.mjs`: both are held against the
//! same answers, byte for byte. `GRAIL_BLESS=1` writes them anew from this side.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Calls, and what they share: `{"shared": {...}, "cases": [{"name", "call", "set"}]}`. A text
/// `$name` in a call stands for a shared value; `set` changes values by JSON pointer (RFC 6901).
const CALLS: &str = "tests/calls.json";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn answers_file() -> PathBuf {
    path(if cfg!(feature = "development") {
        "tests/answers-development.json"
    } else {
        "tests/answers.json"
    })
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn filled(value: &Value, shared: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => filled(&shared[name], shared),
            None => value.clone(),
        },
        Value::Array(list) => list.iter().map(|it| filled(it, shared)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, it)| (key.clone(), filled(it, shared)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn call_of(case: &Value, shared: &Map<String, Value>) -> Value {
    let mut call = filled(&case["call"], shared);
    for change in case["set"].as_array().into_iter().flatten() {
        let place = call.pointer_mut(change[0].as_str().unwrap());
        *place.unwrap_or_else(|| panic!("{}: no {}", case["name"], change[0])) = change[1].clone();
    }
    call
}

#[test]
fn every_call_is_answered_as_it_was() {
    let calls = read(&path(CALLS));
    let shared = calls["shared"].as_object().unwrap();
    let answers: Map<String, Value> = calls["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let call = serde_json::to_vec(&call_of(case, shared)).unwrap();
            let answer = serde_json::from_slice(&grail_web_core::answer(&call)).unwrap();
            (case["name"].as_str().unwrap().to_owned(), answer)
        })
        .collect();
    let answers = Value::from(answers);
    if std::env::var_os("GRAIL_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&answers).unwrap();
        std::fs::write(answers_file(), format!("{text}\n")).unwrap();
    }
    assert_eq!(
        read(&answers_file()),
        answers,
        "to write them anew: GRAIL_BLESS=1"
    );
}

#[test]
fn what_is_no_call_is_told_so() {
    let answer =
        |call: &[u8]| -> Value { serde_json::from_slice(&grail_web_core::answer(call)).unwrap() };
    for call in ["", "[]", "null", "{}", "{\"call\":1}", "\u{0}"] {
        assert_eq!(
            answer(call.as_bytes())["error"]["code"],
            "call-malformed",
            "{call}"
        );
    }
    assert_eq!(
        answer(b"{\"call\":\"no\"}")["error"]["code"],
        "call-unknown"
    );
    let long = vec![b' '; grail_web_core::CALL_BYTES_MAX + 1];
    assert_eq!(answer(&long)["error"]["code"], "call-too-long");
}
