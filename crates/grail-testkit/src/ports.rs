//! Ports that are named before anybody listens on them.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

/// Ports outside the range that the system takes for outgoing connections, so that a free one stays
/// free.
const PORTS: Range<u16> = 20_000..32_000;

/// What this process has reserved, until it ends.
static RESERVED: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// A port that is free, and that neither the system nor another test hands to anybody else: what
/// listens on it may start, end and start again for as long as this process lives.
pub(crate) fn quiet_port() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(PORTS);
        let Some(reserved) = reserve(port) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            let mut all = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(reserved);
            return Ok(port);
        }
    }
    None.context("no free port")
}

/// A name that one process at a time has, in no file, and that goes with it.
fn reserve(port: u16) -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(format!("grail-port-{port}")).ok()?;
    UnixDatagram::bind_addr(&name).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_port_is_reserved_once_until_it_is_let_go() {
        let port = quiet_port().unwrap();
        assert!(PORTS.contains(&port));
        // Nobody listens on it yet, and it is nobody else's.
        assert!(reserve(port).is_none());
        // Below the range, so that no other test has it.
        let own = fastrand::u16(1_000..PORTS.start);
        let reserved = reserve(own).unwrap();
        assert!(reserve(own).is_none());
        drop(reserved);
        assert!(reserve(own).is_some());
    }
}
