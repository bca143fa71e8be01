//! What whoever runs the backend may ask of it while it runs, over a Unix socket beside its
//! database (ADR 18).
//!
//! Owns who may ask (the user that the backend runs as, and root, by the kernel's word), the bounds
//! of what is said, and the record of who did what. Trusts the kernel's credentials and nothing in
//! a request. Never signs, never moves money, never touches what is signed: what it changes is what
//! is planned next.

mod client;
mod door;
mod perform;
pub mod protocol;
mod show;

use std::path::PathBuf;

pub use client::{AskError, ask};
pub use door::Door;
pub use perform::perform;

/// Where the socket of a database lies, unless `--admin-socket` says; none if the database is no
/// file.
pub fn socket_of(database: &str) -> Option<PathBuf> {
    let path = database.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    (!path.is_empty() && !path.starts_with(':')).then(|| format!("{path}.admin.sock").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_lies_beside_the_database() {
        for (database, socket) in [
            (
                "sqlite:/var/lib/grail.db",
                Some("/var/lib/grail.db.admin.sock"),
            ),
            (
                "sqlite:///var/lib/grail.db",
                Some("/var/lib/grail.db.admin.sock"),
            ),
            ("sqlite:grail.db?mode=rwc", Some("grail.db.admin.sock")),
            ("sqlite::memory:", None),
            ("sqlite:", None),
            ("postgres://somewhere", None),
        ] {
            assert_eq!(socket_of(database), socket.map(PathBuf::from), "{database}");
        }
    }
}
