//! `grail init`: makes a wallet.

use grail_api::client::Client;
use grail_chain::{BlockSource, CALL_TIMEOUT};
use grail_types::Network;
use grail_wallet::seed::{Branch, ENTROPY_BYTES, Seed};
use zeroize::Zeroizing;

use crate::arguments;
use crate::failure::Failure;
use crate::home::{Config, Home, read_json, read_secret};
use crate::report::Created;
use crate::session::{Session, Settings, served_protocol};

/// Makes a wallet.
pub fn init(settings: &Settings, init: &arguments::Init) -> Result<Created, Failure> {
    let network = settings
        .network
        .ok_or_else(|| Failure::new("network-needed", "a new wallet needs --network"))?;
    let seed = match &init.mnemonic_file {
        Some(file) => Seed::parse(&read_secret(file)?, network)?,
        None => fresh_seed(network)?,
    };
    let node = settings.connect(network, CALL_TIMEOUT)?;
    let birthday_height = match (init.birthday_height, &init.mnemonic_file, &node) {
        (Some(height), _, _) => height,
        // Nobody can have paid to a mnemonic that did not exist.
        (None, None, Some(node)) => node.tip()?.height,
        (None, _, _) => 1,
    };
    // Before anything is written: what cannot be had leaves no half-made wallet.
    let protocol = match (&init.protocol, &settings.api) {
        (Some(file), _) => Some(read_json(file)?),
        (None, Some(url)) => Some(served_protocol(&Client::new(url))?),
        (None, None) => None,
    };
    let config = Config {
        network,
        birthday_height: birthday_height.max(1),
        descriptors: [Branch::Receive, Branch::Change].map(|branch| seed.descriptor(branch)),
        node: settings.node.clone(),
        node_cookie: settings.node_cookie.clone(),
        node_user: settings.node_user.clone(),
        node_password_file: settings.node_password_file.clone(),
        api: settings.api.clone(),
    };
    let birthday_height = config.birthday_height;
    drop(Home::create(
        &settings.home,
        config,
        protocol.as_ref(),
        &seed,
    )?);

    let mut session = Session::open(settings.clone())?;
    let params_hash = session
        .pinned_protocol()
        .map(|protocol| protocol.hash().to_string());
    Ok(Created {
        home: session.home.path().display().to_string(),
        network: network.to_string(),
        mnemonic_file: session.home.mnemonic_path().display().to_string(),
        birthday_height,
        params_hash,
        address: session.wallet.fresh_address()?.to_string(),
    })
}

fn fresh_seed(network: Network) -> Result<Seed, Failure> {
    let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
    getrandom::fill(entropy.as_mut())
        .map_err(|error| Failure::new("no-randomness", format!("no randomness: {error}")))?;
    Ok(Seed::from_entropy(&entropy, network)?)
}
