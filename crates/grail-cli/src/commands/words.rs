//! `grail words`: the words of the mnemonic, for whoever copies them to paper.
//!
//! The one place where they are shown: on a terminal's other screen, which keeps nothing, or in a
//! file of their own. Never on standard output, which may be anything.

use std::fmt::Write as _;

use console::Term;
use zeroize::Zeroizing;

use crate::arguments::Words;
use crate::failure::Failure;
use crate::home::write_secret;
use crate::passphrase::is_at_terminal;
use crate::report::WordsShown;
use crate::session::Session;

/// The terminal's other screen, and back (xterm's control sequences, 1049).
const OTHER_SCREEN: (&str, &str) = ("\x1b[?1049h\x1b[2J\x1b[H", "\x1b[2J\x1b[?1049l");

/// Shows the words, or writes them to a file that is not there yet.
pub fn words(session: &Session, asked: &Words) -> Result<WordsShown, Failure> {
    if asked.to.is_none() && !is_at_terminal() {
        return Err(Failure::new(
            "no-terminal",
            "the words are shown on a terminal alone: run this on one, or give --to FILE",
        ));
    }
    let words = session.home.seed()?.words();
    let mut numbered = Zeroizing::new(String::with_capacity(words.len().saturating_mul(2)));
    for (number, word) in (1_u32..).zip(words.split(' ')) {
        // Writing to a text cannot fail.
        let _infallible = writeln!(numbered, "{number:2}. {word}");
    }
    match &asked.to {
        Some(file) => write_secret(file, numbered.as_bytes())?,
        None => show(&numbered)
            .map_err(|error| Failure::new("terminal-failed", format!("the terminal: {error}")))?,
    }
    Ok(WordsShown {
        file: asked.to.as_ref().map(|file| file.display().to_string()),
    })
}

/// Until a line is typed.
fn show(numbered: &str) -> std::io::Result<()> {
    let terminal = Term::stderr();
    terminal.write_str(OTHER_SCREEN.0)?;
    let read = terminal
        .write_str(numbered)
        .and_then(|()| terminal.write_str("\nCopy them to paper. Enter clears the screen."))
        .and_then(|()| terminal.read_secure_line());
    terminal.write_str(OTHER_SCREEN.1)?;
    read.map(drop)
}
