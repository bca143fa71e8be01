//! The command line, and the protocol parameters that it names.

use std::path::{Path, PathBuf};

use clap::Parser;
use grail_broker::messages::Name;
use grail_enclave::stream::ConnectAddress;
use grail_types::Params;

use crate::error::HostError;

/// Parameters are a few kB.
const PARAMS_MAX_BYTES: u64 = 1024 * 1024;

/// Runs an operator: starts the enclave, keeps its sealed key, answers the backend's asks.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What this operator calls itself: 1 to 64 letters, digits, spaces, `.`, `_` or `-`.
    #[arg(long)]
    pub name: Name,
    /// File with the protocol parameters, JSON, the same for every operator and the backend.
    #[arg(long, value_name = "FILE")]
    pub params: PathBuf,
    /// Folder of this operator's sealed key; made if missing. Back it up.
    #[arg(long, value_name = "FOLDER")]
    pub state: PathBuf,
    /// The backend's broker.
    #[arg(long, value_name = "HOST:PORT")]
    pub broker: String,
    /// The enclave's program, a development build, started under the development TEE [default: grail-enclave beside this program].
    #[arg(long, value_name = "FILE", conflicts_with = "enclave")]
    pub enclave_exe: Option<PathBuf>,
    /// An enclave that runs already: `unix:PATH` or `vsock:CID:PORT`.
    #[arg(long, value_name = "ADDRESS")]
    pub enclave: Option<ConnectAddress>,
    /// Log as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Reads and checks the protocol parameters.
pub fn read_params(path: &Path) -> Result<Params, HostError> {
    let length = std::fs::metadata(path)
        .map_err(|error| HostError::params(path, &error))?
        .len();
    if length > PARAMS_MAX_BYTES {
        let reason = format!("expected at most {PARAMS_MAX_BYTES} bytes, got {length}");
        return Err(HostError::params(path, &reason));
    }
    let text = std::fs::read(path).map_err(|error| HostError::params(path, &error))?;
    let params: Params =
        serde_json::from_slice(&text).map_err(|error| HostError::params(path, &error))?;
    params
        .validate()
        .map_err(|error| HostError::params(path, &error))?;
    Ok(params)
}

/// The enclave's program as it is installed and built: beside another one, or beside the folder that cargo puts tests in.
pub fn enclave_beside(program: &Path) -> Option<PathBuf> {
    program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("grail-enclave"))
        .find(|candidate| candidate.is_file())
}
