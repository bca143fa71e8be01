//! The end of a shard that takes too long.
//!
//! A watchdog ends every program that was started here, and theirs: what waits for them then fails,
//! as if they had failed by themselves. Linux only, since it reads `/proc`.

use std::fs;
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How often it looks again for programs that were started while it ended others.
const ROUNDS_MAX: usize = 20;
const ROUND: Duration = Duration::from_millis(50);

/// Runs `work`, and ends what it started if it takes longer than `limit`.
pub fn within(limit: Duration, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (done, waiting) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || match waiting.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => {
            end_descendants();
            true
        }
        Ok(()) | Err(RecvTimeoutError::Disconnected) => false,
    });
    let outcome = work();
    drop(done);
    let was_ended = watchdog.join().ok().context("the watchdog")?;
    if was_ended {
        bail!("stopped at the end of its budget of {} s", limit.as_secs());
    }
    outcome
}

fn end_descendants() {
    for _ in 0..ROUNDS_MAX {
        let found = descendants(process::id(), &parents());
        if found.is_empty() {
            return;
        }
        let ids = found.iter().map(u32::to_string);
        // Some may have ended by themselves; the next round sees who has not.
        let _ = Command::new("kill")
            .arg("-KILL")
            .args(ids)
            .stderr(Stdio::null())
            .status();
        thread::sleep(ROUND);
    }
}

/// Every program that runs, with the one that started it.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            Some((id, parent_of(&stat)?))
        })
        .collect()
}

/// Reads `ID (NAME) STATE PARENT ...`; the name may hold anything. Nobody is the parent of what has
/// ended already.
fn parent_of(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

/// Those whose parent's parent, and so on, is `ancestor`.
fn descendants(ancestor: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = parents
            .iter()
            .filter(|(id, of)| *of == parent && !found.contains(id))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::shell::run;

    #[test]
    fn reads_parents_of_programs_with_strange_names() {
        assert_eq!(parent_of("12 (cat) S 3 12 12"), Some(3));
        assert_eq!(parent_of("12 (a) R 9) S 4 12"), Some(4));
        assert_eq!(parent_of("12 (cat) Z 3 12 12"), None);
        assert_eq!(parent_of("12"), None);
    }

    #[test]
    fn finds_children_of_children_and_nobody_else() {
        let parents = [(5, 4), (4, 2), (3, 1), (6, 2), (2, 1), (1, 1)];
        assert_eq!(descendants(2, &parents), [4, 6, 5]);
        assert_eq!(descendants(3, &parents), [0; 0]);
    }

    /// By a shell in between: its child has to end too, or the wait would go on.
    #[test]
    fn work_ends_with_its_budget() {
        let started = Instant::now();
        let ended = within(Duration::from_millis(200), || {
            run(Command::new("sh").args(["-c", "sleep 60; true"]))
        });
        assert!(started.elapsed() < Duration::from_secs(30));
        let said = ended.map_err(|error| error.to_string());
        assert_eq!(
            said,
            Err("stopped at the end of its budget of 0 s".to_owned())
        );
    }

    #[test]
    fn work_that_ends_in_time_says_its_own_outcome() {
        let minute = Duration::from_mins(1);
        assert!(within(minute, || Ok(())).is_ok());
        let failed = within(minute, || bail!("broken"));
        assert_eq!(
            failed.map_err(|error| error.to_string()),
            Err("broken".to_owned())
        );
    }
}
