//! A settlement in pieces, to be broken one at a time and proven again.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Transaction, TxOut, Txid};
use charms_data::{App, Data};
use grail_bridge_contract::RosterState;
use grail_spell::{NormalizedCharms, NormalizedSpell, nft_app, token_app};
use grail_txbuild::SettlementPlan;
use grail_types::{Epoch, Governance, Params, Roster, Terms};

use super::{Proposal, World, output, try_prove};

#[derive(Clone, Debug)]
pub struct Draft {
    pub epoch: Epoch,
    pub params: Params,
    pub governance: Governance,
    /// Without the spell's output.
    pub transaction: Transaction,
    /// In wire form.
    pub spell: NormalizedSpell,
    /// Outputs between those that the spell commits to and the spell's own: the prover's fee, if
    /// any.
    pub uncommitted: Vec<TxOut>,
    /// Outputs after the spell's: an honest settlement has none.
    pub after_spell: Vec<TxOut>,
    pub previous: Vec<Transaction>,
    pub requests: Vec<Terms>,
    /// The former roster that is shown.
    pub former: Option<Roster>,
}

impl Draft {
    /// `made`: the transactions behind the deposits.
    pub fn of_plan(world: &World, plan: &SettlementPlan, made: &[Transaction]) -> Self {
        let needed: BTreeSet<Txid> = plan
            .transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        let previous: BTreeMap<Txid, &Transaction> = std::iter::once(&world.genesis)
            .chain(made)
            .map(|made| (made.compute_txid(), made))
            .filter(|(txid, _)| needed.contains(txid))
            .collect();
        Self {
            epoch: world.roster.epoch(),
            params: world.params.clone(),
            governance: world.governance.clone(),
            transaction: plan.transaction.clone(),
            spell: plan.spell.to_wire(),
            uncommitted: Vec::new(),
            after_spell: Vec::new(),
            previous: previous.into_values().cloned().collect(),
            requests: plan.requests.clone(),
            former: plan.former.clone(),
        }
    }

    /// The proposal, its spell proven for the transaction as it is now.
    pub fn propose(&self, world: &World) -> Proposal {
        self.try_propose(world).unwrap()
    }

    /// The same, unless no prover would prove it.
    pub fn try_propose(&self, world: &World) -> Result<Proposal, String> {
        let spell = self.spell.clone().committed_to(&self.transaction);
        let spell = spell.map_err(|error| error.to_string())?;
        let previous: Vec<_> = self.previous.iter().collect();
        let proven = try_prove(world.wasm, spell, &previous).map_err(|error| error.to_string())?;
        let mut transaction = self.transaction.clone();
        transaction.output.extend(self.uncommitted.iter().cloned());
        transaction.output.push(output(0, proven.op_return));
        transaction.output.extend(self.after_spell.iter().cloned());
        let mut previous = self.previous.clone();
        previous.sort_by_key(Transaction::compute_txid);
        Ok(Proposal {
            epoch: self.epoch,
            params: self.params.clone(),
            governance: self.governance.clone(),
            transaction,
            previous,
            requests: self.requests.clone(),
            former: self.former.clone(),
        })
    }

    /// The code of the refusal that the settlement meets as it is now.
    pub fn refusal(&self, world: &World) -> &'static str {
        world.refusal(&self.propose(world))
    }

    /// Sets what output `index` carries of `app`.
    pub fn put_charm(&mut self, index: usize, app: &App, data: Data) {
        if !self.spell.app_public_inputs.contains_key(app) {
            self.list_app(app);
        }
        let app_index = self.spell.app_index(app).unwrap();
        self.spell.tx.outs[index].insert(app_index, data);
    }

    /// Lists a further app; charms refer to apps by position, so all that are there move along.
    pub fn list_app(&mut self, app: &App) {
        let before: Vec<App> = self.spell.app_public_inputs.keys().cloned().collect();
        self.spell
            .app_public_inputs
            .insert(app.clone(), Data::empty());
        let spell = &self.spell;
        let moved = |charms: &NormalizedCharms| {
            charms
                .iter()
                .map(|(index, data)| {
                    let app = &before[*index as usize];
                    (spell.app_index(app).unwrap(), data.clone())
                })
                .collect()
        };
        let outs = spell.tx.outs.iter().map(moved).collect();
        self.spell.tx.outs = outs;
    }

    pub fn set_tokens(&mut self, world: &World, index: usize, amount: u64) {
        self.put_charm(index, &token_app(&world.bridge.app), Data::from(&amount));
    }

    pub fn tokens(&self, world: &World, index: usize) -> Option<u64> {
        let app_index = self.spell.app_index(&token_app(&world.bridge.app))?;
        self.spell.tx.outs[index].get(&app_index)?.value().ok()
    }

    pub fn set_state(&mut self, world: &World, state: &RosterState) {
        self.put_charm(0, &nft_app(&world.bridge.app), state.to_data());
    }

    /// What output 0 says of the roster, if it does.
    pub fn find_state(&self, world: &World) -> Option<RosterState> {
        let app_index = self.spell.app_index(&nft_app(&world.bridge.app))?;
        let data = self.spell.tx.outs.first()?.get(&app_index)?;
        RosterState::from_data(data).ok()
    }

    pub fn state(&self, world: &World) -> RosterState {
        self.find_state(world).unwrap()
    }

    /// Moves `sats` from one output to another.
    pub fn shift(&mut self, from: usize, to: usize, sats: u64) {
        self.lower(from, sats);
        self.raise(to, sats);
    }

    pub fn raise(&mut self, index: usize, sats: u64) {
        self.transaction.output[index].value += bitcoin::Amount::from_sat(sats);
    }

    pub fn lower(&mut self, index: usize, sats: u64) {
        self.transaction.output[index].value -= bitcoin::Amount::from_sat(sats);
    }

    /// Drops the previous transactions that no input spends any more.
    pub fn tidy_previous(&mut self) {
        let inputs = &self.transaction.input;
        self.previous.sort_by_key(Transaction::compute_txid);
        self.previous.dedup();
        self.previous.retain(|made| {
            let txid = made.compute_txid();
            inputs
                .iter()
                .any(|input| input.previous_output.txid == txid)
        });
    }
}
