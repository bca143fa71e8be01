//! Whether a spell can be proven: the rules of the Charms spell checker, run natively.
//!
//! The same verdict as `is_correct` of `charms-client` 15.0.0 for every spell on Bitcoin that uses
//! neither beaming, scrolls nor versioned apps; those three are refused with an error of their own,
//! because Grail uses none of them. The separate workspace `judges/spells` compares the two.
//! Stricter on purpose in three points, all of them spells that no transaction could ever carry or
//! that would crash the checker: coins must be those of the spell's outputs, token sums must not
//! overflow, data must be comparable (no floating-point NaN).

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bitcoin::hashes::Hash as _;
use charms_app_runner::AppRunner;
use charms_data::{App, B32, Data, SCROLL, TOKEN, Transaction, TxId, UtxoId, is_simple_transfer};
use grail_charms::PrevTx;
use grail_spell::{NormalizedSpell, PROTOCOL_VERSION, SpellShapeError};
use grail_types::MockAllowed;
use thiserror::Error;

use crate::port::ProveRequest;
use crate::view::charms_transaction;

/// Deepest nesting of data that is looked into; `ciborium` reads no deeper.
const DATA_DEPTH_MAX: usize = 256;

/// Why a spell cannot be proven.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// A part of the protocol that Grail does not use.
    #[error("spells with {feature} are not supported")]
    Unsupported {
        /// Which part.
        feature: &'static str,
    },
    /// Only the current version can be proven.
    #[error("expected a spell of version {PROTOCOL_VERSION}, got {version}")]
    Version {
        /// The version.
        version: u32,
    },
    /// A mock spell without permission.
    #[error("mock spells are not allowed here")]
    MockRefused,
    /// The spell contradicts itself.
    #[error(transparent)]
    Shape(#[from] SpellShapeError),
    /// No inputs in the spell: it is not in its proving form.
    #[error("the spell lists no inputs, expected its proving form")]
    NoInputs,
    /// Coins missing, or not one per output.
    #[error("expected one coin per output of the spell ({outputs}), got {coins:?}")]
    Coins {
        /// Outputs of the spell.
        outputs: usize,
        /// Coins of the spell, if any.
        coins: Option<usize>,
    },
    /// An output carries zero of a token, or no amount at all.
    #[error("output {output_index}: expected a positive amount of {app}")]
    TokenAmount {
        /// The output.
        output_index: usize,
        /// The token.
        app: App,
    },
    /// Amounts of a token that do not add up to 64 bits.
    #[error("amounts of {app} overflow")]
    TokenOverflow {
        /// The token.
        app: App,
    },
    /// Data that cannot be compared.
    #[error("data of {app} contains what is not a number, or nests too deeply")]
    Incomparable {
        /// The app.
        app: App,
    },
    /// An input or reference whose transaction was not given, or does not have that output.
    #[error("{utxo_id:?} is not an output of a given previous transaction")]
    UnknownInput {
        /// What was to be spent or read.
        utxo_id: UtxoId,
    },
    /// Its charms have left for another chain.
    #[error("the charms of {utxo_id:?} were beamed out")]
    BeamedInput {
        /// What was to be spent or read.
        utxo_id: UtxoId,
    },
    /// A previous transaction that no input spends.
    #[error("previous transaction {txid:?} is spent by no input")]
    NeedlessPrevTx {
        /// The transaction.
        txid: TxId,
    },
    /// Charms of an app that the spell does not list: its contract would not run.
    #[error("{utxo_id:?} carries a charm of {app}, which the spell does not list")]
    UnlistedApp {
        /// The input.
        utxo_id: UtxoId,
        /// The app.
        app: App,
    },
    /// An app that was versioned where its charm was made.
    #[error("{utxo_id:?} carries a charm of {app}, which is a versioned app")]
    VersionedInput {
        /// The input.
        utxo_id: UtxoId,
        /// The app.
        app: App,
    },
    /// Two previous spells disagree on the wasm of one version of an app.
    #[error("previous spells disagree on the wasm of version {version} of {vk:?}")]
    VersionConflict {
        /// The app's key.
        vk: B32,
        /// The version.
        version: u32,
    },
    /// Charms do not balance, and no contract was given that could allow it.
    #[error("{app} is not merely transferred, and no app binaries are given")]
    NotATransfer {
        /// The app.
        app: App,
    },
    /// A contract refused, or could not run. The runner does not say more: contracts speak on
    /// standard error.
    #[error("app contract not satisfied: {reason}")]
    Contract {
        /// What the runner said.
        reason: String,
    },
}

impl CheckError {
    /// Stable code for logs, APIs and the UI.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } => "prove-unsupported",
            Self::Version { .. } => "prove-version",
            Self::MockRefused => "prove-mock-refused",
            Self::Shape(_) => "prove-shape",
            Self::NoInputs => "prove-no-inputs",
            Self::Coins { .. } => "prove-coins",
            Self::TokenAmount { .. } => "prove-token-amount",
            Self::TokenOverflow { .. } => "prove-token-overflow",
            Self::Incomparable { .. } => "prove-incomparable",
            Self::UnknownInput { .. } => "prove-unknown-input",
            Self::BeamedInput { .. } => "prove-beamed-input",
            Self::NeedlessPrevTx { .. } => "prove-needless-prev-tx",
            Self::UnlistedApp { .. } => "prove-unlisted-app",
            Self::VersionedInput { .. } => "prove-versioned-input",
            Self::VersionConflict { .. } => "prove-version-conflict",
            Self::NotATransfer { .. } => "prove-not-a-transfer",
            Self::Contract { .. } => "prove-contract",
        }
    }
}

/// A spell passed. Made by [`check`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Checked {
    fuel: u64,
}

impl Checked {
    /// Fuel that the contracts burned.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }
}

/// Checks that the spell of `request` obeys Charms and every contract that it involves.
///
/// Charms of previous transactions count if their spells verify; mock spells do only when this
/// spell is a mock itself, which takes the permission.
pub fn check(request: &ProveRequest, mock: Option<MockAllowed>) -> Result<Checked, CheckError> {
    let spell = &request.spell;
    let mock = match (spell.mock, mock) {
        (false, _) => None,
        (true, Some(allowed)) => Some(allowed),
        (true, None) => return Err(CheckError::MockRefused),
    };
    check_features(spell)?;
    check_outputs(spell)?;
    let prev_txs: BTreeMap<TxId, PrevTx> = request
        .prev_txs
        .iter()
        .map(|tx| {
            let prev = PrevTx::read(tx.clone(), mock);
            (TxId(prev.txid().to_byte_array()), prev)
        })
        .collect();
    check_inputs(spell, &prev_txs)?;
    check_prev_versions(&prev_txs)?;
    let tx = charms_transaction(spell, &prev_txs).ok_or(CheckError::NoInputs)?;
    check_data(spell, &tx)?;
    run_apps(request, &tx)
}

fn check_features(spell: &NormalizedSpell) -> Result<(), CheckError> {
    if spell.version != PROTOCOL_VERSION {
        return Err(CheckError::Version {
            version: spell.version,
        });
    }
    let features = [
        ("beaming", spell.tx.beamed_outs.is_some()),
        ("scrolls", spell.tx.scrolls.is_some()),
        ("versioned apps", !spell.versioned_apps.is_empty()),
    ];
    match features.into_iter().find(|(_, used)| *used) {
        Some((feature, _)) => Err(CheckError::Unsupported { feature }),
        None => Ok(()),
    }
}

fn check_outputs(spell: &NormalizedSpell) -> Result<(), CheckError> {
    spell.check_app_indexes()?;
    let outputs = spell.tx.outs.len();
    let coins = spell.tx.coins.as_ref().map(Vec::len);
    if coins != Some(outputs) {
        return Err(CheckError::Coins { outputs, coins });
    }
    for (output_index, vout) in (0..outputs).zip(0_u32..) {
        for (app, data) in spell.charms_at(vout) {
            match app.tag {
                TOKEN if !data.value::<u64>().is_ok_and(|amount| amount > 0) => {
                    return Err(CheckError::TokenAmount { output_index, app });
                }
                SCROLL => return Err(CheckError::Unsupported { feature: "scrolls" }),
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_inputs(
    spell: &NormalizedSpell,
    prev_txs: &BTreeMap<TxId, PrevTx>,
) -> Result<(), CheckError> {
    let ins = spell.tx.ins.as_ref().ok_or(CheckError::NoInputs)?;
    for utxo_id in ins.iter().chain(spell.tx.refs.iter().flatten()) {
        let prev = prev_txs
            .get(&utxo_id.0)
            .filter(|prev| prev.output(utxo_id.1).is_some())
            .ok_or_else(|| CheckError::UnknownInput {
                utxo_id: utxo_id.clone(),
            })?;
        if prev
            .spell()
            .is_some_and(|prev_spell| prev_spell.is_beamed_at(utxo_id.1))
        {
            return Err(CheckError::BeamedInput {
                utxo_id: utxo_id.clone(),
            });
        }
    }
    let spent: BTreeSet<&TxId> = ins.iter().map(|utxo_id| &utxo_id.0).collect();
    if let Some(txid) = prev_txs.keys().find(|txid| !spent.contains(txid)) {
        return Err(CheckError::NeedlessPrevTx { txid: *txid });
    }
    for utxo_id in ins {
        let Some(prev) = prev_txs.get(&utxo_id.0) else {
            continue;
        };
        for app in prev.charms_at(utxo_id.1).into_keys() {
            if !spell.app_public_inputs.contains_key(&app) {
                return Err(CheckError::UnlistedApp {
                    utxo_id: utxo_id.clone(),
                    app,
                });
            }
            // This spell binds the app to its own hash: what was under a signing key's control must
            // stay there.
            if prev
                .spell()
                .is_some_and(|spell| spell.spell().versioned_apps.contains_key(&app.vk))
            {
                return Err(CheckError::VersionedInput {
                    utxo_id: utxo_id.clone(),
                    app,
                });
            }
        }
    }
    Ok(())
}

/// One version of a versioned app is one wasm, in all previous spells, even those of apps that are
/// not spent here.
fn check_prev_versions(prev_txs: &BTreeMap<TxId, PrevTx>) -> Result<(), CheckError> {
    let mut seen = BTreeMap::new();
    let versioned = prev_txs
        .values()
        .filter_map(PrevTx::spell)
        .flat_map(|spell| &spell.spell().versioned_apps);
    for (vk, app) in versioned {
        let wasm_hash = seen.entry((vk, app.version)).or_insert(&app.wasm_hash);
        if **wasm_hash != app.wasm_hash {
            return Err(CheckError::VersionConflict {
                vk: vk.clone(),
                version: app.version,
            });
        }
    }
    Ok(())
}

/// Refuses what would make the Charms library panic while it compares inputs with outputs.
fn check_data(spell: &NormalizedSpell, tx: &Transaction) -> Result<(), CheckError> {
    for app in spell.app_public_inputs.keys() {
        let ins = || tx.ins.iter().filter_map(|(_, charms)| charms.get(app));
        let outs = || tx.outs.iter().filter_map(|charms| charms.get(app));
        if app.tag == TOKEN && (sum(ins()).is_none() || sum(outs()).is_none()) {
            return Err(CheckError::TokenOverflow { app: app.clone() });
        }
        if !ins().chain(outs()).all(is_comparable) {
            return Err(CheckError::Incomparable { app: app.clone() });
        }
    }
    Ok(())
}

/// The sum of amounts; what is no amount counts nothing, as it makes the app no plain transfer.
/// `None`: overflow.
fn sum<'a>(mut amounts: impl Iterator<Item = &'a Data>) -> Option<u64> {
    amounts.try_fold(0_u64, |sum, data| {
        sum.checked_add(data.value().unwrap_or(0))
    })
}

fn is_comparable(data: &Data) -> bool {
    data.value::<ciborium::Value>()
        .is_ok_and(|value| is_comparable_value(&value, DATA_DEPTH_MAX))
}

fn is_comparable_value(value: &ciborium::Value, depth_left: usize) -> bool {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return false;
    };
    match value {
        ciborium::Value::Float(number) => !number.is_nan(),
        ciborium::Value::Tag(_, inner) => is_comparable_value(inner, depth_left),
        ciborium::Value::Array(items) => items
            .iter()
            .all(|item| is_comparable_value(item, depth_left)),
        ciborium::Value::Map(entries) => entries.iter().all(|(key, value)| {
            is_comparable_value(key, depth_left) && is_comparable_value(value, depth_left)
        }),
        _ => true,
    }
}

/// Without binaries every app must be a plain transfer; with them the runner decides which
/// contracts have to run.
fn run_apps(request: &ProveRequest, tx: &Transaction) -> Result<Checked, CheckError> {
    let apps = &request.spell.app_public_inputs;
    if request.app_binaries.is_empty() {
        return match apps.keys().find(|app| !is_simple_transfer(app, tx)) {
            Some(app) => Err(CheckError::NotATransfer { app: app.clone() }),
            None => Ok(Checked { fuel: 0 }),
        };
    }
    // Counting fuel also bounds it. The runner trusts the wasm's own memory accesses and may panic
    // on hostile ones.
    let fuels = catch_unwind(AssertUnwindSafe(|| {
        AppRunner::new(true).run_all(
            &request.app_binaries,
            &BTreeMap::new(),
            &BTreeMap::new(),
            tx,
            apps,
            &request.app_private_inputs,
            &BTreeSet::new(),
        )
    }))
    .map_err(|_| CheckError::Contract {
        reason: "the runner panicked".to_owned(),
    })?
    .map_err(|error| CheckError::Contract {
        reason: format!("{error:#}"),
    })?;
    Ok(Checked {
        fuel: fuels.into_iter().fold(0, u64::saturating_add),
    })
}
