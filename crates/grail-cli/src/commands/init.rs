//! `grail init`: makes a wallet.

use std::path::{Path, PathBuf};

use grail_api::client::Client;
use grail_chain::{BlockSource, CALL_TIMEOUT};
use grail_types::Network;
use grail_wallet::seed::{Branch, ENTROPY_BYTES, Seed};
use grail_wallet::slot::window_of;
use zeroize::Zeroizing;

use crate::arguments;
use crate::failure::Failure;
use crate::home::{
    Config, Home, HomeError, KeptMnemonic, LOOK_AHEAD_USUAL, NewWallet, read_json, read_secret,
};
use crate::report::Created;
use crate::session::{Session, Settings, served_protocol};

/// Nobody knows how many addresses of an existing mnemonic were handed out and never paid to. Each
/// costs a fraction of a millisecond at every command.
const LOOK_AHEAD_RESTORED: u32 = 200;

/// Makes a wallet.
pub fn init(settings: &Settings, init: &arguments::Init) -> Result<Created, Failure> {
    let network = settings
        .network
        .ok_or_else(|| Failure::new("network-needed", "a new wallet needs --network"))?;
    let begun = Home::begun(&settings.home)?;
    let is_old = init.mnemonic_file.is_some() || begun.is_some();
    let (begun, begun_protocol) =
        begun.map_or((None, None), |begun| (Some(begun.mnemonic), begun.protocol));
    let seed = seed(settings, init, begun.as_ref(), network)?;
    let was_encrypted = begun.as_ref().is_some_and(KeptMnemonic::is_encrypted);
    let passphrase = if was_encrypted || init.no_passphrase {
        None
    } else {
        settings.passphrase.chosen()?
    };
    let node = settings.connect(network, CALL_TIMEOUT)?;
    let birthday_height = match (init.birthday_height, is_old, &node) {
        (Some(height), _, _) => height,
        // Nobody can have paid to a mnemonic that did not exist.
        (None, false, Some(node)) => node.tip()?.height,
        (None, _, _) => 1,
    };
    // Before anything is written: what cannot be had leaves no half-made wallet.
    // Whom an earlier try trusted is not replaced by what the API says today.
    let protocol = match (&init.protocol, begun_protocol, &settings.api) {
        (Some(file), _, _) => Some(read_json(file)?),
        (None, Some(pinned), _) => Some(pinned),
        (None, None, Some(url)) => Some(served_protocol(&Client::new(url))?),
        (None, None, None) => None,
    };
    let config = Config {
        network,
        birthday_height: birthday_height.max(1),
        look_ahead: init.look_ahead.unwrap_or(if is_old {
            LOOK_AHEAD_RESTORED
        } else {
            LOOK_AHEAD_USUAL
        }),
        descriptors: [Branch::Receive, Branch::Change].map(|branch| seed.descriptor(branch)),
        node: settings.node.clone(),
        node_cookie: absolute(settings.node_cookie.as_deref())?,
        node_user: settings.node_user.clone(),
        node_password_file: absolute(settings.node_password_file.as_deref())?,
        api: settings.api.clone(),
    };
    let (birthday_height, look_ahead) = (config.birthday_height, config.look_ahead);
    drop(Home::create(
        &settings.home,
        NewWallet {
            config,
            protocol: protocol.as_ref(),
            seed: &seed,
            passphrase: passphrase.as_ref(),
            begun: begun.as_ref(),
        },
    )?);

    let mut session = Session::open(settings.clone())?;
    match &node {
        // Of another folder of the same words nobody knows what it has used.
        Some(node) if is_old => {
            let next = window_of(node.tip()?.height).saturating_add(1);
            session.home.slots().begin(next)?;
        }
        None if is_old => (),
        Some(_) | None => session.home.slots().begin(0)?,
    }
    let params_hash = session
        .pinned_protocol()
        .map(|protocol| protocol.hash().to_string());
    Ok(Created {
        home: session.home.path().display().to_string(),
        network: network.to_string(),
        mnemonic_file: session.home.mnemonic_path().display().to_string(),
        is_encrypted: was_encrypted || passphrase.is_some(),
        birthday_height,
        look_ahead,
        is_restored: is_old,
        params_hash,
        address: session.wallet.fresh_address()?.to_string(),
    })
}

/// The seed of the words that are given, or of those that an earlier try left, or a new one.
fn seed(
    settings: &Settings,
    init: &arguments::Init,
    begun: Option<&KeptMnemonic>,
    network: Network,
) -> Result<Seed, Failure> {
    let begun = begun
        .map(|kept| kept.open(network, &settings.passphrase))
        .transpose()?;
    let Some(file) = &init.mnemonic_file else {
        return begun.map_or_else(|| fresh_seed(network), Ok);
    };
    let given = Seed::parse(&read_secret(file)?, network)?;
    match begun {
        Some(begun) if *begun.words() != *given.words() => {
            Err(HomeError::Exists(settings.home.clone()).into())
        }
        _ => Ok(given),
    }
}

/// A path as it is remembered: the next command may run in another folder.
fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    path.map(std::path::absolute)
        .transpose()
        .map_err(|error| Failure::new("file-failed", format!("no folder to start from: {error}")))
}

fn fresh_seed(network: Network) -> Result<Seed, Failure> {
    let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
    getrandom::fill(entropy.as_mut())
        .map_err(|error| Failure::new("no-randomness", format!("no randomness: {error}")))?;
    Ok(Seed::from_entropy(&entropy, network)?)
}
