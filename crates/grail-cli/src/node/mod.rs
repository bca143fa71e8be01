//! What is read from a Bitcoin node beyond following its chain.

mod outputs;
mod scan;
mod unspent_set;

pub use outputs::{transaction_of, unspent_output};
pub use scan::{ReservesError, chain_reserves};
pub use unspent_set::{ScanFailure, Unspent, UnspentSet, scan_settled};
