//! `grail-host`: wiring of the untrusted parent.
//!
//! Exit codes: 0 asked to end, 1 failure, 2 command line, 3 protocol file, 4 state folder, 5
//! enclave. All but 1 need a person.

use std::process::ExitCode;

use anyhow::Context;
use bitcoin::Amount;
use grail_broker::RemoteBroker;
use grail_host::{
    config::{self, Command, Config, Told},
    error::HostError,
    fail_safe::{self, FailSafe},
    operator::{EnclaveSource, Operator},
    state::StateFolder,
};
use grail_program::options::log_level;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

// One thread is enough for what one enclave answers, and operators are many on a developer's
// machine.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let told = match Told::read() {
        Ok(told) => told,
        Err(error) => error.exit(),
    };
    log_to_stderr(matches!(&told, Told::Run(config) if config.json));
    let ended = match told {
        Told::Other(Command::Pause { state, reason }) => {
            fail_safe::pause(&state, reason).map_err(Into::into)
        }
        Told::Other(Command::Resume { state }) => fail_safe::resume(&state).map_err(Into::into),
        Told::Run(config) => run(*config).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            let code = error
                .downcast_ref::<HostError>()
                .map_or(1, HostError::exit_code);
            ExitCode::from(code)
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signal()?;
    let protocol = config::read_protocol(&config.protocol)?;
    let state = StateFolder::open(&config.state)?;
    let source = enclave_source(&config)?;
    let broker = RemoteBroker::connect(config.broker);
    let daily_max = config.daily_outflow_max_sat.map(Amount::from_sat);
    let fail_safe = FailSafe::open(&state, *protocol.bridge(), daily_max)?;
    let operator = Operator::new(
        config.name,
        *protocol.bridge(),
        state,
        fail_safe,
        source,
        broker,
        shutdown,
    )
    .await?;
    operator.run().await?;
    tracing::info!("ended as asked");
    Ok(())
}

fn enclave_source(config: &Config) -> anyhow::Result<EnclaveSource> {
    if let Some(address) = &config.enclave {
        return Ok(EnclaveSource::Running(address.clone()));
    }
    let program = if let Some(program) = &config.enclave_exe {
        program.clone()
    } else {
        let own = std::env::current_exe().context("path of this program")?;
        config::enclave_beside(&own).with_context(|| {
            format!(
                "no grail-enclave beside {}: give --enclave-exe",
                own.display()
            )
        })?
    };
    Ok(EnclaveSource::Program(program))
}

fn shutdown_on_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end");
        sender.send_replace(true);
    });
    Ok(receiver)
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_new(log_level()).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.init();
    }
}
