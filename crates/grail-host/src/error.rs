//! Why a host ends, and with which exit code.

use std::{io, path::PathBuf};

use bitcoin::XOnlyPublicKey;
use grail_files::FileError;
use grail_types::{Bridge, Network};
use grail_wire::Fault;

use crate::client::LinkError;

/// What went wrong. Some of it is worth another try, the rest needs a person.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The protocol file is not one.
    #[error(transparent)]
    ProtocolFile(#[from] FileError),
    /// A file of the state cannot be used.
    #[error("{path}: {error}")]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another host runs on this state.
    #[error("{0}: another grail-host uses this folder")]
    StateLocked(PathBuf),
    /// A file of the state is damaged.
    #[error("{path}: expected {expected}, found {got}; restore it from a backup")]
    StateDamaged {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        got: String,
    },
    /// There was a key, and its file is gone. A new one would be another operator.
    #[error(
        "{path} is missing, but this folder belongs to the key {public_key}; restore it from a backup"
    )]
    SealedKeyMissing {
        /// Where it should be.
        path: PathBuf,
        /// Whose it is.
        public_key: Box<XOnlyPublicKey>,
    },
    /// The sealed key opens only on the machine of this identity.
    #[error("{0} is missing, but there is a key sealed to it; restore it from a backup")]
    HardwareMissing(PathBuf),
    /// The enclave's program cannot be started.
    #[error("starting {path}: {error}")]
    EnclaveSpawn {
        /// The program.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The enclave's program says that it will never run like this.
    #[error(
        "the enclave refuses to start (exit code {0}): see its message above; this host was started for {1}"
    )]
    EnclaveRefusesStart(i32, Network),
    /// The enclave's process is gone.
    #[error("the enclave ended: {0}")]
    EnclaveEnded(String),
    /// The conversation with the enclave broke.
    #[error("enclave: {0}")]
    Link(#[from] LinkError),
    /// The enclave does not boot with what it was given.
    #[error("the enclave refuses to boot: {}: {}", .0.code, .0.details)]
    BootRefused(Fault),
    /// The enclave runs with a key that this host has not kept: lost when the enclave ends.
    #[error(
        "the enclave runs already, with the key {got}, of which {path} knows nothing; restart the enclave"
    )]
    KeyUnknown {
        /// Its key.
        got: Box<XOnlyPublicKey>,
        /// The state folder.
        path: PathBuf,
    },
    /// The enclave has another key than before.
    #[error("expected the enclave to have the key {expected}, got {got}")]
    KeyChanged {
        /// As kept.
        expected: Box<XOnlyPublicKey>,
        /// As the enclave says.
        got: Box<XOnlyPublicKey>,
    },
    /// The enclave runs for another bridge.
    #[error("expected the enclave to run for the bridge {expected}, got {got}")]
    BridgeChanged {
        /// Of the file.
        expected: Box<Bridge>,
        /// As the enclave says.
        got: Box<Bridge>,
    },
    /// The enclave answered something else than was asked.
    #[error("the enclave's answer does not fit the question ({0})")]
    Protocol(&'static str),
}

impl HostError {
    /// Whether another try may do.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::EnclaveEnded(_) | Self::Link(_) => true,
            Self::ProtocolFile(_)
            | Self::State { .. }
            | Self::StateLocked(_)
            | Self::StateDamaged { .. }
            | Self::SealedKeyMissing { .. }
            | Self::HardwareMissing(_)
            | Self::EnclaveSpawn { .. }
            | Self::EnclaveRefusesStart(..)
            | Self::BootRefused(_)
            | Self::KeyUnknown { .. }
            | Self::KeyChanged { .. }
            | Self::BridgeChanged { .. }
            | Self::Protocol(_) => false,
        }
    }

    /// Exit code of the program. 2 is the command line's.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::EnclaveEnded(_) | Self::Link(_) | Self::Protocol(_) => 1,
            Self::ProtocolFile(_) => 3,
            Self::State { .. }
            | Self::StateLocked(_)
            | Self::StateDamaged { .. }
            | Self::SealedKeyMissing { .. }
            | Self::HardwareMissing(_) => 4,
            Self::EnclaveSpawn { .. }
            | Self::EnclaveRefusesStart(..)
            | Self::BootRefused(_)
            | Self::KeyUnknown { .. }
            | Self::KeyChanged { .. }
            | Self::BridgeChanged { .. } => 5,
        }
    }
}
