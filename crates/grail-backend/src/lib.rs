//! Grail's backend: untrusted, restartable at any point.
//!
//! Owns no secret and decides nothing about funds: it follows the chain, keeps requests and settlements moving, asks
//! operators and serves the API. Rows are the truth; what runs in memory can be lost at any moment.

pub mod alarm;
pub mod alarms;
pub mod api;
pub mod approvals;
pub mod backend;
pub mod build;
pub mod clock;
pub mod deploy;
pub mod deployment;
pub mod draft;
pub mod fee_cap;
pub mod health;
pub mod init;
pub mod node;
pub mod operators;
pub mod prove;
pub mod prover;
pub mod publish;
pub mod run;
pub mod scan;
pub mod sign;
pub mod step;
mod turns;
pub mod vault;
pub mod work;
