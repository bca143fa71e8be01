//! A settlement that serves nobody: donations become part of the vault's coin (ADR 30).

use bitcoin::{Amount, Transaction, TxOut};
use grail_bridge_contract::RosterState;

use super::Step;

impl Step<'_> {
    /// Donations that became part of the vault's coin, where that is all that it did: how many, and
    /// what they come to.
    pub(super) fn merged(&self) -> Option<(usize, Amount)> {
        let (before, spent) = (self.before?, self.seen.spent?);
        let moved_on = RosterState {
            serial: self.state.serial,
            ..before.clone()
        };
        let outputs = &self.seen.transaction.output;
        if *self.state != moved_on || outputs.len() != 3 {
            return None;
        }
        let at_vault = |output: &&TxOut| output.script_pubkey.as_bytes() == before.vault_script;
        let coin = |made: &Transaction| made.output.get(1).filter(at_vault).map(|it| it.value);
        let had = self.seen.before.and_then(coin);
        let grown = coin(self.seen.transaction)?.checked_sub(had.unwrap_or(Amount::ZERO))?;
        // NFT and vault's coin lie there too.
        let own = 1_usize.saturating_add(usize::from(had.is_some()));
        let donations = spent.iter().filter(at_vault).count().checked_sub(own)?;
        (donations > 0).then_some((donations, grown))
    }

    pub(super) fn merge(&mut self) {
        let Some((count, amount)) = self.merged() else {
            return;
        };
        let (serial, epoch) = (self.state.serial, self.state.epoch);
        self.because(
            "merge",
            format!(
                "moves {count} donations of {amount} into the vault's coin, serial {serial} of epoch {epoch}: \
                 nobody is served, and as much zkBTC exists as before"
            ),
        );
    }
}
