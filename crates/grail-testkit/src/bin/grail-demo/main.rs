//! `grail-demo`: the whole of Grail on one machine, told as a story.
//!
//! Exit codes: 0 everything went as it must, 1 something did not, 2 wrong usage.

mod keep;
mod outages;
mod report;
mod rotation;
mod story;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bitcoin::Amount;
use clap::{Parser, Subcommand};

use crate::keep::NodeArguments;
use crate::report::Report;

#[derive(Debug, Parser)]
#[command(
    about = "Runs Grail on regtest: node, 16 operators, backend, users",
    version
)]
struct Arguments {
    /// Leave everything running, and say where it is.
    #[arg(long)]
    keep: bool,
    /// Keep files here [default: a temporary folder].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send regtest BTC to an address, from the key that the demo's blocks pay to.
    Fund {
        #[command(flatten)]
        node: NodeArguments,
        /// To whom.
        address: String,
        /// How much, BTC.
        #[arg(value_parser = parse_btc)]
        amount: Amount,
    },
    /// Mine blocks.
    Mine {
        #[command(flatten)]
        node: NodeArguments,
        /// How many.
        #[arg(default_value_t = 1)]
        count: u32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Fund {
            node,
            address,
            amount,
        }) => keep::fund(node, address, *amount),
        Some(Command::Mine { node, count }) => keep::mine(node, *count),
        None => {
            let report = Report::new();
            let story = story::tell(&report, arguments.folder.clone())?;
            if arguments.keep {
                keep::keep(&story)?;
            }
            Ok(())
        }
    }
}

fn parse_btc(text: &str) -> Result<Amount, String> {
    Amount::from_str_in(text, bitcoin::Denomination::Bitcoin).map_err(|error| error.to_string())
}
