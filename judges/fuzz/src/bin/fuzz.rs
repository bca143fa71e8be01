//! One target under libFuzzer: the one that `GRAIL_FUZZ_TARGET` names.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer's entry points are C functions")]

use std::sync::OnceLock;

use grail_fuzz::Target;
use libfuzzer_sys::fuzz_target;

/// Names the target to run.
const TARGET: &str = "GRAIL_FUZZ_TARGET";

fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        std::env::var(TARGET)
            .ok()
            .and_then(|name| grail_fuzz::target(&name))
            .unwrap_or_else(|| {
                eprintln!("set {TARGET} to one of the targets:");
                for (name, _) in grail_fuzz::TARGETS {
                    eprintln!("  {name}");
                }
                std::process::exit(2);
            })
    })
}

fuzz_target!(|bytes: &[u8]| chosen()(bytes));
