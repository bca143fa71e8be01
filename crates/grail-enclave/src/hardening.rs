//! What keeps the key inside the process where no TEE does, and makes every panic the end.

use std::process;

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

use crate::log;

/// Exit code after a panic.
pub const EXIT_PANIC: i32 = 70;

/// Ends the process at the first panic of any thread, saying where, not what: a message could carry
/// values.
pub fn exit_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            log(&format_args!("panic at {place}"));
        }
        process::exit(EXIT_PANIC);
    }));
}

/// Forbids core dumps, and other processes of the same user to read this one's memory. Inside a TEE
/// nothing else runs; in development this spares the key a visit to the disk.
pub fn forbid_dumps() -> Result<(), nix::Error> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}
