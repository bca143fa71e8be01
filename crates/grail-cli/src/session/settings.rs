//! Where node and API are.

use std::path::PathBuf;
use std::time::Duration;

use grail_chain::{Auth, BitcoinCore};
use grail_types::Network;

use crate::failure::Failure;
use crate::home::{Config, read_secret};
use crate::passphrase::PassphraseSource;

/// Where node and API are; what is absent is taken from the wallet's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The wallet's folder.
    pub home: PathBuf,
    /// The network that the wallet must be of.
    pub network: Option<Network>,
    /// Bitcoin Core's RPC address.
    pub node: Option<String>,
    /// Its cookie file.
    pub node_cookie: Option<PathBuf>,
    /// Its RPC user.
    pub node_user: Option<String>,
    /// File with that user's password.
    pub node_password_file: Option<PathBuf>,
    /// Grail's API.
    pub api: Option<String>,
    /// Where the passphrase of the mnemonic comes from.
    pub passphrase: PassphraseSource,
}

impl Settings {
    /// These settings, completed by the wallet's own.
    #[must_use]
    pub fn or(self, config: &Config) -> Self {
        // Credentials belong to a node: another node does not get them.
        let same_node = self.node.is_none() || self.node == config.node;
        let credentials = same_node && self.node_cookie.is_none() && self.node_user.is_none();
        let saved = |value: &Option<PathBuf>| value.clone().filter(|_| credentials);
        Self {
            network: Some(config.network),
            node_cookie: self.node_cookie.or_else(|| saved(&config.node_cookie)),
            node_password_file: self
                .node_password_file
                .or_else(|| saved(&config.node_password_file)),
            node_user: self
                .node_user
                .or_else(|| config.node_user.clone().filter(|_| credentials)),
            node: self.node.or_else(|| config.node.clone()),
            api: self.api.or_else(|| config.api.clone()),
            home: self.home,
            passphrase: self.passphrase,
        }
    }

    /// The node, if one is named; checks that it is of `network`.
    pub fn connect(
        &self,
        network: Network,
        timeout: Duration,
    ) -> Result<Option<BitcoinCore>, Failure> {
        let Some(url) = &self.node else {
            return Ok(None);
        };
        let auth = match (&self.node_cookie, &self.node_user, &self.node_password_file) {
            (Some(cookie), None, None) => Auth::Cookie(cookie.clone()),
            (None, Some(user), Some(file)) => Auth::UserPassword {
                user: user.clone(),
                password: read_secret(file)?.to_string(),
            },
            _ => {
                return Err(Failure::new(
                    "node-credentials",
                    "expected --node-cookie, or --node-user and --node-password-file",
                ));
            }
        };
        let node = BitcoinCore::new(url, auth, timeout)?;
        let got = node.network_name()?;
        let expected = match network {
            Network::Mainnet => "main".to_owned(),
            other => other.to_string(),
        };
        if got == expected {
            Ok(Some(node))
        } else {
            Err(Failure::new(
                "wrong-network",
                format!("expected a node on {expected}, got {got}"),
            ))
        }
    }

    /// The same, if what the node says is about now: one that is still reading the chain would
    /// show an empty wallet, a bridge without its NFT, and reserves of long ago.
    pub fn connect_caught_up(
        &self,
        network: Network,
        timeout: Duration,
    ) -> Result<Option<BitcoinCore>, Failure> {
        let Some(node) = self.connect(network, timeout)? else {
            return Ok(None);
        };
        let state = node.state()?;
        if state.has_caught_up() {
            return Ok(Some(node));
        }
        Err(Failure::new(
            "node-behind",
            format!(
                "the node has not caught up with the chain: it has read {} of {} blocks known to it, and says that it \
                 is {}; try again later",
                state.blocks,
                state.headers.max(state.blocks),
                if state.is_in_initial_download {
                    "still downloading"
                } else {
                    "some blocks behind"
                }
            ),
        ))
    }
}
