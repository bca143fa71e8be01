//! What the charms of the bridge mean to whoever has their transaction from a block.

use charms_data::{App, Charms};
use grail_bridge_contract::{RosterState, SPELL_VERSION_MIN, StateError};
use thiserror::Error;

/// Lowest protocol version under which the bridge's charms are believed, by the contract as by
/// everybody else: the one that it was first deployed under. What older checkers let pass is not
/// for anybody's bitcoin.
pub const BRIDGE_SPELL_VERSION_MIN: u32 = SPELL_VERSION_MIN;

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
/// claim ([`grail_spell::Claimed`]).
pub fn roster_state(charms: &Charms, nft: &App) -> Result<Option<RosterState>, BridgeCharmError> {
    Ok(charms.get(nft).map(RosterState::from_data).transpose()?)
}
