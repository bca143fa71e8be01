//! What a developer of an app writes, and what is checked around it.
//!
//! An app is one pure function, [`App::settle`]: from state, holdings and orders to state, holdings
//! and payouts. This crate builds the transaction that this outcome stands for ([`plan`]) and, in
//! the proof, demands that the transaction be exactly that one ([`judge`]). It owns layout,
//! history, conservation, facts and births: the rules S1 to S10 of `docs/spec/apps.md`, whose
//! numbers the comments name. It trusts what the Charms runner shows and what operators vouch for
//! by the facts (ADR 36), and never answers with a bare `bool`.

mod app;
mod birth;
mod clearing;
mod history;
mod keys;
pub mod math;
mod mode;
mod plan;
mod read;
mod rules;
mod state;
mod violation;
pub mod wire;

use std::io::Read as _;

pub use app::{Amounts, App, Clearing, Code, Env, Exit, Held, Outcome, Placed, Refuse, Tags};
pub use birth::{CREATE, born, create_input, identity_of};
pub use clearing::{CELL_CARRIER_SAT, MAIN_CARRIER_SAT, dust_sat};
pub use grail_app_facts::{
    self as facts, AppId, Asset, Coin, Destination, Facts, Order, Price, Want, cbor,
};
pub use history::{SPELL_PAYLOAD_MAX_BYTES, SPELL_VERSION_MIN, check_history};
pub use keys::{raw_app, raw_script};
pub use mode::{EXIT_PAYLOAD, MIGRATE_PAYLOAD};
pub use plan::{Plan, PlannedCoin, plan};
pub use read::{Charms, Input, NULL, Shown, ShownCoin, Unreadable, amount_of};
pub use rules::judge;
pub use state::{BODY_BYTES_MAX, CellState, MainState, StateError};
pub use violation::Violation;
pub use wire::Wire;

/// The program that Charms runs: reads `(app, tx, x, w)` from standard input, and ends abnormally
/// unless the app of this type accepts.
#[macro_export]
macro_rules! program {
    ($app:ty) => {
        fn main() {
            $crate::run(|shown| $crate::judge::<$app>(shown).map_err(|violation| violation.code()));
        }
    };
}

/// Runs a contract over standard input.
///
/// # Panics
///
/// Unless the contract accepts: the runner takes any other end for consent, since its `proc_exit`
/// does nothing.
pub fn run(contract: impl FnOnce(&[u8]) -> Result<(), String>) {
    let mut shown = Vec::new();
    let verdict = match std::io::stdin().read_to_end(&mut shown) {
        Ok(_) => contract(&shown),
        Err(_) => Err("no-input-bytes".into()),
    };
    if let Err(code) = verdict {
        // Only the code: texts would grow the wasm, which every proof hashes and parses.
        eprintln!("app refuses: {code}");
        panic!();
    }
}
