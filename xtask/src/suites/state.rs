//! What of a slow suite is done already, so that an interrupted run goes on where it stopped.
//!
//! One file for each suite: a first line that says what was run, then a line for each shard that
//! passed, written when it did. Of another seed, another cut or other sources, it counts for
//! nothing.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::shard::Part;
use crate::shell::{output_of, root};

/// The record of one suite.
#[derive(Debug)]
pub struct State {
    file: PathBuf,
    heading: String,
    done: Vec<String>,
}

impl State {
    /// Reads the record of `suite` under `folder`, or begins one. `sources` names what is tested.
    pub fn open(folder: &Path, suite: &str, seed: u32, of: u32, sources: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let file = folder.join(format!("{suite}.state"));
        let heading = format!("{suite} v1: seed {seed}, {of} shards, sources {sources}");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut lines = text.lines();
        let done = if lines.next() == Some(&heading) {
            // A last line without its end was cut off while it was written.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().skip(1).map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        let mut state = Self {
            file,
            heading,
            done,
        };
        state.write_whole()?;
        Ok(state)
    }

    /// Whether `part` has passed.
    pub fn is_done(&self, part: Part) -> bool {
        let beginning = format!("{part} ");
        self.done.iter().any(|line| line.starts_with(&beginning))
    }

    /// Notes that `part` has passed.
    pub fn note(&mut self, part: Part, took: Duration) -> Result<()> {
        let line = format!("{part} passed in {} s", took.as_secs());
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.file)
            .with_context(|| format!("opening {}", self.file.display()))?;
        // One write, so that a line is there or not.
        file.write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("writing {}", self.file.display()))?;
        self.done.push(line);
        Ok(())
    }

    /// Forgets what has passed.
    pub fn forget(&mut self) -> Result<()> {
        self.done.clear();
        self.write_whole()
    }

    fn write_whole(&mut self) -> Result<()> {
        let mut text = self.heading.clone();
        for line in &self.done {
            text.push('\n');
            text.push_str(line);
        }
        text.push('\n');
        fs::write(&self.file, text).with_context(|| format!("writing {}", self.file.display()))
    }
}

/// Names the sources as they lie here: the commit, and a digest of what differs from it.
pub fn sources() -> Result<String> {
    let git = |arguments: &[&str]| {
        output_of(Command::new("git").current_dir(root()).args(arguments)).context("running git")
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let mut changes = Sha256::new();
    changes.update(git(&["diff", "--binary", "HEAD"])?);
    for name in git(&["ls-files", "-z", "--others", "--exclude-standard"])?.split_terminator('\0') {
        changes.update(name);
        changes.update([0]);
        changes.update(fs::read(root().join(name)).unwrap_or_default());
    }
    let changes = hex::encode(changes.finalize());
    Ok(format!("{}+{}", commit.trim(), &changes[..12]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(text: &str) -> Part {
        text.parse().unwrap()
    }

    fn open(folder: &Path, seed: u32, sources: &str) -> State {
        State::open(folder, "suite", seed, 3, sources).unwrap()
    }

    #[test]
    fn an_interrupted_run_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = open(folder.path(), 1, "a");
        assert!(!state.is_done(part("2/3")));
        state.note(part("2/3"), Duration::from_secs(7)).unwrap();
        assert!(state.is_done(part("2/3")));
        let state = open(folder.path(), 1, "a");
        assert!(state.is_done(part("2/3")) && !state.is_done(part("1/3")));
    }

    #[test]
    fn another_seed_or_other_sources_start_anew() {
        for (seed, sources) in [(2, "a"), (1, "b")] {
            let folder = tempfile::tempdir().unwrap();
            let mut state = open(folder.path(), 1, "a");
            state.note(part("1/3"), Duration::ZERO).unwrap();
            assert!(!open(folder.path(), seed, sources).is_done(part("1/3")));
            // And what was there before is not believed again.
            assert!(!open(folder.path(), 1, "a").is_done(part("1/3")));
        }
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = open(folder.path(), 1, "a");
        state.note(part("1/3"), Duration::ZERO).unwrap();
        let file = folder.path().join("suite.state");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}2/3 pass")).unwrap();
        let state = open(folder.path(), 1, "a");
        assert!(state.is_done(part("1/3")) && !state.is_done(part("2/3")));
    }

    #[test]
    fn what_is_forgotten_is_run_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = open(folder.path(), 1, "a");
        state.note(part("1/3"), Duration::ZERO).unwrap();
        state.forget().unwrap();
        assert!(!open(folder.path(), 1, "a").is_done(part("1/3")));
    }
}
