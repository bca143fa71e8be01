//! The mnemonic under a passphrase: on the real program, by files, the environment and a terminal.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::pty::AtTerminal;
use common::{Chain1, User, send_args};
use grail_chain::Chain as _;
use grail_cli::arguments::SetPassphrase;
use grail_cli::passphrase::PassphraseSource;
use grail_cli::progress::Quiet;
use grail_cli::{Session, Settings, commands};
use serde_json::Value;
use tempfile::TempDir;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const FIRST: &str = "correct horse battery staple";
const SECOND: &str = " another one, with spaces ";
/// Where the first one, and the second, are typed.
const NEW: &str = "New passphrase";
const AGAIN: &str = "The same again";
const KNOWN: &str = "Passphrase of the mnemonic";

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in [
            ("words", WORDS.to_owned()),
            ("first", format!("{FIRST}\n")),
            ("second", SECOND.to_owned()),
            ("empty", "\n".to_owned()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("wallet")
    }

    fn mnemonic(&self) -> String {
        std::fs::read_to_string(self.home().join("mnemonic")).unwrap()
    }

    /// Arguments that begin with `@` name a file of this place.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grail"));
        command.env_clear().arg("--home").arg(self.home());
        for argument in arguments {
            match argument.strip_prefix('@') {
                Some(name) => command.arg(self.file(name)),
                None => command.arg(argument),
            };
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Value, String> {
        read(&self.command(arguments).arg("--json").output().unwrap())
    }

    fn init(&self, arguments: &[&str]) -> Result<Value, String> {
        let init = ["init", "--network", "regtest", "--mnemonic-file", "@words"];
        self.run(&[&init, arguments].concat())
    }

    /// The words, as they come back.
    fn words(&self, arguments: &[&str]) -> Result<String, String> {
        let to = self.file("shown");
        let _ = std::fs::remove_file(&to);
        self.run(&[&["words", "--to", &to], arguments].concat())?;
        let mode = std::fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Ok(letters(&std::fs::read_to_string(&to).unwrap()))
    }
}

/// The answer, or the code of the failure.
fn read(output: &Output) -> Result<Value, String> {
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    let shown = String::from_utf8_lossy(&output.stderr);
    let last = shown.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{shown}"));
    Err(error["error"]["code"].as_str().unwrap().to_owned())
}

/// The words of a numbered list.
fn letters(text: &str) -> String {
    let words = text.split(|character: char| !character.is_ascii_alphabetic());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn code<T: std::fmt::Debug>(result: Result<T, String>) -> String {
    result.unwrap_err()
}

#[test]
fn an_encrypted_mnemonic_opens_with_its_passphrase_alone() {
    let place = Place::new();
    let made = place.init(&["--passphrase-file", "@first"]).unwrap();
    assert_eq!(made["is_encrypted"], true);
    let text = place.mnemonic();
    assert!(
        !text.contains("abandon") && text.contains("argon2id"),
        "{text}"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.home().join("mnemonic")), 0o600);

    assert_eq!(code(place.words(&[])), "passphrase-needed");
    assert_eq!(
        code(place.words(&["--passphrase-file", "@second"])),
        "passphrase-wrong"
    );
    assert_eq!(
        code(place.words(&["--passphrase-file", "@empty"])),
        "passphrase-empty"
    );
    assert_eq!(
        place.words(&["--passphrase-file", "@first"]).unwrap(),
        WORDS
    );
    let to = place.file("by-environment");
    let mut command = place.command(&["--json", "words", "--to", &to]);
    read(&command.env("GRAIL_PASSPHRASE", FIRST).output().unwrap()).unwrap();
    // What was written once is not written over.
    let again = command.env("GRAIL_PASSPHRASE", FIRST).output().unwrap();
    assert_eq!(code(read(&again)), "file-failed");

    // Without any: what needs no secret, and the words on paper.
    for reading in ["balance", "list", "address", "receipts"] {
        place.run(&[reading]).unwrap();
    }
    let other = Place::new();
    let again = other.init(&[]).unwrap();
    assert_eq!(again["address"], made["address"]);
    assert_eq!(again["is_encrypted"], false);
}

#[test]
fn a_passphrase_is_asked_for_before_anybody_else_is() {
    let place = Place::new();
    place.init(&["--passphrase-file", "@first"]).unwrap();
    let to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let id = "00".repeat(32);
    for signing in [
        &["send", "1000", to][..],
        &["send-zkbtc", "1000", to],
        &["peg-in", "50000"],
        &["peg-out", "50000"],
        &["bump", &id],
        &["reclaim", &id],
    ] {
        assert_eq!(code(place.run(signing)), "passphrase-needed", "{signing:?}");
    }
    let with = ["send", "1000", to, "--passphrase-file", "@first"];
    assert_eq!(code(place.run(&with)), "no-node");
    // It is no argument: others on the machine can read those.
    let argument = place.command(&["balance", "--passphrase", FIRST]).output();
    assert_eq!(argument.unwrap().status.code(), Some(2));
}

#[test]
fn a_passphrase_is_set_changed_and_removed_on_a_wallet_of_before() {
    let place = Place::new();
    place.init(&["--no-passphrase"]).unwrap();
    let config = std::fs::read(place.home().join("config.json")).unwrap();
    assert_eq!(letters(&place.mnemonic()), WORDS);
    assert_eq!(code(place.run(&["passphrase", "remove"])), "not-encrypted");
    assert_eq!(
        code(place.run(&["passphrase", "set"])),
        "new-passphrase-needed"
    );

    let set = ["passphrase", "set", "--new-passphrase-file", "@first"];
    assert_eq!(place.run(&set).unwrap()["is_encrypted"], true);
    assert_eq!(
        place.words(&["--passphrase-file", "@first"]).unwrap(),
        WORDS
    );
    let first = place.mnemonic();
    let change = ["passphrase", "set", "--new-passphrase-file", "@second"];
    assert_eq!(code(place.run(&change)), "passphrase-needed");
    assert_eq!(place.mnemonic(), first);
    place
        .run(&[&change[..], &["--passphrase-file", "@first"]].concat())
        .unwrap();
    assert_eq!(
        code(place.words(&["--passphrase-file", "@first"])),
        "passphrase-wrong"
    );
    assert_eq!(
        place.words(&["--passphrase-file", "@second"]).unwrap(),
        WORDS
    );

    assert_eq!(
        code(place.run(&["passphrase", "remove"])),
        "passphrase-needed"
    );
    let remove = ["passphrase", "remove", "--passphrase-file", "@second"];
    assert_eq!(place.run(&remove).unwrap()["is_encrypted"], false);
    assert_eq!(place.words(&[]).unwrap(), WORDS);
    assert_eq!(letters(&place.mnemonic()), WORDS);
    // The same wallet all along.
    assert_eq!(
        std::fs::read(place.home().join("config.json")).unwrap(),
        config
    );
    place.run(&["address"]).unwrap();
}

#[test]
fn a_machine_that_stops_while_it_encrypts_leaves_a_wallet_that_opens() {
    let place = Place::new();
    place.init(&[]).unwrap();
    // Whatever was written of the new file, it is not the mnemonic's until it is complete.
    let beside = place.home().join("mnemonic.new");
    for torn in ["", "{\"format\":\"grail-mnemonic\",\"versi"] {
        std::fs::write(&beside, torn).unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(place.words(&[]).unwrap(), WORDS);
    }
    let set = ["passphrase", "set", "--new-passphrase-file", "@first"];
    place.run(&set).unwrap();
    assert_eq!(
        place.words(&["--passphrase-file", "@first"]).unwrap(),
        WORDS
    );
    assert!(!beside.exists());
    // What cannot be written at all changes nothing.
    let before = place.mnemonic();
    std::fs::create_dir(&beside).unwrap();
    let change = ["passphrase", "remove", "--passphrase-file", "@first"];
    assert_eq!(code(place.run(&change)), "file-failed");
    assert_eq!(place.mnemonic(), before);
}

#[test]
fn init_goes_on_from_a_mnemonic_that_is_encrypted_already() {
    let place = Place::new();
    let made = place.init(&["--passphrase-file", "@first"]).unwrap();
    let before = place.mnemonic();
    std::fs::remove_file(place.home().join("config.json")).unwrap();
    let init = ["init", "--network", "regtest"];
    assert_eq!(code(place.run(&init)), "passphrase-needed");
    let again = [&init[..], &["--passphrase-file", "@first"]].concat();
    let again = place.run(&again).unwrap();
    assert_eq!(again["is_encrypted"], true);
    assert_eq!(place.mnemonic(), before);
    let first = |answer: &Value| answer["address"].as_str().unwrap().to_owned();
    // The log has handed out one already.
    assert_ne!(first(&again), first(&made));

    // A plain one that an earlier try left is encrypted now, if a passphrase is given.
    let place = Place::new();
    place.init(&[]).unwrap();
    std::fs::remove_file(place.home().join("config.json")).unwrap();
    let again = [&init[..], &["--passphrase-file", "@first"]].concat();
    assert_eq!(place.run(&again).unwrap()["is_encrypted"], true);
    assert_eq!(
        place.words(&["--passphrase-file", "@first"]).unwrap(),
        WORDS
    );
}

#[test]
fn a_file_that_asks_for_all_memory_is_refused_at_once() {
    let place = Place::new();
    place.init(&["--passphrase-file", "@first"]).unwrap();
    let mut json: Value = serde_json::from_str(&place.mnemonic()).unwrap();
    json["argon2id"]["memory_kib"] = u32::MAX.into();
    std::fs::write(place.home().join("mnemonic"), json.to_string()).unwrap();
    assert_eq!(
        code(place.words(&["--passphrase-file", "@first"])),
        "mnemonic-too-costly"
    );
    std::fs::write(place.home().join("mnemonic"), "{}").unwrap();
    assert_eq!(code(place.words(&[])), "mnemonic-malformed");
}

#[test]
fn the_terminal_is_asked_and_shows_nothing_of_what_is_typed() {
    let place = Place::new();
    let init = [
        "init",
        "--network",
        "regtest",
        "--mnemonic-file",
        "@words",
        "--json",
    ];
    let mut differs = AtTerminal::start(&mut place.command(&init));
    differs.answer(NEW, FIRST);
    differs.answer(AGAIN, SECOND);
    assert_eq!(code(read(&differs.end())), "passphrases-differ");
    assert!(!place.home().exists(), "nothing is left of it");

    let mut typed = AtTerminal::start(&mut place.command(&init));
    typed.answer(NEW, FIRST);
    typed.answer(AGAIN, FIRST);
    let output = typed.end();
    assert_eq!(read(&output).unwrap()["is_encrypted"], true);
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !shown.contains(FIRST) && !shown.contains("abandon"),
        "{shown}"
    );
    // A file and a terminal say the same.
    assert_eq!(
        place.words(&["--passphrase-file", "@first"]).unwrap(),
        WORDS
    );

    let change = ["passphrase", "set", "--json"];
    let mut changed = AtTerminal::start(&mut place.command(&change));
    changed.answer(KNOWN, FIRST);
    changed.answer(NEW, SECOND);
    changed.answer(AGAIN, SECOND);
    read(&changed.end()).unwrap();
    assert_eq!(
        place.words(&["--passphrase-file", "@second"]).unwrap(),
        WORDS
    );
    let mut wrong = AtTerminal::start(&mut place.command(&["words", "--json"]));
    wrong.answer(KNOWN, FIRST);
    assert_eq!(code(read(&wrong.end())), "passphrase-wrong");
    let mut shows = AtTerminal::start(&mut place.command(&["words"]));
    shows.answer(KNOWN, SECOND);
    shows.answer("Enter clears the screen", "");
    let output = shows.end();
    assert!(output.status.success());
    let screen = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, other) = screen.split_once("\x1b[?1049h").unwrap();
    let (other, after) = other.split_once("\x1b[?1049l").unwrap();
    assert!(other.contains("12. about"), "{screen:?}");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!after.contains("about") && !stdout.contains("abandon"));
}

#[test]
fn an_empty_line_at_the_terminal_means_no_passphrase() {
    let place = Place::new();
    let init = ["init", "--network", "regtest", "--json"];
    let mut none = AtTerminal::start(&mut place.command(&init));
    none.answer(NEW, "");
    assert_eq!(read(&none.end()).unwrap()["is_encrypted"], false);
    assert_eq!(letters(&place.mnemonic()).split(' ').count(), 12);
    // Without a terminal the words are not shown.
    assert_eq!(code(place.run(&["words"])), "no-terminal");
    // Who says so is not asked.
    let place = Place::new();
    let init = ["init", "--network", "regtest", "--no-passphrase", "--json"];
    let output = AtTerminal::start(&mut place.command(&init)).end();
    assert_eq!(read(&output).unwrap()["is_encrypted"], false);
}

#[test]
fn a_payment_is_signed_with_the_passphrase_and_not_without() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let place = Place::new();
    chain.pay(&user.script(), 100_000);
    let asked = send_args(20_000, &user.address());
    let set = SetPassphrase {
        new_passphrase_file: Some(place.file("first").into()),
    };
    commands::set_passphrase(&user.open(), &set).unwrap();
    let refused = user.send(20_000, &user.address()).unwrap_err();
    assert_eq!(refused.code, "passphrase-needed");
    assert!(chain.node.chain().mempool_txids().unwrap().is_empty());
    let settings = Settings {
        passphrase: PassphraseSource::File(place.file("first").into()),
        ..user.settings.clone()
    };
    let mut session = Session::open(settings).unwrap();
    commands::send(&mut session, &asked, &mut Quiet).unwrap();
    chain.node.mine(1);
}

#[test]
fn a_folder_that_others_could_look_into_is_closed_and_said() {
    let place = Place::new();
    place.init(&[]).unwrap();
    let home = place.home();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let balance = place.command(&["balance", "--json"]).output().unwrap();
    assert!(balance.status.success());
    let note: Value = serde_json::from_slice(&balance.stderr).unwrap();
    assert_eq!(note["note"]["code"], "made-private");
    let mode = std::fs::metadata(&home).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let again = place.command(&["balance", "--json"]).output().unwrap();
    assert!(again.stderr.is_empty(), "{again:?}");
    // Nobody but its owner can read what the wallet writes.
    for file in std::fs::read_dir(&home).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
    }
    // A mnemonic that others could read may be known to them: that is not mended in silence.
    let mnemonic = home.join("mnemonic");
    std::fs::set_permissions(&mnemonic, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(code(place.words(&[])), "secret-readable");
}
