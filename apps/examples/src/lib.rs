//! Apps to learn from. `docs/users/first-app.md` walks through the tip jar.

pub mod escrow;
pub mod tip_jar;
