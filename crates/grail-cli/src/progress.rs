//! Progress of anything slow.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Hears how far something slow has come.
pub trait Progress {
    /// `done` of `total` steps of `what`; `total` 0 when it is not known.
    fn step(&mut self, what: &str, done: u64, total: u64);
    /// All done; what was shown goes away.
    fn end(&mut self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
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
