//! Exact readings of an output's charms: what is there must be all that is there.

use charms_data::Charms;
use grail_bridge_contract::RosterState;
use grail_spell::{nft_app, token_app};
use grail_types::BridgeApp;

/// What an output carries, as far as a settlement may touch it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Carried {
    /// No charms.
    Nothing,
    /// zkBTC alone, satoshis.
    Token(u64),
    /// The roster NFT alone.
    Nft(Box<Result<RosterState, String>>),
    /// Anything else.
    Other,
}

pub(crate) fn carried(charms: &Charms, bridge: &BridgeApp) -> Carried {
    let mut entries = charms.iter();
    let Some((app, data)) = entries.next() else {
        return Carried::Nothing;
    };
    if entries.next().is_some() {
        return Carried::Other;
    }
    if *app == token_app(bridge) {
        data.value::<u64>().map_or(Carried::Other, Carried::Token)
    } else if *app == nft_app(bridge) {
        Carried::Nft(Box::new(
            RosterState::from_data(data).map_err(|error| error.to_string()),
        ))
    } else {
        Carried::Other
    }
}
