//! `grail-enclave`: wiring of the trusted program.
//!
//! Exit codes: 0 asked to end, 1 failure, 2 command line, 3 this TEE cannot run here, 70 panic.
//! After 2 and 3 starting again changes nothing.

use std::{
    io,
    process::{self, ExitCode},
    thread,
};

use grail_enclave::{
    arguments::{self, Command, Serve, USAGE},
    hardening, log,
    program::{Program, StartError, own_measurement},
    server,
};
use grail_link::stream::Listener;
use grail_types::Measurement;

const EXIT_USAGE: u8 = 2;
const EXIT_TEE: u8 = 3;

fn main() -> ExitCode {
    hardening::exit_on_panic();
    let command = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    match command {
        Command::Help => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Command::Measurement => match own_measurement() {
            Ok(measurement) => {
                println!("{}", json(&measurement));
                ExitCode::SUCCESS
            }
            Err(error) => not_started(&error),
        },
        Command::Serve(serve) => run(&serve),
    }
}

fn run(serve: &Serve) -> ExitCode {
    let program = match Program::start(serve.tee, serve.network, serve.hardware.as_deref()) {
        Ok(program) => program,
        Err(error) => return not_started(&error),
    };
    // After the measurement, which reads the program's own image.
    if let Err(error) = hardening::forbid_dumps() {
        return fail(1, &error);
    }
    let listener = match Listener::bind(&serve.listen) {
        Ok(listener) => listener,
        Err(error) => return fail(1, &format!("listening on {}: {error}", serve.listen)),
    };
    if serve.exit_on_stdin_close {
        thread::spawn(exit_with_stdin);
    }
    server::serve(&listener, program)
}

/// The host holds the other end of standard input: when it is gone, however it went, this ends.
fn exit_with_stdin() {
    // Until its end or an error: either way nobody is there any more.
    drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
    process::exit(0);
}

fn not_started(error: &StartError) -> ExitCode {
    let code = if error.is_final() { EXIT_TEE } else { 1 };
    fail(code, &format!("{error} [{}]", error.code()))
}

fn fail(code: u8, error: &impl std::fmt::Display) -> ExitCode {
    log(error);
    ExitCode::from(code)
}

/// As `Measurement` serialises: the closure has no JSON library.
fn json(measurement: &Measurement) -> String {
    format!(
        r#"{{"pcr0":"{}","pcr1":"{}","pcr2":"{}"}}"#,
        hex::encode(measurement.pcr0),
        hex::encode(measurement.pcr1),
        hex::encode(measurement.pcr2)
    )
}
