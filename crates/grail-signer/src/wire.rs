//! Bytes of messages: CBOR, bounded, nothing behind the end, unknown fields refused.

use bitcoin::{Transaction, consensus};
use grail_policy::Proposal;
use grail_types::{ParamsHash, TaggedHasher, Terms};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use crate::{
    answer::{Answer, ProposalId},
    message::{Request, Response},
};

/// Most bytes of one message: a proposal's previous transactions are bounded at 12 MiB, the rest is small.
pub const MESSAGE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Nesting that no honest message reaches; bounds the decoder's stack.
const DEPTH_MAX: usize = 32;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Above [`MESSAGE_MAX_BYTES`].
    #[error("expected at most {MESSAGE_MAX_BYTES} bytes, got {0}")]
    TooLarge(usize),
    /// Not the CBOR of such a message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Bytes behind the message.
    #[error("{0} bytes behind the message")]
    Trailing(usize),
}

/// A proposal as it travels; transactions in Bitcoin's own encoding.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProposal {
    params_hash: ParamsHash,
    transaction: ByteBuf,
    previous: Vec<ByteBuf>,
    requests: Vec<Terms>,
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if bytes.len() > MESSAGE_MAX_BYTES {
        return Err(WireError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > MESSAGE_MAX_BYTES {
        return Err(WireError::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(WireError::Trailing(rest.len()))
    }
}

/// Encodes a request to an enclave.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, WireError> {
    encode(request)
}

/// Decodes a request to an enclave.
pub fn decode_request(bytes: &[u8]) -> Result<Request, WireError> {
    decode(bytes)
}

/// Encodes an enclave's response.
pub fn encode_response(response: &Response) -> Result<Vec<u8>, WireError> {
    encode(response)
}

/// Decodes an enclave's response.
pub fn decode_response(bytes: &[u8]) -> Result<Response, WireError> {
    decode(bytes)
}

/// Encodes an answer, as a host passes it on.
pub fn encode_answer(answer: &Answer) -> Result<Vec<u8>, WireError> {
    encode(answer)
}

/// Decodes an answer.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, WireError> {
    decode(bytes)
}

/// Encodes a proposal. Operators are asked with these bytes and the proposal is named by their hash.
pub fn encode_proposal(proposal: &Proposal) -> Result<Vec<u8>, WireError> {
    encode(&WireProposal {
        params_hash: proposal.params_hash,
        transaction: ByteBuf::from(consensus::serialize(&proposal.transaction)),
        previous: proposal
            .previous
            .iter()
            .map(|tx| ByteBuf::from(consensus::serialize(tx)))
            .collect(),
        requests: proposal.requests.clone(),
    })
}

/// Decodes a proposal.
pub fn decode_proposal(bytes: &[u8]) -> Result<Proposal, WireError> {
    let wire: WireProposal = decode(bytes)?;
    let transaction = |bytes: &ByteBuf| {
        consensus::deserialize::<Transaction>(bytes)
            .map_err(|error| WireError::Malformed(error.to_string()))
    };
    Ok(Proposal {
        params_hash: wire.params_hash,
        transaction: transaction(&wire.transaction)?,
        previous: wire
            .previous
            .iter()
            .map(transaction)
            .collect::<Result<_, _>>()?,
        requests: wire.requests,
    })
}

/// The name of an encoded proposal.
pub fn proposal_id(encoded: &[u8]) -> ProposalId {
    ProposalId(
        TaggedHasher::new("grail/proposal/v1")
            .bytes(encoded)
            .finish(),
    )
}
