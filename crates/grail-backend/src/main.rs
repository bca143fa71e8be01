//! The backend's program: reads arguments, starts what they name.

use anyhow::Context;
use clap::{Parser, Subcommand};
use grail_backend::commands::{alarms, deploy, init, rebuild, run};

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
    /// Show alarms, and acknowledge them.
    Alarms(alarms::AlarmArgs),
    /// Make a new database from the chain and from users' receipts.
    Rebuild(rebuild::RebuildArgs),
    /// Run all roles for a deployed bridge.
    Run(run::RunArgs),
}

fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(async {
        match Cli::parse().command {
            Command::InitProtocol(args) => init::init_protocol(&args),
            Command::Deploy(args) => deploy::deploy(args).await,
            Command::Alarms(args) => alarms::alarms(args).await,
            Command::Rebuild(args) => Box::pin(rebuild::rebuild(args)).await,
            Command::Run(args) => Box::pin(run::run(args)).await,
        }
    });
    // A prover that is in the middle of a proof blocks its thread for minutes: nobody waits for it.
    runtime.shutdown_background();
    ended
}
