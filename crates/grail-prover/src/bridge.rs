//! The bridge's own spells, as every prover has to be asked for them.

use std::collections::BTreeMap;

use bitcoin::Transaction;
use charms_data::B32;
use grail_spell::{NormalizedSpell, without_witnesses};
use sha2::{Digest as _, Sha256};

use crate::port::ProveRequest;

/// The committed build of the bridge's contract. A bridge that was deployed with another build has
/// another `vk`: compare it with the hash of this before use.
pub const BRIDGE_WASM: &[u8] = include_bytes!("../../../contracts/bridge.wasm");

impl ProveRequest {
    /// A spell of the bridge, whose contract `wasm` is: it runs for every one of them, and refuses
    /// to be shown a witness.
    pub fn of_bridge<'a>(
        spell: NormalizedSpell,
        previous: impl IntoIterator<Item = &'a Transaction>,
        wasm: Vec<u8>,
    ) -> Self {
        Self {
            spell,
            prev_txs: previous.into_iter().map(without_witnesses).collect(),
            app_binaries: [(B32(Sha256::digest(&wasm).into()), wasm)].into(),
            app_private_inputs: BTreeMap::new(),
        }
    }
}
