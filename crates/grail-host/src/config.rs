//! The command line, and the protocol file that it names.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use grail_ask::Name;
use grail_attest::{PROTOCOL_JSON_BYTES_MAX, Protocol};
use grail_program::options::with_variables;

use crate::{address::ConnectAddress, error::HostError, fail_safe::Reason};

/// What variables begin with that stand for options: `--state` is `GRAIL_HOST_STATE`.
pub const VARIABLES: &str = "GRAIL_HOST_";

/// What the program does besides running an operator.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Sign nothing until `resume`, also after a restart.
    Pause {
        /// Folder of the operator.
        #[arg(long, value_name = "FOLDER")]
        state: PathBuf,
        /// Why; the backend is told.
        #[arg(long)]
        reason: Reason,
    },
    /// End the pause.
    Resume {
        /// Folder of the operator.
        #[arg(long, value_name = "FOLDER")]
        state: PathBuf,
    },
}

/// Runs an operator: starts the enclave, keeps its sealed key, answers the backend's asks.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What this operator calls itself: 1 to 64 letters, digits, spaces, `.`, `_` or `-`.
    #[arg(long)]
    pub name: Name,
    /// The protocol file (bridge, parameters, images), JSON, the same for every operator and the
    /// backend.
    #[arg(long, value_name = "FILE")]
    pub protocol: PathBuf,
    /// Folder of this operator's sealed key; made if missing. Back it up.
    #[arg(long, value_name = "FOLDER")]
    pub state: PathBuf,
    /// The backend's broker.
    #[arg(long, value_name = "HOST:PORT")]
    pub broker: String,
    /// The enclave's program, a development build, started under the development TEE [default:
    /// grail-enclave beside this program].
    #[arg(long, value_name = "FILE", conflicts_with = "enclave")]
    pub enclave_exe: Option<PathBuf>,
    /// An enclave that runs already: `unix:PATH` or `vsock:CID:PORT`.
    #[arg(long, value_name = "ADDRESS")]
    pub enclave: Option<ConnectAddress>,
    /// Most satoshis that may leave the vault within a day, by the states of the roster NFT that
    /// this operator signs; more is refused until the day is over [default: no limit].
    #[arg(long, value_name = "SAT")]
    pub daily_outflow_max_sat: Option<u64>,
    /// Log as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What the program is told to do.
#[derive(Clone, Debug)]
pub enum Told {
    /// Run an operator.
    Run(Box<Config>),
    /// Something besides.
    Other(Command),
}

impl Told {
    /// Reads command line and variables.
    pub fn read() -> Result<Self, clap::Error> {
        let command = Command::augment_subcommands(Config::command());
        let command = with_variables(command.subcommand_negates_reqs(true), VARIABLES, |_| true);
        let matches = command.try_get_matches()?;
        if matches.subcommand_name().is_some() {
            return Command::from_arg_matches(&matches).map(Self::Other);
        }
        Config::from_arg_matches(&matches).map(|config| Self::Run(Box::new(config)))
    }
}

/// Reads the protocol file.
pub fn read_protocol(path: &Path) -> Result<Protocol, HostError> {
    Ok(grail_files::read_json(path, PROTOCOL_JSON_BYTES_MAX)?)
}

/// The enclave's program as it is installed and built: beside another one, or beside the folder
/// that cargo puts tests in.
pub fn enclave_beside(program: &Path) -> Option<PathBuf> {
    program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("grail-enclave"))
        .find(|candidate| candidate.is_file())
}
