//! Everything goes wrong at once, and every request ends as it must all the same.
//!
//! A run is a number of rounds. In each, users ask and pay while disturbances drawn from a seed
//! befall the system: programs are killed, stand still or lose their database to an older copy,
//! blocks are taken back, the node forgets, lags, lies or vanishes, the prover refuses, stands
//! still, lies or vanishes, fees leap, messages are lost. Then calm comes: everything runs and is
//! honest again, and a judge waits until each request of the round has its end, and compares what
//! everybody got with the chain.
//!
//! The same seed draws the same disturbances. When each of them strikes is up to the machine, so a
//! run is not repeated to the letter.

mod calm;
mod disturb;
mod draw;
mod report;
mod requests;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use draw::{Disturbance, NodeLie};
pub use report::Report;

use crate::chaos::disturb::World;
use crate::chaos::draw::Drawer;
use crate::cluster::{BackendConfig, Cluster, ClusterConfig};
use crate::prover::ProverServer;

/// How much of it.
#[derive(Debug, Clone)]
pub struct ChaosConfig {
    /// What is drawn follows from it.
    pub seed: u64,
    /// Rounds, each with its calm.
    pub rounds: u32,
    /// Disturbances of a round.
    pub disturbances: u32,
    /// Keep everything here. Usual: a temporary folder.
    pub folder: Option<PathBuf>,
}

/// Of the backend under disturbance: in a hurry.
pub(crate) const BACKEND: BackendConfig = BackendConfig {
    batch_seconds: 0,
    ask_seconds: 1,
    lease_seconds: 1,
};

/// Runs all rounds. The first thing that is not as it must be ends the run with an error.
///
/// # Errors
/// What is wrong, with the round in which it was seen.
pub fn run(config: &ChaosConfig, progress: &dyn Fn(&str)) -> Result<Report> {
    let prover = ProverServer::start()?;
    let mut cluster = Cluster::start_with(
        &ClusterConfig {
            signers: 5,
            threshold: 3,
            has_relay: true,
            has_gate: true,
            backend: BACKEND,
            prover: prover.options(),
            // Deposits live through many reorgs, so that "too late" is no excuse here.
            params: |params| {
                params.reclaim_delay_min = 1_008;
                params.sweep_margin = 144;
            },
            folder: config.folder.clone(),
            ..ClusterConfig::default()
        },
        progress,
    )?;
    // An orderly end writes what the node has: no power cut takes back the deployment, which nobody
    // would send again.
    cluster.node.restart();
    let mut drawer = Drawer::new(config.seed);
    let mut world = World::new(cluster, prover);
    for round in 1..=config.rounds {
        run_round(&mut world, &mut drawer, config)
            .with_context(|| format!("seed {}, round {round}", config.seed))
            .inspect_err(|_| eprintln!("{}", world.cluster.log_tails()))?;
        progress(&format!(
            "round {round} of {}: {}",
            config.rounds, world.report
        ));
    }
    world.finish()
}

fn run_round(world: &mut World, drawer: &mut Drawer, config: &ChaosConfig) -> Result<()> {
    world.begin_round(drawer)?;
    for _ in 0..config.disturbances {
        let disturbance = drawer.disturbance();
        world
            .disturb(&disturbance, drawer)
            .with_context(|| format!("{disturbance:?}"))?;
        std::thread::sleep(drawer.pause());
    }
    world.calm()
}
