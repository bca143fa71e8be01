//! The name of what is to be proven: the same request has the same name, in any process and after
//! any restart.

use bitcoin::consensus::encode;
use grail_prover::ProveRequest;
use grail_types::TaggedHasher;

/// The spell or the private inputs do not encode.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode what is to be proven: {0}")]
pub struct EncodeError(String);

/// Hash of all that a prover is given. Everything in it is in order by itself but the previous
/// transactions, which come in the order of the draft.
pub fn request_hash(request: &ProveRequest) -> Result<[u8; 32], EncodeError> {
    // All fields, so that a new one cannot be forgotten.
    let ProveRequest {
        spell,
        prev_txs,
        app_binaries,
        app_private_inputs,
    } = request;
    let mut hasher = TaggedHasher::new("grail/prove-request/v1")
        .bytes(&cbor(spell)?)
        .u64(prev_txs.len() as u64);
    for transaction in prev_txs {
        hasher = hasher.bytes(&encode::serialize(transaction));
    }
    hasher = hasher.u64(app_binaries.len() as u64);
    for (vk, wasm) in app_binaries {
        hasher = hasher.bytes(&vk.0).bytes(wasm);
    }
    Ok(hasher.bytes(&cbor(app_private_inputs)?).finish())
}

fn cbor(value: &impl serde::Serialize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| EncodeError(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use bitcoin::{Transaction, absolute::LockTime, transaction::Version};
    use charms_data::{App, B32, Data};
    use grail_spell::NormalizedSpell;

    use super::*;

    fn request() -> ProveRequest {
        ProveRequest {
            spell: NormalizedSpell::default(),
            prev_txs: Vec::new(),
            app_binaries: BTreeMap::new(),
            app_private_inputs: BTreeMap::new(),
        }
    }

    fn transaction(locked: u32) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(locked),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    #[test]
    fn a_request_has_one_name_and_any_change_another() {
        let mut requests = vec![request(); 8];
        requests[1].spell.version = 1;
        requests[2].spell.mock = true;
        requests[3].prev_txs = vec![transaction(1)];
        requests[4].prev_txs = vec![transaction(2)];
        requests[5].app_binaries = [(B32([1; 32]), vec![1])].into();
        requests[6].app_binaries = [(B32([1; 32]), vec![2])].into();
        let app = App {
            tag: 'n',
            identity: B32([1; 32]),
            vk: B32([2; 32]),
        };
        requests[7].app_private_inputs = [(app, Data::from(&1_u64))].into();
        let names: BTreeSet<_> = requests
            .iter()
            .map(|request| request_hash(request).unwrap())
            .collect();
        assert_eq!(names.len(), requests.len());
        assert_eq!(
            request_hash(&requests[7]).unwrap(),
            request_hash(&requests[7].clone()).unwrap()
        );
    }
}
