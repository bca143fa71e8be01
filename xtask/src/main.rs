//! Development tasks of the project: `cargo xtask <task>`.
//!
//! Owns everything between a bare Debian with Rust and a tested tree. Fetches nothing but Debian
//! packages and crates.

mod bitcoind;
mod cache;
mod contracts;
mod disk;
mod fuzz;
mod mutants;
mod production;
mod prover_server;
mod setup;
mod shell;
mod suites;
mod tidy;
mod verbs;
mod wallet_wasm;
mod web;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    /// Build the web app to `web/dist`, which the backend embeds.
    Web {
        /// Compare with what is committed and write nothing.
        #[arg(long)]
        verify: bool,
        /// Build the core alone, to `web/built`, for whoever works on the page with `npx vite`.
        #[arg(long, conflicts_with = "verify")]
        core: bool,
    },
    /// Run the fuzz targets from their corpus, for a short while each.
    Fuzz {
        /// How long each target runs, in seconds.
        #[arg(long, default_value_t = fuzz::SECONDS)]
        seconds: u64,
        /// One target alone: a folder of `judges/fuzz/corpus`.
        target: Option<String>,
    },
    /// Run the whole system on this machine: node, operators, backend, users.
    Demo {
        /// Leave it running at the end.
        #[arg(long)]
        keep: bool,
    },
    /// Build everything and run every test that CI runs.
    Test(TestArguments),
    /// Find upstream's prover server, or build it once, and print its path.
    ProverServer,
    /// Mutate contract or policy: every change must break a test or be explained in
    /// `docs/mutants.txt`. The suites `mutants-...` do the same by shards.
    Mutants {
        /// Which of them.
        subject: mutants::Subject,
    },
    /// Build the programs as they ship, and search their bytes for parts that are for development
    /// alone.
    Production {
        /// Only these.
        programs: Vec<production::Program>,
    },
    /// Format, lints, tidiness, dependencies.
    Check,
    /// The rules that no compiler knows: crate order, bans, the enclave's dependencies, texts.
    Tidy {
        /// Accept the enclave's dependencies as they are now.
        #[arg(long)]
        bless: bool,
    },
    /// Write the Grafana board and the alerts to `docs/operators`.
    Board {
        /// Compare with the committed ones and write nothing.
        #[arg(long)]
        verify: bool,
    },
    /// Write the HTTP API's description to `docs/api/openapi.json`.
    Openapi {
        /// Compare with the committed one and write nothing.
        #[arg(long)]
        verify: bool,
    },
}

/// What to test.
#[derive(Args, Clone)]
struct TestArguments {
    /// These suites alone.
    suites: Vec<String>,
    /// The suites that take too long for CI. What has passed of the same sources is not run again.
    #[arg(long)]
    slow: bool,
    /// Print the suites, and run none.
    #[arg(long)]
    list: bool,
    /// Where the randomness of slow suites starts.
    #[arg(long, default_value_t = 1, requires = "slow")]
    seed: u32,
    /// One part of one slow suite: the I-th of N.
    #[arg(long, value_name = "I/N", requires = "slow")]
    shard: Option<suites::Part>,
    /// Also what has passed before.
    #[arg(long, requires = "slow")]
    again: bool,
}

impl TestArguments {
    fn run(self) -> anyhow::Result<()> {
        if self.list {
            suites::list();
            return Ok(());
        }
        suites::run(&suites::Order {
            tier: if self.slow {
                suites::Tier::Slow
            } else {
                suites::Tier::Default
            },
            names: self.suites,
            seed: self.seed,
            part: self.shard,
            again: self.again,
        })
    }
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
            setup::install(setup::TESTS)?;
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
        Task::WalletWasm => wallet_wasm::build(),
        Task::Web { core: true, .. } => web::core(),
        Task::Web { verify, .. } => web::build(verify),
        Task::Fuzz { seconds, target } => {
            let targets = fuzz::targets(target.as_deref())?;
            fuzz::fuzz(&targets, seconds, fuzz::Start::Anywhere)
        }
        Task::Demo { keep } => verbs::demo(keep),
        Task::Test(arguments) => arguments.run(),
        Task::ProverServer => {
            println!("{}", prover_server::find_or_build()?.display());
            Ok(())
        }
        Task::Mutants { subject } => mutants::run(subject, suites::Part::WHOLE),
        Task::Production { programs } if programs.is_empty() => {
            production::check(&production::Program::ALL)
        }
        Task::Production { programs } => production::check(&programs),
        Task::Check => verbs::check(),
        Task::Tidy { bless } => tidy::run(bless),
        Task::Board { verify } => verbs::board(verify),
        Task::Openapi { verify } => verbs::openapi(verify),
    }
}
