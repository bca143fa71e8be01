//! What an operator keeps on disk: its sealed key, and beside it what shows that it is the right
//! one.
//!
//! | file | holds |
//! |---|---|
//! | `signer.sealed` | the key, as only the same enclave on the same machine opens it |
//! | `signer.pub` | its public key: a folder that has one never gets another key |
//! | `hardware.id` | identity of the simulated machine (development TEE) |
//! | `pause.json` | why the operator is paused; there only while it is |
//! | `outflow.json` | what left the vault within a day (`fail_safe`) |
//! | `lock` | held while a host runs |

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bitcoin::XOnlyPublicKey;

use crate::error::HostError;

/// A sealed key is some 80 bytes, 64 KiB and a little is the most that any TEE of ours seals.
const SEALED_MAX_BYTES: usize = 128 * 1024;

/// An operator's folder, locked against a second host.
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Opens a folder, or makes it.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let failed = |path: &Path, error| HostError::State {
            path: path.to_owned(),
            error,
        };
        // Others on this machine have no business with the enclave's socket.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed(path, error))?;
        let path = fs::canonicalize(path).map_err(|error| failed(path, error))?;
        let lock_path = path.join("lock");
        let lock = private()
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| failed(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(HostError::StateLocked(path)),
            Err(TryLockError::Error(error)) => Err(failed(&lock_path, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the enclave's socket belongs.
    pub fn socket(&self) -> PathBuf {
        self.path.join("enclave.sock")
    }

    /// Where the sealed key belongs.
    pub fn sealed_path(&self) -> PathBuf {
        self.path.join("signer.sealed")
    }

    fn public_key_path(&self) -> PathBuf {
        self.path.join("signer.pub")
    }

    fn hardware_path(&self) -> PathBuf {
        self.path.join("hardware.id")
    }

    /// The sealed key; none if there has never been one. One that is there and cannot be read is an
    /// error, never none.
    pub fn sealed(&self) -> Result<Option<Vec<u8>>, HostError> {
        let path = self.sealed_path();
        let sealed = read_bounded(&path, SEALED_MAX_BYTES, "a sealed key")?;
        match (sealed, self.public_key()?) {
            (None, Some(public_key)) => Err(HostError::SealedKeyMissing {
                path,
                public_key: Box::new(public_key),
            }),
            (Some(sealed), _) if sealed.is_empty() => Err(HostError::StateDamaged {
                path,
                expected: "a sealed key",
                got: "nothing".to_owned(),
            }),
            (sealed, _) => Ok(sealed),
        }
    }

    /// Keeps a key that was just born; when this returns, it is on disk.
    pub fn keep_sealed(&self, sealed: &[u8]) -> Result<(), HostError> {
        self.write(&self.sealed_path(), sealed)
    }

    /// The public key that this folder belongs to.
    pub fn public_key(&self) -> Result<Option<XOnlyPublicKey>, HostError> {
        let path = self.public_key_path();
        let Some(bytes) = read_bounded(&path, 128, "a public key")? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().parse() {
            Ok(public_key) => Ok(Some(public_key)),
            Err(_) => Err(HostError::StateDamaged {
                path,
                expected: "a public key",
                got: format!("{:?}", text.trim()),
            }),
        }
    }

    /// Keeps the public key, after its sealed key.
    pub fn keep_public_key(&self, public_key: &XOnlyPublicKey) -> Result<(), HostError> {
        self.write(
            &self.public_key_path(),
            format!("{public_key}\n").as_bytes(),
        )
    }

    /// The file with the simulated machine's identity; drawn once.
    pub fn hardware(&self) -> Result<PathBuf, HostError> {
        let path = self.hardware_path();
        match read_bounded(&path, 32, "a machine's identity of 32 bytes")? {
            Some(id) if id.len() == 32 => {}
            Some(id) => {
                return Err(HostError::StateDamaged {
                    path,
                    expected: "a machine's identity of 32 bytes",
                    got: format!("{} bytes", id.len()),
                });
            }
            None if self.sealed()?.is_some() => return Err(HostError::HardwareMissing(path)),
            None => {
                let mut id = [0; 32];
                getrandom::fill(&mut id).map_err(|error| HostError::State {
                    path: path.clone(),
                    error: io::Error::other(error),
                })?;
                self.write(&path, &id)?;
            }
        }
        Ok(path)
    }

    /// Writes all of a file or nothing.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
        write_whole(&self.path, path, bytes)
    }
}

/// Writes all of a file of a folder or nothing, and returns when it would outlive a power cut.
pub(crate) fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = private().create(true).truncate(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| HostError::State {
        path: path.to_owned(),
        error,
    })
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// A file's bytes; none if there is no such file.
pub(crate) fn read_bounded(
    path: &Path,
    max: usize,
    expected: &'static str,
) -> Result<Option<Vec<u8>>, HostError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() > max => Err(HostError::StateDamaged {
            path: path.to_owned(),
            expected,
            got: format!("more than {max} bytes"),
        }),
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if io::Error::kind(&error) == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::State {
            path: path.to_owned(),
            error,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key() -> XOnlyPublicKey {
        // The x coordinate of the generator.
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
            .parse()
            .unwrap()
    }

    fn folder() -> (tempfile::TempDir, StateFolder) {
        let parent = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&parent.path().join("a/b")).unwrap();
        (parent, state)
    }

    #[test]
    fn what_was_kept_is_found_by_the_next_host() {
        let (_parent, state) = folder();
        assert_eq!(state.sealed().unwrap(), None);
        let hardware = fs::read(state.hardware().unwrap()).unwrap();
        state.keep_sealed(b"sealed").unwrap();
        state.keep_public_key(&key()).unwrap();
        let path = state.path().to_owned();
        drop(state);
        let next = StateFolder::open(&path).unwrap();
        assert_eq!(next.sealed().unwrap().unwrap(), b"sealed");
        assert_eq!(next.public_key().unwrap(), Some(key()));
        assert_eq!(fs::read(next.hardware().unwrap()).unwrap(), hardware);
    }

    #[test]
    fn a_folder_serves_one_host_at_a_time() {
        let (_parent, state) = folder();
        assert!(matches!(
            StateFolder::open(state.path()),
            Err(HostError::StateLocked(_))
        ));
    }

    #[test]
    fn a_sealed_key_that_is_gone_empty_or_unreadable_is_not_taken_for_none() {
        let (_parent, state) = folder();
        state.keep_sealed(b"sealed").unwrap();
        state.keep_public_key(&key()).unwrap();
        fs::remove_file(state.sealed_path()).unwrap();
        assert!(matches!(
            state.sealed(),
            Err(HostError::SealedKeyMissing { .. })
        ));
        fs::write(state.sealed_path(), b"").unwrap();
        assert!(matches!(
            state.sealed(),
            Err(HostError::StateDamaged { .. })
        ));
        fs::write(state.sealed_path(), vec![0; SEALED_MAX_BYTES + 1]).unwrap();
        assert!(matches!(
            state.sealed(),
            Err(HostError::StateDamaged { .. })
        ));
        fs::remove_file(state.sealed_path()).unwrap();
        fs::create_dir(state.sealed_path()).unwrap();
        assert!(matches!(state.sealed(), Err(HostError::State { .. })));
    }

    #[test]
    fn a_damaged_public_key_is_an_error() {
        let (_parent, state) = folder();
        fs::write(state.public_key_path(), "00").unwrap();
        assert!(matches!(
            state.public_key(),
            Err(HostError::StateDamaged { .. })
        ));
    }

    #[test]
    fn a_machine_identity_is_neither_guessed_nor_replaced() {
        let (_parent, state) = folder();
        let path = state.hardware().unwrap();
        for damaged in [31, 33] {
            fs::write(&path, vec![1; damaged]).unwrap();
            assert!(matches!(
                state.hardware(),
                Err(HostError::StateDamaged { .. })
            ));
        }
        fs::remove_file(&path).unwrap();
        state.keep_sealed(b"sealed").unwrap();
        assert!(matches!(
            state.hardware(),
            Err(HostError::HardwareMissing(_))
        ));
    }
}
