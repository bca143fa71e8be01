//! An example of a configuration file, made of what the options say of themselves.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{
    effective::shown,
    keys::{Key, Keys},
};

/// What an example has at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Everybody sets it: this value.
    Set(&'static str),
    /// Some set it, to something like this.
    Like(&'static str),
}

/// Columns of a comment.
const COLUMNS: usize = 100;

/// A file with every key of `subcommand`: what `samples` say of options by their long names, else
/// the default, as a comment.
pub fn example(command: &Command, subcommand: &str, samples: &[(&str, Sample)]) -> String {
    let keys = Keys::of(command, subcommand);
    let found = command.find_subcommand(subcommand);
    let arguments: Vec<_> = found.into_iter().flat_map(Command::get_arguments).collect();
    let mut text = String::new();
    for key in &keys.plain {
        put(&mut text, key, &key.name, &arguments, samples);
    }
    for tables in &keys.tables {
        let _ = writeln!(text, "\n[[{}]]", tables.name);
        for key in &tables.keys {
            put(&mut text, key, &key.short, &arguments, samples);
        }
    }
    text
}

fn put(text: &mut String, key: &Key, name: &str, arguments: &[&Arg], samples: &[(&str, Sample)]) {
    let argument = arguments
        .iter()
        .find(|it| it.get_long() == Some(key.name.as_str()));
    let help = argument.and_then(|it| it.get_long_help().or(it.get_help()));
    let help = help.map(ToString::to_string).unwrap_or_default();
    let default = argument.and_then(|it| it.get_default_values().first());
    let default = default.map(|it| it.to_string_lossy().into_owned());
    let sample = samples.iter().find(|(name, _)| *name == key.name);
    let (mark, value) = match (sample, default) {
        (Some((_, Sample::Set(value))), _) => ("", (*value).to_owned()),
        (Some((_, Sample::Like(value))), _) => ("#", (*value).to_owned()),
        (None, Some(default)) => ("#", default),
        (None, None) => ("#", String::new()),
    };
    let value = shown(key, &value);
    let value = if key.is_list {
        format!("[{value}]")
    } else {
        value
    };
    text.push('\n');
    comment(text, &help);
    let _ = writeln!(text, "{mark}{name} = {value}");
}

fn comment(text: &mut String, help: &str) {
    let mut line = String::from("#");
    for word in help.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
