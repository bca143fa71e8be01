//! What is read from a Bitcoin node beyond following its chain.

mod outputs;
mod scan;

pub use outputs::{transaction_of, unspent_output};
pub use scan::{ReservesError, chain_reserves};
