//! Where the enclave listens, and the streams that come of it: a Unix socket in development, vsock
//! on Nitro. How a host connects is the host's.
//!
//! The vsock arms only hand over to the `vsock` crate. No machine of the project's tests has vsock:
//! they are compiled, not exercised.

use std::{
    fmt,
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    str::FromStr,
};

use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

/// Where an enclave listens: `unix:PATH` or `vsock:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A path that does not exist yet.
    Unix(PathBuf),
    /// A port, for whichever machine can reach it: in an enclave that is its parent alone.
    Vsock {
        /// The port.
        port: u32,
    },
}

/// The text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected unix:PATH or vsock:PORT")]
pub struct AddressError;

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("vsock", port)) => Ok(Self::Vsock {
                port: port.parse().map_err(|_| AddressError)?,
            }),
            _ => Err(AddressError),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Vsock { port } => write!(f, "vsock:{port}"),
        }
    }
}

/// Accepts streams.
pub enum Listener {
    /// On a Unix socket.
    Unix(UnixListener),
    /// On vsock.
    Vsock(VsockListener),
}

/// A stream between host and enclave.
#[derive(Debug)]
pub enum Stream {
    /// A Unix socket.
    Unix(UnixStream),
    /// vsock.
    Vsock(VsockStream),
}

impl Listener {
    /// Listens.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        Ok(match address {
            ListenAddress::Unix(path) => Self::Unix(UnixListener::bind(path)?),
            ListenAddress::Vsock { port } => {
                Self::Vsock(VsockListener::bind_with_cid_port(VMADDR_CID_ANY, *port)?)
            }
        })
    }

    /// The next stream.
    pub fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Unix(listener) => Stream::Unix(listener.accept()?.0),
            Self::Vsock(listener) => Stream::Vsock(listener.accept()?.0),
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Vsock(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Vsock(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Vsock(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_back() {
        for text in [
            "unix:/run/grail.sock",
            "unix:a:b",
            "vsock:0",
            "vsock:4294967295",
        ] {
            assert_eq!(
                text.parse::<ListenAddress>().map(|a| a.to_string()),
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
            "vsock:x",
            "vsock:-1",
            "tcp:1",
            "vsock:4294967296",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        // The host's form.
        assert!("vsock:16:5000".parse::<ListenAddress>().is_err());
    }
}
