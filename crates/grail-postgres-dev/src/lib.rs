//! PostgreSQL for tests: a server on a socket in a folder of its own, which nobody else reaches
//! and which ends with whoever runs the tests.
//!
//! Owns what it starts and nothing else: it never touches a server of the machine. The server
//! refuses to be root's, so where tests are root's it is nobody's.

mod server;
mod shared;

pub use server::{Durability, Server};
pub use shared::Database;
