//! Options from flags, environment, a file and defaults, in this order.
//!
//! A program's options are those that `clap` knows: a key of the file is an option's long name, a
//! variable the same in capitals behind the program's prefix. What the file says goes in as
//! `clap`'s defaults, so it is read by the same parsers, and flags and variables win by themselves.
//!
//! A table `[[node]]` of the file stands for the options that begin with `--node-`: each is read as
//! a command line of its own ([`Table`]). Flags and variables of that kind describe one, in place
//! of all those in the file.

mod effective;
mod example;
mod file;
mod keys;
mod variables;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Arg, ArgMatches, Command, value_parser};

pub use effective::effective;
pub use example::{Sample, example};
pub use file::{Fault, FileError};
pub use variables::{log_level, parse_with_variables, with_variables, without_empty_variables};

use file::File;
use keys::Keys;

/// How a program names its options elsewhere than on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// The subcommand whose options the file and the environment may hold. Other subcommands take
    /// from there what they have as well.
    pub subcommand: &'static str,
    /// What its variables begin with.
    pub prefix: &'static str,
    /// The file that is read, if it is there and no other is named.
    pub file: &'static str,
    /// Options that hold a path behind these words: in a file it is relative to that.
    pub paths_behind: &'static [(&'static str, &'static str)],
}

/// Name of the option that names the file: every subcommand gets it.
const CONFIG: &str = "config";

/// What a program was told, and where each word of it came from.
#[derive(Debug)]
pub struct Told {
    /// What `clap` made of it.
    pub matches: ArgMatches,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Variables with the program's prefix that name none of its options.
    pub unknown_variables: Vec<String>,
    naming: Naming,
    keys: Keys,
    command: Command,
    from_file: Vec<String>,
}

/// Why a program does not begin.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The command line, or a variable; also help that was asked for.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads `words`, the first of which is the program's name, the environment, and the file that they
/// name.
pub fn read(
    command: Command,
    naming: Naming,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Told, OptionsError> {
    let words: Vec<OsString> = words.into_iter().collect();
    let keys = Keys::of(&command, naming.subcommand);
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .global(true)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!(
            "The configuration file, TOML [default: {}, if it is there]",
            naming.file
        ));
    let command = with_variables(command.arg(config), naming.prefix, |name| {
        name == CONFIG || keys.is_variable(name)
    });
    // What is required may be in the file, whose name is to be found first.
    let loose = command
        .clone()
        .mut_subcommands(|it| it.mut_args(|argument| argument.required(false)));
    let first = loose.try_get_matches_from(&words)?;
    let named = first
        .subcommand()
        .and_then(|(_, its)| its.get_one::<PathBuf>(CONFIG).cloned());
    let file = match named {
        Some(path) => Some(File::read(&path, &keys, naming.paths_behind)?),
        None if Path::new(naming.file).exists() => Some(File::read(
            Path::new(naming.file),
            &keys,
            naming.paths_behind,
        )?),
        None => None,
    };
    let (command, from_file) = match &file {
        Some(file) => {
            file.check(&command, naming.subcommand)?;
            (
                file.put_into(command),
                file.keys().map(str::to_owned).collect(),
            )
        }
        None => (command, Vec::new()),
    };
    let matches = command.clone().try_get_matches_from(&words)?;
    Ok(Told {
        matches,
        file: file.map(|file| file.path().to_owned()),
        unknown_variables: variables::unknown(naming.prefix, &keys),
        naming,
        keys,
        command,
        from_file,
    })
}

/// A table of the file, read as a command line of its own.
#[derive(Clone, Debug)]
pub struct Table<A>(pub A);

impl<A: clap::Args> FromStr for Table<A> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let matches = table_matches(A::augment_args(table_command()), text)?;
        let read = A::from_arg_matches(&matches).map_err(|error| said(&error))?;
        Ok(Self(read))
    }
}

fn table_command() -> Command {
    Command::new("table")
        .no_binary_name(true)
        .disable_help_flag(true)
}

/// `text` is a list of words in JSON: this form is never seen outside.
fn table_matches(command: Command, text: &str) -> Result<ArgMatches, String> {
    let words: Vec<String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    command
        .try_get_matches_from(words)
        .map_err(|error| said(&error))
}

/// What `clap` says, without how the command is used.
fn said(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().take_while(|line| !line.starts_with("Usage"));
    let words: Vec<_> = lines.map(str::trim).filter(|it| !it.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
