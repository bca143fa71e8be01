//! The bridge app contract: what the roster NFT and zkBTC may do.
//!
//! Owns the roster state that the NFT carries and the rules of every spell that touches the bridge's apps.
//! Trusts only what the Charms runner shows it: the charms, amounts and scripts of inputs and outputs.
//! Never does elliptic-curve arithmetic (it is interpreted inside a zkVM; operators check natively that
//! `vault_script` is the address of the roster), never reads a clock, never falls back on a default.
//!
//! The same code runs in three places: compiled to wasm inside every proof, natively in an operator's
//! policy, and natively in the backend's dry run.

mod history;
mod rules;
mod sides;
mod state;
mod violation;

pub use history::{SPELL_PAYLOAD_MAX_BYTES, SPELL_VERSION_MIN, check_previous};
pub use rules::{
    Action, ROSTER_TAG, TOKEN_TAG, app_contract, check, identity_of, nft_app, token_app,
};
pub use state::{
    MAX_SIGNERS, MAX_SUPPLY_SAT, MIN_SIGNERS, Next, RosterState, STATE_FORMAT, StateError,
    VAULT_SCRIPT_LEN,
};
pub use violation::{Side, Violation};
