//! Upstream's own prover server (`charms::cli::server`), in mock mode.
//!
//! The program `charms` of the same crate always starts it as the real prover: it then refuses mock spells and, built as it is
//! published, hands everything else on to a server on the internet. So that the real server answers here, nothing but that
//! choice is made differently. Used by tests alone; listens where it is told and calls nobody.

use charms::cli::{ServerConfig, server::Server};
use charms::spell::{ProveSpellTx as _, ProveSpellTxImpl};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    server: ServerConfig,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    Server::new(arguments.server, ProveSpellTxImpl::new(true))
        .serve()
        .await
}
