//! `grail-chaos`: everything goes wrong at once, and every request ends as it must all the same.
//!
//! Exit codes: 0 everything ended as it must, 1 something did not, 2 wrong usage.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use grail_testkit::chaos::{ChaosConfig, run};

#[derive(Debug, Parser)]
#[command(about = "Disturbs a whole bridge on regtest, round by round", version)]
struct Arguments {
    /// What is drawn follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds, each with its calm.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Disturbances of a round.
    #[arg(long, default_value_t = 20)]
    disturbances: u32,
    /// Keep files here [default: a temporary folder].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = ChaosConfig {
        seed: arguments.seed,
        rounds: arguments.rounds,
        disturbances: arguments.disturbances,
        folder: arguments.folder,
    };
    let outcome = run(&config, &|step| println!("{step}"))
        .and_then(|report| Ok(serde_json::to_string_pretty(&report)?));
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}
