//! What the process is: a signer, its TEE, and the network that it was started for.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use grail_attest::{
    UnixTime,
    dev::{InsecureDevTee, development_measurement, development_pcr0},
};
use grail_signer::{Entropy, Fault, Request, Response, Signer};
use grail_types::{DevelopmentAllowed, Measurement, Network};

/// The running program's own image, whatever has become of the file since.
const OWN_IMAGE: &str = "/proc/self/exe";

/// TEEs that the command line can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeeKind {
    /// Protects nothing; regtest alone.
    Development,
    /// AWS Nitro Enclaves.
    Nitro,
}

impl std::str::FromStr for TeeKind {
    type Err = UnknownTee;

    fn from_str(text: &str) -> Result<Self, UnknownTee> {
        match text {
            "development" => Ok(Self::Development),
            "nitro" => Ok(Self::Nitro),
            _ => Err(UnknownTee),
        }
    }
}

/// The text names no TEE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected development or nitro")]
pub struct UnknownTee;

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Invariant I11.
    #[error("the development TEE protects nothing and runs on regtest alone, not on {0}")]
    DevelopmentForbidden(Network),
    /// There is a trait for it, and nothing behind it yet.
    #[error("this build has no driver for the Nitro security module")]
    NitroMissing,
    /// The simulated machine needs an identity.
    #[error("the development TEE needs --hardware FILE")]
    HardwareMissing,
    /// Its file is no such identity.
    #[error("hardware id: expected 32 bytes, got {0}")]
    HardwareLength(usize),
    /// A file that must be read was not.
    #[error("reading {path}: {error}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// The measurement that a development TEE gives this very program.
pub fn own_measurement() -> Result<Measurement, StartError> {
    Ok(development_measurement(own_pcr0()?))
}

fn own_pcr0() -> Result<[u8; 48], StartError> {
    read(Path::new(OWN_IMAGE)).map(|image| development_pcr0(&image))
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|error| StartError::Read {
        path: path.display().to_string(),
        error,
    })
}

/// The one thing that the process runs.
pub struct Program {
    network: Network,
    signer: Signer,
}

impl Program {
    /// A signer in the named TEE, for a bridge on `network` alone.
    pub fn start(
        tee: TeeKind,
        network: Network,
        hardware: Option<&Path>,
    ) -> Result<Self, StartError> {
        match tee {
            TeeKind::Nitro => Err(StartError::NitroMissing),
            TeeKind::Development => {
                let allowed = DevelopmentAllowed::on(network)
                    .ok_or(StartError::DevelopmentForbidden(network))?;
                let bytes = read(hardware.ok_or(StartError::HardwareMissing)?)?;
                let hardware_id = <[u8; 32]>::try_from(bytes.as_slice())
                    .map_err(|_| StartError::HardwareLength(bytes.len()))?;
                let tee = InsecureDevTee::new(allowed, own_pcr0()?, hardware_id, clock);
                Ok(Self {
                    network,
                    signer: Signer::new(Box::new(tee)),
                })
            }
        }
    }

    /// Serves one request. A TEE that was allowed for one network does not run for a bridge on another: without
    /// this, a host could boot a development TEE for one on mainnet (invariant I11).
    pub fn handle(&mut self, request: Request) -> Response {
        if let Request::Boot(boot) = &request
            && boot.bridge.network != self.network
        {
            return Response::Failed(Fault::new(
                "network-mismatch",
                &format!(
                    "expected a bridge on {}, got one on {}",
                    self.network, boot.bridge.network
                ),
            ));
        }
        self.signer.handle(request, &mut OsEntropy)
    }
}

/// The operating system's randomness.
struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        getrandom::getrandom(bytes).map_err(|error| Fault::new("entropy-unavailable", &error))
    }
}

/// The simulated hardware's clock. One before 1970 gives documents that nobody believes.
fn clock() -> UnixTime {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
