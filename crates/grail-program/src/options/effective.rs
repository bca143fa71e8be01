//! What a program goes by, as a file that would say the same, with where each value came from.

use std::fmt::Write as _;

use clap::{ArgMatches, Command, parser::ValueSource};
use toml::Value;

use super::{
    Told,
    keys::{Key, Kind, Tables},
    table_command, table_matches, variables,
};

/// The options of the naming's subcommand, as TOML. Text that may be secret is not in it.
pub fn effective(told: &Told) -> String {
    let Some((_, matches)) = told.matches.subcommand() else {
        return String::new();
    };
    let mut text = String::new();
    for key in &told.keys.plain {
        line(&mut text, key, &key.name, matches, |source| {
            told.origin(&key.name, source)
        });
    }
    for tables in &told.keys.tables {
        told.tables(&mut text, tables, matches);
    }
    text
}

impl Told {
    fn origin(&self, option: &str, source: Option<ValueSource>) -> String {
        match source {
            Some(ValueSource::CommandLine) => format!("--{option}"),
            Some(ValueSource::EnvVariable) => variables::variable(self.naming.prefix, option),
            _ if self.from_file.iter().any(|it| it == option) => self.file_name(),
            _ => "default".to_owned(),
        }
    }

    fn file_name(&self) -> String {
        let path = self.file.as_deref();
        path.map_or_else(String::new, |path| path.display().to_string())
    }

    /// One as flags and variables say, or else all those of the file.
    fn tables(&self, text: &mut String, tables: &Tables, matches: &ArgMatches) {
        let is_told = |key: &Key| matches.value_source(&key.id).is_some_and(is_explicit);
        let many = values(matches, &tables.id);
        if many.is_empty() || tables.keys.iter().any(is_told) {
            let _ = writeln!(text, "\n[[{}]]", tables.name);
            for key in &tables.keys {
                line(text, key, &key.short, matches, |source| {
                    self.origin(&key.name, source)
                });
            }
            return;
        }
        for one in many {
            let _ = writeln!(text, "\n[[{}]]", tables.name);
            // It was read before, so it reads.
            let Ok(matches) = table_matches(self.command_of(tables), &one) else {
                continue;
            };
            for key in &tables.keys {
                line(text, key, &key.short, &matches, |source| match source {
                    Some(ValueSource::CommandLine) => self.file_name(),
                    _ => "default".to_owned(),
                });
            }
        }
    }

    /// A command with the options of a kind of tables alone.
    fn command_of(&self, tables: &Tables) -> Command {
        let known = self.command.find_subcommand(self.naming.subcommand);
        let arguments = known.into_iter().flat_map(Command::get_arguments);
        let own = arguments.filter(|it| {
            let name = it.get_long();
            name.is_some_and(|name| tables.keys.iter().any(|key| key.name == name))
        });
        let own = own.cloned();
        table_command().args(own.map(|it| it.env(None::<&str>)))
    }
}

fn is_explicit(source: ValueSource) -> bool {
    source != ValueSource::DefaultValue
}

fn values(matches: &ArgMatches, id: &str) -> Vec<String> {
    let raw = matches.try_get_raw(id).ok().flatten();
    let raw = raw.into_iter().flatten();
    raw.map(|it| it.to_string_lossy().into_owned()).collect()
}

fn line(
    text: &mut String,
    key: &Key,
    name: &str,
    matches: &ArgMatches,
    origin: impl Fn(Option<ValueSource>) -> String,
) {
    let values: Vec<_> = values(matches, &key.id)
        .into_iter()
        .map(|value| shown(key, &value))
        .collect();
    let origin = origin(matches.value_source(&key.id));
    // Writing to a string cannot fail.
    let _ = match values.as_slice() {
        [] => writeln!(text, "# {name} is not set"),
        [value] if !key.is_list => writeln!(text, "{name} = {value} # {origin}"),
        list => writeln!(text, "{name} = [{}] # {origin}", list.join(", ")),
    };
}

/// A value as TOML has it.
pub(super) fn shown(key: &Key, value: &str) -> String {
    let text = || Value::String(without_credentials(value)).to_string();
    match key.kind {
        Kind::Number => (value.parse::<i64>()).map_or_else(|_| text(), |number| number.to_string()),
        Kind::Switch => value.to_owned(),
        Kind::Text | Kind::Path => text(),
    }
}

/// An address with a password in it (`scheme://user:password@host`) shows none.
fn without_credentials(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://(hidden)@{host}"),
        None => value.to_owned(),
    }
}
