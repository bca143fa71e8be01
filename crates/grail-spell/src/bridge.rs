//! What the charms of the bridge app are, and which of them an output carries.

use bitcoin::OutPoint;
use charms_data::{App, B32, Charms, Data};
use grail_bridge_contract::{ROSTER_TAG, RosterState, StateError, Violation, identity_of};
use grail_types::BridgeApp;

use crate::claimed::Claimed;
use crate::error::{Rejection, SpellError};
use crate::read::VerifiedSpell;
use crate::size::count_values;
use crate::spell::{PROTOCOL_VERSION, utxo_id_from_outpoint};

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
    grail_bridge_contract::token_app(&nft_app(bridge))
}

/// The identity of a bridge whose deployment spends `first_input` first.
pub fn deployment_identity(first_input: OutPoint) -> [u8; 32] {
    identity_of(&utxo_id_from_outpoint(first_input)).0
}

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

/// A roster state is a list of 14 values, one of them a list of three. What has more values than
/// this is not a state, and is not copied to find out why.
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

impl VerifiedSpell {
    /// What output `vout` carries by this spell. `believed` says whether the contract lets charms
    /// of the bridge come from its transaction; it is asked only where there are charms.
    pub fn carried(
        &self,
        vout: u32,
        bridge: &BridgeApp,
        believed: impl FnOnce() -> Result<(), Violation>,
    ) -> BridgeCharms {
        let spell = self.spell();
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
}

impl SpellError {
    /// What any output carries by a spell that was not accepted.
    pub fn carried(&self) -> BridgeCharms {
        match self.rejection() {
            Rejection::NoCharms => BridgeCharms::Nothing,
            Rejection::Unknown => BridgeCharms::Other,
        }
    }
}
