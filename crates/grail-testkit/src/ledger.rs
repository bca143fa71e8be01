//! What the chain says, and nobody else: every transaction, every unspent output and what it
//! carries.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail, ensure};
use bitcoin::{Amount, Block, OutPoint, Script, Transaction, TxOut, Txid};
use charms_data::Charms;
use grail_audit::{Anchor, Auditor, Books, Step, StepKind, Watch};
use grail_bridge_contract::RosterState;
use grail_chain::{BitcoinCore, BlockRef, BlockSource};
use grail_charms::PrevTx;
use grail_types::{MockAllowed, Network};

use crate::cluster::Deployment;

/// The chain up to a tip, read block by block, all of it kept.
#[derive(Debug)]
pub struct Ledger {
    tip: BlockRef,
    /// From height 1 on.
    blocks: Vec<Block>,
    /// Which block a transaction is in, and where in it.
    places: HashMap<Txid, (usize, usize)>,
    unspent: BTreeMap<OutPoint, TxOut>,
}

/// The bridge's books, made from the chain alone by the auditor.
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
    /// The transactions that concern the bridge, in order, with their fees.
    pub steps: Vec<Step>,
    books: Books,
}

impl Ledger {
    /// Reads the chain from its first block.
    pub fn read(chain: &BitcoinCore) -> Result<Self> {
        let tip = chain.tip()?;
        let mut ledger = Self {
            tip,
            blocks: Vec::new(),
            places: HashMap::new(),
            unspent: BTreeMap::new(),
        };
        for height in 1..=tip.height {
            let hash = chain.block_hash(height)?.context("the chain moved")?;
            let block = chain.block(&hash)?.context("the chain moved")?;
            ledger.connect(block);
        }
        Ok(ledger)
    }

    fn connect(&mut self, block: Block) {
        for (position, transaction) in block.txdata.iter().enumerate() {
            let txid = transaction.compute_txid();
            for input in &transaction.input {
                self.unspent.remove(&input.previous_output);
            }
            let outputs = (0_u32..).zip(&transaction.output);
            self.unspent
                .extend(outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.clone())));
            self.places.insert(txid, (self.blocks.len(), position));
        }
        self.blocks.push(block);
    }

    /// The block that this is as of.
    pub const fn tip(&self) -> BlockRef {
        self.tip
    }

    /// A transaction of the chain.
    pub fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        let (block, position) = self.places.get(txid)?;
        self.blocks.get(*block)?.txdata.get(*position)
    }

    /// An output of the chain, spent or not.
    pub fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let vout = usize::try_from(outpoint.vout).ok()?;
        self.transaction(&outpoint.txid)?.output.get(vout)
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
        let mut transactions = self.blocks.iter().flat_map(|block| &block.txdata);
        transactions.find(|transaction| {
            transaction
                .input
                .iter()
                .any(|input| input.previous_output == *outpoint)
        })
    }

    /// Follows the roster NFT from its deployment and keeps the books. Any broken rule is an error.
    pub fn audit(&self, deployment: &Deployment) -> Result<Audit> {
        let watch = Watch {
            network: Network::Regtest,
            anchor: Anchor::Bridge(deployment.protocol.bridge().app),
            params: vec![deployment.protocol.params().clone()],
            governances: vec![deployment.protocol.governance().clone()],
            vault_scripts: [].into(),
        };
        let (mut auditor, mut steps) = self.audit_once(watch)?;
        if let Some(again) = auditor.second_look() {
            (auditor, steps) = self.audit_once(again)?;
        }
        let alarms: Vec<String> = steps
            .iter()
            .filter(|step| step.alarms().next().is_some())
            .map(ToString::to_string)
            .collect();
        if !alarms.is_empty() {
            bail!("the audit finds:\n{}", alarms.join("\n"));
        }
        let books = auditor
            .books()
            .context("the deployment is not in the chain")?;
        ensure!(
            books.deployment == deployment.nft_outpoint().txid,
            "deployed by {}",
            books.deployment
        );
        for step in &mut steps {
            step.fee = Some(self.fee(&step.txid)?);
        }
        Ok(Audit::new(books.clone(), steps))
    }

    fn audit_once(&self, watch: Watch) -> Result<(Auditor, Vec<Step>)> {
        let (mut auditor, mut steps) = (Auditor::new(watch), Vec::new());
        for (height, block) in (1_u32..).zip(&self.blocks) {
            steps.extend(auditor.connect_block(height, block)?);
        }
        Ok((auditor, steps))
    }

    fn fee(&self, txid: &Txid) -> Result<Amount> {
        let transaction = self.transaction(txid).context("a transaction")?;
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
        spent.checked_sub(paid).context("more out than in")
    }
}

impl Audit {
    fn new(books: Books, steps: Vec<Step>) -> Self {
        Self {
            nft: books.nft.unwrap_or_default(),
            state: books.state.clone(),
            vault: books.vault.clone(),
            donations: books.donations.clone(),
            tokens: books.tokens.clone(),
            steps,
            books,
        }
    }

    /// Coins in the vault.
    pub fn locked(&self) -> Amount {
        self.books.locked()
    }

    /// zkBTC in unspent outputs.
    pub fn circulating(&self) -> u64 {
        self.books.circulating()
    }

    /// `supply == vault`, and the zkBTC that there is comes to the same: nothing destroyed, no
    /// donation merged.
    pub fn check(&self) -> Result<()> {
        self.check_with_merged(Amount::ZERO)
    }

    /// The same, with donations of so much in the vault's coin.
    pub fn check_with_merged(&self, merged: Amount) -> Result<()> {
        self.books.check()?;
        ensure!(
            (self.books.burnt, self.books.merged) == (0, merged.to_sat().into()),
            "{} sat of zkBTC destroyed, {} sat of donations merged",
            self.books.burnt,
            self.books.merged
        );
        Ok(())
    }

    /// Settlements so far.
    pub fn settlements(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| matches!(step.kind, StepKind::Settlement(_)))
    }
}

/// Everything here is on regtest.
fn mock() -> Option<MockAllowed> {
    MockAllowed::on(Network::Regtest)
}
