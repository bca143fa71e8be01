//! A configuration file: TOML, every key of it an option.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Command};
use toml::Value;

use super::{
    keys::{Key, Keys, Kind, Tables},
    said,
};

/// A configuration has some hundreds of lines at the most.
const BYTES_MAX: usize = 256 * 1024;

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}; code {}", path.display(), fault.code())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(grail_files::FileError),
    /// It is no TOML.
    #[error("expected TOML: {0}")]
    Syntax(String),
    /// A key that names no option.
    #[error("unknown key {key}{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A value of another type.
    #[error("{key}: expected {expected}, got {got}")]
    WrongType {
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What it has.
        got: &'static str,
    },
    /// A value that the option does not take.
    #[error("{0}")]
    BadValue(String),
}

impl Fault {
    /// Stable name of the fault.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "config-unreadable",
            Self::Syntax(_) => "config-syntax",
            Self::UnknownKey { .. } => "config-unknown-key",
            Self::WrongType { .. } => "config-wrong-type",
            Self::BadValue(_) => "config-bad-value",
        }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": is it {nearest}?"))
}

/// A file that holds known keys with values of the right types.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Options by long name, with their values as a command line would have them.
    values: Vec<(String, Vec<String>)>,
}

impl File {
    pub(super) fn read(
        path: &Path,
        keys: &Keys,
        paths_behind: &[(&str, &str)],
    ) -> Result<Self, FileError> {
        let at = |fault| FileError {
            path: path.to_owned(),
            fault,
        };
        let bytes = grail_files::read_bounded(path, BYTES_MAX)
            .map_err(|error| at(Fault::Unreadable(error)))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| at(Fault::Syntax("this is no text in UTF-8".to_owned())))?;
        let reader = Reader {
            folder: path.parent().unwrap_or(Path::new("")),
            paths_behind,
        };
        let values = reader.values(&text, keys).map_err(at)?;
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The options that it holds.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| name.as_str())
    }

    /// Reads it as a command line of its own, so that what is wrong in it is said of it.
    pub(super) fn check(&self, command: &Command, subcommand: &str) -> Result<(), FileError> {
        let Some(found) = command.find_subcommand(subcommand) else {
            return Ok(());
        };
        let alone = found
            .clone()
            .no_binary_name(true)
            .mut_args(|it| it.required(false).env(None::<&str>));
        let is_switch = |name: &str| {
            let mut arguments = found.get_arguments();
            let argument = arguments.find(|it| it.get_long() == Some(name));
            argument.is_some_and(|it| matches!(it.get_action(), ArgAction::SetTrue))
        };
        let words = self.values.iter().flat_map(|(name, values)| {
            let words = values.iter().map(|it| word(name, is_switch(name), it));
            words.collect::<Vec<_>>()
        });
        let words = words.flatten();
        match alone.try_get_matches_from(words) {
            Ok(_) => Ok(()),
            Err(error) => Err(FileError {
                path: self.path.clone(),
                fault: Fault::BadValue(said(&error)),
            }),
        }
    }

    /// Its values as the defaults of all subcommands that have such options.
    pub(super) fn put_into(&self, command: Command) -> Command {
        command.mut_subcommands(|it| {
            it.mut_args(|argument| {
                let name = argument.get_long().unwrap_or_default();
                match self.values.iter().find(|(key, _)| key == name) {
                    Some((_, values)) => argument.required(false).default_values(values.clone()),
                    None => argument,
                }
            })
        })
    }
}

/// What a command line would have in place of a value: a switch takes none.
fn word(option: &str, is_switch: bool, value: &str) -> Option<String> {
    match (is_switch, value) {
        (true, "true") => Some(format!("--{option}")),
        (true, _) => None,
        (false, value) => Some(format!("--{option}={value}")),
    }
}

/// Reads values.
struct Reader<'a> {
    folder: &'a Path,
    paths_behind: &'a [(&'a str, &'a str)],
}

impl Reader<'_> {
    fn values(&self, text: &str, keys: &Keys) -> Result<Vec<(String, Vec<String>)>, Fault> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Fault::Syntax(error.to_string()))?;
        let mut values = Vec::new();
        for (name, value) in table {
            if let Some(tables) = keys.tables.iter().find(|it| it.name == name) {
                values.push((tables.option(), self.tables(tables, value)?));
            } else if let Some(key) = keys.plain.iter().find(|it| it.name == name) {
                values.push((name, self.texts(key, value)?));
            } else {
                let nearest = keys.nearest(&name);
                return Err(Fault::UnknownKey { key: name, nearest });
            }
        }
        Ok(values)
    }

    /// Each table as a list of words.
    fn tables(&self, tables: &Tables, value: Value) -> Result<Vec<String>, Fault> {
        let wrong = |got: &Value| Fault::WrongType {
            key: tables.name.clone(),
            expected: "tables",
            got: type_of(got),
        };
        let Value::Array(list) = value else {
            return Err(wrong(&value));
        };
        let each = list.into_iter().map(|value| {
            let Value::Table(table) = value else {
                return Err(wrong(&value));
            };
            let mut words = Vec::new();
            for (name, value) in table {
                let Some(key) = tables.keys.iter().find(|it| it.short == name) else {
                    let nearest = tables.nearest(&name);
                    let key = format!("{name} in [[{}]]", tables.name);
                    return Err(Fault::UnknownKey { key, nearest });
                };
                let texts = self.texts(key, value)?;
                let is_switch = key.kind == Kind::Switch;
                words.extend(texts.iter().filter_map(|it| word(&key.name, is_switch, it)));
            }
            serde_json::to_string(&words).map_err(|error| Fault::Syntax(error.to_string()))
        });
        each.collect()
    }

    fn texts(&self, key: &Key, value: Value) -> Result<Vec<String>, Fault> {
        match value {
            Value::Array(list) if key.is_list => {
                list.into_iter().map(|it| self.text(key, it)).collect()
            }
            other => Ok(vec![self.text(key, other)?]),
        }
    }

    fn text(&self, key: &Key, value: Value) -> Result<String, Fault> {
        let (expected, text) = match (key.kind, value) {
            (Kind::Number, Value::Integer(number)) => return Ok(number.to_string()),
            (Kind::Switch, Value::Boolean(value)) => return Ok(value.to_string()),
            (Kind::Path, Value::String(text)) => return Ok(self.beside(&text)),
            (Kind::Text, Value::String(text)) => return Ok(self.behind(key, text)),
            (Kind::Number, other) => ("a number", other),
            (Kind::Switch, other) => ("true or false", other),
            (Kind::Path | Kind::Text, other) if key.is_list => ("texts", other),
            (Kind::Path | Kind::Text, other) => ("a text", other),
        };
        Err(Fault::WrongType {
            key: key.short.clone(),
            expected,
            got: type_of(&text),
        })
    }

    /// A relative path is relative to the file: from wherever the program is started.
    fn beside(&self, path: &str) -> String {
        self.folder.join(path).display().to_string()
    }

    fn behind(&self, key: &Key, text: String) -> String {
        let mut known = self.paths_behind.iter();
        let words = known.find_map(|(name, words)| (*name == key.name).then_some(*words));
        match words.and_then(|words| Some((words, text.strip_prefix(words)?))) {
            Some((words, path)) => format!("{words}{}", self.beside(path)),
            None => text,
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
