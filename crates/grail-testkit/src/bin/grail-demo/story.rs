//! The story: mint, move, burn, reclaim, outages, a hostile backend, a rotation.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use bitcoin::{Amount, OutPoint, TxOut};
use grail_api::{Kind, RequestState, RequestStatus, Settlement};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{CliWallet, Cluster, ClusterConfig, Pegged};
use grail_types::RequestId;

use crate::outages;
use crate::report::Report;
use crate::{rotation, table};

/// Users, by name.
const USERS: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
/// What each begins with, in two coins so that one can be spent while the other's change is on its
/// way.
const PURSE: [Amount; 2] = [Amount::from_sat(20_000_000), Amount::from_sat(20_000_000)];

/// Everything that runs.
pub struct Story<'a> {
    pub report: &'a Report,
    pub cluster: Cluster,
    pub users: Vec<CliWallet>,
    /// Who made which sponsor's deposit.
    pub sponsors: BTreeMap<OutPoint, String>,
}

/// How the backend runs throughout.
pub const BACKEND: BackendConfig = BackendConfig {
    batch_seconds: 1,
    ask_seconds: 2,
    lease_seconds: 3,
};

/// Tells it from beginning to end.
pub fn tell(report: &Report, folder: Option<PathBuf>) -> Result<Story<'_>> {
    report.line("Grail on regtest: real Bitcoin Core, real taproot scripts, Charms v15 spells with mock proofs");
    report.chapter("1. Sixteen operators, twelve must agree");
    let config = ClusterConfig {
        signers: 16,
        threshold: 12,
        administrators: rotation::ADMINISTRATORS,
        administrators_threshold: rotation::ADMINISTRATORS_THRESHOLD,
        backend: BACKEND,
        folder,
        ..ClusterConfig::default()
    };
    report.doing("starting");
    let cluster = Cluster::start_with(&config, &|step| report.done(step))?;
    let story = Story {
        report,
        cluster,
        users: Vec::new(),
        sponsors: BTreeMap::new(),
    };
    let outcome = story.go_on();
    report.end();
    outcome
}

impl Story<'_> {
    fn go_on(mut self) -> Result<Self> {
        let outcome = self.chapters();
        if outcome.is_err() {
            eprintln!("{}", self.cluster.log_tails());
        }
        outcome.map(|()| self)
    }

    fn chapters(&mut self) -> Result<()> {
        self.make_users()?;
        self.mint()?;
        self.move_on()?;
        self.net()?;
        self.reclaim()?;
        outages::four_and_five(self)?;
        outages::hostile(self)?;
        rotation::tell(self)?;
        self.close()
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Result<CliWallet> {
        let user = self.users.iter().find(|user| user.name() == name);
        Ok(user.with_context(|| format!("no user {name}"))?.clone())
    }

    fn make_users(&mut self) -> Result<()> {
        self.report
            .chapter("2. Users, each with a wallet of the command line");
        self.report.doing("wallets");
        let cluster = &self.cluster;
        self.users = in_parallel(&USERS, |name| CliWallet::init(cluster, name))?;
        let mut purses = Vec::new();
        for user in &self.users {
            for value in PURSE {
                purses.push(TxOut {
                    value,
                    script_pubkey: user.script()?,
                });
            }
        }
        self.cluster.node.fund_many(&purses);
        self.cluster.node.mine(1);
        let total: Amount = PURSE.iter().copied().sum();
        self.report
            .done(&format!("{}: {total} each", USERS.join(", ")));
        Ok(())
    }

    fn mint(&mut self) -> Result<()> {
        self.report.chapter("3. Five peg-ins, one transaction");
        let pegs = [
            ("alice", 5_000_000),
            ("bob", 4_000_000),
            ("carol", 3_000_000),
            ("dave", 2_000_000),
            ("erin", 1_000_000),
        ];
        let pegged = self.peg(&pegs.map(|(name, sat)| (name, Kind::PegIn, sat)))?;
        let settlement = self.settle_in_one(&pegged)?;
        self.show(&settlement);
        for (name, sat) in pegs {
            let got = self.user(name)?.balance()?.zkbtc;
            ensure!(
                got < sat && got + 10_000 > sat,
                "{name} deposited {sat} sat and has {got} sat of zkBTC"
            );
        }
        self.report.done("each wallet has verified its zkBTC");
        Ok(())
    }

    fn move_on(&mut self) -> Result<()> {
        self.report
            .chapter("4. zkBTC moves between users, like any output");
        for (from, to, sat) in [("alice", "frank", 1_000_000), ("bob", "erin", 500_000)] {
            let (sender, receiver) = (self.user(from)?, self.user(to)?);
            self.report.doing(&format!("{from} to {to}"));
            let before = receiver.balance()?.zkbtc;
            let txid = sender.send_zkbtc(Amount::from_sat(sat), &receiver.address()?)?;
            self.cluster.node.mine(1);
            let got = receiver.balance()?.zkbtc - before;
            ensure!(got == sat, "{to} got {got} sat of {sat}");
            self.report
                .done(&format!("{from} → {to}: {sat} sat of zkBTC in {txid}"));
        }
        Ok(())
    }

    fn net(&mut self) -> Result<()> {
        self.report
            .chapter("5. Three peg-outs and two peg-ins, netted in one transaction");
        let pegged = self.peg(&[
            ("alice", Kind::PegOut, 2_000_000),
            ("bob", Kind::PegOut, 1_500_000),
            ("carol", Kind::PegOut, 1_000_000),
            ("dave", Kind::PegIn, 2_500_000),
            ("erin", Kind::PegIn, 600_000),
        ])?;
        let settlement = self.settle_in_one(&pegged)?;
        self.show(&settlement);
        Ok(())
    }

    fn reclaim(&mut self) -> Result<()> {
        self.report
            .chapter("6. Nobody serves frank: he takes his deposit back, alone");
        let frank = self.user("frank")?;
        let pegged = frank.peg_in(Amount::from_sat(3_000_000))?;
        self.cluster.backend.stop()?;
        self.cluster.node.mine(1);
        self.report.done("deposit made, and the backend is gone");
        let delay = self.cluster.params().reclaim_delay_min;
        let raw = frank.reclaim(&pegged.id)?;
        let early = self.cluster.node.test_accept(&raw);
        ensure!(
            matches!(
                &early,
                grail_chain::Verdict::Rejected {
                    reason: grail_chain::RejectReason::NonFinal,
                    ..
                }
            ),
            "the node says {early:?} to a reclaim that is too early"
        );
        self.report.done(
            "his reclaim, made offline from the receipt, is refused by the network: too early",
        );
        self.cluster.node.mine(u32::from(delay) - 1);
        let txid = self.cluster.node.send(&raw);
        self.cluster.node.mine(1);
        self.report
            .done(&format!("after {delay} blocks it is valid: {txid}"));
        self.cluster.start_backend(&BACKEND)?;
        self.cluster
            .until_request(Kind::PegIn, &pegged.id, RequestState::Reclaimed)?;
        self.report
            .done("the backend comes back and finds the request reclaimed");
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.report.chapter("13. The books, from the chain alone");
        let ledger = self.cluster.ledger()?;
        let audit = ledger.audit(&self.cluster.deployment)?;
        let steps = table::rotation_steps(&ledger, &audit, self.cluster.bridge())?;
        for line in table::transactions(&audit, &steps) {
            self.report.line(&line);
        }
        self.report.line("\n  The steps of the rotations:");
        for line in table::rotation(&ledger, &audit, &steps, &self.sponsors)? {
            self.report.line(&line);
        }
        self.report.line("");
        audit.check()?;
        self.report.done(&table::books(&audit));
        let reserves = self.cluster.api().reserves()?;
        ensure!(
            (
                reserves.supply_sat,
                reserves.vault_sat,
                reserves.nft_outpoint
            ) == (audit.state.supply, audit.locked().to_sat(), audit.nft),
            "the API's reserves are others than the chain's: {reserves:?}"
        );
        self.report.done("the API's reserves say the same");
        self.report.doing("grail auditor");
        let told = self.user("alice")?.tell(&["auditor"])?;
        self.report
            .done("grail auditor, by any full node, has checked every step:");
        // Its steps are the table above.
        for line in table::summary(&told) {
            self.report.line(&format!("      {line}"));
        }
        let seconds = self.report.elapsed().as_secs();
        self.report
            .chapter(&format!("All as it must be, in {seconds} s."));
        Ok(())
    }

    /// The books by the chain: in order, and what is locked is what exists.
    pub fn balance_books(&self) -> Result<()> {
        self.report.doing("the books");
        let audit = self.cluster.ledger()?.audit(&self.cluster.deployment)?;
        audit.check()?;
        self.report.done(&table::books(&audit));
        Ok(())
    }

    /// Users make requests and send their deposits; one block holds them all.
    pub fn peg(&self, pegs: &[(&str, Kind, u64)]) -> Result<Vec<Pegged>> {
        let pegged = self.send_deposits(pegs)?;
        self.cluster.node.mine(1);
        Ok(pegged)
    }

    /// Users make requests and send their deposits.
    pub fn send_deposits(&self, pegs: &[(&str, Kind, u64)]) -> Result<Vec<Pegged>> {
        self.report.doing("requests and deposits");
        let pegged = in_parallel(pegs, |(name, kind, sat)| {
            let (user, amount) = (self.user(name)?, Amount::from_sat(*sat));
            match kind {
                Kind::PegIn => user.peg_in(amount),
                Kind::PegOut => user.peg_out(amount),
                other => bail!("a {other} is no peg"),
            }
        })?;
        let list: Vec<String> = pegs
            .iter()
            .map(|(name, kind, sat)| format!("{name} {kind} {sat}"))
            .collect();
        self.report.done(&format!("deposits: {}", list.join(", ")));
        Ok(pegged)
    }

    /// Waits until all are paid, and makes sure that one transaction did it.
    pub fn settle_in_one(&self, pegged: &[Pegged]) -> Result<Settlement> {
        let settlement = self.publish_in_one(pegged)?;
        self.cluster
            .node
            .mine(self.cluster.params().settlement_confirmations);
        for one in pegged {
            self.paid(one)?;
        }
        Ok(self.cluster.api().settlement(&settlement.txid)?)
    }

    /// Waits until one transaction that serves all waits for a block.
    pub fn publish_in_one(&self, pegged: &[Pegged]) -> Result<Settlement> {
        self.report.doing("operators decide");
        let (first, rest) = pegged.split_first().context("requests")?;
        let settlement = self.cluster.until_published(first.kind, &first.id)?;
        let served: Vec<RequestId> = settlement.requests.clone();
        ensure!(
            served.len() == pegged.len() && rest.iter().all(|one| served.contains(&one.id)),
            "expected one settlement for {} requests, {} serves {}",
            pegged.len(),
            settlement.txid,
            served.len()
        );
        Ok(settlement)
    }

    /// Waits until a request is paid.
    pub fn paid(&self, pegged: &Pegged) -> Result<RequestStatus> {
        self.cluster
            .until_request(pegged.kind, &pegged.id, RequestState::Paid)
    }

    /// A line about a settlement.
    pub fn show(&self, settlement: &Settlement) {
        let signed = outages::signed_count(settlement);
        self.report.done(&format!(
            "{} settled in {}: {} vB, fee {} sat, signed by {signed}",
            match settlement.requests.len() {
                1 => "one request".to_owned(),
                count => format!("{count} requests"),
            },
            settlement.txid,
            settlement.vsize,
            settlement.fee_sat
        ));
    }
}

/// Does the same with each, all at once.
pub fn in_parallel<T: Sync, U: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<U> + Sync,
) -> Result<Vec<U>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter()
            .map(|item| scope.spawn(|| work(item)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread panicked"))?
            })
            .collect()
    })
}
