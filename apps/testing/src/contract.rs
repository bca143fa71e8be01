//! Both judges of a spell.

use std::{collections::BTreeMap, sync::LazyLock};

use charms_app_runner::AppRunner;
use charms_data::{App, B32, Data};

use crate::spell::{Spell, encoded};

static RUNNER: LazyLock<AppRunner> = LazyLock::new(|| AppRunner::new(true));

/// A contract: native code, and the program that proofs run.
#[derive(Clone, Copy)]
pub struct Contract {
    /// The rules.
    pub native: fn(&[u8]) -> Result<(), String>,
    /// Their build.
    pub wasm: &'static [u8],
}

/// Which app refused, with which code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The app's tag.
    pub tag: char,
    /// Its code.
    pub code: String,
}

impl Contract {
    /// Hash of the program: `vk` of its apps.
    pub fn vk(&self) -> [u8; 32] {
        RUNNER.vk(self.wasm).0
    }

    /// Judges each app of this program that the spell lists, natively; and what Charms asks of
    /// every spell: that each charm's app is listed.
    pub fn judge(&self, spell: &Spell) -> Result<(), Refusal> {
        self.each(spell, |bytes, _, _, _| (self.native)(bytes))
    }

    /// The same by native code and wasm, which must agree. Answers with the fuel of all runs.
    pub fn judge_both(&self, spell: &Spell) -> Result<u64, Refusal> {
        let mut fuel = 0;
        self.each(spell, |bytes, app, x, w| {
            let native = (self.native)(bytes);
            let wasm = self.run(spell, app, x, w);
            assert_eq!(
                native.is_ok(),
                wasm.is_ok(),
                "native code says {native:?}, the committed wasm {wasm:?}: build it with `cargo xtask contracts`"
            );
            fuel += wasm.unwrap_or(0);
            native
        })?;
        Ok(fuel)
    }

    fn run(&self, spell: &Spell, app: &App, x: &Data, w: &Data) -> Result<u64, String> {
        let none = BTreeMap::new();
        RUNNER
            .run(self.wasm, app, &spell.tx, x, w, &none, &BTreeMap::new())
            .map_err(|error| error.to_string())
    }

    fn each(
        &self,
        spell: &Spell,
        mut judge: impl FnMut(&[u8], &App, &Data, &Data) -> Result<(), String>,
    ) -> Result<(), Refusal> {
        let tx = &spell.tx;
        let spent = tx.ins.iter().map(|(_, charms)| charms);
        for app in spent.chain(&tx.outs).flat_map(BTreeMap::keys) {
            if !tx.app_public_inputs.contains_key(app) {
                let code = "not-listed".into();
                return Err(Refusal { tag: app.tag, code });
            }
        }
        let vk = B32(self.vk());
        let own = tx.app_public_inputs.iter().filter(|(app, _)| app.vk == vk);
        for (app, x) in own {
            let w = spell.private.get(app).cloned().unwrap_or_default();
            let bytes = encoded(app, tx, x, &w);
            judge(&bytes, app, x, &w).map_err(|code| Refusal { tag: app.tag, code })?;
        }
        Ok(())
    }
}
