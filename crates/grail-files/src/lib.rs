//! The one way in which Grail's programs read a file that somebody handed them.
//!
//! A path on a command line may name a device, a pipe or a disk image: whatever it is, no more is
//! read than the caller expects, whatever the file system says of its length. Owns no format: what
//! the bytes mean is the caller's type.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Longer than anything that is meant.
    #[error("{}: expected at most {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: usize,
    },
    /// It does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

/// Reads a file of at most `max` bytes.
pub fn read_bounded(path: &Path, max: usize) -> Result<Vec<u8>, FileError> {
    let io = |error| FileError::Io {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    let one_more = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > max {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(bytes)
}

/// Reads JSON from a file of at most `max` bytes. What `T` cannot hold is refused here: nothing is
/// left to check.
pub fn read_json<T: DeserializeOwned>(path: &Path, max: usize) -> Result<T, FileError> {
    parse_json(path, &read_bounded(path, max)?)
}

/// Reads JSON from the bytes of a file, whose name is in the error.
pub fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, FileError> {
    serde_json::from_slice(bytes).map_err(|error| FileError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_up_to_the_bound_and_not_a_byte_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (length, fits) in [(0, true), (9, true), (10, true), (11, false), (500, false)] {
            std::fs::write(&path, vec![7; length]).unwrap();
            match read_bounded(&path, 10) {
                Ok(bytes) => assert!(fits && bytes.len() == length, "{length}"),
                Err(error) => {
                    assert!(!fits, "{length}");
                    assert!(error.to_string().ends_with("expected at most 10 bytes"));
                }
            }
        }
    }

    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        let error = read_bounded(Path::new("/dev/zero"), 1_000).unwrap_err();
        assert!(matches!(error, FileError::TooLarge { max: 1_000, .. }));
    }

    #[test]
    fn what_is_missing_or_another_thing_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let missing = read_json::<u8>(&path, 10).unwrap_err();
        assert!(matches!(missing, FileError::Io { .. }));
        std::fs::write(&path, "300").unwrap();
        let malformed = read_json::<u8>(&path, 10).unwrap_err();
        assert!(matches!(malformed, FileError::Malformed { .. }));
        for error in [missing, malformed] {
            assert!(error.to_string().contains("/file: "), "{error}");
        }
        std::fs::write(&path, "30").unwrap();
        assert_eq!(read_json::<u8>(&path, 10).unwrap(), 30);
    }
}
