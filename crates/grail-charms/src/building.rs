//! The three spells that Grail builds.
//!
//! Builders are pure: they take the transaction as it will be (its inputs and at least its first
//! outputs; the `OP_RETURN` may be missing still) and return the spell in its proving form. Whether
//! the contract accepts it is for the prover's check and the policy to say, not for the builder.

use bitcoin::Transaction;
use charms_data::{App, Data};
use grail_bridge_contract::{Action, RosterState, StateError};
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, SpellShapeError, nft_app, token_app,
};
use grail_types::BridgeApp;
use thiserror::Error;

/// Why a spell cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The transaction has too few outputs.
    #[error(transparent)]
    Shape(#[from] SpellShapeError),
    /// Charms knows no token of amount zero.
    #[error("output {output_index} would carry zero zkBTC")]
    ZeroAmount {
        /// The output.
        output_index: usize,
    },
    /// The contract would not read the state back.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What an output of a settlement after the NFT's carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementItem {
    /// zkBTC for the recipient of a peg-in, in satoshis.
    PegIn {
        /// Amount minted.
        amount: u64,
    },
    /// Bitcoin alone: the vault, or a payout.
    Plain,
}

/// The spell that creates the roster NFT on output 0. The first input of `tx` must be the outpoint
/// that the bridge's identity comes from ([`grail_spell::deployment_identity`]).
pub fn deployment_spell(
    tx: &Transaction,
    bridge: &BridgeApp,
    state: &RosterState,
) -> Result<NormalizedSpell, BuildError> {
    state.validate()?;
    let apps = [(nft_app(bridge), Action::Deploy.to_data())];
    proving_form(tx, apps, |apps| {
        Ok(vec![apps.charm(&nft_app(bridge), state.to_data())])
    })
}

/// The spell of a settlement: output 0 the NFT with its new `state`, then one output per item (the
/// vault, where there is one, is the first of them).
pub fn settlement_spell(
    tx: &Transaction,
    bridge: &BridgeApp,
    state: &RosterState,
    items: &[SettlementItem],
) -> Result<NormalizedSpell, BuildError> {
    step_spell(Action::Settle, tx, bridge, state, items)
}

/// The same of any action that moves the NFT: where it is a step of a rotation, every item is
/// plain.
pub fn step_spell(
    action: Action,
    tx: &Transaction,
    bridge: &BridgeApp,
    state: &RosterState,
    items: &[SettlementItem],
) -> Result<NormalizedSpell, BuildError> {
    state.validate()?;
    let (nft, token) = (nft_app(bridge), token_app(bridge));
    let apps = [
        (nft.clone(), action.to_data()),
        (token.clone(), Data::empty()),
    ];
    proving_form(tx, apps, |apps| {
        let mut outs = vec![apps.charm(&nft, state.to_data())];
        for item in items {
            let charms = match *item {
                SettlementItem::PegIn { amount } => apps.amount(&token, amount, outs.len())?,
                SettlementItem::Plain => NormalizedCharms::new(),
            };
            outs.push(charms);
        }
        Ok(outs)
    })
}

/// The spell of a transfer: the first outputs carry `amounts` of zkBTC. The contract runs, to judge
/// where it comes from.
pub fn transfer_spell(
    tx: &Transaction,
    bridge: &BridgeApp,
    amounts: &[u64],
) -> Result<NormalizedSpell, BuildError> {
    let token = token_app(bridge);
    proving_form(tx, [(token.clone(), Data::empty())], |apps| {
        amounts
            .iter()
            .enumerate()
            .map(|(index, &amount)| apps.amount(&token, amount, index))
            .collect()
    })
}

/// The apps of a spell under construction: charms refer to them by position.
struct Apps<'a>(&'a NormalizedSpell);

impl Apps<'_> {
    fn charm(&self, app: &App, data: Data) -> NormalizedCharms {
        let index = self
            .0
            .app_index(app)
            .expect("each builder lists the apps that it uses");
        NormalizedCharms::from([(index, data)])
    }

    fn amount(
        &self,
        token: &App,
        amount: u64,
        output_index: usize,
    ) -> Result<NormalizedCharms, BuildError> {
        if amount == 0 {
            return Err(BuildError::ZeroAmount { output_index });
        }
        Ok(self.charm(token, Data::from(&amount)))
    }
}

fn proving_form<const N: usize>(
    tx: &Transaction,
    apps: [(App, Data); N],
    outs: impl FnOnce(&Apps<'_>) -> Result<Vec<NormalizedCharms>, BuildError>,
) -> Result<NormalizedSpell, BuildError> {
    let mut spell = NormalizedSpell {
        app_public_inputs: apps.into(),
        ..NormalizedSpell::default()
    };
    let outs = outs(&Apps(&spell))?;
    spell.tx = NormalizedTransaction {
        outs,
        ..NormalizedTransaction::default()
    };
    Ok(spell.committed_to(tx)?)
}
