//! What the demo shows while it runs: a line for each thing done, with the time since the start.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const SPIN_INTERVAL: Duration = Duration::from_millis(120);

/// Where lines go.
pub struct Report {
    began: Instant,
    /// On a terminal, what is being done now.
    spinner: Option<ProgressBar>,
}

impl Report {
    /// Starts the clock.
    pub fn new() -> Self {
        let spinner = std::io::stdout().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(SPIN_INTERVAL);
            spinner
        });
        Self {
            began: Instant::now(),
            spinner,
        }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A part of the story begins.
    pub fn chapter(&self, title: &str) {
        self.line(&format!("\n{title}"));
    }

    /// Something is being done that takes a while.
    pub fn doing(&self, what: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(what.to_owned());
        }
    }

    /// Something is done.
    pub fn done(&self, what: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.line(&format!("  [{seconds:>6.1} s] ✓ {what}"));
        self.doing("");
    }

    /// A line as it is.
    pub fn line(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.println(text),
            None => println!("{text}"),
        }
    }

    /// No more lines with a spinner below them.
    pub fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
