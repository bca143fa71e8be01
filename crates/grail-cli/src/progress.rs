//! What a command tells while it works: how far something slow has come, and notes beside the
//! answer.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Something that the user should know, and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} [{code}]")]
pub struct Note {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// What was found, and what it means.
    pub message: String,
}

impl Note {
    /// A note of this code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Hears what a command tells while it works.
pub trait Progress {
    /// Something that the user should know beside the answer.
    fn note(&mut self, note: Note);
    /// `done` of `total` steps of `what`; `total` 0 when it is not known.
    fn step(&mut self, what: &str, done: u64, total: u64);
    /// All done; what was shown goes away.
    fn end(&mut self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn note(&mut self, _note: Note) {}
    fn step(&mut self, _what: &str, _done: u64, _total: u64) {}
    fn end(&mut self) {}
}

/// Keeps the notes, for who asks later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(pub Vec<Note>);

impl Progress for Notes {
    fn note(&mut self, note: Note) {
        self.0.push(note);
    }
    fn step(&mut self, _what: &str, _done: u64, _total: u64) {}
    fn end(&mut self) {}
}

/// Notes as JSON on standard error, one object to a line; no bar.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonNotes;

impl Progress for JsonNotes {
    fn note(&mut self, note: Note) {
        eprintln!("{}", serde_json::json!({ "note": note }));
    }
    fn step(&mut self, _what: &str, _done: u64, _total: u64) {}
    fn end(&mut self) {}
}

/// A bar on standard error, when that is a terminal.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Not shown until the first step.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self(bar)
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Bar {
    fn note(&mut self, note: Note) {
        self.0.suspend(|| eprintln!("note: {note}"));
    }

    fn step(&mut self, what: &str, done: u64, total: u64) {
        self.0.set_message(what.to_owned());
        if total > 0 {
            self.0.set_length(total);
        }
        self.0.set_position(done);
        self.0.tick();
    }

    fn end(&mut self) {
        self.0.finish_and_clear();
    }
}
