//! `config`, and where all commands have their options from: flags, variables, the configuration
//! file, defaults, in this order. The options themselves are those of `run`.

use std::ffi::OsString;

use clap::{Args as _, Command};
use grail_program::options::{self, Naming, OptionsError, Told, effective};

use super::run::RunArgs;

/// Name of this command.
const CONFIG: &str = "config";

const NAMING: Naming = Naming {
    subcommand: "run",
    prefix: "GRAIL_BACKEND_",
    file: "/var/lib/grail/grail-backend.toml",
    paths_behind: &[("database", "sqlite:")],
};

/// Reads all that the program is told.
pub fn read(
    command: Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Told, OptionsError> {
    // It shows what is there, also where that is not enough to run.
    let own = RunArgs::augment_args(Command::new(CONFIG))
        .about("Show the configuration of `run`, as TOML, with where each value comes from")
        .mut_args(|it| it.required(false));
    let told = options::read(command.subcommand(own), NAMING, words)?;
    for variable in &told.unknown_variables {
        tracing::warn!(variable, "a variable that names no option");
    }
    Ok(told)
}

/// Whether this command was named.
pub fn is_asked_for(told: &Told) -> bool {
    told.matches.subcommand_name() == Some(CONFIG)
}

/// What `config` prints.
pub fn shown(told: &Told) -> String {
    let file = match &told.file {
        Some(path) => format!("# File: {}", path.display()),
        None => "# No file".to_owned(),
    };
    format!(
        "{file}; flags win over variables, these over the file\n\n{}",
        effective(told)
    )
}

#[cfg(test)]
mod tests;
