//! What a spell that Grail writes and signs may hold, of what a spell can.
//!
//! Looks at the decoded spell. That it was written in the one way in which it encodes again is the
//! strict reading's own check, so what is refused here is what Charms knows and Grail never uses,
//! and what has no meaning that two readers must agree on. `grail-charms` has the whole grammar,
//! and says of a payload to the byte where it leaves it.

use std::collections::BTreeSet;

use charms_data::Data;
use ciborium::Value;
use thiserror::Error;

use crate::spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, PROTOCOL_VERSION};

/// How deep a payload's arrays and maps may nest, its own array counted. A roster's state on an
/// output ends at six; the rest is room for data of other apps. (The decoder goes to 256.)
pub const DEPTH_MAX: usize = 16;

/// Levels around a charm: pair, spell, `tx`, `outs` and the charms of its output.
const CHARM_DEPTH: usize = 5;
/// Levels around a public input: pair, spell and `app_public_inputs`.
const INPUT_DEPTH: usize = 3;

/// What a spell holds that a Grail spell never does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContentError {
    /// A spell of another protocol version.
    #[error("expected a spell of version {PROTOCOL_VERSION}, got {got}")]
    Version {
        /// Its version.
        got: u32,
    },
    /// A field that Charms knows and that no Grail spell has.
    #[error("the spell uses {feature}, which a Grail spell never does")]
    Feature {
        /// The field.
        feature: &'static str,
    },
    /// Data of an app that is not plain: arrays, maps with each key once, strings, integers,
    /// `false`, `true` and `null`.
    #[error("the data of an app holds {0}")]
    Data(&'static str),
}

/// Checks the content of a spell that is about to be signed.
pub(crate) fn check(spell: &NormalizedSpell) -> Result<(), ContentError> {
    // Destructured, so that a new field cannot be forgotten here.
    let NormalizedSpell {
        version,
        tx,
        app_public_inputs,
        versioned_apps,
        mock: _,
    } = spell;
    let NormalizedTransaction {
        ins,
        refs,
        outs,
        beamed_outs,
        coins,
        scrolls,
    } = tx;
    if *version != PROTOCOL_VERSION {
        return Err(ContentError::Version { got: *version });
    }
    let used = [
        ("tx.ins", ins.is_some()),
        ("tx.refs", refs.is_some()),
        ("tx.beamed_outs", beamed_outs.is_some()),
        ("tx.coins", coins.is_some()),
        ("tx.scrolls", scrolls.is_some()),
        ("versioned_apps", !versioned_apps.is_empty()),
    ];
    if let Some((feature, _)) = used.into_iter().find(|(_, is_used)| *is_used) {
        return Err(ContentError::Feature { feature });
    }
    let charms = outs.iter().flat_map(NormalizedCharms::values);
    charms
        .map(|data| (data, CHARM_DEPTH))
        .chain(app_public_inputs.values().map(|data| (data, INPUT_DEPTH)))
        .try_for_each(|(data, depth)| check_data(data, depth))
}

/// Checks data that lies `depth` levels deep.
fn check_data(data: &Data, depth: usize) -> Result<(), ContentError> {
    let value: Value = data
        .value()
        .map_err(|_| ContentError::Data("what is no CBOR"))?;
    check_plain(&value, DEPTH_MAX.saturating_sub(depth)).map_err(ContentError::Data)
}

/// Checks a value in which so many levels of arrays and maps may be entered.
fn check_plain(value: &Value, levels: usize) -> Result<(), &'static str> {
    let below = || {
        levels
            .checked_sub(1)
            .ok_or("more levels than a payload may have")
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Bytes(_) | Value::Text(_) => {
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_plain(item, below()?)),
        Value::Map(entries) => {
            let mut keys = BTreeSet::new();
            entries.iter().try_for_each(|(key, value)| {
                let levels = below()?;
                check_plain(key, levels)?;
                check_plain(value, levels)?;
                // Plain values have one encoding, so equal keys are equal bytes.
                if keys.insert(Data::from(key).bytes()) {
                    Ok(())
                } else {
                    Err("a key twice in a map")
                }
            })
        }
        Value::Float(_) => Err("a floating-point number"),
        Value::Tag(..) => Err("a tag"),
        _ => Err("a value of an unknown kind"),
    }
}
