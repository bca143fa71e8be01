//! A backend whose roles tests move by hand, and everything around it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use bitcoin::{Transaction, Txid};
use grail_ask::{AnswerMessage, Ask, Reply};
use grail_backend::{
    backend::{Backend, Config, Parts},
    clock,
    node::Node,
    roles::{
        build::{self, Built},
        scan::Scanner,
        sign,
    },
    work::{self, JobOutcome},
};
use grail_broker::{
    EmbeddedBroker, Subscription,
    messages::{BrokerMessage, decode, encode},
};
use grail_flow::{RequestState, SettlementId, SettlementState};
use grail_postgres_dev::Database;
use grail_prover::Prover;
use grail_store::{JobKind, JobState, Lease, Settlement, Store, Verdict};
use grail_types::{BoundedBytes, Epoch, SignerIndex};
use grail_wire::{Answer, Attempt, ProposalId};
use tempfile::TempDir;
use tokio::{sync::Mutex, task::JoinHandle};

use super::{
    bridge,
    chain::PaperChain,
    operators::{heard_of, key},
    signers::honest,
    users::Asked,
    wait::{PATIENCE, eventually},
};

/// Signers that make a quorum, by number of their key.
pub const QUORUM: [u8; 3] = [1, 2, 3];
/// Seconds that leases last, unless told otherwise.
const LEASE_SECONDS: u64 = 60;
/// More than any pause before another attempt, seconds.
const LATER: u64 = 100_000;
/// Every kind of job that is due at once.
const KINDS: [JobKind; 4] = [
    JobKind::Prove,
    JobKind::DryRun,
    JobKind::Ask,
    JobKind::Publish,
];

pub struct World {
    pub chain: Arc<PaperChain>,
    pub backend: Arc<Backend>,
    prover: Arc<dyn Prover>,
    lease_seconds: u64,
    url: String,
    listening: JoinHandle<()>,
    asks: Mutex<Subscription>,
    numbers: AtomicU8,
    folder: TempDir,
    _database: Option<Database>,
}

struct Running {
    backend: Arc<Backend>,
    listening: JoinHandle<()>,
    asks: Subscription,
}

/// A backend on the database at `url`, listening for answers.
async fn start(
    url: &str,
    chain: &Arc<PaperChain>,
    prover: &Arc<dyn Prover>,
    lease_seconds: u64,
) -> Running {
    let broker = EmbeddedBroker::listen(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let backend = Backend::new(Parts {
        deployment: bridge::deployment(),
        store: Store::open(url).await.unwrap(),
        node: Node::from_chain(chain.clone()),
        broker: Arc::new(broker),
        prover: Arc::clone(prover),
        wasm: bridge::WASM.to_vec(),
        config: Config {
            batch_seconds: 0,
            ask_seconds: 60,
            lease_seconds,
            prove_workers: 1,
        },
    })
    .await
    .unwrap();
    heard_of(&backend, 1..=13).await;
    let asks = backend.broker.subscribe(Ask::subject()).await.unwrap();
    let listener = Arc::clone(&backend);
    let listening = tokio::spawn(async move { sign::listen(&listener).await.unwrap() });
    // It subscribes at its first turn.
    tokio::task::yield_now().await;
    Running {
        backend,
        listening,
        asks,
    }
}

impl World {
    /// A deployed bridge.
    pub async fn new() -> Self {
        Self::with_prover(Arc::new(bridge::prover())).await
    }

    /// A deployed bridge with another prover.
    pub async fn with_prover(prover: Arc<dyn Prover>) -> Self {
        Self::with_lease(prover, LEASE_SECONDS).await
    }

    /// A deployed bridge with another prover, where leases last so long.
    pub async fn with_lease(prover: Arc<dyn Prover>, lease_seconds: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, database) = crate::database::new_in(folder.path());
        let chain = Arc::new(PaperChain::new());
        let running = start(&url, &chain, &prover, lease_seconds).await;
        let world = Self {
            chain,
            backend: running.backend,
            prover,
            lease_seconds,
            url,
            listening: running.listening,
            asks: Mutex::new(running.asks),
            numbers: AtomicU8::new(100),
            folder,
            _database: database,
        };
        world.mine(vec![world.backend.deployment_tx.clone()]).await;
        world
    }

    /// The process dies and another one starts on its database.
    pub async fn crash(&mut self) {
        self.listening.abort();
        let running = self.start().await;
        (self.backend, self.listening) = (running.backend, running.listening);
        self.asks = Mutex::new(running.asks);
    }

    async fn start(&self) -> Running {
        start(&self.url, &self.chain, &self.prover, self.lease_seconds).await
    }

    /// Another process on the same database, which proves and does nothing else.
    pub async fn another(&self) -> Arc<Backend> {
        let running = self.start().await;
        running.listening.abort();
        running.backend
    }

    /// A process with an empty database, on the same chain, which has read it.
    pub async fn rebuilt(&self) -> Self {
        let world = self.emptied().await;
        world.scan().await;
        world
    }

    /// A process with an empty database, on the same chain.
    pub async fn emptied(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, database) = crate::database::new_in(folder.path());
        self.on(folder, url, database).await
    }

    /// A copy of the database as it is now.
    pub fn backup(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["grail.db", "grail.db-wal"] {
            let from = self.folder.path().join(name);
            std::fs::copy(from, copy.path().join(name)).unwrap();
        }
        copy
    }

    /// A process with a database that was copied before, on the same chain.
    pub async fn restored(&self, backup: TempDir) -> Self {
        let url = format!("sqlite:{}", backup.path().join("grail.db").display());
        self.on(backup, url, None).await
    }

    async fn on(&self, folder: TempDir, url: String, database: Option<Database>) -> Self {
        let running = start(&url, &self.chain, &self.prover, self.lease_seconds).await;
        Self {
            chain: Arc::clone(&self.chain),
            backend: running.backend,
            prover: Arc::clone(&self.prover),
            lease_seconds: self.lease_seconds,
            url,
            listening: running.listening,
            asks: Mutex::new(running.asks),
            numbers: AtomicU8::new(self.numbers.load(Ordering::Relaxed)),
            folder,
            _database: database,
        }
    }

    /// Where its database is.
    #[allow(dead_code, reason = "asked by the test of plans alone")]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A number never given before.
    pub fn next_number(&self) -> u8 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        assert!(number < u8::MAX, "a test with too many things");
        number
    }

    /// Reads all blocks that there are.
    pub async fn scan(&self) {
        let mut scanner = Scanner::new(&self.backend);
        while scanner.take_block().await.unwrap() {}
    }

    /// Reads blocks and mempool, and heals.
    pub async fn look(&self) {
        let mut scanner = Scanner::new(&self.backend);
        while scanner.take_block().await.unwrap() {}
        scanner.look_at_mempool().await.unwrap();
        scanner.reconcile().await.unwrap();
    }

    /// Mines transactions and reads the block.
    pub async fn mine(&self, transactions: Vec<Transaction>) {
        self.chain.mine(transactions);
        self.scan().await;
    }

    /// Mines what waits and reads the block.
    pub async fn mine_mempool(&self) {
        self.chain.mine_mempool();
        self.scan().await;
    }

    /// Mines so many empty blocks and reads them.
    pub async fn mine_empty(&self, count: u32) {
        for _ in 0..count {
            self.chain.mine(Vec::new());
        }
        self.scan().await;
    }

    pub async fn tip_height(&self) -> u32 {
        let mut reader = self.backend.store.read().await.unwrap();
        reader.last_block().await.unwrap().unwrap().height
    }

    pub async fn build(&self) -> Built {
        build::build_once(&self.backend).await.unwrap()
    }

    /// Looks an hour later than it is: whatever waits has had its time.
    pub async fn build_later(&self) -> Built {
        let now = clock::now() + 3_600;
        build::build_at(&self.backend, now).await.unwrap()
    }

    /// Leases a job that is due now.
    pub async fn lease(&self, kind: JobKind) -> Option<Lease> {
        self.lease_at(kind, clock::now()).await
    }

    /// Leases a job, whenever it is due.
    pub async fn lease_later(&self, kind: JobKind) -> Option<Lease> {
        self.lease_at(kind, clock::now() + LATER).await
    }

    /// Leases a job that [`World::lease_later`] has leased before: that lease has ended.
    pub async fn lease_much_later(&self, kind: JobKind) -> Option<Lease> {
        self.lease_at(kind, clock::now() + 2 * LATER).await
    }

    async fn lease_at(&self, kind: JobKind, now: u64) -> Option<Lease> {
        let store = &self.backend.store;
        store.lease_job(kind, now, 60).await.unwrap()
    }

    /// Does a leased job's work; what it would commit.
    pub async fn work(&self, lease: &Lease) -> JobOutcome<'_> {
        work::perform(&self.backend, lease).await
    }

    /// Does a leased job to its end.
    pub async fn finish(&self, lease: &Lease) {
        let outcome = self.work(lease).await;
        work::finish(&self.backend, lease, outcome).await.unwrap();
    }

    /// Does a job that is due now; whether there was one.
    pub async fn job(&self, kind: JobKind) -> bool {
        let lease = self.lease(kind).await;
        if let Some(lease) = &lease {
            self.finish(lease).await;
        }
        lease.is_some()
    }

    /// Does a job that waits, whenever it is due.
    pub async fn job_later(&self, kind: JobKind) {
        let lease = self.lease_later(kind).await;
        self.finish(&lease.unwrap_or_else(|| panic!("no job to {kind}")))
            .await;
    }

    /// Does a job that waits, whenever it is due, if there is one.
    pub async fn job_later_if_any(&self, kind: JobKind) {
        if let Some(lease) = self.lease_later(kind).await {
            self.finish(&lease).await;
        }
    }

    /// Does every job that is due now.
    pub async fn jobs(&self) {
        let mut is_busy = true;
        while is_busy {
            is_busy = false;
            for kind in KINDS {
                is_busy |= self.job(kind).await;
            }
        }
    }

    /// What operators were asked.
    pub async fn take_ask(&self) -> Question {
        let mut asks = self.asks.lock().await;
        let message = tokio::time::timeout(PATIENCE, asks.next()).await;
        let Ask { attempt, proposal } = decode(&message.unwrap().unwrap().payload).unwrap();
        let name = ProposalId::of(&proposal).to_string();
        let mut reader = self.backend.store.read().await.unwrap();
        let settlement = reader.settlement_by_proposal(&name).await.unwrap();
        Question {
            settlement: settlement.unwrap(),
            attempt,
            proposal: proposal.into_inner(),
        }
    }

    /// Drafts a settlement and brings it to where operators are asked.
    pub async fn ask_operators(&self) -> Question {
        assert_eq!(self.build().await, Built::Draft);
        self.jobs().await;
        self.take_ask().await
    }

    /// Sends an answer on its way to the backend.
    pub async fn send(&self, answer: &Answer) {
        let encoded = grail_wire::encode(Epoch(0), answer).unwrap();
        let reply = Reply::Answer(AnswerMessage {
            answer: BoundedBytes::new(encoded).unwrap(),
        });
        let payload = encode(Epoch(0), &reply).unwrap();
        let broker = &self.backend.broker;
        broker.publish(Reply::subject(), payload).await.unwrap();
    }

    /// Lets honest signers answer.
    pub async fn sign(&self, ask: &Question, seeds: &[u8]) {
        for &seed in seeds {
            let answer = honest(seed, self.backend.protocol(), ask);
            self.send(&answer).await;
        }
    }

    /// Waits until a settlement is no longer waiting for operators.
    pub async fn answered(&self, id: SettlementId) {
        eventually(async || self.settlement(id).await.state.name() != "asked").await;
    }

    /// Lets a quorum sign, and publishes.
    pub async fn sign_and_publish(&self, ask: &Question) -> (SettlementId, Transaction) {
        let id = settlement_id(ask);
        self.sign(ask, &QUORUM).await;
        self.answered(id).await;
        self.jobs().await;
        assert_eq!(
            self.settlement(id).await.state,
            SettlementState::Broadcast {}
        );
        (id, self.signed(id).await)
    }

    /// Settles all that is ready, up to the mempool.
    pub async fn settle(&self) -> (SettlementId, Transaction) {
        let ask = self.ask_operators().await;
        self.sign_and_publish(&ask).await
    }

    /// Settles as long as there is something to settle: honest operators, the mempool as it comes.
    pub async fn settle_all(&self) {
        while self.build().await == Built::Draft {
            self.jobs().await;
            let newest = self.settlements().await.pop().unwrap();
            if newest.state.name() == "asked" {
                let ask = self.take_ask().await;
                self.sign_and_publish(&ask).await;
            }
        }
    }

    pub async fn settlement(&self, id: SettlementId) -> Settlement {
        let mut reader = self.backend.store.read().await.unwrap();
        reader.settlement(id).await.unwrap().unwrap()
    }

    pub async fn signed(&self, id: SettlementId) -> Transaction {
        let mut reader = self.backend.store.read().await.unwrap();
        reader.signed_transaction(id).await.unwrap().unwrap()
    }

    pub async fn settlements(&self) -> Vec<Settlement> {
        let mut reader = self.backend.store.read().await.unwrap();
        reader.settlements(0, 1_000).await.unwrap()
    }

    pub async fn request(&self, asked: &Asked) -> RequestState {
        let mut reader = self.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().state
    }

    /// Name of a request's state, with its code.
    pub async fn standing(&self, asked: &Asked) -> (&'static str, Option<&'static str>) {
        let state = self.request(asked).await;
        let code = state.code().map(grail_flow::ReclaimCode::code);
        (state.name(), code)
    }

    /// How many transactions of the best chain serve a request: never more than one.
    pub async fn paid_count(&self, asked: &Asked) -> usize {
        let mut reader = self.backend.store.read().await.unwrap();
        let mut txids: BTreeSet<Txid> = BTreeSet::new();
        for settlement in reader.settlements(0, 1_000).await.unwrap() {
            let items = reader.settlement_items(settlement.id).await.unwrap();
            if items.iter().any(|item| item.request == asked.id) {
                txids.extend(settlement.txid);
            }
        }
        txids.iter().map(|txid| self.chain.mined_count(txid)).sum()
    }

    /// What signer number `seed` is on record with.
    pub async fn verdict(&self, id: SettlementId, seed: u8) -> Option<(Verdict, bool)> {
        let index = self.index(seed);
        let mut reader = self.backend.store.read().await.unwrap();
        let answers = reader.answers(id).await.unwrap().into_iter();
        answers
            .filter(|answer| answer.signer == index)
            .map(|answer| (answer.verdict, answer.late))
            .next()
    }

    /// Position of signer number `seed` in the roster.
    pub fn index(&self, seed: u8) -> SignerIndex {
        let roster = &self.backend.deployment.roster;
        roster.position(&key(seed)).unwrap()
    }

    /// Codes of alarms that nobody has looked at.
    pub async fn alarms(&self) -> Vec<String> {
        let mut reader = self.backend.store.read().await.unwrap();
        let alarms = reader.alarms(0, 100).await.unwrap().into_iter();
        alarms
            .filter(|alarm| alarm.acknowledged_at.is_none())
            .map(|alarm| alarm.code.name().to_owned())
            .collect()
    }

    /// A person looks at all alarms.
    pub async fn acknowledge_alarms(&self) {
        let mut tx = self.backend.store.begin().await.unwrap();
        for alarm in tx.alarms(0, 100).await.unwrap() {
            if alarm.acknowledged_at.is_none() {
                tx.acknowledge_alarm(alarm.id, clock::now()).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    /// Jobs that are not done.
    pub async fn open_jobs(&self) -> Vec<String> {
        let mut reader = self.backend.store.read().await.unwrap();
        let mut keys = Vec::new();
        for state in [JobState::Ready, JobState::Leased, JobState::Dead] {
            let jobs = reader.jobs_in_state(state, 0, 1_000).await.unwrap();
            keys.extend(jobs.into_iter().map(|job| job.idempotency_key));
        }
        keys
    }

    /// `supply == vault` by the rows that blocks gave, with the same amount as expected.
    pub async fn check_reserves(&self, expected_sat: u64) {
        let mut reader = self.backend.store.read().await.unwrap();
        let totals = reader.vault_totals().await.unwrap();
        assert_eq!(totals.supply, totals.vault);
        assert_eq!(totals.supply.to_sat(), expected_sat);
    }
}

/// What operators were asked, and about which settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub settlement: SettlementId,
    pub attempt: Attempt,
    pub proposal: Vec<u8>,
}

/// The settlement that operators were asked about.
pub fn settlement_id(ask: &Question) -> SettlementId {
    ask.settlement
}
