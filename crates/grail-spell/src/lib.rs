//! Charms spells on Bitcoin: found in a transaction, verified, resolved, built.
//!
//! Owns the spell's wire form, the verification of its proof for every protocol version, and two
//! readings of a transaction: [`read_compatible`], which gives the verdict that Charms itself gives
//! and serves for previous transactions, and [`read_strict`], which accepts only the one canonical
//! form that Grail produces and serves for whatever is about to be signed. Both return a
//! [`VerifiedSpell`], which can be made in no other way. Who decides about many previous
//! transactions at once reads them into a [`PreviousBatch`], which keeps no spell longer than it
//! reads it.
//!
//! Trusts the verification keys committed in `vk/` and nothing else. Every byte of a transaction is
//! foreign. Never proves, never runs an app contract, never does I/O. A mock spell (its proving key
//! is public) is read only with a [`grail_types::MockAllowed`], which exists on regtest alone, and
//! the key that checks it is in development builds alone (feature `development`, ADR 10).

mod bridge;
mod claimed;
mod envelope;
mod error;
mod form;
mod gnark;
mod groth16;
mod previous;
mod proof;
mod read;
mod size;
mod spell;
mod strict;
mod version_zero;

pub use bridge::{
    BRIDGE_SPELL_VERSION_MIN, BridgeCharmError, BridgeCharms, BuildError, SettlementItem,
    bridge_charms, deployment_identity, deployment_spell, nft_app, roster_state, settlement_spell,
    token_amount, token_app, transfer_spell,
};
pub use claimed::Claimed;
pub use envelope::{
    EnvelopeError, OP_RETURN_PAYLOAD_MAX_BYTES, Place, SPELL_MARKER, UnverifiedSpell,
    decode_op_return, encode_op_return, find_spell,
};
pub use error::{Rejection, SpellError};
pub use form::{DEPTH_MAX, FormError, FormFault};
pub use gnark::PointError;
pub use previous::{PREVIOUS_READING_MAX_BYTES, Previous, PreviousBatch, SpentOutput};
#[cfg(feature = "development")]
pub use proof::MOCK_SPELL_VK;
pub use proof::{ProofError, SPELL_VK, public_values};
pub use read::{
    PrevTx, VerifiedSpell, charms_of, read_compatible, read_compatible_batch, read_strict,
    without_witnesses,
};
pub use spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, PROTOCOL_VERSION, Proof,
    SpellShapeError, outpoint_from_utxo_id, utxo_id_from_outpoint,
};
pub use strict::{Layout, ScriptByte, StrictError};
