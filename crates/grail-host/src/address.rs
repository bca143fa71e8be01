//! Where a host finds its enclave: a Unix socket in development, vsock on Nitro.
//!
//! The vsock arms only hand over to the `vsock` crate. No machine of the project's tests has vsock:
//! they are compiled, not exercised.

use std::{fmt, io, os::unix::net::UnixStream, path::PathBuf, str::FromStr, time::Duration};

use grail_link::stream::Stream;
use vsock::VsockStream;

/// Where a host finds its enclave: `unix:PATH` or `vsock:CID:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectAddress {
    /// A path.
    Unix(PathBuf),
    /// A port of an enclave.
    Vsock {
        /// The enclave's number on this machine.
        cid: u32,
        /// The port.
        port: u32,
    },
}

/// The text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected unix:PATH or vsock:CID:PORT")]
pub struct AddressError;

impl FromStr for ConnectAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = AddressError;
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("vsock", rest)) => {
                let (cid, port) = rest.split_once(':').ok_or(error)?;
                Ok(Self::Vsock {
                    cid: cid.parse().map_err(|_| error)?,
                    port: port.parse().map_err(|_| error)?,
                })
            }
            _ => Err(error),
        }
    }
}

impl fmt::Display for ConnectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
        }
    }
}

impl ConnectAddress {
    /// Connects to the enclave.
    pub fn connect(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
            Self::Vsock { cid, port } => {
                Stream::Vsock(VsockStream::connect_with_cid_port(*cid, *port)?)
            }
        })
    }
}

/// How long one read or write of `stream` may wait.
pub(crate) fn set_timeout(stream: &Stream, timeout: Duration) -> io::Result<()> {
    let timeout = Some(timeout);
    match stream {
        Stream::Unix(stream) => {
            stream.set_read_timeout(timeout)?;
            stream.set_write_timeout(timeout)
        }
        Stream::Vsock(stream) => {
            stream.set_read_timeout(timeout)?;
            stream.set_write_timeout(timeout)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_back() {
        for text in ["unix:/run/grail.sock", "unix:a:b", "vsock:16:5000"] {
            assert_eq!(
                text.parse::<ConnectAddress>().map(|a| a.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "unix",
            "unix:",
            "vsock:",
            "vsock:x:1",
            "vsock:1:x",
            "vsock:-1:1",
            "tcp:1",
            "vsock:1:4294967296",
            // The enclave's form.
            "vsock:5000",
        ] {
            assert!(text.parse::<ConnectAddress>().is_err(), "{text}");
        }
    }
}
