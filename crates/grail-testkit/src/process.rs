//! Child processes that never outlive us, whichever way we end.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A process that was asked to end and has not by then is killed.
const END_TIMEOUT: Duration = Duration::from_mins(1);
/// Between two looks at a process.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Asks the kernel to kill the child when we die, even by SIGKILL (util-linux, in every Debian).
const SETPRIV: &str = "/usr/bin/setpriv";

/// `program`, started so that it dies with the thread that starts it.
pub(crate) fn dying_with_us(program: &Path) -> Command {
    if !Path::new(SETPRIV).is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A child process with a thread that owns it. Killed when dropped.
///
/// The kernel's parent-death signal follows the *thread* that started a child; test and
/// blocking-pool threads end long before the tests do.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
    log: PathBuf,
    said: Arc<Said>,
    orders: Option<Sender<Order>>,
    owner: Option<JoinHandle<()>>,
    end: Arc<Mutex<Option<ExitStatus>>>,
}

/// The lines of JSON on its standard output.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Vec<Value>>,
    more: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Wait for its end.
    Await,
    /// End it now.
    Kill,
}

impl Process {
    /// Starts `command` with everything that it writes going to the end of the file `log`. Lines of
    /// JSON on its standard output are kept besides.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Result<Self, String> {
        let errors = append_to(log)?;
        let mut outputs = append_to(log)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        let said = Arc::new(Said::default());
        let end = Arc::new(Mutex::new(None));
        let (started, start) = channel();
        let (orders, received) = channel();
        let (hears, ends) = (Arc::clone(&said), Arc::clone(&end));
        let owner = std::thread::spawn(move || match command.spawn() {
            Ok(mut child) => {
                let stdout = child.stdout.take();
                let listener = std::thread::spawn(move || listen(stdout, &mut outputs, &hears));
                let _ = started.send(Ok(child.id()));
                let status = watch(&mut child, &received);
                let _ = listener.join();
                *lock(&ends) = status;
            }
            Err(error) => {
                let _ = started.send(Err(format!("{command:?}: {error}")));
            }
        });
        let id = start.recv().map_err(|error| error.to_string())??;
        Ok(Self {
            id,
            log: log.to_owned(),
            said,
            orders: Some(orders),
            owner: Some(owner),
            end,
        })
    }

    /// Its process id.
    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    /// Where its output goes.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.owner.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it has said `count` lines of JSON that `is_it` likes, and returns the last of
    /// those.
    pub(crate) fn wait_for_line(
        &self,
        count: usize,
        deadline: Instant,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let mut lines = lock(&self.said.lines);
        loop {
            let found = lines
                .iter()
                .filter(|line| is_it(line))
                .nth(count.max(1) - 1);
            if let Some(found) = found {
                return Ok(found.clone());
            }
            if self.has_ended() {
                return Err("it ended".to_owned());
            }
            if Instant::now() >= deadline {
                return Err("it took too long".to_owned());
            }
            let (next, _) = self
                .said
                .more
                .wait_timeout(lines, POLL_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner);
            lines = next;
        }
    }

    /// The lines of JSON that it has said so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        lock(&self.said.lines).clone()
    }

    /// Sends it a signal: `TERM`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        if !self.has_ended() {
            signal(self.id, name);
        }
    }

    /// Waits until it has ended by itself; kills it when that takes too long.
    pub(crate) fn wait_for_end(mut self) -> Option<ExitStatus> {
        self.end(Order::Await);
        *lock(&self.end)
    }

    fn end(&mut self, order: Order) {
        if let Some(orders) = self.orders.take() {
            let _ = orders.send(order);
        }
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Order::Kill);
    }
}

/// Sends a signal to a process; that it is gone already is no error. The shell's own `kill` is
/// everywhere.
pub(crate) fn signal(id: u32, name: &str) {
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{name} {id}")])
        .stderr(Stdio::null())
        .status();
}

fn append_to(log: &Path) -> Result<File, String> {
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|error| format!("{}: {error}", log.display()))
}

/// A list of lines or an exit status is whole whatever a panicking thread was doing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(stdout: Option<ChildStdout>, log: &mut File, said: &Said) {
    let Some(stdout) = stdout else { return };
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(mut line) = line else { return };
        if let Ok(value) = serde_json::from_slice::<Value>(&line) {
            lock(&said.lines).push(value);
            said.more.notify_all();
        }
        line.push(b'\n');
        let _ = log.write_all(&line);
    }
}

/// Stays with `child` until it has ended, by itself or on order.
fn watch(child: &mut Child, orders: &Receiver<Order>) -> Option<ExitStatus> {
    let mut deadline = None;
    loop {
        match orders.recv_timeout(POLL_INTERVAL) {
            Ok(Order::Await) => deadline = Some(Instant::now() + END_TIMEOUT),
            Ok(Order::Kill) => break,
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can send an order any more: an awaited end is what is left.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL_INTERVAL),
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(status) => return status,
            Err(_) => return None,
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            break;
        }
    }
    let _ = child.kill();
    child.wait().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Process) {
        let dir = tempfile::tempdir().unwrap();
        let mut command = dying_with_us(Path::new("/bin/sh"));
        command.args(["-c", script]);
        let process = Process::spawn(command, &dir.path().join("log")).unwrap();
        (dir, process)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn lines_of_json_are_heard_and_everything_is_logged() {
        let (dir, process) = shell("echo words; echo '{\"n\":1}'; echo '{\"n\":2}'; echo no >&2");
        let is_number = |line: &Value| line["n"].is_u64();
        assert_eq!(process.wait_for_line(2, soon(), is_number).unwrap()["n"], 2);
        assert_eq!(process.wait_for_line(1, soon(), is_number).unwrap()["n"], 1);
        assert!(process.wait_for_line(3, soon(), is_number).is_err());
        assert!(process.wait_for_end().unwrap().success());
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        for part in ["words\n", "{\"n\":1}\n", "no\n"] {
            assert!(log.contains(part), "{log}");
        }
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let (_dir, process) = shell("exec sleep 1000");
        let proc = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(proc.exists());
        drop(process);
        assert!(!proc.exists());
    }

    #[test]
    fn a_signal_reaches_it() {
        let (_dir, process) =
            shell("trap 'exit 7' TERM; echo '{}'; while true; do sleep 0.05; done");
        process.wait_for_line(1, soon(), |_| true).unwrap();
        process.signal("TERM");
        assert_eq!(process.wait_for_end().unwrap().code(), Some(7));
    }
}
