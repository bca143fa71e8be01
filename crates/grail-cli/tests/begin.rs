//! How a wallet begins, and goes on from what an earlier try left.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use grail_cli::{Session, Settings, arguments, commands};
use grail_types::Network;
use tempfile::TempDir;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn settings(folder: &TempDir) -> Settings {
    Settings {
        home: folder.path().join("wallet"),
        network: Some(Network::Regtest),
        ..Settings::default()
    }
}

fn words(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("words");
    std::fs::write(&file, text).unwrap();
    file
}

fn from_words(file: PathBuf) -> arguments::Init {
    arguments::Init {
        mnemonic_file: Some(file),
        ..arguments::Init::default()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_folder_with_the_mnemonic_alone_becomes_the_wallet_of_that_mnemonic() {
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder);
    let first = commands::init(&settings, &from_words(words(&folder, WORDS))).unwrap();
    // As a power cut leaves it.
    for file in ["config.json", "wallet.jsonl", "addresses.json"] {
        std::fs::remove_file(settings.home.join(file)).unwrap();
    }
    let refused = Session::open(settings.clone()).err().unwrap();
    assert_eq!(refused.code, "wallet-unfinished");
    assert!(refused.message.contains("grail init"), "{refused}");

    let again = commands::init(&settings, &arguments::Init::default()).unwrap();
    assert_eq!(again.address, first.address);
    // The mnemonic may be older than the folder.
    assert_eq!(again.birthday_height, 1);
    assert_eq!(
        commands::init(&settings, &arguments::Init::default())
            .unwrap_err()
            .code,
        "wallet-exists"
    );
}

#[test]
fn another_mnemonic_never_takes_the_place_of_one_that_is_there() {
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder);
    commands::init(&settings, &arguments::Init::default()).unwrap();
    let before = std::fs::read(settings.home.join("mnemonic")).unwrap();
    std::fs::remove_file(settings.home.join("config.json")).unwrap();
    let refused = commands::init(&settings, &from_words(words(&folder, WORDS))).unwrap_err();
    assert_eq!(refused.code, "wallet-exists");
    assert_eq!(
        std::fs::read(settings.home.join("mnemonic")).unwrap(),
        before
    );
}

#[test]
fn a_mnemonic_that_others_can_read_is_not_gone_on_from() {
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder);
    std::fs::create_dir(&settings.home).unwrap();
    let mnemonic = settings.home.join("mnemonic");
    std::fs::write(&mnemonic, WORDS).unwrap();
    std::fs::set_permissions(&mnemonic, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = commands::init(&settings, &arguments::Init::default()).unwrap_err();
    assert_eq!(refused.code, "secret-readable");
    std::fs::set_permissions(&mnemonic, std::fs::Permissions::from_mode(0o600)).unwrap();
    commands::init(&settings, &arguments::Init::default()).unwrap();
}

#[test]
fn the_wallets_folder_is_its_owners_alone() {
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder);
    commands::init(&settings, &arguments::Init::default()).unwrap();
    assert_eq!(mode(&settings.home), 0o700);
    assert_eq!(mode(&settings.home.join("mnemonic")), 0o600);
    assert_eq!(mode(&settings.home.join("receipts")), 0o700);
}

#[test]
fn paths_are_remembered_from_the_root() {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(&folder);
    settings.node_cookie = Some(PathBuf::from("some/.cookie"));
    settings.node_password_file = Some(PathBuf::from("password"));
    commands::init(&settings, &arguments::Init::default()).unwrap();
    let session = Session::open(Settings {
        node_cookie: None,
        node_password_file: None,
        ..settings
    })
    .unwrap();
    let here = std::env::current_dir().unwrap();
    let config = session.home.config();
    assert_eq!(
        config.node_cookie.as_deref(),
        Some(&*here.join("some/.cookie"))
    );
    assert_eq!(
        config.node_password_file.as_deref(),
        Some(&*here.join("password"))
    );
}

#[test]
fn words_in_capitals_and_numbers_make_the_same_wallet() {
    let address = |text: &str| {
        let folder = TempDir::new().unwrap();
        let init = from_words(words(&folder, text));
        commands::init(&settings(&folder), &init).unwrap().address
    };
    let plain = address(WORDS);
    assert_eq!(address(&WORDS.to_uppercase()), plain);
    let numbered: Vec<String> = (1..)
        .zip(WORDS.split(' '))
        .map(|(number, word)| format!("{number}. {word}\n"))
        .collect();
    assert_eq!(address(&numbered.concat()), plain);
}
