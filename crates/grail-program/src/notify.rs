//! The word to systemd (`sd_notify(3)`): a datagram to the socket that `NOTIFY_SOCKET` names.
//!
//! Whether it arrives is the service manager's affair: no program fails for it.

use std::{
    ffi::{OsStr, OsString},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Whoever started this program, if it wants to hear from it.
#[derive(Clone, Debug)]
pub struct Notify(Option<OsString>);

impl Notify {
    /// As the environment says. A variable that is empty names nobody.
    pub fn from_env() -> Self {
        Self(std::env::var_os(VARIABLE).filter(|name| !name.is_empty()))
    }

    /// The program serves.
    pub fn ready(&self) {
        self.say("READY=1\nSTATUS=serving");
    }

    /// What it waits for, in a line.
    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={}", status.replace('\n', " ")));
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, words: &str) {
        if let Some(name) = &self.0 {
            // Nobody there, or not ours to write to: there is nothing to do about it.
            let _ = send(name, words);
        }
    }
}

/// A name that begins with `@` is abstract: in no file system.
fn send(name: &OsStr, words: &str) -> std::io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that reads nothing must not hold a program up.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(words.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn says_that_it_is_ready_what_it_waits_for_and_that_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notify = Notify(Some(path.into()));
        notify.status("waiting\nREADY=1");
        assert_eq!(heard(&socket), "STATUS=waiting READY=1");
        notify.ready();
        assert_eq!(heard(&socket), "READY=1\nSTATUS=serving");
        notify.stopping();
        assert_eq!(heard(&socket), "STOPPING=1");
    }

    #[test]
    fn a_name_that_begins_with_an_at_sign_is_in_no_file_system() {
        let name = format!("grail-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Notify(Some(format!("@{name}").into())).stopping();
        assert_eq!(heard(&socket), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_is_gone_harms_nothing() {
        Notify(Some("/nowhere/at/all".into())).ready();
        Notify(None).ready();
    }
}
