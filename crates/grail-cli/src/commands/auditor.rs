//! `grail auditor`: the bridge's books from a Bitcoin node's blocks and nothing else.
//!
//! Owns the reading; what it means is `grail_audit`'s word. Needs no wallet, no API and no index:
//! blocks by height, twice, since the address of a vault is known only from its state and coins can
//! have reached it before.

use std::collections::BTreeMap;

use bitcoin::{Amount, BlockHash, Txid};
use grail_attest::Protocol;
use grail_audit::{Anchor, Auditor, Step, StepKind, Watch};
use grail_chain::{BitcoinCore, BlockRef, BlockSource, CALL_TIMEOUT};
use grail_types::Network;
use serde::Deserialize;

use crate::arguments;
use crate::failure::Failure;
use crate::home::{Home, HomeError, read_history, read_json};
use crate::progress::Progress;
use crate::report::{AuditReport, BooksView, Tally};
use crate::session::Settings;

/// Blocks between two signs of progress.
const PROGRESS_BLOCKS: u32 = 16;

/// What is asked of an audit.
#[derive(Clone, Debug)]
pub struct Question {
    /// What to watch.
    pub watch: Watch,
    /// First block to read.
    pub from_height: u32,
    /// Whether to keep every transfer, and not only their number.
    pub wants_all: bool,
}

/// Audits as the command line asks.
pub fn audit(
    settings: &Settings,
    asked: &arguments::Audit,
    progress: &mut dyn Progress,
) -> Result<AuditReport, Failure> {
    let (protocols, settings) = known(settings, asked)?;
    let protocol = protocols.first();
    let network = match protocol {
        Some(protocol) => protocol.bridge().network,
        None => settings.network.ok_or_else(|| {
            Failure::new("network-needed", "an audit by deployment needs --network")
        })?,
    };
    let anchor = match (asked.deployment, protocol) {
        (Some(deployment), _) => Anchor::Deployment(deployment),
        (None, Some(protocol)) => Anchor::Bridge(protocol.bridge().app),
        (None, None) => {
            return Err(Failure::new(
                "audit-no-bridge",
                "which bridge? give --protocol FILE or --deployment TXID, or a --home with a pinned protocol",
            ));
        }
    };
    let node = settings
        .connect_caught_up(network, CALL_TIMEOUT)?
        .ok_or_else(|| Failure::new("no-node", "this needs a Bitcoin node: give --node"))?;
    let question = Question {
        watch: Watch {
            network,
            anchor,
            params: protocols.iter().map(|it| it.params().clone()).collect(),
            governances: protocols
                .iter()
                .map(|protocol| protocol.governance().clone())
                .collect(),
            vault_scripts: [].into(),
        },
        from_height: asked.from_height,
        wants_all: asked.all,
    };
    let report = read_chain(&node, &question, progress);
    progress.end();
    report
}

/// What the bridge goes by or went by, and the node: as given, else those of the wallet's folder,
/// which is opened only for what is missing. The first names the bridge.
fn known(
    settings: &Settings,
    asked: &arguments::Audit,
) -> Result<(Vec<Protocol>, Settings), Failure> {
    let mut given: Vec<Protocol> = Vec::new();
    given.extend(asked.protocol.as_deref().map(read_json).transpose()?);
    if let (Some(protocol), Some(file)) = (given.first(), &asked.history) {
        let bridge = *protocol.bridge();
        // Each counts where a state names it by its hash: who wrote the file does not matter.
        given.extend(read_history(file)?.protocols(&bridge));
    }
    if let Some(protocol) = given.first() {
        let got = protocol.bridge().network;
        if settings.network.is_some_and(|network| network != got) {
            return Err(Failure::new(
                "wrong-network",
                format!("the protocol file's bridge is on {got}"),
            ));
        }
    }
    let is_anchored = !given.is_empty() || asked.deployment.is_some();
    if is_anchored && settings.node.is_some() {
        return Ok((given, settings.clone()));
    }
    let home = match Home::open(&settings.home, settings.network) {
        Ok(home) => home,
        Err(_) if is_anchored => return Ok((given, settings.clone())),
        Err(HomeError::Missing(_)) => return Ok((given, settings.clone())),
        Err(error) => return Err(error.into()),
    };
    let settings = settings.clone().or(home.config());
    if !is_anchored && let Some(pinned) = home.protocol()? {
        given.extend(home.followed(&pinned)?);
        given.insert(0, pinned);
    }
    Ok((given, settings))
}

/// Reads the chain up to its present tip, twice where needed.
pub fn read_chain(
    node: &BitcoinCore,
    question: &Question,
    progress: &mut dyn Progress,
) -> Result<AuditReport, Failure> {
    let tip = node.tip()?;
    let reading = Reading {
        node,
        question,
        tip,
    };
    let mut first = Reading::pass(&reading, &question.watch, "looking for vaults", progress)?;
    if let Some(again) = first.auditor.second_look() {
        first = Reading::pass(&reading, &again, "auditing", progress)?;
    }
    Ok(report(question, tip, &first))
}

struct Reading<'a> {
    node: &'a BitcoinCore,
    question: &'a Question,
    tip: BlockRef,
}

struct Pass {
    auditor: Auditor,
    steps: Vec<Step>,
    tally: Tally,
}

impl Reading<'_> {
    fn pass(
        &self,
        watch: &Watch,
        what: &str,
        progress: &mut dyn Progress,
    ) -> Result<Pass, Failure> {
        let mut pass = Pass {
            auditor: Auditor::new(watch.clone()),
            steps: Vec::new(),
            tally: Tally::default(),
        };
        let from = self.question.from_height;
        for height in from..=self.tip.height {
            let read = height.saturating_sub(from);
            if read.is_multiple_of(PROGRESS_BLOCKS) {
                let total = self.tip.height.saturating_sub(from);
                progress.step(what, u64::from(read), u64::from(total));
            }
            let hash = self.node.block_hash(height)?.ok_or_else(moved)?;
            let block = self.node.block(&hash)?.ok_or_else(moved)?;
            let steps = pass
                .auditor
                .connect_block(height, &block)
                .map_err(|_| moved())?;
            self.keep(steps, &hash, &mut pass);
        }
        // Blocks are asked for by height: a report must not name a tip that was not the one read.
        let expected = (self.tip.height, self.tip.hash);
        if pass.auditor.tip().is_some_and(|read| read != expected) {
            return Err(moved());
        }
        Ok(pass)
    }

    /// Steps of users are counted; those that matter to everybody are kept, with their fees.
    fn keep(&self, steps: Vec<Step>, hash: &BlockHash, pass: &mut Pass) {
        let mut kept: Vec<Step> = Vec::new();
        for step in steps {
            pass.tally.add(&step);
            let is_users = matches!(step.kind, StepKind::Transfer | StepKind::Reclaim);
            if self.question.wants_all || !is_users || !step.findings.is_empty() {
                kept.push(step);
            }
        }
        if kept.is_empty() {
            return;
        }
        // A pruned node cannot tell: then fees stay unknown.
        let fees = fees(self.node, hash).unwrap_or_default();
        for step in &mut kept {
            step.fee = fees.get(&step.txid).copied();
        }
        pass.steps.extend(kept);
    }
}

fn moved() -> Failure {
    Failure::new(
        "audit-chain-moved",
        "the node's best chain changed while it was read: try again",
    )
}

/// The fees of a block's transactions, by the node.
fn fees(node: &BitcoinCore, hash: &BlockHash) -> Option<BTreeMap<Txid, Amount>> {
    #[derive(Deserialize)]
    struct Paid {
        txid: Txid,
        fee: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Answer {
        tx: Vec<Paid>,
    }
    let answer: Answer = node
        .rpc()
        .call("getblock", &[serde_json::json!(hash), serde_json::json!(2)])
        .ok()?;
    let fee = |paid: &Paid| Amount::from_btc(paid.fee?).ok();
    Some(
        answer
            .tx
            .iter()
            .filter_map(|paid| Some((paid.txid, fee(paid)?)))
            .collect(),
    )
}

fn report(question: &Question, tip: BlockRef, pass: &Pass) -> AuditReport {
    let verdict = pass.auditor.verdict();
    let books = pass.auditor.books();
    let network: Network = question.watch.network;
    AuditReport {
        network: network.to_string(),
        from_height: question.from_height,
        height: tip.height,
        block_hash: tip.hash.to_string(),
        steps: pass.steps.iter().map(Into::into).collect(),
        tally: pass.tally,
        books: books.map(|books| BooksView::new(books, network)),
        findings: verdict.findings.iter().map(Into::into).collect(),
        alarm_count: verdict.alarm_count,
    }
}
