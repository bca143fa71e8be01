//! What the process is: a signer, its TEE, and the network that it was started for.

use std::{io, path::Path};

use grail_attest::Tee;
use grail_signer::{Entropy, Fault, Request, Response, Signer};
use grail_types::{Measurement, Network};

#[cfg(feature = "development")]
use crate::development;

/// TEEs that the command line can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeeKind {
    /// Protects nothing; regtest alone, and in development builds alone.
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
    /// Invariant I11: what ships has no such code.
    #[error("this is a production build, it has no development TEE")]
    DevelopmentAbsent,
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

impl StartError {
    /// A stable word for logs and scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DevelopmentAbsent => "development-absent",
            Self::DevelopmentForbidden(_) => "development-forbidden",
            Self::NitroMissing => "nitro-missing",
            Self::HardwareMissing => "hardware-missing",
            Self::HardwareLength(_) => "hardware-length",
            Self::Read { .. } => "file-unreadable",
        }
    }

    /// Whether this program can never run in this TEE here, however often it is started.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::DevelopmentAbsent | Self::DevelopmentForbidden(_) | Self::NitroMissing => true,
            Self::HardwareMissing | Self::HardwareLength(_) | Self::Read { .. } => false,
        }
    }
}

/// The measurement that a development TEE gives this very program.
#[cfg(feature = "development")]
pub fn own_measurement() -> Result<Measurement, StartError> {
    development::own_measurement()
}

/// A production build is measured by its TEE alone.
#[cfg(not(feature = "development"))]
pub fn own_measurement() -> Result<Measurement, StartError> {
    Err(StartError::DevelopmentAbsent)
}

fn tee_of(
    kind: TeeKind,
    network: Network,
    hardware: Option<&Path>,
) -> Result<Box<dyn Tee>, StartError> {
    match kind {
        TeeKind::Nitro => Err(StartError::NitroMissing),
        #[cfg(feature = "development")]
        TeeKind::Development => development::tee(network, hardware),
        #[cfg(not(feature = "development"))]
        TeeKind::Development => {
            let _ = (network, hardware);
            Err(StartError::DevelopmentAbsent)
        }
    }
}

/// The one thing that the process runs.
pub struct Program {
    network: Network,
    signer: Signer,
}

impl Program {
    /// A signer in the named TEE, for parameters of `network` alone.
    pub fn start(
        tee: TeeKind,
        network: Network,
        hardware: Option<&Path>,
    ) -> Result<Self, StartError> {
        let tee = tee_of(tee, network, hardware)?;
        Ok(Self {
            network,
            signer: Signer::new(tee),
        })
    }

    /// Serves one request. A TEE that was allowed for one network does not run with the parameters of another:
    /// without this, a host could boot a development TEE with mainnet's (invariant I11).
    pub fn handle(&mut self, request: Request) -> Response {
        if let Request::Boot(boot) = &request
            && boot.params.network != self.network
        {
            return Response::Failed(Fault::new(
                "network-mismatch",
                &format!(
                    "expected parameters of {}, got {}",
                    self.network, boot.params.network
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
