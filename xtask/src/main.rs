//! Development tasks of the project: `cargo xtask <task>`.
//!
//! Owns everything between a bare Debian with Rust and a tested tree. Fetches nothing but Debian packages and crates.

mod bitcoind;
mod cache;
mod contracts;
mod fuzz;
mod mutants;
mod setup;
mod shell;
mod tidy;
mod upstream;
mod verbs;
mod wallet_wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of Grail.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Clone, Subcommand)]
enum Task {
    /// Install the system packages that are missing.
    Setup {
        /// Those for `contracts` too.
        #[arg(long)]
        contracts: bool,
    },
    /// Find Bitcoin Core, or build it once, and print its path.
    Bitcoind,
    /// Build the contracts to wasm.
    Contracts {
        /// Compare with the committed wasm and write nothing.
        #[arg(long)]
        verify: bool,
    },
    /// Build the wallet's core for a browser.
    WalletWasm,
    /// Run the fuzz targets from their corpus, for a short while each.
    Fuzz {
        /// How long each target runs, in seconds.
        #[arg(long, default_value_t = fuzz::SECONDS)]
        seconds: u64,
        /// One target alone: a folder of `fuzz/corpus`.
        target: Option<String>,
    },
    /// Run the whole system on this machine: node, operators, backend, users.
    Demo {
        /// Leave it running at the end.
        #[arg(long)]
        keep: bool,
    },
    /// Build everything and run every test.
    Test {
        /// The slow ones too: reproduce the contracts, compare with upstream's checker, fuzz.
        #[arg(long)]
        slow: bool,
        /// Those against upstream's own prover server too, which is built once in 15 to 30 minutes.
        #[arg(long)]
        upstream: bool,
    },
    /// Find upstream's prover server, or build it once, and print its path.
    Upstream,
    /// Mutate contract and policy: every change must break a test or be explained in `docs/mutants.txt`. Takes hours.
    Mutants {
        /// Only one of them.
        subject: Option<mutants::Subject>,
    },
    /// Format, lints, tidiness, dependencies.
    Check,
    /// The rules that no compiler knows: crate order, bans, the enclave's dependencies, texts.
    Tidy {
        /// Accept the enclave's dependencies as they are now.
        #[arg(long)]
        bless: bool,
    },
    /// Write the HTTP API's description to `docs/api/openapi.json`.
    Openapi {
        /// Compare with the committed one and write nothing.
        #[arg(long)]
        verify: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Setup { contracts } => {
            setup::install(setup::BASE)?;
            if contracts {
                setup::install(setup::CONTRACTS)?;
            }
            Ok(())
        }
        Task::Bitcoind => {
            println!("{}", bitcoind::find_or_build()?.display());
            Ok(())
        }
        Task::Contracts { verify } => {
            setup::install(setup::CONTRACTS)?;
            contracts::build(verify)
        }
        Task::WalletWasm => verbs::wallet_wasm(),
        Task::Fuzz { seconds, target } => fuzz::fuzz(seconds, target.as_deref()),
        Task::Demo { keep } => verbs::demo(keep),
        Task::Test { slow, upstream } => verbs::test(slow, upstream),
        Task::Upstream => {
            println!("{}", upstream::find_or_build()?.display());
            Ok(())
        }
        Task::Mutants { subject } => match subject {
            Some(subject) => mutants::run(&[subject]),
            None => mutants::run(&mutants::Subject::ALL),
        },
        Task::Check => verbs::check(),
        Task::Tidy { bless } => tidy::run(bless),
        Task::Openapi { verify } => verbs::openapi(verify),
    }
}
