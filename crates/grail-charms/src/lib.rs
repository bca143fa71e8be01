//! Spells as everybody but a signer needs them: read with the verdicts that Charms itself gives,
//! and built.
//!
//! Owns the compatible reading ([`read_compatible`], [`PrevTx`]), what the bridge's charms mean to
//! whoever has their transaction from a block, the three spells that Grail builds, and where a
//! spell leaves the one form that operators sign ([`strict_fault`]). Stands on `grail-spell`, which
//! owns the spell's form and the verification of its proof, and which is all of this that an
//! enclave holds. Trusts what that trusts; every byte of a transaction is foreign. Never proves,
//! never runs an app contract, never does I/O.

mod bridge;
mod building;
mod form;
mod reading;

pub use bridge::{BRIDGE_SPELL_VERSION_MIN, BridgeCharmError, roster_state, token_amount};
pub use building::{
    BuildError, SettlementItem, deployment_spell, settlement_spell, step_spell, transfer_spell,
};
pub use form::{FormError, FormFault, ScriptByte, StrictFault, explain_strict, strict_fault};
pub use reading::{
    PrevTx, charms_of, outpoint_from_utxo_id, read_compatible, read_compatible_batch,
};
