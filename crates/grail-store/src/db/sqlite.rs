//! SQLite.

use super::Failure;

/// What every connection is set to. A statement waits this long for another process's lock. With a
/// write-ahead log the default of `NORMAL` may lose the newest commits with the power; what was
/// told to others must not be forgotten.
macro_rules! settings {
    () => {
        "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON;"
    };
}

/// Of connections that read.
pub(super) const READER: &str = settings!();
/// Of the one that writes. It keeps 16 MiB of the file in memory: the upper levels of every index
/// of millions of rows, which a block asks thousands of questions.
pub(super) const WRITER: &str = concat!(settings!(), " PRAGMA cache_size = -16384;");

/// Sorts SQLite's result codes (<https://www.sqlite.org/rescode.html>).
pub(super) fn classify(code: &str) -> Failure {
    // The low byte is the primary code: BUSY, LOCKED, IOERR, FULL, CANTOPEN; CORRUPT, NOTADB.
    match code.parse::<u32>().unwrap_or(0) & 0xff {
        5 | 6 | 10 | 13 | 14 => Failure::Transient,
        11 | 26 => Failure::Corrupt,
        _ => Failure::Other,
    }
}
