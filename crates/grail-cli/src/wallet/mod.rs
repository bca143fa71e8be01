//! The wallet's state: which outputs are the user's, kept in the wallet's folder.
//!
//! Watch-only: keys come from the [`Seed`](grail_wallet::seed::Seed) when something is signed.
//! Trusts the node for the chain, as any wallet does, and no one for charms: those are verified.

mod own;
mod requests;
mod sync;
mod waiting;

use std::sync::Arc;

use bdk_wallet::chain::{BlockId, ChainPosition, ConfirmationBlockTime};
use bdk_wallet::{KeychainKind, PersistedWallet, Wallet as BdkWallet};
use bitcoin::{Address, Amount, OutPoint, Script, ScriptBuf, Transaction, TxOut, Txid};
use grail_types::{BridgeApp, Network};

use grail_wallet::charms::{Carried, CharmReader};
use grail_wallet::explain::{Fate, Standing};
use grail_wallet::holdings::{Balance, Coin, Holding, PlainCoin, TokenCoin, classify};
use grail_wallet::seed::Branch;

use crate::home::{
    ChangeLog, HandedOut, HandedOutFile, Home, HomeError, LogError, MempoolSeen, OwnPayment,
    OwnPayments,
};

pub use sync::{SyncError, sync};

/// Why the wallet cannot be opened or saved.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Its file.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another file of its folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its content does not fit this wallet.
    #[error("wallet state: {0}")]
    State(String),
}

impl WalletError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(LogError::Io { .. }) => "file-failed",
            Self::Log(LogError::Malformed { .. }) => "file-malformed",
            Self::Home(error) => error.code(),
            Self::State(_) => "wallet-state",
        }
    }
}

failures!(WalletError);

/// The wallet.
#[derive(Debug)]
pub struct Wallet {
    bdk: PersistedWallet<ChangeLog>,
    log: ChangeLog,
    payments: OwnPayments,
    handed_out: HandedOutFile,
    mempool_seen: MempoolSeen,
    look_ahead: u32,
    /// Payments of which no command has said that they were sent.
    untold: Vec<Transaction>,
    network: Network,
    birthday_height: u32,
    charms: CharmReader,
    requests: requests::Requests,
}

impl Wallet {
    /// Opens the wallet of a folder. `bridge` says which token is zkBTC; without one, none is.
    pub fn open(home: &Home, bridge: Option<&BridgeApp>) -> Result<Self, WalletError> {
        let config = home.config();
        let [receive, change] = config.descriptors.clone();
        let requests = requests::Requests::open(&receive, home.slots())?;
        let mut log = home.change_log();
        let state = |error: &dyn std::fmt::Display| WalletError::State(error.to_string());
        let loaded = BdkWallet::load()
            .descriptor(KeychainKind::External, Some(receive.clone()))
            .descriptor(KeychainKind::Internal, Some(change.clone()))
            .check_network(config.network.into())
            .lookahead(config.look_ahead)
            .load_wallet(&mut log)
            .map_err(|error| state(&error))?;
        let bdk = match loaded {
            Some(bdk) => bdk,
            None => BdkWallet::create(receive, change)
                .network(config.network.into())
                .lookahead(config.look_ahead)
                .create_wallet(&mut log)
                .map_err(|error| state(&error))?,
        };
        let mut wallet = Self {
            bdk,
            log,
            payments: home.own_payments(),
            handed_out: home.handed_out(),
            mempool_seen: home.mempool_seen(),
            look_ahead: config.look_ahead,
            untold: Vec::new(),
            network: config.network,
            birthday_height: config.birthday_height,
            charms: CharmReader::new(config.network, bridge),
            requests,
        };
        // The log can be behind these files: they are written first.
        let handed_out = wallet.handed_out.read()?;
        for (keychain, count) in [
            (KeychainKind::External, handed_out.receive),
            (KeychainKind::Internal, handed_out.change),
        ] {
            if let Some(last) = count.checked_sub(1) {
                wallet
                    .bdk
                    .reveal_addresses_to(keychain, last)
                    .for_each(drop);
            }
        }
        // A log of an earlier release, or an address that a block showed to be in use.
        if wallet.addresses() != handed_out {
            wallet.handed_out.write(wallet.addresses())?;
        }
        for payment in wallet.payments.all()?.0 {
            let txid = payment.transaction.compute_txid();
            if wallet.bdk.tx_graph().get_tx(txid).is_none() {
                wallet.see(payment.transaction, payment.sent_at);
            }
        }
        Ok(wallet)
    }

    /// Its network.
    pub fn network(&self) -> Network {
        self.network
    }

    /// From now on the token of `bridge` is zkBTC.
    pub fn know_bridge(&mut self, bridge: &BridgeApp) {
        self.charms = CharmReader::new(self.network, Some(bridge));
    }

    /// A fresh address to receive at: BTC, zkBTC and payouts alike.
    pub fn fresh_address(&mut self) -> Result<Address, WalletError> {
        let address = self.bdk.reveal_next_address(KeychainKind::External).address;
        self.hand_out()?;
        Ok(address)
    }

    /// A fresh script for the wallet's own change.
    pub fn fresh_change_script(&mut self) -> Result<ScriptBuf, WalletError> {
        let change = self.bdk.reveal_next_address(KeychainKind::Internal).address;
        self.hand_out()?;
        Ok(change.script_pubkey())
    }

    /// How many addresses of each branch are known to be in use.
    pub fn addresses(&self) -> HandedOut {
        let count = |keychain| {
            let last = self.bdk.derivation_index(keychain);
            last.map_or(0, |last: u32| last.saturating_add(1))
        };
        HandedOut {
            receive: count(KeychainKind::External),
            change: count(KeychainKind::Internal),
        }
    }

    /// How many addresses to receive at are looked for.
    pub fn horizon(&self) -> u32 {
        self.addresses().receive.saturating_add(self.look_ahead)
    }

    fn hand_out(&mut self) -> Result<(), WalletError> {
        self.handed_out.write(self.addresses())?;
        self.save()
    }

    /// Whether a script is the wallet's.
    pub fn is_mine(&self, script: &Script) -> bool {
        self.key_of(script).is_some()
    }

    /// The best block that the wallet has seen.
    pub fn tip(&self) -> BlockId {
        self.bdk.latest_checkpoint().block_id()
    }

    /// Every unspent output, sorted by what it carries.
    pub fn holdings(&mut self) -> Vec<Holding> {
        let tip_height = self.tip().height;
        let followed = self.bdk.list_unspent().map(|output| Output {
            branch: branch(output.keychain),
            index: output.derivation_index,
            outpoint: output.outpoint,
            txout: output.txout,
            position: output.chain_position,
        });
        let of_requests = self.request_outputs();
        let of_requests = of_requests.into_iter().map(|(slot, output)| Output {
            branch: Branch::Request,
            index: slot.index(),
            outpoint: output.outpoint,
            txout: output.txout,
            position: output.chain_position,
        });
        let outputs: Vec<Output> = followed.chain(of_requests).collect();
        outputs
            .into_iter()
            .filter_map(|output| {
                // Without its whole transaction nothing can be said of an output: it is left out.
                let transaction = self.bdk.tx_graph().get_tx(output.outpoint.txid)?;
                let coin = output.coin(transaction.is_coinbase(), tip_height);
                Some(classify(&mut self.charms, coin, &transaction))
            })
            .collect()
    }

    /// The sums, BTC and zkBTC apart.
    pub fn balance(&mut self) -> Balance {
        Balance::of(&self.holdings())
    }

    /// Plain coins that may be spent now.
    pub fn plain_coins(&mut self) -> Vec<PlainCoin> {
        self.holdings()
            .into_iter()
            .filter_map(|holding| match holding {
                Holding::Plain(plain) if plain.coin().is_spendable() => Some(plain),
                _ => None,
            })
            .collect()
    }

    /// zkBTC that may be spent now.
    pub fn token_coins(&mut self) -> Vec<TokenCoin> {
        self.holdings()
            .into_iter()
            .filter_map(|holding| match holding {
                Holding::ZkBtc(token) if token.coin().is_spendable() => Some(token),
                _ => None,
            })
            .collect()
    }

    /// What an output of any transaction carries.
    pub fn carried(&mut self, transaction: &Transaction, vout: u32) -> Carried {
        self.charms.carried(transaction, vout)
    }

    /// A transaction that touches the wallet, in full.
    pub fn transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.bdk.tx_graph().get_tx(*txid)
    }

    /// Every output at `script` in the transactions that touch the wallet, with its transaction.
    pub fn outputs_at(&self, script: &Script) -> Vec<(OutPoint, Arc<Transaction>)> {
        let mut found = Vec::new();
        for node in self.transactions() {
            let transaction = &node.tx_node.tx;
            for (vout, output) in (0_u32..).zip(&transaction.output) {
                if output.script_pubkey == *script {
                    let outpoint = OutPoint::new(node.tx_node.txid, vout);
                    found.push((outpoint, Arc::clone(transaction)));
                }
            }
        }
        found
    }

    /// Those of them that nothing known here spends, the largest first.
    pub fn unspent_at(&self, script: &Script) -> Vec<OutPoint> {
        let spenders = |outpoint: &OutPoint| self.bdk.tx_graph().outspends(*outpoint);
        let mut unspent: Vec<(Amount, OutPoint)> = self
            .outputs_at(script)
            .into_iter()
            .filter(|(outpoint, _)| {
                let mut spenders = spenders(outpoint).iter();
                !spenders.any(|spender| self.bdk.get_tx(*spender).is_some())
            })
            .filter_map(|(outpoint, transaction)| {
                let output = transaction.tx_out(outpoint.vout as usize).ok()?;
                Some((output.value, outpoint))
            })
            .collect();
        unspent.sort_by(|one, other| other.cmp(one));
        unspent.into_iter().map(|(_, outpoint)| outpoint).collect()
    }

    /// Where an output at `script` stands.
    pub fn standing(&mut self, outpoint: OutPoint, script: &Script) -> Standing {
        let holding = self
            .holdings()
            .into_iter()
            .find(|holding| holding.coin().outpoint == outpoint);
        if let Some(holding) = holding {
            return Standing::Held(holding);
        }
        if !self.is_mine(script) {
            return Standing::Foreign;
        }
        Standing::Lost {
            key: self.key_of(script),
            fate: self.fate(outpoint),
        }
    }

    /// What became of an output that is no longer unspent, in the wallet's view of the chain.
    fn fate(&self, outpoint: OutPoint) -> Fate {
        if self.bdk.get_tx(outpoint.txid).is_none() {
            return Fate::TransactionGone;
        }
        let spender = self
            .bdk
            .tx_graph()
            .outspends(outpoint)
            .iter()
            .find_map(|txid| self.bdk.get_tx(*txid));
        spender.map_or(Fate::SpentUnkept, |spender| Fate::SpentBy {
            txid: spender.tx_node.txid,
            height: match &spender.chain_position {
                ChainPosition::Confirmed { anchor, .. } => Some(anchor.block_id.height),
                ChainPosition::Unconfirmed { .. } => None,
            },
        })
    }

    /// Writes a payment of the wallet's own down, before it is handed to a node. From then on it
    /// counts, until it is in a block for good or [`Wallet::forget_payment`] takes it back.
    pub fn keep_payment(&self, transaction: &Transaction, at: u64) -> Result<(), WalletError> {
        self.payments.keep(&OwnPayment {
            transaction: transaction.clone(),
            sent_at: at,
            is_told: false,
        })?;
        Ok(())
    }

    /// Notes that the user is told of a payment that was sent.
    pub fn tell_payment(&self, transaction: &Transaction, at: u64) -> Result<(), WalletError> {
        self.payments.keep(&OwnPayment {
            transaction: transaction.clone(),
            sent_at: at,
            is_told: true,
        })?;
        Ok(())
    }

    /// Payments that the last sync found begun by a command that did not end, or whose node did not
    /// answer. Each is given out once, to be told of.
    pub fn take_untold(&mut self, at: u64) -> Result<Vec<Transaction>, WalletError> {
        let untold = std::mem::take(&mut self.untold);
        for transaction in &untold {
            self.tell_payment(transaction, at)?;
        }
        Ok(untold)
    }

    /// Whether a payment is written down.
    pub fn keeps_payment(&self, txid: &Txid) -> bool {
        self.payments.keeps(txid)
    }

    /// Takes back a payment that no node ever took.
    pub fn forget_payment(&self, txid: &Txid) -> Result<(), WalletError> {
        Ok(self.payments.forget(txid)?)
    }

    /// Notes a payment that was sent, or may have been, so that the next command builds on it.
    pub fn note_sent(&mut self, transaction: &Transaction, at: u64) -> Result<(), WalletError> {
        self.see(transaction.clone(), at);
        self.save()
    }

    /// Counts an unconfirmed transaction as seen at `at`, also where it was once gone and the clock
    /// has been set back since.
    fn see(&mut self, transaction: impl Into<Arc<Transaction>>, at: u64) {
        let transaction = transaction.into();
        let gone_at = self
            .bdk
            .tx_graph()
            .get_last_evicted(transaction.compute_txid());
        let at = gone_at.map_or(at, |gone_at| at.max(gone_at.saturating_add(1)));
        self.see_for_requests(&transaction, at);
        self.bdk.apply_unconfirmed_txs([(transaction, at)]);
    }

    pub(crate) fn birthday_height(&self) -> u32 {
        self.birthday_height
    }

    pub(crate) fn bdk(&self) -> &BdkWallet {
        &self.bdk
    }

    pub(crate) fn bdk_mut(&mut self) -> &mut BdkWallet {
        &mut self.bdk
    }

    pub(crate) fn save(&mut self) -> Result<(), WalletError> {
        self.bdk.persist(&mut self.log)?;
        Ok(())
    }
}

/// An unspent output of any branch.
struct Output {
    branch: Branch,
    index: u32,
    outpoint: OutPoint,
    txout: TxOut,
    position: ChainPosition<ConfirmationBlockTime>,
}

impl Output {
    fn coin(self, is_coinbase: bool, tip_height: u32) -> Coin {
        let confirmations = match &self.position {
            ChainPosition::Confirmed { anchor, .. } => {
                grail_chain::confirmations(tip_height, anchor.block_id.height)
            }
            ChainPosition::Unconfirmed { .. } => 0,
        };
        Coin {
            outpoint: self.outpoint,
            output: self.txout,
            branch: self.branch,
            index: self.index,
            confirmations,
            is_coinbase,
        }
    }
}

const fn branch(keychain: KeychainKind) -> Branch {
    match keychain {
        KeychainKind::External => Branch::Receive,
        KeychainKind::Internal => Branch::Change,
    }
}
