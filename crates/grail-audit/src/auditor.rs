//! The auditor: blocks in, steps out.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Block, BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use grail_spell::deployment_identity;
use grail_types::{Bridge, BridgeApp, Governance, MockAllowed, Network, Params};

use crate::books::{Books, Spent};
use crate::checks::{
    check_params, check_place, check_strict, check_succession, delta, note_tokens, payouts,
    roster_change, the_nft, total,
};
use crate::finding::{Finding, Severity};
use crate::limits::{Checked, Moved, Pinned, check_limits, claimed_age, is_settlement};
use crate::reading::{Reader, Reading, claimed_bridge};
use crate::step::{PegTotal, Settlement, Step, StepKind};
use crate::vaults::Vaults;
use crate::witness::is_reclaim;

/// How the bridge is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// By its app: the deployment is the one transaction that spends the output its identity comes
    /// from.
    Bridge(BridgeApp),
    /// By its deployment, from whose spell the app is read.
    Deployment(Txid),
}

/// What to audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The chain's network: mock proofs count on regtest alone.
    pub network: Network,
    /// The bridge.
    pub anchor: Anchor,
    /// Parameters that states may name, by their hash: those of the deployment, and of every
    /// rotation since. A state has no more than their hash, so that without any nobody can say how
    /// much may leave or exist; with some, a state that names others is an alarm.
    pub params: Vec<Params>,
    /// Administrators that states may name, by their hash. Without any, no state's address can be
    /// checked, which is a note; with some, a state that names others is an alarm.
    pub governances: Vec<Governance>,
    /// Vault scripts to watch before the chain tells them: see [`Auditor::second_look`].
    pub vault_scripts: BTreeSet<ScriptBuf>,
}

/// A block that does not follow the last one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {height} does not follow block {last}")]
pub struct NotNext {
    /// Height of the block.
    pub height: u32,
    /// Height of the one before.
    pub last: u32,
}

/// Outcome of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What does not hold as of the last block.
    pub findings: Vec<Finding>,
    /// Alarms of all steps, and those among `findings`.
    pub alarm_count: u64,
}

/// Follows a bridge through the chain.
#[derive(Debug)]
pub struct Auditor {
    watch: Watch,
    last: Option<(u32, BlockHash)>,
    /// The deployment's transaction was seen, valid or not.
    is_deployed: bool,
    reader: Option<Reader>,
    /// The parameters of the watch, for the bridge that was found.
    pinned: Pinned,
    books: Option<Books>,
    vaults: Vaults,
    alarm_count: u64,
    /// Settlements whose parameters are not known.
    unlimited_count: u64,
}

impl Auditor {
    /// An auditor that has seen no block.
    pub fn new(watch: Watch) -> Self {
        Self {
            vaults: Vaults::new(watch.vault_scripts.clone(), watch.governances.clone()),
            watch,
            last: None,
            is_deployed: false,
            reader: None,
            pinned: Pinned::default(),
            books: None,
            alarm_count: 0,
            unlimited_count: 0,
        }
    }

    /// Takes the next block. The first may be any up to the deployment's.
    ///
    /// # Errors
    /// The block does not follow the last one.
    pub fn connect_block(&mut self, height: u32, block: &Block) -> Result<Vec<Step>, NotNext> {
        if let Some((last, hash)) = self.last {
            let follows =
                last.checked_add(1) == Some(height) && block.header.prev_blockhash == hash;
            if !follows {
                return Err(NotNext { height, last });
            }
        }
        self.last = Some((height, block.block_hash()));
        Ok(block
            .txdata
            .iter()
            .filter_map(|transaction| self.connect(height, transaction))
            .collect())
    }

    /// The books, once the bridge is deployed.
    pub fn books(&self) -> Option<&Books> {
        self.books.as_ref()
    }

    /// The last block taken: height and hash.
    pub fn tip(&self) -> Option<(u32, BlockHash)> {
        self.last
    }

    /// The same watch with all vault scripts that the chain has told by now; none when they were
    /// known from the start. Coins can reach an address before the bridge makes it its vault,
    /// so an audit that began without the scripts must read the blocks once more to have seen
    /// every coin.
    pub fn second_look(&self) -> Option<Watch> {
        (*self.vaults.scripts() != self.watch.vault_scripts).then(|| Watch {
            vault_scripts: self.vaults.scripts().clone(),
            ..self.watch.clone()
        })
    }

    /// What all steps and the books come to.
    pub fn verdict(&self) -> Verdict {
        let finding = match &self.books {
            None => Some(Finding::NotDeployed),
            Some(books) => books.check().err(),
        };
        let settlements = self.unlimited_count;
        let unlimited = (settlements > 0).then_some(Finding::LimitsUnknown { settlements });
        let findings: Vec<Finding> = finding.into_iter().chain(unlimited).collect();
        Verdict {
            alarm_count: self.alarm_count.saturating_add(count_alarms(&findings)),
            findings,
        }
    }

    fn connect(&mut self, height: u32, transaction: &Transaction) -> Option<Step> {
        let txid = transaction.compute_txid();
        let stray_spent = self.vaults.spend_strays(transaction);
        let step = match self.books.take() {
            Some(mut books) => {
                let step = self.follow(height, txid, transaction, stray_spent, &mut books);
                self.books = Some(books);
                step
            }
            None if !self.is_deployed && self.is_deployment(txid, transaction) => {
                self.is_deployed = true;
                Some(self.deploy(height, txid, transaction))
            }
            None => {
                self.vaults.note_strays(txid, transaction);
                None
            }
        };
        if let Some(step) = &step {
            self.alarm_count = self
                .alarm_count
                .saturating_add(count_alarms(&step.findings));
        }
        step
    }

    fn is_deployment(&self, txid: Txid, transaction: &Transaction) -> bool {
        match self.watch.anchor {
            Anchor::Deployment(deployment) => deployment == txid,
            Anchor::Bridge(bridge) => transaction
                .input
                .first()
                .is_some_and(|input| deployment_identity(input.previous_output) == bridge.identity),
        }
    }

    fn deploy(&mut self, height: u32, txid: Txid, transaction: &Transaction) -> Step {
        let mut step = Step::new(
            height,
            txid,
            transaction,
            StepKind::Deployment {
                signer_count: 0,
                threshold: 0,
            },
        );
        let bridge = match self.watch.anchor {
            Anchor::Bridge(bridge) => Some(bridge),
            Anchor::Deployment(_) => claimed_bridge(transaction),
        };
        let Some(bridge) = bridge else {
            step.findings.push(Finding::NftCount { got: 0 });
            return step;
        };
        let network = self.watch.network;
        let app = bridge;
        self.pinned = Pinned::new(self.watch.params.clone(), &Bridge { network, app });
        let reader = Reader::new(&bridge, MockAllowed::on(self.watch.network));
        check_strict(&reader, transaction, &mut step.findings);
        let reading = reader.read(transaction);
        self.reader = Some(reader);
        let Some((vout, state)) = the_nft(&reading, &mut step.findings) else {
            return step;
        };
        step.kind = StepKind::Deployment {
            signer_count: state.signers.len(),
            threshold: state.threshold,
        };
        for (field, got) in [
            ("epoch", state.epoch),
            ("serial", state.serial),
            ("supply", state.supply),
            ("attempt", state.attempt),
            ("outflow", state.outflow),
        ] {
            if got != 0 {
                step.findings.push(Finding::DeploymentState { field, got });
            }
        }
        check_place(transaction, vout, &state, &mut step.findings);
        check_params(&self.pinned, &state, &mut step.findings);
        self.vaults.learn_roster(&state, &mut step.findings);
        let mut books = Books {
            bridge,
            deployment: txid,
            nft: Some(OutPoint::new(txid, vout)),
            state,
            vault: BTreeMap::new(),
            donations: BTreeMap::new(),
            tokens: BTreeMap::new(),
            merged: 0,
            burnt: 0,
        };
        self.vaults.adopt_strays(&mut books);
        // What the deployment itself pays to the vault no settlement has counted.
        let (_, donated) = self.vaults.receive(txid, transaction, 0, &mut books);
        step.donated = donated;
        step.tokens_out = note_tokens(txid, &reading, &mut books);
        if step.tokens_out > 0 {
            step.findings.push(Finding::TokensForged {
                tokens_in: 0,
                tokens_out: step.tokens_out,
            });
        }
        self.books = Some(books);
        step
    }

    fn follow(
        &mut self,
        height: u32,
        txid: Txid,
        transaction: &Transaction,
        stray_spent: Amount,
        books: &mut Books,
    ) -> Option<Step> {
        let reading = self.reader.as_ref()?.read(transaction);
        let mut findings = self.vaults.check_known_coins(transaction, books);
        let vault_before = books.locked().to_sat();
        let spent = books.spend(transaction);
        if stray_spent > Amount::ZERO {
            findings.push(Finding::StraySpent(stray_spent));
        }
        let tokens_out = note_tokens(txid, &reading, books);
        let mut step = Step {
            tokens_in: spent.tokens,
            tokens_out,
            findings,
            ..Step::new(height, txid, transaction, StepKind::Transfer)
        };
        if spent.nft_input.is_some() {
            self.settle(
                &mut step,
                transaction,
                &reading,
                &spent,
                vault_before,
                books,
            );
            return Some(step);
        }
        (_, step.donated) = self.vaults.receive(txid, transaction, 0, books);
        step.kind = Self::judge_other(&mut step, transaction, &reading, &spent, books)?;
        Some(step)
    }

    /// What a transaction that does not move the NFT is; none when it does not concern the bridge.
    fn judge_other(
        step: &mut Step,
        transaction: &Transaction,
        reading: &Reading,
        spent: &Spent,
        books: &mut Books,
    ) -> Option<StepKind> {
        let findings = &mut step.findings;
        let vault_spent = spent.vault.saturating_add(spent.donations.sat);
        if vault_spent > 0 {
            findings.push(Finding::VaultSpent(Amount::from_sat(vault_spent)));
        }
        if !reading.nfts.is_empty() {
            findings.push(Finding::SecondNft {
                count: reading.nfts.len(),
            });
        }
        let (tokens_in, tokens_out) = (step.tokens_in, step.tokens_out);
        if tokens_out > tokens_in {
            findings.push(Finding::TokensForged {
                tokens_in,
                tokens_out,
            });
        }
        let amount = tokens_in.saturating_sub(tokens_out);
        if amount > 0 {
            books.burnt = books.burnt.saturating_add(amount);
            findings.push(Finding::TokensBurnt { amount });
        }
        let is_forged = tokens_out > tokens_in || !reading.nfts.is_empty();
        let spends_unknown = findings
            .iter()
            .any(|finding| matches!(finding, Finding::VaultCoinUnknown(_)));
        let kinds = [
            (vault_spent > 0 || spends_unknown, StepKind::VaultSpend),
            (is_forged, StepKind::Forgery),
            (transaction.input.iter().any(is_reclaim), StepKind::Reclaim),
            (tokens_out > 0, StepKind::Transfer),
            (tokens_in > 0, StepKind::Burn),
            (step.donated > Amount::ZERO, StepKind::Donation),
            (!step.findings.is_empty(), StepKind::StraySpend),
        ];
        kinds
            .into_iter()
            .find_map(|(applies, kind)| applies.then_some(kind))
    }

    fn settle(
        &mut self,
        step: &mut Step,
        transaction: &Transaction,
        reading: &Reading,
        spent: &Spent,
        vault_before: u64,
        books: &mut Books,
    ) {
        let old = books.state.clone();
        let signed = self
            .vaults
            .check_signatures(transaction, spent.nft_input, &mut step.findings);
        if let Some(reader) = &self.reader {
            check_strict(reader, transaction, &mut step.findings);
        }
        let next = the_nft(reading, &mut step.findings);
        // Without a next state there is nothing to hold the sums against, and nothing can follow.
        let (vout, state) = next.map_or((None, old.clone()), |(vout, state)| (Some(vout), state));
        books.nft = vout.map(|vout| OutPoint::new(step.txid, vout));
        if let Some(vout) = vout {
            check_succession(&old, &state, &mut step.findings);
            check_place(transaction, vout, &state, &mut step.findings);
            check_params(&self.pinned, &state, &mut step.findings);
            self.vaults.learn_roster(&state, &mut step.findings);
        }
        let moves = old.vault_script != state.vault_script;
        books.state = state;
        let mut merged = i128::from(spent.donations.sat);
        if moves {
            merged = merged.saturating_sub(i128::from(books.locked().to_sat()));
            self.vaults.leave_behind(&old, books);
            self.vaults.adopt_strays(books);
        }
        books.merged = books.merged.saturating_add(merged);
        let (created, donated) =
            self.vaults
                .receive(step.txid, transaction, reading.charm_outputs, books);
        step.donated = donated;

        let vault_in = spent.vault.saturating_add(spent.donations.sat);
        let supply = delta(old.supply, books.state.supply);
        let tokens = delta(step.tokens_in, step.tokens_out);
        let vault = delta(vault_in, created.to_sat());
        let is_held = vout.is_some();
        if is_held && tokens != supply {
            step.findings.push(Finding::TokenDelta { supply, tokens });
        }
        if is_held && vault != supply {
            step.findings.push(Finding::VaultDelta { supply, vault });
        }
        if is_held && is_settlement(&old, &books.state) {
            let moved = Moved {
                old: &old,
                new: &books.state,
                minted: step.tokens_out,
                burned: step.tokens_in,
                age: spent
                    .nft_input
                    .and_then(|index| claimed_age(transaction, index)),
            };
            let checked = check_limits(&self.pinned, &moved, &mut step.findings);
            if checked == Checked::InPart {
                self.unlimited_count = self.unlimited_count.saturating_add(1);
            }
        }
        let vault_after = books.locked().to_sat();
        if moves && vault_after < books.state.supply {
            step.findings.push(Finding::RotationUnbacked {
                missing: books.state.supply.saturating_sub(vault_after),
            });
        }
        let new = &books.state;
        let peg_outs = if is_settlement(&old, new) {
            payouts(transaction, reading, new)
        } else {
            PegTotal::default()
        };
        let is_rotation = old.epoch != new.epoch;
        let settlement = Box::new(Settlement {
            epoch: new.epoch,
            serial: new.serial,
            roster_change: is_rotation.then(|| roster_change(&old, new)),
            peg_ins: total(reading.tokens.iter().map(|(_, amount)| *amount)),
            peg_outs,
            merged: spent.donations,
            next: new.next.clone(),
            supply: (old.supply, new.supply),
            vault: (vault_before, vault_after),
            outflow: (old.outflow, new.outflow),
            signed,
        });
        let serves_nobody = (step.tokens_in, step.tokens_out, peg_outs.count) == (0, 0, 0);
        step.kind = match (&old.next, &new.next) {
            _ if is_rotation => StepKind::Rotation(settlement),
            (before, Some(after)) if before.as_ref() != Some(after) => {
                StepKind::Announcement(settlement)
            }
            (Some(_), None) => StepKind::Cancellation(settlement),
            _ if serves_nobody && spent.donations.count > 0 => StepKind::Merge(settlement),
            _ => StepKind::Settlement(settlement),
        };
    }
}

fn count_alarms(findings: &[Finding]) -> u64 {
    findings
        .iter()
        .filter(|finding| finding.severity() == Severity::Alarm)
        .fold(0, |count, _| count.saturating_add(1))
}
