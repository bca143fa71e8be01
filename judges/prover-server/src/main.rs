//! Upstream's own prover server (`charms::cli::server`), in mock mode.
//!
//! The program `charms` of the same crate always starts it as the real prover: it then refuses mock
//! spells and, built as it is published, hands everything else on to a server on the internet. So
//! that the real server answers here, that choice is made differently, and one other: its mock
//! prover executes the checker in a zkVM client that could prove too and takes minutes to start;
//! here the same executor comes without the keys for proving. Used by tests alone; listens where it
//! is told and calls nobody.

use std::sync::Arc;

use anyhow::bail;
use charms::cli::{ServerConfig, server::Server};
use charms::spell::{MockProver, ProveSpellTx as _, ProveSpellTxImpl};
use charms::utils::{BoxedSP1Prover, Shared, block_on, prover::CharmsSP1Prover};
use clap::Parser;
use sp1_sdk::{
    Elf, ExecutionReport, LightProver, Prover as _, ProverClient, SP1ProofMode,
    SP1ProofWithPublicValues, SP1ProvingKey, SP1PublicValues, SP1Stdin, SP1VerifyingKey,
};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    server: ServerConfig,
}

/// Runs programs in the zkVM and proves nothing.
struct Executor(LightProver);

impl CharmsSP1Prover for Executor {
    fn setup(&self, _elf: &[u8]) -> (SP1ProvingKey, SP1VerifyingKey) {
        unreachable!("the mock prover needs no keys")
    }

    fn prove(
        &self,
        _key: &SP1ProvingKey,
        _stdin: &SP1Stdin,
        _mode: SP1ProofMode,
    ) -> anyhow::Result<(SP1ProofWithPublicValues, u64)> {
        bail!("the mock prover proves nothing")
    }

    fn execute(
        &self,
        elf: &[u8],
        stdin: &SP1Stdin,
    ) -> anyhow::Result<(SP1PublicValues, ExecutionReport)> {
        let execution = async { self.0.execute(Elf::from(elf), stdin.clone()).await };
        Ok(block_on(execution)?)
    }
}

fn executor() -> BoxedSP1Prover {
    Box::new(Executor(block_on(ProverClient::builder().light().build())))
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
    let mut prover = ProveSpellTxImpl::new(true);
    prover.prover = Box::new(MockProver {
        spell_prover_client: Arc::new(Shared::new(executor)),
    });
    Server::new(arguments.server, prover).serve().await
}
