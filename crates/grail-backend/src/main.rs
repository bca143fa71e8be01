//! The backend's program: reads arguments, starts what they name.
//!
//! Exit codes: `grail_backend::commands::exit`.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use grail_backend::commands::{
    admin, alarms, config, deploy,
    exit::{self, Fault},
    init, migrate, rebuild, run,
};
use grail_program::options::{OptionsError, Told, log_level};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(version, about = "Grail's backend", after_help = exit::help())]
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
    /// Move all rows of a SQLite file to an empty PostgreSQL database.
    Migrate(migrate::MigrateArgs),
    /// Make a new database from the chain and from users' receipts.
    Rebuild(rebuild::RebuildArgs),
    /// Run all roles for a deployed bridge.
    Run(run::RunArgs),
}

fn main() -> ExitCode {
    log_to_stderr();
    let command = match command() {
        Ok(Some(command)) => command,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return failed(&error),
    };
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
            Command::Migrate(args) => Box::pin(migrate::migrate(args)).await,
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

/// What to do; nothing more where the configuration was to be shown. Wrong usage ends the process.
fn command() -> anyhow::Result<Option<Command>> {
    let words = std::env::args_os();
    let told = match config::read(Cli::command(), words) {
        Ok(told) => told,
        Err(OptionsError::Usage(error)) => error.exit(),
        Err(OptionsError::File(error)) => {
            return Err(anyhow::Error::new(error).context(Fault::Configuration));
        }
    };
    if config::is_asked_for(&told) {
        print!("{}", config::shown(&told));
        return Ok(None);
    }
    let Told { mut matches, .. } = told;
    match Cli::from_arg_matches_mut(&mut matches) {
        Ok(cli) => Ok(Some(cli.command)),
        Err(error) => error.exit(),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("Error: {error:?}");
    ExitCode::from(Fault::exit_code_of(error))
}

fn log_to_stderr() {
    let filter = EnvFilter::try_new(log_level()).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
