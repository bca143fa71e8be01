//! The addresses that requests pay to: a branch of keys beside the two that BDK follows.
//!
//! Their numbers go by time, so that nobody can look for all of them at every command: those that
//! are used are looked for always, and a few windows of others while blocks are read.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bdk_wallet::Update;
use bdk_wallet::WalletTx;
use bdk_wallet::chain::{
    BlockId, CanonicalizationParams, ConfirmationBlockTime, FullTxOut, TxUpdate,
};
use bitcoin::bip32::Xpub;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Block, Script, ScriptBuf, Transaction, Txid};
use grail_attest::Protocol;
use grail_wallet::recovery::{Sighting, roster_shown};
use grail_wallet::seed::Branch;
use grail_wallet::slot::{Slot, account_of, request_script, window_of};

use super::{Wallet, WalletError, branch};
use crate::home::{HomeError, NextSlot, SlotFile};

/// Windows before the first block read in which a request may have been made that it pays.
const WINDOWS_BEHIND: u32 = 16;

/// The branch.
#[derive(Debug)]
pub(super) struct Requests {
    account: Xpub,
    file: SlotFile,
    used: BTreeSet<Slot>,
    scripts: HashMap<ScriptBuf, Slot>,
    /// What shows rosters, and those that blocks have shown.
    rosters: Option<(Protocol, Vec<Sighting>)>,
}

impl Requests {
    pub(super) fn open(descriptor: &str, file: SlotFile) -> Result<Self, WalletError> {
        let account = account_of(descriptor)
            .ok_or_else(|| WalletError::State(format!("no account in {descriptor}")))?;
        let used = file.used()?;
        let mut requests = Self {
            account,
            file,
            used: used.clone(),
            scripts: HashMap::new(),
            rosters: None,
        };
        requests.watch(used);
        Ok(requests)
    }

    fn watch(&mut self, slots: impl IntoIterator<Item = Slot>) {
        let secp = Secp256k1::verification_only();
        for slot in slots {
            let script = request_script(&secp, &self.account, slot);
            self.scripts.insert(script, slot);
        }
    }

    fn take(&mut self, slot: Slot) -> Result<(), HomeError> {
        self.file.take(slot)?;
        self.watch([slot]);
        self.used.insert(slot);
        Ok(())
    }
}

impl Wallet {
    /// What a request can be made with now.
    pub fn next_slot(&self) -> Result<NextSlot, WalletError> {
        Ok(self.requests.file.next(self.tip().height)?)
    }

    /// Uses a slot. Its address is looked for from now on.
    pub fn take_slot(&mut self, slot: Slot) -> Result<(), WalletError> {
        Ok(self.requests.take(slot)?)
    }

    /// Where a slot's request pays to.
    pub fn request_address(&self, slot: Slot) -> Result<Address, WalletError> {
        let script = request_script(
            &Secp256k1::verification_only(),
            &self.requests.account,
            slot,
        );
        Address::from_script(&script, bitcoin::Network::from(self.network))
            .map_err(|error| WalletError::State(error.to_string()))
    }

    /// From now on the rosters that blocks show are noted.
    pub fn note_rosters(&mut self, protocol: Protocol) {
        self.requests.rosters = Some((protocol, Vec::new()));
    }

    /// The rosters that blocks have shown since, in their order.
    pub fn rosters_noted(&self) -> &[Sighting] {
        match &self.requests.rosters {
            Some((_, sightings)) => sightings,
            None => &[],
        }
    }

    /// Looks for what requests may be paid in blocks of these heights.
    pub(super) fn watch_requests(&mut self, heights: RangeInclusive<u32>) {
        let first = window_of(*heights.start()).saturating_sub(WINDOWS_BEHIND);
        let last = window_of(*heights.end()).saturating_add(1);
        self.requests
            .watch((first..=last).flat_map(Slot::of_window));
    }

    /// The key of a script of the wallet's.
    pub(super) fn key_of(&self, script: &Script) -> Option<(Branch, u32)> {
        let followed = self.bdk.derivation_of_spk(script.to_owned());
        followed
            .map(|(keychain, index)| (branch(keychain), index))
            .or_else(|| {
                let slot = self.requests.scripts.get(script)?;
                Some((Branch::Request, slot.index()))
            })
    }

    /// Unspent outputs that requests paid.
    pub(super) fn request_outputs(&self) -> Vec<(Slot, FullTxOut<ConfirmationBlockTime>)> {
        let graph = self.bdk.tx_graph();
        let at_requests = graph.all_txouts().filter_map(|(outpoint, output)| {
            let slot = self.requests.scripts.get(&output.script_pubkey)?;
            Some((*slot, outpoint))
        });
        let at_requests: Vec<_> = at_requests.collect();
        graph
            .filter_chain_unspents(
                self.bdk.local_chain(),
                self.tip(),
                CanonicalizationParams::default(),
                at_requests,
            )
            .collect()
    }

    /// Everything that counts, whichever branch it touches.
    pub(super) fn transactions(&self) -> impl Iterator<Item = WalletTx<'_>> + '_ {
        self.bdk.tx_graph().list_canonical_txs(
            self.bdk.local_chain(),
            self.tip(),
            CanonicalizationParams::default(),
        )
    }

    /// Takes in what a block that was just connected has for requests, and shows of rosters.
    pub(super) fn take_block(&mut self, block: &Block, height: u32) -> Result<(), WalletError> {
        let anchor = ConfirmationBlockTime {
            block_id: BlockId {
                height,
                hash: block.block_hash(),
            },
            confirmation_time: block.header.time.into(),
        };
        for transaction in &block.txdata {
            if self.touches_request(transaction) {
                let mut update = TxUpdate::default();
                update.txs.push(Arc::new(transaction.clone()));
                let txid = transaction.compute_txid();
                update.anchors.insert((anchor, txid));
                self.apply(update)?;
                self.take_paid(transaction)?;
            }
            if let Some((protocol, sightings)) = &mut self.requests.rosters
                && let Some(roster) = roster_shown(transaction, protocol)
                && sightings.last().is_none_or(|last| last.roster != roster)
            {
                sightings.push(Sighting { height, roster });
            }
        }
        Ok(())
    }

    /// Takes in an unconfirmed transaction that BDK may pass over.
    pub(super) fn see_for_requests(&mut self, transaction: &Arc<Transaction>, at: u64) {
        if !self.touches_request(transaction) {
            return;
        }
        let mut update = TxUpdate::default();
        update.seen_ats.insert((transaction.compute_txid(), at));
        update.txs.push(Arc::clone(transaction));
        // It has no block, so it connects to whatever there is.
        let _cannot_fail = self.apply(update);
    }

    /// Counts these no more, each since an instant.
    pub(super) fn evict(&mut self, gone: &[(Txid, u64)]) {
        let of_requests: Vec<_> = gone
            .iter()
            .filter(|(txid, _)| {
                let known = self.bdk.tx_graph().get_tx(*txid);
                known.is_some_and(|transaction| self.touches_request(&transaction))
            })
            .copied()
            .collect();
        self.bdk.apply_evicted_txs(gone.iter().copied());
        let mut update = TxUpdate::default();
        update.evicted_ats.extend(of_requests);
        let _cannot_fail = self.apply(update);
    }

    /// A slot that somebody was seen to pay is used, whoever made its request.
    fn take_paid(&mut self, transaction: &Transaction) -> Result<(), WalletError> {
        for output in &transaction.output {
            let slot = self.requests.scripts.get(&output.script_pubkey).copied();
            if let Some(slot) = slot.filter(|slot| !self.requests.used.contains(slot)) {
                self.requests.take(slot)?;
            }
        }
        Ok(())
    }

    fn touches_request(&self, transaction: &Transaction) -> bool {
        let pays = |script: &ScriptBuf| self.requests.scripts.contains_key(script);
        let graph = self.bdk.tx_graph();
        transaction
            .output
            .iter()
            .any(|output| pays(&output.script_pubkey))
            || transaction.input.iter().any(|input| {
                graph
                    .get_txout(input.previous_output)
                    .is_some_and(|output| pays(&output.script_pubkey))
            })
    }

    fn apply(&mut self, tx_update: TxUpdate<ConfirmationBlockTime>) -> Result<(), WalletError> {
        let update = Update {
            tx_update,
            ..Update::default()
        };
        self.bdk
            .apply_update(update)
            .map_err(|error| WalletError::State(error.to_string()))
    }
}
