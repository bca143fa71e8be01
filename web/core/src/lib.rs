//! What the page believes, computed in a browser.
//!
//! Owns nothing but the way in and out: the rules are `grail-wallet`'s and `grail-api`'s, the same
//! that the CLI goes by. Trusts no answer of the API. Imports nothing: no network, no clock, no
//! randomness, so that all it can do is to answer (`tests/imports.mjs` holds it to that).
//!
//! A call is a JSON object that names itself in `call`; the answer is `{"ok": ...}` or
//! `{"error": {"code": ..., "detail": ...}}`. Each call is as large as a decision (ADR 40).

#[cfg(target_arch = "wasm32")]
mod abi;
mod ask;
mod believe;
mod call;
mod failure;
mod keys;
mod receipts;
mod reclaim;

use serde::Serialize;
use serde_json::{Map, Value};

use failure::Failure;

/// Longest call that is read: a history of a few hundred rosters with their transactions.
pub const CALL_BYTES_MAX: usize = 8 << 20;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Value),
    Error(Failure),
}

/// Answers a call.
pub fn answer(call: &[u8]) -> Vec<u8> {
    let answer = match answered(call) {
        Ok(value) => Answer::Ok(value),
        Err(failure) => Answer::Error(failure),
    };
    // Of a value that is JSON already.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn answered(call: &[u8]) -> Result<Value, Failure> {
    if call.len() > CALL_BYTES_MAX {
        let detail = format!(
            "expected at most {CALL_BYTES_MAX} bytes, got {}",
            call.len()
        );
        return Err(Failure::new("call-too-long", detail));
    }
    let mut call: Map<String, Value> = serde_json::from_slice(call)
        .map_err(|error| Failure::new("call-malformed", error.to_string()))?;
    match call.remove("call") {
        Some(Value::String(name)) => call::answer(&name, call),
        _ => Err(Failure::new(
            "call-malformed",
            "expected a call that names itself",
        )),
    }
}
