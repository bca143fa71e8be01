#![allow(clippy::unwrap_used)]
use std::path::Path;

use clap::Subcommand;
use grail_program::options::{
    FileError,
    Sample::{self, Like, Set},
    example,
};

use super::*;
use crate::commands::alarms::AlarmArgs;

#[derive(Debug, Subcommand)]
enum Sub {
    Run(Box<RunArgs>),
    Alarms(AlarmArgs),
}

fn program() -> Command {
    Sub::augment_subcommands(Command::new("grail-backend"))
}

/// Values of the example where there is no default.
const SAMPLES: [(&str, Sample); 17] = [
    ("deployment", Set("deployment.json")),
    ("database", Set("sqlite:grail.db")),
    ("admin-socket", Like("/run/grail/admin.sock")),
    ("wasm", Set("bridge.wasm")),
    ("broker", Set("10.0.0.5:7000")),
    ("api", Set("127.0.0.1:8080")),
    ("trusted-proxy", Like("127.0.0.1")),
    ("node-url", Set("http://127.0.0.1:8332")),
    ("node-cookie", Set("/var/lib/bitcoind/.cookie")),
    ("node-user", Like("grail")),
    ("node-password-file", Like("node.password")),
    ("prover-kind", Set("charms")),
    ("prover-url", Set("https://prover.example")),
    ("prover-fee-address", Like("bc1q…")),
    ("prover-fee-max", Like("5000")),
    ("web", Like("/usr/share/grail/web")),
    ("no-web", Set("false")),
];

const HEAD: &str = "\
# Configuration of `grail-backend`. Every key is an option of `grail-backend run`, and a variable
# too (`batch-seconds` is GRAIL_BACKEND_BATCH_SECONDS). Flags win over variables, these over this
# file. What stands behind `#` without a space is the default, or how a value may look. Relative
# paths are relative to this file. Several nodes or provers are several tables.
";

fn example_path() -> std::path::PathBuf {
    let path = "../../docs/operators/grail-backend.toml";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn told(words: &[&str], text: &str) -> Result<Told, OptionsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grail-backend.toml");
    std::fs::write(&path, text).unwrap();
    let words = ["grail-backend"].iter().chain(words).map(OsString::from);
    read(program(), words.chain(["--config".into(), path.into()]))
}

fn fault(text: &str) -> FileError {
    match told(&["run"], text).unwrap_err() {
        OptionsError::File(error) => error,
        OptionsError::Usage(error) => panic!("not the file's fault: {error}"),
    }
}

#[test]
fn the_example_in_the_manual_has_every_key() {
    let made = format!("{HEAD}{}", example(&program(), "run", &SAMPLES));
    if std::env::var_os("GRAIL_BLESS").is_some() {
        std::fs::write(example_path(), &made).unwrap();
    }
    let kept = std::fs::read_to_string(example_path()).unwrap();
    assert_eq!(kept, made, "to write it anew: GRAIL_BLESS=1");
}

#[test]
fn the_example_reads_and_so_does_each_of_its_comments() {
    let text = std::fs::read_to_string(example_path()).unwrap();
    told(&["run"], &text).unwrap();
    let printed = shown(&told(&["config"], &text).unwrap());
    for (name, sample) in SAMPLES {
        let name = name.strip_prefix("node-").unwrap_or(name);
        let name = name.strip_prefix("prover-").unwrap_or(name);
        let line = format!("\n{name} = ");
        assert_eq!(printed.contains(&line), matches!(sample, Set(_)), "{name}");
    }
    // Each line that is switched off, switched on: it has the right name and type.
    for line in text.lines() {
        let off = line.strip_prefix('#').filter(|it| !it.starts_with(' '));
        let Some(on) = off else { continue };
        let all = text.replace(line, on);
        match told(&["run"], &all) {
            Ok(_) => {}
            // By the options' own rules, some exclude each other.
            Err(OptionsError::File(error)) => {
                assert_eq!(error.fault.code(), "config-bad-value", "{error}");
            }
            Err(OptionsError::Usage(error)) => panic!("{line}: {error}"),
        }
    }
}

#[test]
fn the_rules_of_options_hold_within_a_table() {
    for (text, words) in [
        ("[[node]]\ncookie = \"c\"", "--node-url"),
        (
            "[[node]]\nurl = \"u\"\ncookie = \"c\"\nuser = \"u\"",
            "--node-user",
        ),
        ("[[prover]]\nkind = \"charms\"", "--prover-url"),
        ("[[prover]]\nkind = \"other\"", "--prover-kind"),
        ("prove-workers = 17", "--prove-workers"),
        ("broker = \"here\"", "--broker"),
    ] {
        let error = fault(text);
        assert_eq!(error.fault.code(), "config-bad-value", "{text}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn a_password_is_no_key() {
    let error = fault("[[node]]\nurl = \"u\"\nuser = \"u\"\npassword = \"secret\"");
    let words = error.to_string();
    assert!(words.contains("is it password-file?"), "{words}");
    assert!(!words.contains("secret"), "{words}");
}
