//! One run of a command: the open wallet, and the node and API that it was told of.

pub mod follow;
pub mod pay;
mod recipient;
mod relay;
mod send;
mod settings;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::FeeRate;
use bitcoin::secp256k1::{All, Secp256k1};
use grail_api::RosterAnswer;
use grail_api::client::Client;
use grail_attest::Protocol;
use grail_chain::{BitcoinCore, CALL_TIMEOUT, Chain, ChainError};
use grail_types::{Network, Roster};
use grail_wallet::fund::believed_fee_rate;
use grail_wallet::peg::checked_protocol;
use grail_wallet::roster::{NftOnChain, believe_roster, check_nft, vault_of};

pub use settings::Settings;

use crate::failure::Failure;
use crate::home::Home;
use crate::node::unspent_output;
use crate::progress::{Note, Progress};
use crate::wallet::Wallet;

/// Blocks within which a payment should be mined.
const FEE_TARGET_BLOCKS: u16 = 6;
/// A scan of all unspent outputs takes minutes.
const SCAN_TIMEOUT: Duration = Duration::from_mins(15);

/// An open wallet with what it may ask.
pub struct Session {
    /// Its folder.
    pub home: Home,
    /// The wallet.
    pub wallet: Wallet,
    /// Shared by all signing and checking.
    pub secp: Secp256k1<All>,
    settings: Settings,
    pinned: Option<Protocol>,
    /// What the bridge goes by as far as is known here: what is pinned, or what was followed from
    /// there.
    protocol: Option<Protocol>,
    node: Option<BitcoinCore>,
}

impl Session {
    /// Opens the wallet. Connects to nothing.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        let home = Home::open(&settings.home, settings.network)?;
        Self::of(home, settings)
    }

    /// Opens the wallet beside another command that may have it open: to read what is known. What
    /// this session learns of the wallet's coins is not kept.
    pub fn open_to_read(settings: Settings) -> Result<Self, Failure> {
        let home = Home::open_to_read(&settings.home, settings.network)?;
        Self::of(home, settings)
    }

    fn of(home: Home, settings: Settings) -> Result<Self, Failure> {
        let settings = settings.or(home.config());
        let pinned = home.protocol()?;
        let protocol = match &pinned {
            Some(pinned) => Some(home.followed(pinned)?.unwrap_or_else(|| pinned.clone())),
            None => None,
        };
        let app = protocol.as_ref().map(|protocol| &protocol.bridge().app);
        let wallet = Wallet::open(&home, app)?;
        Ok(Self {
            home: home.opened_by(settings.passphrase.clone()),
            wallet,
            secp: Secp256k1::new(),
            settings,
            pinned,
            protocol,
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
            self.node = self
                .settings
                .connect_caught_up(self.network(), CALL_TIMEOUT)?;
        }
        self.node
            .as_ref()
            .ok_or_else(|| Failure::new("no-node", "this needs a Bitcoin node: give --node"))
    }

    /// A connection to the node that waits long, for a scan of all unspent outputs.
    pub fn patient_node(&self) -> Result<BitcoinCore, Failure> {
        self.settings
            .connect_caught_up(self.network(), SCAN_TIMEOUT)?
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

    /// What the bridge goes by as far as is known here; where nothing is, the API's word, which is
    /// pinned now. [`Session::protocol_of_now`] asks whether it still does.
    pub fn protocol(&mut self) -> Result<Protocol, Failure> {
        if let Some(protocol) = &self.protocol {
            return Ok(protocol.clone());
        }
        let served = served_protocol(&self.api()?)?;
        self.home.pin_protocol(&served)?;
        self.wallet.know_bridge(&served.bridge().app);
        self.pinned = Some(served.clone());
        self.protocol = Some(served.clone());
        Ok(served)
    }

    /// From now on goes by what was followed. A folder that cannot be written now follows again.
    fn know_protocol(&mut self, followed: &Protocol) {
        let _forgotten = self.home.keep_followed(followed);
        self.protocol = Some(followed.clone());
    }

    /// What is pinned, if anything is.
    pub fn pinned_protocol(&self) -> Option<&Protocol> {
        self.pinned.as_ref()
    }

    /// All that the bridge is known to go by or to have gone by.
    pub fn known_protocols(&self) -> impl Iterator<Item = &Protocol> {
        let followed = self.protocol.iter();
        let followed = followed.filter(move |it| Some(*it) != self.pinned.as_ref());
        self.pinned.iter().chain(followed)
    }

    /// The API's roster, believed: every signer's evidence verifies, and the roster NFT on chain
    /// says the same.
    pub fn believed_roster(
        &mut self,
        protocol: &Protocol,
    ) -> Result<(Roster, NftOnChain), Failure> {
        let answer: RosterAnswer = self.api()?.roster()?;
        let roster = believe_roster(&answer, protocol, now())?;
        self.remember_vault(&vault_of(&roster, protocol));
        let unspent = unspent_output(self.node()?, answer.nft_outpoint)?;
        let nft = check_nft(unspent.as_ref(), answer.nft_outpoint, &roster, protocol)?;
        Ok((roster, nft))
    }

    /// The rate asked for, or what the node thinks right. A node without estimates (`-blocksonly`,
    /// or just started) leaves its floor, and the user is told.
    pub fn fee_rate(
        &mut self,
        wanted: Option<FeeRate>,
        progress: &mut dyn Progress,
    ) -> Result<FeeRate, Failure> {
        if let Some(wanted) = wanted {
            return Ok(wanted);
        }
        let network = self.network();
        let node = self.node()?;
        let mempool_min = node.mempool_min_fee_rate()?;
        let estimate = match node.estimate_fee_rate(FEE_TARGET_BLOCKS) {
            Err(ChainError::Refused { .. } | ChainError::NotAllowed { .. }) => None,
            answer => answer?,
        };
        let rate = believed_fee_rate(estimate, mempool_min);
        // On regtest no node ever has an estimate, and every block takes all.
        if estimate.is_none() && network != Network::Regtest {
            progress.note(Note::new(
                "no-fee-estimate",
                format!(
                    "the node has no fee estimate, so its lowest rate is paid: {} sat/vB; name another with --fee-rate",
                    rate.to_sat_per_vb_ceil()
                ),
            ));
        }
        Ok(rate)
    }

    /// The rate for the way out, which must not hang on what a node has to say about fees.
    pub fn fee_rate_or(
        &mut self,
        wanted: Option<FeeRate>,
        otherwise: FeeRate,
        progress: &mut dyn Progress,
    ) -> FeeRate {
        self.fee_rate(wanted, progress).unwrap_or(otherwise)
    }
}

/// What the API goes by, if its images are those that its parameters name, and the hash over all is
/// the one that it names.
pub fn served_protocol(client: &Client) -> Result<Protocol, Failure> {
    Ok(checked_protocol(client.params()?)?)
}

/// Unix seconds.
pub fn now() -> u64 {
    // Before 1970 the clock is wrong in any case.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
