//! What the chain says, and nobody else: every transaction, every unspent output and what it carries.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use bitcoin::{Amount, OutPoint, Script, Transaction, TxOut, Txid};
use charms_data::Charms;
use grail_bridge_contract::RosterState;
use grail_chain::{BitcoinCore, BlockRef, BlockSource};
use grail_spell::{PrevTx, nft_app, read_strict, roster_state, token_amount, token_app};
use grail_types::{BridgeApp, MockAllowed, Network};

use crate::cluster::Deployment;

/// The chain up to a tip, read block by block.
#[derive(Debug)]
pub struct Ledger {
    tip: BlockRef,
    transactions: HashMap<Txid, Transaction>,
    /// In chain order, with the height of their block.
    order: Vec<(Txid, u32)>,
    unspent: BTreeMap<OutPoint, TxOut>,
}

/// The bridge's books, made from the chain alone.
#[derive(Debug)]
pub struct Audit {
    /// Where the roster NFT is.
    pub nft: OutPoint,
    /// What it says.
    pub state: RosterState,
    /// The vault: outputs that settlements left there.
    pub vault: BTreeMap<OutPoint, Amount>,
    /// Coins at the vault's address that came otherwise.
    pub donations: BTreeMap<OutPoint, Amount>,
    /// zkBTC by unspent output.
    pub tokens: BTreeMap<OutPoint, u64>,
    /// The transactions that concern the bridge, in order.
    pub entries: Vec<Entry>,
}

/// One transaction of the bridge.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it does.
    pub kind: EntryKind,
    /// Its name.
    pub txid: Txid,
    /// Height of its block.
    pub height: u32,
    /// Inputs.
    pub input_count: usize,
    /// Outputs.
    pub output_count: usize,
    /// Virtual size.
    pub vsize: usize,
    /// Inputs less outputs.
    pub fee: Amount,
}

/// What a transaction does to the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Creates the roster NFT.
    Deployment,
    /// Moves vault and NFT.
    Settlement {
        /// zkBTC minted by it: outputs that carry some.
        peg_ins: usize,
        /// Payouts.
        peg_outs: usize,
    },
    /// Moves zkBTC and nothing else of the bridge.
    Transfer,
    /// A user takes a deposit back.
    Reclaim,
}

impl EntryKind {
    /// A word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Settlement { .. } => "settlement",
            Self::Transfer => "zkBTC transfer",
            Self::Reclaim => "reclaim",
        }
    }

    /// Requests that it serves.
    pub const fn request_count(self) -> usize {
        match self {
            Self::Settlement { peg_ins, peg_outs } => peg_ins + peg_outs,
            Self::Deployment | Self::Transfer | Self::Reclaim => 0,
        }
    }
}

impl Ledger {
    /// Reads the chain from its first block.
    pub fn read(chain: &BitcoinCore) -> Result<Self> {
        let tip = chain.tip()?;
        let mut ledger = Self {
            tip,
            transactions: HashMap::new(),
            order: Vec::new(),
            unspent: BTreeMap::new(),
        };
        for height in 1..=tip.height {
            let hash = chain.block_hash(height)?.context("the chain moved")?;
            let block = chain.block(&hash)?.context("the chain moved")?;
            for transaction in block.txdata {
                ledger.connect(transaction, height);
            }
        }
        Ok(ledger)
    }

    fn connect(&mut self, transaction: Transaction, height: u32) {
        let txid = transaction.compute_txid();
        for input in &transaction.input {
            self.unspent.remove(&input.previous_output);
        }
        let outputs = (0_u32..).zip(&transaction.output);
        self.unspent
            .extend(outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.clone())));
        self.order.push((txid, height));
        self.transactions.insert(txid, transaction);
    }

    /// The block that this is as of.
    pub const fn tip(&self) -> BlockRef {
        self.tip
    }

    /// A transaction of the chain.
    pub fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        self.transactions.get(txid)
    }

    /// An output of the chain, spent or not.
    pub fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let vout = usize::try_from(outpoint.vout).ok()?;
        self.transactions.get(&outpoint.txid)?.output.get(vout)
    }

    /// Unspent outputs at `script`.
    pub fn unspent_at<'a>(
        &'a self,
        script: &'a Script,
    ) -> impl Iterator<Item = (OutPoint, &'a TxOut)> {
        self.unspent
            .iter()
            .filter(move |(_, output)| output.script_pubkey.as_script() == script)
            .map(|(outpoint, output)| (*outpoint, output))
    }

    /// The charms of an output.
    pub fn charms(&self, outpoint: &OutPoint) -> Charms {
        self.transaction(&outpoint.txid)
            .map(|transaction| PrevTx::read(transaction.clone(), mock()).charms_at(outpoint.vout))
            .unwrap_or_default()
    }

    /// The transactions that spend `outpoint`: none or one.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<&Transaction> {
        self.order
            .iter()
            .filter_map(|(txid, _)| self.transactions.get(txid))
            .find(|transaction| {
                transaction
                    .input
                    .iter()
                    .any(|input| input.previous_output == *outpoint)
            })
    }

    /// Follows the roster NFT from its deployment and keeps the books.
    pub fn audit(&self, deployment: &Deployment) -> Result<Audit> {
        let created = deployment.transaction();
        let bridge = &deployment.params.bridge;
        let state = state_on(created, bridge, 0)?.context("the deployment creates no NFT")?;
        ensure!(state.supply == 0 && state.serial == 0, "not a first state");
        let mut audit = Audit {
            nft: deployment.nft_outpoint(),
            state,
            vault: BTreeMap::new(),
            donations: BTreeMap::new(),
            tokens: BTreeMap::new(),
            entries: Vec::new(),
        };
        let mut is_deployed = false;
        for (txid, height) in &self.order {
            let Some(transaction) = self.transactions.get(txid) else {
                continue;
            };
            let kind = if *txid == audit.nft.txid && !is_deployed {
                is_deployed = true;
                Some(EntryKind::Deployment)
            } else {
                audit
                    .take(transaction, bridge)
                    .with_context(|| format!("transaction {txid} at height {height}"))?
            };
            if let Some(kind) = kind {
                let entry = self.entry(kind, transaction, *height)?;
                audit.entries.push(entry);
            }
        }
        ensure!(is_deployed, "the deployment is not in the chain");
        Ok(audit)
    }

    fn entry(&self, kind: EntryKind, transaction: &Transaction, height: u32) -> Result<Entry> {
        let spent: Amount = transaction
            .input
            .iter()
            .map(|input| {
                let output = self.output(&input.previous_output);
                output.map(|output| output.value)
            })
            .sum::<Option<Amount>>()
            .context("an input that the chain does not hold")?;
        let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
        Ok(Entry {
            kind,
            txid: transaction.compute_txid(),
            height,
            input_count: transaction.input.len(),
            output_count: transaction.output.len(),
            vsize: transaction.vsize(),
            fee: spent.checked_sub(paid).context("more out than in")?,
        })
    }
}

impl Audit {
    /// Coins in the vault.
    pub fn locked(&self) -> Amount {
        self.vault.values().copied().sum()
    }

    /// zkBTC in unspent outputs.
    pub fn circulating(&self) -> u64 {
        self.tokens.values().sum()
    }

    /// `supply == vault`, and the zkBTC that there is comes to the same.
    pub fn check(&self) -> Result<()> {
        let (locked, supply) = (self.locked().to_sat(), self.state.supply);
        ensure!(
            supply == locked,
            "supply of {supply} sat, vault of {locked} sat"
        );
        let circulating = self.circulating();
        ensure!(
            circulating == supply,
            "supply of {supply} sat, {circulating} sat in circulation"
        );
        Ok(())
    }

    /// Settlements so far.
    pub fn settlements(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Settlement { .. }))
    }

    /// Takes a transaction of the chain; none when it does not concern the bridge.
    fn take(&mut self, transaction: &Transaction, bridge: &BridgeApp) -> Result<Option<EntryKind>> {
        let spends = |outpoint: &OutPoint| {
            transaction
                .input
                .iter()
                .any(|input| input.previous_output == *outpoint)
        };
        let is_settlement = spends(&self.nft);
        let tokens_in: u64 = transaction
            .input
            .iter()
            .filter_map(|input| self.tokens.remove(&input.previous_output))
            .sum();
        let made = self.note_tokens(transaction, bridge)?;
        if is_settlement {
            return self.settle(transaction, bridge, tokens_in, &made).map(Some);
        }
        ensure!(
            !self.vault.keys().chain(self.donations.keys()).any(spends),
            "spends the vault and not the NFT"
        );
        let donations = self.at_vault(transaction);
        self.donations.extend(donations);
        let tokens_out: u64 = made.values().sum();
        ensure!(
            tokens_out <= tokens_in,
            "{tokens_in} sat of zkBTC in, {tokens_out} sat out"
        );
        // Before a transfer, since a reclaim of zkBTC is both.
        if is_reclaim(transaction) {
            return Ok(Some(EntryKind::Reclaim));
        }
        Ok((tokens_out > 0).then_some(EntryKind::Transfer))
    }

    fn note_tokens(
        &mut self,
        transaction: &Transaction,
        bridge: &BridgeApp,
    ) -> Result<BTreeMap<OutPoint, u64>> {
        let read = PrevTx::read(transaction.clone(), mock());
        let mut made = BTreeMap::new();
        for (vout, _) in (0_u32..).zip(&transaction.output) {
            let amount = token_amount(&read.charms_at(vout), &token_app(bridge))?;
            if amount > 0 {
                made.insert(OutPoint::new(read.txid(), vout), amount);
            }
        }
        self.tokens.extend(made.clone());
        Ok(made)
    }

    fn settle(
        &mut self,
        transaction: &Transaction,
        bridge: &BridgeApp,
        tokens_in: u64,
        made: &BTreeMap<OutPoint, u64>,
    ) -> Result<EntryKind> {
        read_strict(transaction, mock())?;
        let state = state_on(transaction, bridge, 0)?.context("the NFT is gone")?;
        let expected = RosterState {
            serial: self.state.serial + 1,
            supply: state.supply,
            ..self.state.clone()
        };
        ensure!(state == expected, "the NFT's state does not follow");
        let vault_before = self.locked();
        for input in &transaction.input {
            self.vault.remove(&input.previous_output);
            self.donations.remove(&input.previous_output);
        }
        let nft = OutPoint::new(transaction.compute_txid(), 0);
        let at_vault = self.at_vault(transaction);
        ensure!(
            at_vault.first().is_some_and(|(first, _)| *first == nft),
            "the NFT is not at the vault"
        );
        self.vault.extend(
            at_vault
                .into_iter()
                .filter(|(outpoint, _)| *outpoint != nft),
        );
        let tokens_out: u64 = made.values().sum();
        let signed = |sat: u64| i128::from(sat);
        let minted = signed(tokens_out) - signed(tokens_in);
        let locked = signed(self.locked().to_sat()) - signed(vault_before.to_sat());
        let supplied = signed(state.supply) - signed(self.state.supply);
        ensure!(
            minted == locked && minted == supplied,
            "mints {minted} sat, locks {locked} sat, says {supplied} sat"
        );
        (self.nft, self.state) = (nft, state);
        let vault_outputs =
            usize::from(self.vault.keys().any(|outpoint| outpoint.txid == nft.txid));
        // NFT and spell are the other two.
        let requests = transaction.output.len().saturating_sub(2 + vault_outputs);
        Ok(EntryKind::Settlement {
            peg_ins: made.len(),
            peg_outs: requests.saturating_sub(made.len()),
        })
    }

    fn at_vault(&self, transaction: &Transaction) -> Vec<(OutPoint, Amount)> {
        let txid = transaction.compute_txid();
        (0_u32..)
            .zip(&transaction.output)
            .filter(|(_, output)| output.script_pubkey.as_bytes() == self.state.vault_script)
            .map(|(vout, output)| (OutPoint::new(txid, vout), output.value))
            .collect()
    }
}

fn state_on(
    transaction: &Transaction,
    bridge: &BridgeApp,
    vout: u32,
) -> Result<Option<RosterState>> {
    let charms = PrevTx::read(transaction.clone(), mock()).charms_at(vout);
    Ok(roster_state(&charms, &nft_app(bridge))?)
}

/// Whether an input goes the user's way out: a tapscript spend with a relative lock.
fn is_reclaim(transaction: &Transaction) -> bool {
    transaction.input.iter().any(|input| {
        input.sequence.is_relative_lock_time()
            && input
                .witness
                .taproot_leaf_script()
                .is_some_and(|leaf| leaf.script.as_bytes().contains(&CSV))
    })
}

/// `OP_CHECKSEQUENCEVERIFY`.
const CSV: u8 = 0xb2;

/// Everything here is on regtest.
fn mock() -> Option<MockAllowed> {
    MockAllowed::on(Network::Regtest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn audit(supply: u64, locked: u64, circulating: u64) -> Audit {
        Audit {
            nft: OutPoint::null(),
            state: RosterState {
                epoch: 0,
                serial: 0,
                signers: Vec::new(),
                threshold: 0,
                vault_script: Vec::new(),
                supply,
                params_hash: [0; 32],
            },
            vault: [(OutPoint::null(), Amount::from_sat(locked))].into(),
            donations: BTreeMap::new(),
            tokens: [(OutPoint::null(), circulating)].into(),
            entries: Vec::new(),
        }
    }

    #[test]
    fn books_hold_only_when_supply_vault_and_circulation_are_one() {
        audit(7, 7, 7).check().unwrap();
        for (supply, locked, circulating) in [(8, 7, 7), (7, 8, 7), (7, 7, 8), (7, 7, 6)] {
            assert!(audit(supply, locked, circulating).check().is_err());
        }
    }
}
