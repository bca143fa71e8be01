//! `grail`: reads the command line, runs one command, prints its answer.
//!
//! Exit codes: 0 done, 1 failed (the error has a code), 2 wrong usage.

use std::process::ExitCode;

use clap::Parser;
use grail_cli::args::{Arguments, Command};
use grail_cli::progress::{Bar, Progress, Quiet};
use grail_cli::report::Report;
use grail_cli::{Failure, Session, Settings, bridge, commands, take_back};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_json = arguments.is_json();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if is_json {
                eprintln!("{}", serde_json::json!({ "error": failure }));
            } else {
                eprintln!("error: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments
        .settings()
        .ok_or_else(|| Failure::new("no-home", "no home folder: give --home"))?;
    let mut quiet = Quiet;
    let mut bar = Bar::new();
    let progress: &mut dyn Progress = if arguments.is_json() {
        &mut quiet
    } else {
        &mut bar
    };
    let is_json = arguments.is_json();
    if let Command::Status(status) = &arguments.command
        && status.watch
    {
        let session = Session::open(settings)?;
        return bridge::watch(&session, &status.id, |report| print(&report, is_json));
    }
    let report = answer(&settings, &arguments.command, progress)?;
    print(report.as_ref(), is_json);
    Ok(())
}

fn answer(
    settings: &Settings,
    command: &Command,
    progress: &mut dyn Progress,
) -> Result<Box<dyn Report>, Failure> {
    let open = || Session::open(settings.clone());
    Ok(match command {
        Command::Init(init) => Box::new(commands::init(settings, init)?),
        Command::Address => Box::new(commands::address(&mut open()?)?),
        Command::Balance => Box::new(commands::balance(&mut open()?, progress)?),
        Command::List => Box::new(commands::list(&mut open()?, progress)?),
        Command::Send(send) => Box::new(commands::send(&mut open()?, send, progress)?),
        Command::SendZkbtc(send) => Box::new(commands::send_zkbtc(&mut open()?, send, progress)?),
        Command::PegIn(peg) => Box::new(bridge::peg_in(&mut open()?, peg, progress)?),
        Command::PegOut(peg) => Box::new(bridge::peg_out(&mut open()?, peg, progress)?),
        Command::Status(status) => Box::new(bridge::status(&open()?, &status.id)?),
        Command::Reclaim(reclaim) => Box::new(take_back::reclaim(&mut open()?, reclaim, progress)?),
        Command::Roster => Box::new(bridge::roster(&mut open()?)?),
        Command::Reserves => Box::new(bridge::reserves(&mut open()?, progress)?),
        Command::Receipts => Box::new(commands::receipts(&open()?)?),
    })
}

fn print(report: &dyn Report, is_json: bool) {
    if is_json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
}
