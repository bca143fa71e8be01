//! The program at a terminal, with somebody who types.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// A program whose standard input and error are a terminal.
pub struct AtTerminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// How much of the screen was looked at.
    seen: usize,
}

impl AtTerminal {
    pub fn start(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open(OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        let child = command
            .stdin(terminal.try_clone().unwrap())
            .stderr(terminal)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The command keeps the terminal's ends that it was given: let go, so that it can end.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let (mut from, screen) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
            move || {
                let mut bytes = [0; 1_024];
                // An error: nobody holds the terminal any more.
                while let Ok(read @ 1..) = from.read(&mut bytes) {
                    screen.lock().unwrap().extend(&bytes[..read]);
                }
            }
        });
        Self {
            child,
            keyboard,
            screen,
            reader,
            seen: 0,
        }
    }

    /// Waits for a question and answers it, once what is typed does not show.
    pub fn answer(&mut self, question: &str, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            let found = shown.get(self.seen..).and_then(|new| new.find(question));
            let is_hidden = {
                let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
                !modes.contains(LocalModes::ECHO)
            };
            if let Some(at) = found
                && is_hidden
            {
                self.seen += at + question.len();
                break;
            }
            assert!(Instant::now() < deadline, "{question:?} not in {shown:?}");
            std::thread::sleep(POLL);
        }
        self.keyboard.write_all(line.as_bytes()).unwrap();
        self.keyboard.write_all(b"\n").unwrap();
    }

    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Its end; what the screen showed counts as its standard error.
    pub fn end(self) -> Output {
        let mut output = self.child.wait_with_output().unwrap();
        self.reader.join().unwrap();
        output.stderr.clone_from(&self.screen.lock().unwrap());
        output
    }
}
