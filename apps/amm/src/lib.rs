//! The swap app: a pool of two assets, and one price for all swaps of a clearing.
//!
//! Owns the arithmetic of prices, shares and limits, and the choice of the orders of a clearing.
//! Whole units only: no floats, no product beyond 128 bits, every rounding in the pool's favour.
//! Trusts nothing about orders but that what they bring really lies in their deposits. Never sees a
//! transaction, a script or a key.
//!
//! Rules P1-P10, encoding and a worked example: `docs/spec/amm.md`; why this price: ADR 38.

mod clearing;
mod contract;
mod order;
mod plan;
mod pool;
mod price;
mod reach;
mod refusal;
mod terms;
mod units;

pub use clearing::{Outcome, check_age, settle};
pub use contract::{Amm, Config, State, choose};
pub use order::{Amounts, Kind, Order};
pub use plan::{OPEN_ORDERS_MAX, Plan, Verdict, plan};
pub use pool::{LOCKED_SHARES, Open, Pool, RESERVE_MAX};
pub use price::Price;
pub use reach::out_of_reach;
pub use refusal::{OrderRefusal, Refusal, WholeRefusal};
pub use terms::{Terms, TermsError, Weight};
