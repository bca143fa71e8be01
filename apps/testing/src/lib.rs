//! For the tests of apps: spells as the Charms runner shows them, both judges (native code and
//! wasm), and every single fault of a spell.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::must_use_candidate
)]

mod contract;
mod facts;
mod faults;
mod live;
mod previous;
mod spell;

pub use contract::{Contract, Refusal};
pub use faults::{Scope, for_each_fault};
pub use live::{Ask, Cleared, Live, Sky};
pub use previous::{previous, previous_with, shown, spell_output};
pub use spell::{Spell, charms_app, data, encoded, outpoint, script, token_coin};
