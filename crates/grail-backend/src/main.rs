//! The backend's program: reads arguments, starts what they name.
//!
//! Exit codes: 0 done or asked to end, 1 failure, 2 command line, 3 configuration, 4 database, 5 an
//! address to listen on, 6 no backend runs (`admin`), 7 refused (`admin`). All but 1 need a person.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grail_backend::commands::{admin, alarms, deploy, exit::Fault, init, rebuild, run};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(version, about = "Grail's backend")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the protocol file of a bridge that is about to be deployed.
    InitProtocol(init::InitArgs),
    /// Admit operators by evidence and create the roster NFT.
    Deploy(deploy::DeployArgs),
    /// Ask a backend that runs: pause, resume, cancel, alarms, jobs, rescan, log.
    Admin(admin::AdminArgs),
    /// Show all alarms of a database, also while no backend runs.
    Alarms(alarms::AlarmArgs),
    /// Make a new database from the chain and from users' receipts.
    Rebuild(rebuild::RebuildArgs),
    /// Run all roles for a deployed bridge.
    Run(run::RunArgs),
}

fn main() -> ExitCode {
    log_to_stderr();
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&anyhow::Error::new(error).context("cannot start the runtime"));
        }
    };
    let ended = runtime.block_on(async {
        match command {
            Command::InitProtocol(args) => init::init_protocol(&args),
            Command::Deploy(args) => deploy::deploy(args).await,
            Command::Admin(args) => admin::admin(args).await,
            Command::Alarms(args) => alarms::alarms(args).await,
            Command::Rebuild(args) => Box::pin(rebuild::rebuild(args)).await,
            Command::Run(args) => Box::pin(run::run(args)).await,
        }
    });
    // A prover that is in the middle of a proof blocks its thread for minutes: nobody waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("Error: {error:?}");
    ExitCode::from(Fault::exit_code_of(error))
}

/// At the level that `RUST_LOG` names; a variable that is empty is none.
fn log_to_stderr() {
    let named = std::env::var("RUST_LOG").unwrap_or_default();
    let level = if named.is_empty() { "info" } else { &named };
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
