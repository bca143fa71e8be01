//! Charms spells on Bitcoin, as a signer needs them: found in a transaction, verified, resolved.
//!
//! Owns the spell's wire form, the verification of its proof for every protocol version, and what a
//! signer reads: previous transactions into a [`PreviousBatch`], with the verdict that Charms
//! itself gives, which keeps no spell longer than it reads it; and by [`read_strict`], which
//! accepts only the one canonical form that Grail produces, whatever is about to be signed. A
//! [`VerifiedSpell`] is made of an [`UnprovenSpell`] by the check of its proof, and in no other
//! way. Whoever does not sign reads and builds spells with `grail-charms`.
//!
//! Trusts the verification keys committed in `vk/` and nothing else. Every byte of a transaction is
//! foreign. Never proves, never runs an app contract, never does I/O. A mock spell (its proving key
//! is public) is read only with a [`grail_types::MockAllowed`], which exists on regtest alone, and
//! the key that checks it is in development builds alone (feature `development`, ADR 10).

mod amounts;
mod bridge;
mod claimed;
mod content;
mod envelope;
mod error;
mod gnark;
mod groth16;
mod previous;
mod proof;
mod read;
mod size;
mod spell;
mod strict;
mod version_zero;

pub use amounts::{CHARMS_MAX, CharmAmounts, charm_app, charms_app};
pub use bridge::{BridgeCharms, bridge_charms, deployment_identity, nft_app, token_app};
pub use claimed::Claimed;
pub use content::{ContentError, DEPTH_MAX};
pub use envelope::{
    EnvelopeError, OP_RETURN_PAYLOAD_MAX_BYTES, Place, SPELL_MARKER, UnverifiedSpell,
    decode_op_return, encode_op_return, find_spell, marked_outputs,
};
pub use error::{Rejection, SpellError};
pub use gnark::PointError;
pub use previous::{PREVIOUS_READING_MAX_BYTES, Previous, PreviousBatch, SpentOutput};
#[cfg(feature = "development")]
pub use proof::MOCK_SPELL_VK;
pub use proof::{ProofError, SPELL_VK, public_values};
pub use read::{UnprovenSpell, VerifiedSpell, read_strict, without_witnesses};
pub use spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, PROTOCOL_VERSION, Proof,
    SpellShapeError, utxo_id_from_outpoint,
};
pub use strict::StrictError;
