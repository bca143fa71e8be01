//! The bytes of request and answer: CBOR with the field names of `charms-client` 15.0.0.

use std::collections::BTreeMap;
use std::io::Cursor;

use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use charms_data::{App, B32, Data};
use grail_spell::{EnvelopeError, NormalizedSpell, without_witnesses};
use serde::{Deserialize, Serialize};

use super::layout::AnswerError;
use super::transport::sanitised;
use crate::port::{ProveRequest, ProverError};

/// Rate that the server is told to make its transaction with, in sat/vB. With none its change is
/// exactly what inputs exceed outputs by, whatever the length of the proof; at any other rate it is
/// off by the fee of as many bytes as the proof's encoding happens to be long, and its guess of 65
/// weight units for a signature does not fit a quorum's witness. Nothing of it is kept.
const FEE_RATE: f64 = 0.0;

#[derive(Serialize)]
struct Request<'a> {
    spell: &'a NormalizedSpell,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    app_private_inputs: &'a BTreeMap<App, Data>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    binaries: &'a BTreeMap<B32, Vec<u8>>,
    prev_txs: Vec<Tx>,
    change_address: &'a str,
    fee_rate: f64,
    chain: &'static str,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tx {
    Bitcoin(String),
}

/// The request's body. Previous transactions go without their witnesses, which their ids do not
/// commit to.
pub(super) fn encode(request: &ProveRequest, change_address: &str) -> Result<Vec<u8>, ProverError> {
    let request = Request {
        spell: &request.spell,
        app_private_inputs: &request.app_private_inputs,
        binaries: &request.app_binaries,
        prev_txs: request
            .prev_txs
            .iter()
            .map(|tx| Tx::Bitcoin(serialize_hex(&without_witnesses(tx))))
            .collect(),
        change_address,
        fee_rate: FEE_RATE,
        chain: "bitcoin",
    };
    let mut body = Vec::new();
    ciborium::into_writer(&request, &mut body)
        .map_err(|error| EnvelopeError::Cbor(error.to_string()))?;
    Ok(body)
}

/// The one Bitcoin transaction of an answer. `answer` is of bounded length.
pub(super) fn decode(answer: &[u8]) -> Result<Transaction, AnswerError> {
    let unreadable = |reason: String| AnswerError::Unreadable { reason };
    let mut reader = Cursor::new(answer);
    let mut txs: Vec<Tx> = ciborium::from_reader(&mut reader)
        .map_err(|error| unreadable(sanitised(&error.to_string())))?;
    if reader.position() != answer.len() as u64 {
        return Err(unreadable("bytes after the list".to_owned()));
    }
    let count = txs.len();
    match (txs.pop(), count) {
        (Some(Tx::Bitcoin(hex)), 1) => {
            deserialize_hex(&hex).map_err(|error| unreadable(error.to_string()))
        }
        _ => Err(AnswerError::Count { got: count }),
    }
}
