//! The spell's wire form: the same CBOR as the `NormalizedSpell` of `charms-client` 15.0.0.
//!
//! Owned here, rather than imported, because that crate would bring hundreds of others into the
//! enclave. The separate workspace `judges/spells` compares both on every vector. Field order,
//! names and the rules for absent fields are protocol: the proof commits to these bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Transaction};
use charms_data::{App, B32, Charms, Data, NativeOutput, TxId, UtxoId, VersionedApp};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// The protocol version that Grail produces.
pub const PROTOCOL_VERSION: u32 = 15;

/// Since this version the spell binds every input; before, the last one (funding) was left out.
const ALL_INPUTS_COMMITTED_SINCE_VERSION: u32 = 10;
/// Since this version the spell binds amounts and scripts of the outputs that it speaks of.
const COINS_COMMITTED_SINCE_VERSION: u32 = 8;

/// The charms of one output: index of the app in the sorted apps of the spell -> the charm's data.
pub type NormalizedCharms = BTreeMap<u32, Data>;

/// Bytes of a spell's proof, as carried next to the spell.
pub type Proof = Vec<u8>;

/// What the spell says of the transaction that carries it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NormalizedTransaction {
    /// Outputs spent, in the order of the transaction's inputs. Absent on the wire, present in the
    /// proving form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ins: Option<Vec<UtxoId>>,
    /// Outputs read but not spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refs: Option<Vec<UtxoId>>,
    /// Charms of the first outputs of the transaction, by index.
    pub outs: Vec<NormalizedCharms>,
    /// Outputs whose charms move to another chain: index -> hash of the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beamed_outs: Option<BTreeMap<u32, B32>>,
    /// Amounts and scripts of the outputs in `outs`. Absent on the wire, present in the proving
    /// form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coins: Option<Vec<NativeOutput>>,
    /// Outputs that must pay to a script managed by the Charms project's "scrolls" service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrolls: Option<BTreeSet<u32>>,
}

/// A spell: which charms a transaction creates, under which apps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalizedSpell {
    /// Version of the Charms protocol.
    pub version: u32,
    /// What it says of the transaction.
    pub tx: NormalizedTransaction,
    /// Every app of the transaction and its public input. Must come sorted by app.
    #[serde(deserialize_with = "sorted_apps")]
    pub app_public_inputs: BTreeMap<App, Data>,
    /// For apps whose `vk` is the hash of a signing key: the version and wasm that this spell
    /// binds them to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub versioned_apps: BTreeMap<B32, VersionedApp>,
    /// The proof is a mock: it proves nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub mock: bool,
}

impl Default for NormalizedSpell {
    fn default() -> Self {
        Self {
            version: PROTOCOL_VERSION,
            tx: NormalizedTransaction::default(),
            app_public_inputs: BTreeMap::new(),
            versioned_apps: BTreeMap::new(),
            mock: false,
        }
    }
}

/// Why a spell does not fit the transaction that carries it, or itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpellShapeError {
    /// The wire form names its inputs; it must inherit them from the transaction.
    #[error("the spell lists inputs, expected it to inherit them from the transaction")]
    InputsPresent,
    /// More charm outputs than outputs.
    #[error("the spell speaks of {spell} outputs, the transaction has {transaction}")]
    TooManyOutputs {
        /// Outputs in the spell.
        spell: usize,
        /// Outputs in the transaction.
        transaction: usize,
    },
    /// A charm points past the list of apps.
    #[error(
        "output {output_index} carries a charm of app {app_index}, the spell has {app_count} apps"
    )]
    AppIndex {
        /// The output.
        output_index: usize,
        /// The index that it names.
        app_index: u32,
        /// How many there are.
        app_count: usize,
    },
}

impl NormalizedSpell {
    /// Position of `app` in the sorted list of the spell's apps.
    pub fn app_index(&self, app: &App) -> Option<u32> {
        self.app_public_inputs
            .keys()
            .position(|listed| listed == app)
            .and_then(|index| u32::try_from(index).ok())
    }

    /// The spell as it goes into a transaction: without inputs and coins, which the transaction
    /// itself has.
    #[must_use]
    pub fn to_wire(&self) -> Self {
        let mut wire = self.clone();
        wire.tx.ins = None;
        wire.tx.coins = None;
        wire
    }

    /// The spell in its proving form: with the inputs and coins of the transaction that carries it,
    /// as far as this version of the protocol commits to them.
    pub fn committed_to(mut self, tx: &Transaction) -> Result<Self, SpellShapeError> {
        if self.tx.ins.is_some() {
            return Err(SpellShapeError::InputsPresent);
        }
        if self.tx.outs.len() > tx.output.len() {
            return Err(SpellShapeError::TooManyOutputs {
                spell: self.tx.outs.len(),
                transaction: tx.output.len(),
            });
        }
        let mut ins: Vec<UtxoId> = tx
            .input
            .iter()
            .map(|input| utxo_id_from_outpoint(input.previous_output))
            .collect();
        if self.version < ALL_INPUTS_COMMITTED_SINCE_VERSION {
            ins.pop();
        }
        self.tx.ins = Some(ins);
        // Before, a spell may bring coins of its own and the proof binds those: they are left as
        // they came.
        if self.version >= COINS_COMMITTED_SINCE_VERSION {
            let coins = tx
                .output
                .iter()
                .take(self.tx.outs.len())
                .map(native_output)
                .collect();
            self.tx.coins = Some(coins);
        }
        Ok(self)
    }

    /// Every charm must belong to an app that the spell lists.
    pub fn check_app_indexes(&self) -> Result<(), SpellShapeError> {
        let app_count = self.app_public_inputs.len();
        for (output_index, charms) in self.tx.outs.iter().enumerate() {
            for &app_index in charms.keys() {
                if usize::try_from(app_index).map_or(true, |index| index >= app_count) {
                    return Err(SpellShapeError::AppIndex {
                        output_index,
                        app_index,
                        app_count,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether output `vout` is beamed to another chain.
    pub(crate) fn is_beamed_at(&self, vout: u32) -> bool {
        self.tx
            .beamed_outs
            .as_ref()
            .is_some_and(|beamed| beamed.contains_key(&vout))
    }

    /// The charms of output `vout`, by app; none where the spell does not speak of that output.
    pub fn charms_at(&self, vout: u32) -> Charms {
        self.charms_in_place(vout)
            .map(|(app, data)| (app.clone(), data.clone()))
            .collect()
    }

    /// The same without a copy: what an output carries may need a hundred times its bytes.
    pub(crate) fn charms_in_place(&self, vout: u32) -> impl Iterator<Item = (&App, &Data)> {
        let charms = usize::try_from(vout)
            .ok()
            .and_then(|index| self.tx.outs.get(index));
        let apps: Vec<&App> = self.app_public_inputs.keys().collect();
        charms
            .into_iter()
            .flatten()
            .filter_map(move |(&index, data)| {
                let app = apps.get(usize::try_from(index).ok()?)?;
                Some((*app, data))
            })
    }
}

/// A transaction output as Charms sees it.
pub(crate) fn native_output(output: &bitcoin::TxOut) -> NativeOutput {
    NativeOutput {
        amount: output.value.to_sat(),
        dest: output.script_pubkey.to_bytes(),
        content: None,
    }
}

/// Bitcoin's outpoint as a Charms UTXO id.
pub fn utxo_id_from_outpoint(outpoint: OutPoint) -> UtxoId {
    UtxoId(TxId(outpoint.txid.to_byte_array()), outpoint.vout)
}

/// Reads a map of apps and refuses one that is not strictly ascending: charms refer to apps by
/// position.
fn sorted_apps<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<App, Data>, D::Error> {
    struct SortedApps;

    impl<'de> Visitor<'de> for SortedApps {
        type Value = BTreeMap<App, Data>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map of apps in ascending order")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut apps = BTreeMap::new();
            while let Some((app, input)) = map.next_entry::<App, Data>()? {
                if apps.last_key_value().is_some_and(|(last, _)| app <= *last) {
                    return Err(A::Error::custom(format_args!("app {app} is out of order")));
                }
                apps.insert(app, input);
            }
            Ok(apps)
        }
    }

    deserializer.deserialize_map(SortedApps)
}
