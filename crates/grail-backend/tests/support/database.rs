//! A database of a test's own: a file, or, where `GRAIL_TEST_DATABASE=postgres` says so, one on a
//! server. Tests that copy files as a backup does pass on files alone.

use std::path::Path;

use grail_postgres_dev::Database;

/// Says where databases are.
const VARIABLE: &str = "GRAIL_TEST_DATABASE";

/// The URL of a new one, and what keeps it there; `folder` is for the file.
pub fn new_in(folder: &Path) -> (String, Option<Database>) {
    match std::env::var(VARIABLE).as_deref() {
        Ok("postgres") => {
            let database = Database::new().unwrap();
            (database.url(), Some(database))
        }
        Ok(other) => panic!("{VARIABLE}: expected postgres, got {other}"),
        Err(_) => {
            let file = folder.join("grail.db");
            (format!("sqlite:{}", file.display()), None)
        }
    }
}
