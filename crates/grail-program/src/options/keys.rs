//! What a file may hold: the options of one subcommand.

use std::{any::TypeId, path::PathBuf};

use clap::{Arg, ArgAction, Command};

use super::CONFIG;

/// What a hidden option is named behind that takes the tables of a kind: `--node-table` takes
/// `[[node]]`.
const TABLE: &str = "-table";

/// What stands behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `"text"`.
    Text,
    /// `"text"`, relative to the file.
    Path,
    /// `1`.
    Number,
    /// `true`.
    Switch,
}

/// A key: an option's long name.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    /// What `clap` calls it.
    pub(super) id: String,
    /// As it is called within its table.
    pub(super) short: String,
    pub(super) kind: Kind,
    /// Whether it may be given several times: a list.
    pub(super) is_list: bool,
}

/// A kind of tables.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) name: String,
    /// What `clap` calls the option that takes them.
    pub(super) id: String,
    pub(super) keys: Vec<Key>,
}

/// All keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) plain: Vec<Key>,
    pub(super) tables: Vec<Tables>,
}

impl Keys {
    pub(super) fn of(command: &Command, subcommand: &str) -> Self {
        let found = command.find_subcommand(subcommand);
        let arguments: Vec<&Arg> = found
            .into_iter()
            .flat_map(Command::get_arguments)
            .filter(|it| !matches!(it.get_id().as_str(), CONFIG | "help" | "version"))
            .collect();
        let mut tables: Vec<Tables> = arguments
            .iter()
            .filter_map(|it| Some((it, it.get_long()?.strip_suffix(TABLE)?)))
            .map(|(argument, name)| Tables {
                name: name.to_owned(),
                id: argument.get_id().to_string(),
                keys: Vec::new(),
            })
            .collect();
        let mut plain = Vec::new();
        for argument in arguments {
            let Some(name) = argument.get_long() else {
                continue;
            };
            if name.ends_with(TABLE) {
                continue;
            }
            let within = tables.iter_mut().find_map(|it| {
                let short = name.strip_prefix(it.name.as_str())?.strip_prefix('-')?;
                Some((&mut it.keys, short))
            });
            match within {
                Some((keys, short)) => keys.push(Key::of(argument, name, short)),
                None => plain.push(Key::of(argument, name, name)),
            }
        }
        Self { plain, tables }
    }

    /// Whether an option is one that a variable may hold.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.variables().any(|key| key.name == name)
    }

    /// Options that variables may hold.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Key> {
        let within = self.tables.iter().flat_map(|it| &it.keys);
        self.plain.iter().chain(within)
    }

    /// What may stand at the top of a file and is most like `name`.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let within = self.tables.iter().find_map(|it| {
            let key = it.keys.iter().find(|key| key.name == name)?;
            Some(format!("{} in a table [[{}]]", key.short, it.name))
        });
        let tables = self.tables.iter().map(|it| it.name.as_str());
        let names = self.plain.iter().map(|key| key.name.as_str());
        within.or_else(|| nearest(name, names.chain(tables)).map(str::to_owned))
    }
}

impl Tables {
    /// The option that takes them.
    pub(super) fn option(&self) -> String {
        format!("{}{TABLE}", self.name)
    }

    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let names = self.keys.iter().map(|key| key.short.as_str());
        nearest(name, names).map(str::to_owned)
    }
}

impl Key {
    fn of(argument: &Arg, name: &str, short: &str) -> Self {
        let of = argument.get_value_parser().type_id();
        let numbers = [
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
        ];
        let kind = if numbers.iter().any(|number| of == *number) {
            Kind::Number
        } else if of == TypeId::of::<bool>() {
            Kind::Switch
        } else if of == TypeId::of::<PathBuf>() {
            Kind::Path
        } else {
            Kind::Text
        };
        Self {
            name: name.to_owned(),
            id: argument.get_id().to_string(),
            short: short.to_owned(),
            kind,
            is_list: matches!(argument.get_action(), ArgAction::Append),
        }
    }
}

/// Words that differ in more than this share nothing.
const LIKENESS_MIN: f64 = 0.4;

/// The name most like another.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.replace('_', "-");
    names
        .map(|known| (known, strsim::normalized_damerau_levenshtein(&name, known)))
        .filter(|(_, likeness)| *likeness >= LIKENESS_MIN)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(known, _)| known)
}
