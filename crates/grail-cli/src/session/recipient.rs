//! Who is paid: an address of the network, that somebody can spend from, and not the bridge's own.
//!
//! What is sent to a vault's address without a request is nobody's: operators sign no payment of
//! it. Vaults are remembered by their rosters, so that no foreign word makes a stranger's address
//! one: an address follows from a roster, and cannot be chosen.

use bitcoin::{Script, ScriptBuf};
use grail_wallet::amount::parse_address;
use grail_wallet::roster::{checked_roster, vault_of};

use super::Session;
use crate::failure::Failure;
use crate::progress::Quiet;

impl Session {
    /// Whom an address pays. Asks the API, where one is named, which vault is in use.
    pub fn recipient(&mut self, address: &str) -> Result<ScriptBuf, Failure> {
        let script = self.recipient_offline(address)?;
        // Every vault is a taproot output. An API that is away leaves what is remembered.
        if script.is_p2tr()
            && !self.wallet.is_mine(&script)
            && self.pinned_protocol().is_some()
            && let Ok(client) = self.api()
            && let Ok(answer) = client.roster()
            && let Ok(protocol) = self.protocol_of_now(&mut Quiet)
        {
            if let Ok(roster) = checked_roster(&answer, &protocol) {
                self.remember_vault(&vault_of(&roster, &protocol));
            }
            refuse_vault(address, &script, self.home.vaults()?)?;
        }
        Ok(script)
    }

    /// The same by what is known here. Asks nobody.
    pub fn recipient_offline(&self, address: &str) -> Result<ScriptBuf, Failure> {
        let script = parse_address(address, self.network())?;
        if script.is_p2tr() {
            let receipts = self.home.receipts()?.receipts;
            // Without a protocol nobody says who the administrators are.
            let of_receipts = receipts.iter().flat_map(|(_, receipt)| {
                let known = self.known_protocols();
                known.map(move |protocol| vault_of(receipt.roster(), protocol))
            });
            refuse_vault(
                address,
                &script,
                self.home.vaults()?.into_iter().chain(of_receipts),
            )?;
        }
        Ok(script)
    }

    /// Remembers a vault, so that it is known when nobody can be asked. A folder that
    /// cannot be written now only forgets it.
    pub fn remember_vault(&self, vault: &Script) {
        let _forgotten = self.home.remember_vault(vault.to_owned());
    }
}

fn refuse_vault(
    address: &str,
    script: &Script,
    vaults: impl IntoIterator<Item = ScriptBuf>,
) -> Result<(), Failure> {
    if vaults.into_iter().all(|vault| *vault != *script) {
        return Ok(());
    }
    Err(Failure::new(
        "vault-address",
        format!(
            "{address} is the bridge's own address, and what is sent there is lost: `grail peg-in` and `grail peg-out` \
             pay to an address of their own"
        ),
    ))
}
