//! The spells of the bridge app: what its charms mean, and the three spells that Grail builds.
//!
//! Builders are pure: they take the transaction as it will be (its inputs and at least its first
//! outputs; the `OP_RETURN` may be missing still) and return the spell in its proving form. Whether
//! the contract accepts it is for the prover's check and the policy to say, not for the builder.

use bitcoin::{OutPoint, Transaction};
use charms_data::{App, B32, Charms, Data};
use grail_bridge_contract::{
    Action, ROSTER_TAG, RosterState, SPELL_VERSION_MIN, StateError, TOKEN_TAG, Violation,
    identity_of,
};
use grail_types::BridgeApp;
use thiserror::Error;

use crate::claimed::Claimed;
use crate::error::{Rejection, SpellError};
use crate::read::PrevTx;
use crate::size::count_values;
use crate::spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, PROTOCOL_VERSION, SpellShapeError,
    utxo_id_from_outpoint,
};

/// The app of the roster NFT.
pub fn nft_app(bridge: &BridgeApp) -> App {
    App {
        tag: ROSTER_TAG,
        identity: B32(bridge.identity),
        vk: B32(bridge.vk),
    }
}

/// The app of zkBTC.
pub fn token_app(bridge: &BridgeApp) -> App {
    App {
        tag: TOKEN_TAG,
        identity: B32(bridge.identity),
        vk: B32(bridge.vk),
    }
}

/// The identity of a bridge whose deployment spends `first_input` first.
pub fn deployment_identity(first_input: OutPoint) -> [u8; 32] {
    identity_of(&utxo_id_from_outpoint(first_input)).0
}

/// Why a charm of the bridge is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BridgeCharmError {
    /// A token's charm is not an unsigned 64-bit integer.
    #[error("the charm of {app} is not an amount")]
    NotAnAmount {
        /// The app.
        app: App,
    },
    /// The NFT's charm is not a roster state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// How much of `token` an output with `charms` carries: zero when it carries none.
pub fn token_amount(charms: &Charms, token: &App) -> Result<u64, BridgeCharmError> {
    charms.get(token).map_or(Ok(0), |data| {
        data.value()
            .map_err(|_| BridgeCharmError::NotAnAmount { app: token.clone() })
    })
}

/// The roster state that an output with `charms` carries, if it carries the NFT. For whoever has
/// the charms' transaction from a node that has it in a block: without that, the state is anybody's
/// claim ([`Claimed`]).
pub fn roster_state(charms: &Charms, nft: &App) -> Result<Option<RosterState>, BridgeCharmError> {
    Ok(charms.get(nft).map(RosterState::from_data).transpose()?)
}

/// Lowest protocol version under which the bridge's charms are believed, by the contract as by
/// everybody else: the one that it was first deployed under. What older checkers let pass is not
/// for anybody's bitcoin.
pub const BRIDGE_SPELL_VERSION_MIN: u32 = SPELL_VERSION_MIN;

/// What an output carries, read exactly: what is there must be all that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum BridgeCharms {
    /// No charms, and no spell ever says otherwise.
    Nothing,
    /// zkBTC alone, satoshis.
    Token(u64),
    /// The roster NFT alone, with the state that its spell claims: a proof is neither consent nor
    /// inclusion.
    Nft(Result<Box<Claimed<RosterState>>, StateError>),
    /// Anything else: other apps, several charms, an output beamed away (with charms or without), a
    /// spell that the contract does not believe, or one that says what is not known here.
    Other,
}

/// Reads an output's charms.
pub fn bridge_charms(charms: &Charms, bridge: &BridgeApp) -> BridgeCharms {
    read_exactly(charms.iter(), bridge)
}

/// A roster state is a list of eight values. What has more values than this is not a state, and is
/// not copied to find out why.
const STATE_VALUES_MAX: usize = 64;

fn read_exactly<'a>(
    mut charms: impl Iterator<Item = (&'a App, &'a Data)>,
    bridge: &BridgeApp,
) -> BridgeCharms {
    match (charms.next(), charms.next()) {
        (None, _) => BridgeCharms::Nothing,
        (Some((app, data)), None) if *app == token_app(bridge) => data
            .value()
            .map_or(BridgeCharms::Other, BridgeCharms::Token),
        (Some((app, data)), None) if *app == nft_app(bridge) => {
            if count_values(data, STATE_VALUES_MAX).is_none() {
                return BridgeCharms::Other;
            }
            let state = RosterState::from_data(data);
            BridgeCharms::Nft(state.map(|state| Box::new(Claimed::new(state))))
        }
        _ => BridgeCharms::Other,
    }
}

/// What output `vout` carries by `spell`, a valid one. `believed` says whether the contract lets
/// charms of the bridge come from its transaction; it is asked only where there are charms.
pub(crate) fn carried(
    spell: &NormalizedSpell,
    vout: u32,
    bridge: &BridgeApp,
    believed: impl FnOnce() -> Result<(), Violation>,
) -> BridgeCharms {
    // A mock of a later version can be valid here. What its protocol means by the rest is not
    // known, as it would not be with a real proof.
    let is_known = spell.version <= PROTOCOL_VERSION;
    // Charms lets nothing spend a beamed output, with or without charms.
    if !is_known || spell.is_beamed_at(vout) {
        return BridgeCharms::Other;
    }
    let mut charms = spell.charms_in_place(vout).peekable();
    if charms.peek().is_none() {
        return BridgeCharms::Nothing;
    }
    // What is under a signing key's control stays there. And what the contract would not let
    // anybody spend again is no zkBTC to begin with.
    if spell.versioned_apps.contains_key(&B32(bridge.vk)) || believed().is_err() {
        return BridgeCharms::Other;
    }
    read_exactly(charms, bridge)
}

/// What any output carries by a spell that was not accepted.
pub(crate) fn carried_by_rejected(error: &SpellError) -> BridgeCharms {
    match error.rejection() {
        Rejection::NoCharms => BridgeCharms::Nothing,
        Rejection::Unknown => BridgeCharms::Other,
    }
}

impl PrevTx {
    /// What output `vout` carries, for whoever is about to spend it. An NFT's state is [`Claimed`]:
    /// by somebody.
    pub fn bridge_charms(&self, vout: u32, bridge: &BridgeApp) -> BridgeCharms {
        match (self.spell(), self.rejected()) {
            (Some(spell), _) => carried(spell.spell(), vout, bridge, || {
                self.unspendable().cloned().map_or(Ok(()), Err)
            }),
            (None, Some(error)) => carried_by_rejected(error),
            (None, None) => BridgeCharms::Nothing,
        }
    }
}

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
/// that the bridge's identity comes from ([`deployment_identity`]).
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
/// Also the spell of a rotation, whose state is of the next epoch.
pub fn settlement_spell(
    tx: &Transaction,
    bridge: &BridgeApp,
    state: &RosterState,
    items: &[SettlementItem],
) -> Result<NormalizedSpell, BuildError> {
    state.validate()?;
    let (nft, token) = (nft_app(bridge), token_app(bridge));
    let apps = [
        (nft.clone(), Action::Settle.to_data()),
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
