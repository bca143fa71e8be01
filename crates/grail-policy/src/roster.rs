//! The roster that a state of the NFT names.

use bitcoin::XOnlyPublicKey;
use grail_bridge_contract::RosterState;
use grail_types::{Epoch, Roster, Threshold};

/// The roster of a state, or why its keys and threshold are none. The contract does no curve
/// arithmetic, so a key that is no point is found here.
pub(crate) fn roster_of(state: &RosterState) -> Result<Roster, String> {
    let signers = state
        .signers
        .iter()
        .map(|key| XOnlyPublicKey::from_slice(key))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    Roster::new(Epoch(state.epoch), signers, Threshold(state.threshold))
        .map_err(|error| error.to_string())
}
