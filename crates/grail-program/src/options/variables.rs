//! Environment variables. One that is empty is none: that is how compose files pass what nobody has
//! set.

use clap::{Arg, Command, Parser};

use super::{CONFIG, keys::Keys};

/// The command as if variables without content were not there.
pub fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(forget_if_empty)
        .mut_subcommands(without_empty_variables)
}

/// Gives each option that `has` says a variable: its long name in capitals behind `prefix`; unless
/// that is empty.
pub fn with_variables(
    command: Command,
    prefix: &str,
    has: impl Fn(&str) -> bool + Copy,
) -> Command {
    let named = move |argument: Arg| match argument.get_long().filter(|name| has(name)) {
        Some(name) => {
            let variable = variable(prefix, name);
            forget_if_empty(argument.env(variable))
        }
        None => argument,
    };
    command
        .mut_args(named)
        .mut_subcommands(|it| with_variables(it, prefix, has))
}

/// The options of a program that has no file, from flags and from variables of this prefix. Wrong
/// usage ends the process.
pub fn parse_with_variables<P: Parser>(prefix: &str) -> P {
    let command = with_variables(P::command(), prefix, |_| true);
    let read = command
        .try_get_matches()
        .and_then(|mut matches| P::from_arg_matches_mut(&mut matches));
    match read {
        Ok(options) => options,
        Err(error) => error.exit(),
    }
}

/// What a program logs: at the level that `RUST_LOG` names, or as usual.
pub fn log_level() -> String {
    let named = std::env::var("RUST_LOG").unwrap_or_default();
    if named.is_empty() {
        "info".to_owned()
    } else {
        named
    }
}

fn forget_if_empty(argument: Arg) -> Arg {
    let is_empty = argument
        .get_env()
        .and_then(std::env::var_os)
        .is_some_and(|value| value.is_empty());
    if is_empty {
        argument.env(None::<&str>)
    } else {
        argument
    }
}

/// The variable of an option.
pub(super) fn variable(prefix: &str, option: &str) -> String {
    format!("{prefix}{}", option.replace('-', "_").to_uppercase())
}

/// Variables that are set, begin with `prefix`, and name no option. Not refused: orchestrators make
/// variables of services' names.
pub(super) fn unknown(prefix: &str, keys: &Keys) -> Vec<String> {
    let names = keys.variables().map(|key| key.name.as_str());
    let known: Vec<_> = names
        .chain([CONFIG])
        .map(|name| variable(prefix, name))
        .collect();
    std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(prefix) && !known.contains(name))
        .collect()
}
