//! Prints what `cargo xtask board` writes to `docs/operators`: `grafana` or `alerts`.

use std::process::ExitCode;

use grail_backend::board;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("grafana") => print!("{}", board::grafana()),
        Some("alerts") => print!("{}", board::alerts()),
        _ => {
            eprintln!("expected grafana or alerts");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
