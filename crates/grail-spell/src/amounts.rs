//! What an output carries of any app, as far as whoever signs has to know it.

use std::collections::BTreeMap;

use charms_data::{App, B32};
use grail_types::CharmApp;

use crate::read::VerifiedSpell;
use crate::spell::PROTOCOL_VERSION;

/// Most charms of one output that are looked at. No app needs so many; with thousands on each of
/// many outputs, a spell of some hundred thousand bytes would need a hundred times its memory.
pub const CHARMS_MAX: usize = 64;

/// The charms of an output by app: an amount, or `None` where a charm is something else.
pub type CharmAmounts = BTreeMap<App, Option<u64>>;

/// An app as Charms writes it.
pub fn charms_app(app: &CharmApp) -> App {
    App {
        tag: app.tag,
        identity: B32(app.identity),
        vk: B32(app.vk),
    }
}

/// The same back.
pub fn charm_app(app: &App) -> CharmApp {
    CharmApp {
        tag: app.tag,
        identity: app.identity.0,
        vk: app.vk.0,
    }
}

impl VerifiedSpell {
    /// The charms of output `vout`, where contracts of today are shown them. `None` if they may not
    /// be spent here or what they are is not known: an output that is beamed away, a later version,
    /// more charms than [`CHARMS_MAX`]; and charms of a version before this one, or of an app under
    /// a signing key, which no contract of a zk-app believes.
    pub(crate) fn amounts_at(&self, vout: u32) -> Option<CharmAmounts> {
        let spell = self.spell();
        if spell.version > PROTOCOL_VERSION || self.is_beamed_at(vout) {
            return None;
        }
        if spell.charms_in_place(vout).nth(CHARMS_MAX).is_some() {
            return None;
        }
        let is_believed = |app: &App| {
            spell.version == PROTOCOL_VERSION && !spell.versioned_apps.contains_key(&app.vk)
        };
        spell
            .charms_in_place(vout)
            .map(|(app, data)| is_believed(app).then(|| (app.clone(), data.value().ok())))
            .collect()
    }
}
