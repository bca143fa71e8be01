//! Addresses of vaults that the wallet has met: never to be paid to.

use bitcoin::ScriptBuf;

use super::files::read_json;
use super::{Home, HomeError, VAULTS};

impl Home {
    /// The scripts of vaults that are remembered.
    pub fn vaults(&self) -> Result<Vec<ScriptBuf>, HomeError> {
        let path = self.path().join(VAULTS);
        if path.exists() {
            read_json(&path)
        } else {
            Ok(Vec::new())
        }
    }

    /// Remembers one more.
    pub fn remember_vault(&self, vault: ScriptBuf) -> Result<(), HomeError> {
        let mut vaults = self.vaults()?;
        if vaults.contains(&vault) {
            return Ok(());
        }
        vaults.push(vault);
        self.write_json(VAULTS, &vaults)
    }
}
