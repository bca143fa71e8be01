//! The development TEE around this program: on regtest, in development builds alone (ADR 10).

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use grail_attest::UnixTime;
use grail_attest_dev::{InsecureDevTee, development_measurement, development_pcr0};
use grail_tee::Tee;
use grail_types::{DevelopmentAllowed, Measurement, Network};

use crate::program::StartError;

/// The running program's own image, whatever has become of the file since.
const OWN_IMAGE: &str = "/proc/self/exe";

/// The simulated machine whose identity the file `hardware` holds.
pub(crate) fn tee(network: Network, hardware: Option<&Path>) -> Result<Box<dyn Tee>, StartError> {
    let allowed =
        DevelopmentAllowed::on(network).ok_or(StartError::DevelopmentForbidden(network))?;
    let bytes = read(hardware.ok_or(StartError::HardwareMissing)?)?;
    let hardware_id = <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| StartError::HardwareLength(bytes.len()))?;
    let tee = InsecureDevTee::new(allowed, own_pcr0()?, hardware_id, clock);
    Ok(Box::new(tee))
}

/// What it measures of this very program.
pub(crate) fn own_measurement() -> Result<Measurement, StartError> {
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

/// The simulated hardware's clock. One before 1970 gives documents that nobody believes.
fn clock() -> UnixTime {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
