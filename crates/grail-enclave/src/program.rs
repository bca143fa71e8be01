//! What the process is: a signer, its TEE, and the network that it was started for.

use std::{io, path::Path};

use grail_signer::{Effect, Entropy, EntropyError, Input, Node};
use grail_tee::Tee;
use grail_types::{BoundedBytes, Epoch, Measurement, Network};
use grail_wire::{Booted, Fault, FaultCode, Request, Response};

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
    node: Node,
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
            node: Node::new(tee),
        })
    }

    /// Serves one request and carries out what the node wants done. A TEE that was allowed for one
    /// network does not run for a bridge of another: without this, a host could boot a
    /// development TEE for mainnet (invariant I11).
    pub fn handle(&mut self, request: Request) -> (Epoch, Response) {
        if let Request::Boot(boot) = &request
            && boot.bridge.network != self.network
        {
            let details = format!(
                "expected a bridge of {}, got one of {}",
                self.network, boot.bridge.network
            );
            let fault = Fault::new(FaultCode::NetworkMismatch, &details);
            return (Epoch(0), Response::Failed(fault));
        }
        let effects = self.node.handle(Input::Request(request), &mut OsEntropy);
        carry_out(effects)
    }
}

/// The host gets what it is to keep with the response, so that it cannot have one without the
/// other.
fn carry_out(effects: Vec<Effect>) -> (Epoch, Response) {
    let mut kept = None;
    let mut said = None;
    for effect in effects {
        match effect {
            Effect::Keep(sealed) => kept = Some(sealed),
            Effect::Respond { epoch, response } => said = Some((epoch, response)),
        }
    }
    let (epoch, response) = said.expect("a node answers every request");
    let response = match (response, kept) {
        (Response::Booted(Booted { public_key, .. }), Some(sealed)) => {
            match BoundedBytes::new(sealed) {
                Ok(sealed) => Response::Booted(Booted {
                    public_key,
                    sealed: Some(sealed),
                }),
                Err(error) => Response::Failed(Fault::new(FaultCode::SealTooLarge, &error)),
            }
        }
        (response, _) => response,
    };
    (epoch, response)
}

/// The operating system's randomness.
struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::getrandom(bytes).map_err(|error| EntropyError(error.to_string()))
    }
}
