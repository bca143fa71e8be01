//! The command line, read by hand: a parser library would be the largest thing in the closure that
//! is not cryptography.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use grail_link::stream::ListenAddress;
use grail_types::Network;

use crate::program::TeeKind;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: grail-enclave --listen unix:PATH|vsock:PORT --tee development|nitro --network NETWORK
                     [--hardware FILE] [--exit-on-stdin-close]
       grail-enclave measurement

Holds a signer's key and signs the settlements that the policy approves.

  --listen ADDRESS       where the host connects
  --tee TEE              development protects nothing: on regtest and in development builds alone
  --network NETWORK      regtest, signet, testnet4 or mainnet; a bridge of another one is refused
  --hardware FILE        identity of the simulated machine, 32 bytes (development)
  --exit-on-stdin-close  end when standard input does, so as not to outlive the host

measurement prints, as JSON, what the development TEE measures of this program.
";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve a signer.
    Serve(Serve),
    /// Print its own measurement.
    Measurement,
    /// Print [`USAGE`].
    Help,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// Where the host connects.
    pub listen: ListenAddress,
    /// In which TEE.
    pub tee: TeeKind,
    /// For which network.
    pub network: Network,
    /// Identity of the simulated machine.
    pub hardware: Option<PathBuf>,
    /// Whether to end with standard input.
    pub exit_on_stdin_close: bool,
}

/// The command line makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; see --help")]
pub struct UsageError(String);

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter().map(text).peekable();
    if let Some(Ok(first)) = arguments.peek() {
        let alone = match first.as_str() {
            "measurement" => Some(Command::Measurement),
            "--help" | "-h" => Some(Command::Help),
            _ => None,
        };
        if let Some(command) = alone {
            return match arguments.nth(1) {
                None => Ok(command),
                Some(extra) => Err(UsageError(format!("unexpected {}", extra?))),
            };
        }
    }
    let mut listen = None;
    let mut tee = None;
    let mut network = None;
    let mut hardware = None;
    let mut exit_on_stdin_close = None;
    while let Some(name) = arguments.next() {
        let name = name?;
        let mut value = || {
            let missing = UsageError(format!("{name} needs a value"));
            arguments.next().ok_or(missing)?
        };
        match name.as_str() {
            "--listen" => once(
                &name,
                &mut listen,
                parsed::<ListenAddress>(&name, &value()?)?,
            )?,
            "--tee" => once(&name, &mut tee, parsed::<TeeKind>(&name, &value()?)?)?,
            "--network" => once(&name, &mut network, parsed::<Network>(&name, &value()?)?)?,
            "--hardware" => once(&name, &mut hardware, PathBuf::from(value()?))?,
            "--exit-on-stdin-close" => once(&name, &mut exit_on_stdin_close, ())?,
            _ => return Err(UsageError(format!("unexpected {name}"))),
        }
    }
    let missing = |name: &str| UsageError(format!("{name} is missing"));
    Ok(Command::Serve(Serve {
        listen: listen.ok_or_else(|| missing("--listen"))?,
        tee: tee.ok_or_else(|| missing("--tee"))?,
        network: network.ok_or_else(|| missing("--network"))?,
        hardware,
        exit_on_stdin_close: exit_on_stdin_close.is_some(),
    }))
}

fn text(argument: OsString) -> Result<String, UsageError> {
    argument
        .into_string()
        .map_err(|argument| UsageError(format!("not UTF-8: {}", argument.display())))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T, UsageError> {
    value
        .parse()
        .map_err(|error| UsageError(format!("{name} {value}: {error}")))
}

fn once<T>(name: &str, slot: &mut Option<T>, value: T) -> Result<(), UsageError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(UsageError(format!("{name} is given twice"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse_line(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn reads_a_full_command_line() {
        let line = "--listen unix:/a/b --tee development --network regtest --hardware /c --exit-on-stdin-close";
        assert_eq!(
            parse_line(line).unwrap(),
            Command::Serve(Serve {
                listen: ListenAddress::Unix("/a/b".into()),
                tee: TeeKind::Development,
                network: Network::Regtest,
                hardware: Some("/c".into()),
                exit_on_stdin_close: true,
            })
        );
    }

    #[test]
    fn reads_the_shortest_command_lines() {
        assert_eq!(
            parse_line("--network mainnet --tee nitro --listen vsock:5000").unwrap(),
            Command::Serve(Serve {
                listen: ListenAddress::Vsock { port: 5000 },
                tee: TeeKind::Nitro,
                network: Network::Mainnet,
                hardware: None,
                exit_on_stdin_close: false,
            })
        );
        assert_eq!(parse_line("measurement"), Ok(Command::Measurement));
        assert_eq!(parse_line("--help"), Ok(Command::Help));
    }

    #[test]
    fn refuses_what_it_does_not_understand_and_says_why() {
        let cases = [
            ("", "--listen is missing"),
            ("measurement now", "unexpected now"),
            ("serve", "unexpected serve"),
            ("--listen", "--listen needs a value"),
            (
                "--listen tcp:1",
                "--listen tcp:1: expected unix:PATH or vsock:PORT",
            ),
            ("--tee none", "--tee none: expected development or nitro"),
            ("--network bitcoin", "--network bitcoin: expected regtest"),
            ("--tee nitro --tee nitro", "--tee is given twice"),
            ("--listen vsock:1 --tee nitro", "--network is missing"),
            ("--listen vsock:1 --network regtest", "--tee is missing"),
        ];
        for (line, expected) in cases {
            let error = parse_line(line).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
