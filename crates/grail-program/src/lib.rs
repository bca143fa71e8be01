//! What the programs have in common towards whoever starts them: where options come from, and what
//! a service manager is told.
//!
//! Owns no option: those are the programs' own types. Trusts the command line and the environment
//! as far as they parse; says of a configuration file which key it does not know. Below the line:
//! the enclave reads its command line by hand and no environment.

pub mod notify;
pub mod options;
pub mod reason;
