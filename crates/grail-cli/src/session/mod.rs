//! One run of a command: the open wallet, and the node and API that it was told of.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{FeeRate, Transaction, Txid};
use grail_api::RosterAnswer;
use grail_api::client::Client;
use grail_chain::{Auth, BitcoinCore, CALL_TIMEOUT, Chain};
use grail_types::{Network, Params, Roster};

use crate::failure::Failure;
use crate::home::{Config, Home, read_secret};
use crate::peg::PegError;
use crate::progress::Progress;
use crate::roster::{NftOnChain, believe_roster, check_nft};
use crate::sync::sync;
use crate::wallet::Wallet;

/// Blocks within which a payment should be mined.
const FEE_TARGET_BLOCKS: u16 = 6;
/// Lowest fee rate paid: older nodes relay nothing below.
pub const FEE_RATE_MIN: FeeRate = FeeRate::BROADCAST_MIN;
/// Highest fee rate that the node is believed; a higher one must be asked for.
const FEE_RATE_ESTIMATE_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(300);
/// A scan of all unspent outputs takes minutes.
const SCAN_TIMEOUT: Duration = Duration::from_mins(15);

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
}

/// An open wallet with what it may ask.
pub struct Session {
    /// Its folder.
    pub home: Home,
    /// The wallet.
    pub wallet: Wallet,
    /// Shared by all signing and checking.
    pub secp: Secp256k1<All>,
    settings: Settings,
    params: Option<Params>,
    node: Option<BitcoinCore>,
}

impl Session {
    /// Opens the wallet. Connects to nothing.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        let home = Home::open(&settings.home, settings.network)?;
        let settings = settings.or(home.config());
        let params = home.params()?;
        let wallet = Wallet::open(&home, params.as_ref().map(|params| &params.bridge))?;
        Ok(Self {
            home,
            wallet,
            secp: Secp256k1::new(),
            settings,
            params,
            node: None,
        })
    }

    /// The wallet's network.
    pub fn network(&self) -> Network {
        self.home.config().network
    }

    /// Whether a node is named.
    pub fn has_node(&self) -> bool {
        self.settings.node.is_some()
    }

    /// Whether an API is named.
    pub fn has_api(&self) -> bool {
        self.settings.api.is_some()
    }

    /// The node; connects on the first call.
    pub fn node(&mut self) -> Result<&BitcoinCore, Failure> {
        if self.node.is_none() {
            self.node = self.settings.connect(self.network(), CALL_TIMEOUT)?;
        }
        self.node
            .as_ref()
            .ok_or_else(|| Failure::new("no-node", "this needs a Bitcoin node: give --node"))
    }

    /// A connection to the node that waits long, for a scan of all unspent outputs.
    pub fn patient_node(&self) -> Result<BitcoinCore, Failure> {
        self.settings
            .connect(self.network(), SCAN_TIMEOUT)?
            .ok_or_else(|| Failure::new("no-node", "this needs a Bitcoin node: give --node"))
    }

    /// The API.
    pub fn api(&self) -> Result<Client, Failure> {
        self.settings
            .api
            .as_ref()
            .map(|url| Client::new(url))
            .ok_or_else(|| Failure::new("no-api", "this needs Grail's API: give --api"))
    }

    /// The protocol parameters: the pinned ones; where none are, the API's, which are pinned now. An API that goes
    /// by others than the pinned ones is refused.
    pub fn params(&mut self) -> Result<Params, Failure> {
        if let Some(params) = &self.params {
            return Ok(params.clone());
        }
        let served = served_params(&self.api()?)?;
        self.home.pin_params(&served)?;
        self.wallet.know_bridge(&served.bridge);
        self.params = Some(served.clone());
        Ok(served)
    }

    /// The pinned parameters, if any are.
    pub fn pinned_params(&self) -> Option<&Params> {
        self.params.as_ref()
    }

    /// The pinned parameters, after the API was seen to go by the same.
    pub fn agreed_params(&mut self) -> Result<Params, Failure> {
        let pinned = self.params()?;
        let served = served_params(&self.api()?)?;
        if pinned.hash() == served.hash() {
            Ok(pinned)
        } else {
            Err(PegError::Params {
                pinned: pinned.hash(),
                served: served.hash(),
            }
            .into())
        }
    }

    /// The API's roster, believed: every signer's evidence verifies, and the roster NFT on chain says the same.
    pub fn believed_roster(&mut self, params: &Params) -> Result<(Roster, NftOnChain), Failure> {
        let answer: RosterAnswer = self.api()?.roster()?;
        let roster = believe_roster(&answer, params, now())?;
        let nft = check_nft(self.node()?, answer.nft_outpoint, &roster, params)?;
        Ok((roster, nft))
    }

    /// Brings the wallet up to the node.
    pub fn sync(&mut self, progress: &mut dyn Progress) -> Result<(), Failure> {
        self.node()?;
        let node = self
            .node
            .as_ref()
            .ok_or_else(|| Failure::new("no-node", "no node"))?;
        sync(&mut self.wallet, node, now(), progress)?;
        Ok(())
    }

    /// The rate asked for, or what the node thinks right.
    pub fn fee_rate(&mut self, wanted: Option<FeeRate>) -> Result<FeeRate, Failure> {
        if let Some(wanted) = wanted {
            return Ok(wanted);
        }
        let node = self.node()?;
        let floor = node.mempool_min_fee_rate()?.max(FEE_RATE_MIN);
        let estimate = node.estimate_fee_rate(FEE_TARGET_BLOCKS)?.unwrap_or(floor);
        Ok(estimate.min(FEE_RATE_ESTIMATE_MAX).max(floor))
    }

    /// Hands a transaction to the node and notes it in the wallet.
    pub fn broadcast(&mut self, transaction: &Transaction) -> Result<Txid, Failure> {
        let txid = self.node()?.send(transaction)?;
        self.wallet.note_sent(transaction, now())?;
        Ok(txid)
    }
}

/// The API's parameters, if their hash is the one that it names.
pub fn served_params(client: &Client) -> Result<Params, Failure> {
    let answer = client.params()?;
    let expected = answer.params.hash();
    if expected == answer.params_hash {
        Ok(answer.params)
    } else {
        Err(PegError::ParamsHash {
            expected,
            got: answer.params_hash,
        }
        .into())
    }
}

/// Unix seconds.
pub fn now() -> u64 {
    // Before 1970 the clock is wrong in any case.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
