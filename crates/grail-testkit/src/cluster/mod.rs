//! A whole bridge on one machine: node, operators as processes of their own, backend.
//!
//! Everything is real but for the chain (regtest), the proofs (mock) and the TEE (development). All
//! processes end with the [`Cluster`], and with the process that holds it, however that ends. What
//! each wrote is in `logs/` of the folder.

mod backend;
mod deployment;
mod operator;
mod rows;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bitcoin::XOnlyPublicKey;
use grail_api::client::Client;
use grail_api::{Kind, RequestState, RequestStatus, Settlement, SettlementState};
use grail_attest::Protocol;
use grail_types::{Bridge, Params, ParamsValues, RequestId};
use tempfile::TempDir;

pub use backend::{Backend, BackendConfig};
pub use deployment::{Deployment, administrator_secret};
pub use operator::Operator;
pub use rows::Rows;

use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::liar::{Liar, Lie};
use crate::node::{Node, NodeOptions};
use crate::ports::quiet_port;
use crate::programs::Programs;
use crate::relay::Relay;

/// What takes longer never happens; a debug build on a busy machine takes a tenth.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How a [`Cluster`] differs from the usual one.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Signers in the roster.
    pub signers: u16,
    /// Signers that must agree.
    pub threshold: u16,
    /// Administrators of the bridge.
    pub administrators: u16,
    /// Administrators that must agree, no smaller a share than of the signers.
    pub administrators_threshold: u16,
    /// Of the signers, those that lie: the last ones.
    pub lies: Vec<Lie>,
    /// Whether operators reach the backend's broker through a [`Relay`].
    pub has_relay: bool,
    /// Whether the backend reaches the node through a [`Gate`].
    pub has_gate: bool,
    /// More arguments for the node.
    pub node_args: Vec<String>,
    /// The backend's settings.
    pub backend: BackendConfig,
    /// Options about the prover, for the deployment and the backend. Usual: none, so the mock
    /// prover.
    pub prover: Vec<String>,
    /// URL of the backend's database. Usual: none, so a file of its own.
    pub database: Option<String>,
    /// Changes of the protocol's parameters.
    pub params: fn(&mut ParamsValues),
    /// Keep everything here. Usual: a temporary folder.
    pub folder: Option<PathBuf>,
}

impl Default for ClusterConfig {
    /// The smallest roster that there can be, and administrators who must all agree, which is
    /// enough for a roster of any share.
    fn default() -> Self {
        Self {
            signers: 4,
            threshold: 3,
            administrators: 4,
            administrators_threshold: 4,
            lies: Vec::new(),
            has_relay: false,
            has_gate: false,
            node_args: Vec::new(),
            backend: BackendConfig::default(),
            prover: Vec::new(),
            database: None,
            params: |_| {},
            folder: None,
        }
    }
}

/// A running bridge. The order of its fields is the order in which it ends.
#[derive(Debug)]
pub struct Cluster {
    /// Operators, by name.
    pub operators: Vec<Operator>,
    /// The backend.
    pub backend: Backend,
    /// Operators that lie.
    pub liars: Vec<Liar>,
    /// Between operators and broker, if asked for.
    pub relay: Option<Relay>,
    /// Between backend and node, if asked for.
    pub gate: Option<Gate>,
    /// The node.
    pub node: Node,
    /// The deployed bridge.
    pub deployment: Deployment,
    /// The programs that it runs.
    pub programs: Programs,
    folder: PathBuf,
    _temp_dir: Option<TempDir>,
}

impl Cluster {
    /// Starts everything and deploys the bridge. `progress` is called with each step.
    pub fn start_with(config: &ClusterConfig, progress: &dyn Fn(&str)) -> Result<Self> {
        let (folder, temp_dir) = make_folder(config)?;
        let outcome = Self::start_in(&folder, temp_dir, config, progress);
        if outcome.is_err() {
            eprintln!("{}", log_tails(&folder));
        }
        outcome
    }

    /// A cluster for a test.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(config: &ClusterConfig) -> Self {
        crate::programs::build_programs();
        Self::start_with(config, &|_| {}).expect("a cluster")
    }

    fn start_in(
        folder: &Path,
        temp_dir: Option<TempDir>,
        config: &ClusterConfig,
        progress: &dyn Fn(&str),
    ) -> Result<Self> {
        let programs = Programs::take(&folder.join("programs"))?;
        let node = Node::start_with(NodeOptions {
            data_dir: Some(folder.join("node")),
            extra_args: config.node_args.clone(),
        });
        progress(&format!("Bitcoin Core on regtest at {}", node.rpc_url()));
        let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, quiet_port()?));
        let relay = config.has_relay.then(|| Relay::to(broker)).transpose()?;
        let asked_at = relay.as_ref().map_or(broker, Relay::address);
        let gate = config
            .has_gate
            .then(|| Gate::to(&node.rpc_url()))
            .transpose()?;

        let site = deployment::Site {
            folder,
            programs: &programs,
            node: &node,
            broker,
        };
        let prepared = site.prepare(config)?;
        // The broker first, so that nobody has to wait for a second try to connect.
        let deploying = site.begin(&prepared, config)?;

        let honest = usize::from(config.signers)
            .checked_sub(config.lies.len())
            .context("more lies than signers")?;
        let mut operators = (1..=honest)
            .map(|number| {
                let operator = Operator::new(number, folder, &prepared.protocol_file, asked_at);
                operator.started(&programs)
            })
            .collect::<Result<Vec<_>>>()?;
        let enclave = std::fs::read(programs.enclave())?;
        let liars = config
            .lies
            .iter()
            .zip(honest + 1..)
            .map(|(lie, number)| Liar::start(number, *lie, &prepared.protocol, &enclave, asked_at))
            .collect::<Result<Vec<_>>>()?;
        let deployment = site.finish(&prepared, deploying)?;
        for operator in &mut operators {
            operator.wait_until_ready()?;
        }
        progress(&format!(
            "{} operators attested and admitted, {} must agree",
            config.signers, config.threshold
        ));
        progress(&format!(
            "roster NFT deployed: {}",
            deployment.nft_outpoint()
        ));
        node.mine(1);

        let node_url = gate.as_ref().map_or_else(|| node.rpc_url(), Gate::url);
        let mut backend = Backend::new(folder, node_url, node.cookie_path(), broker, quiet_port()?);
        backend.prover.clone_from(&config.prover);
        backend.server.clone_from(&config.database);
        backend.start(&programs, &config.backend)?;
        let cluster = Self {
            operators,
            backend,
            liars,
            relay,
            gate,
            node,
            deployment,
            programs,
            folder: folder.to_owned(),
            _temp_dir: temp_dir,
        };
        // The first call also proves that the backend has taken the deployment's block.
        cluster.until("the backend to follow the chain", || {
            let height = cluster.api().reserves().map(|reserves| reserves.height);
            Ok(height
                .is_ok_and(|height| height >= cluster.node.height())
                .then_some(()))
        })?;
        progress(&format!("backend at {}", cluster.backend.url()));
        Ok(cluster)
    }

    /// Where everything is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The protocol's parameters.
    pub const fn params(&self) -> &Params {
        self.protocol().params()
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        self.protocol().bridge()
    }

    /// Bridge, parameters and images.
    pub const fn protocol(&self) -> &Protocol {
        &self.deployment.protocol
    }

    /// A client of the backend's API.
    pub fn api(&self) -> Client {
        self.backend.client()
    }

    /// Everything that the chain says, up to the tip.
    pub fn ledger(&self) -> Result<Ledger> {
        Ledger::read(self.node.chain())
    }

    /// The backend's rows.
    pub fn rows(&self) -> Result<Rows> {
        Rows::open(&self.backend.database_url())
    }

    /// Starts the backend, with the state that it has.
    pub fn start_backend(&mut self, config: &BackendConfig) -> Result<()> {
        self.backend.start(&self.programs, config)
    }

    /// Starts another operator, who is in no roster yet, and returns its key when its enclave has
    /// booted.
    pub fn add_operator(&mut self) -> Result<XOnlyPublicKey> {
        let added = self.add_operators(1)?;
        added.first().copied().context("an operator")
    }

    /// Starts so many more operators, who are in no roster yet, and returns their keys when their
    /// enclaves have booted.
    pub fn add_operators(&mut self, count: usize) -> Result<Vec<XOnlyPublicKey>> {
        let protocol = self.folder.join("protocol.json");
        let broker = self.backend.broker();
        let before = self.operators.len();
        for number in (1..=count).map(|more| before.saturating_add(more)) {
            let operator = Operator::new(number, &self.folder, &protocol, broker);
            self.operators.push(operator.started(&self.programs)?);
        }
        let added = self.operators.iter().skip(before);
        added
            .map(|operator| {
                operator.wait_until_ready()?;
                operator.public_key().context("an operator without a key")
            })
            .collect()
    }

    /// Starts operator `index` again, and returns when its enclave has booted.
    pub fn start_operator(&mut self, index: usize) -> Result<()> {
        let programs = self.programs.clone();
        let operator = self.operators.get_mut(index).context("no such operator")?;
        operator.start(&programs)?;
        operator.wait_until_ready()
    }

    /// The operator with this key.
    pub fn operator_of(&mut self, key: &XOnlyPublicKey) -> Option<&mut Operator> {
        self.operators
            .iter_mut()
            .find(|operator| operator.public_key().as_ref() == Some(key))
    }

    /// Waits until `look` finds something.
    pub fn until<T>(&self, what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        until(what, look)
    }

    /// A request as the API tells it now.
    pub fn request(&self, kind: Kind, id: &RequestId) -> Result<RequestStatus> {
        Ok(self.api().request(kind, id)?)
    }

    /// Waits until a request is in `state`. Another state that is its end fails at once.
    pub fn until_request(
        &self,
        kind: Kind,
        id: &RequestId,
        state: RequestState,
    ) -> Result<RequestStatus> {
        self.until(&format!("request {id} to be {state}"), || {
            // A backend that is being restarted does not answer for a while.
            let Ok(status) = self.request(kind, id) else {
                return Ok(None);
            };
            if status.state == state {
                return Ok(Some(status));
            }
            if status.state == RequestState::Paid {
                bail!("request {id} is {}, expected {state}", status.state);
            }
            Ok(None)
        })
    }

    /// Settlements, the newest first.
    pub fn settlements(&self) -> Result<Vec<Settlement>> {
        let mut found = Vec::new();
        let mut page = grail_api::PageQuery::default();
        loop {
            let answer = self.api().settlements(&page)?;
            found.extend(answer.items);
            match answer.next {
                Some(next) => page.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Waits until the settlement that serves a request is in the mempool or a block, and returns
    /// it.
    pub fn until_published(&self, kind: Kind, id: &RequestId) -> Result<Settlement> {
        self.until(&format!("the settlement of {id} to be published"), || {
            let Ok(status) = self.request(kind, id) else {
                return Ok(None);
            };
            let Some(settlement) = status.settlement else {
                return Ok(None);
            };
            match settlement.state {
                SettlementState::Published | SettlementState::Final => {
                    Ok(self.api().settlement(&settlement.txid).ok())
                }
                _ => Ok(None),
            }
        })
    }

    /// Waits until every settlement of `requests` is published, mines it to its end and waits until
    /// all are paid.
    pub fn settle(&self, kind: Kind, requests: &[RequestId]) -> Result<Vec<RequestStatus>> {
        for id in requests {
            self.until_published(kind, id)?;
        }
        self.node.mine(self.params().settlement_confirmations);
        requests
            .iter()
            .map(|id| self.until_request(kind, id, RequestState::Paid))
            .collect()
    }

    /// The ends of all logs.
    pub fn log_tails(&self) -> String {
        log_tails(&self.folder)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
            for alarm in self
                .rows()
                .and_then(|rows| rows.alarms())
                .unwrap_or_default()
            {
                eprintln!("alarm: {}: {}", alarm.code.name(), alarm.details);
            }
        }
    }
}

/// Waits until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().with_context(|| format!("waiting for {what}"))? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(anyhow!("waited {PATIENCE:?} for {what}"));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn make_folder(config: &ClusterConfig) -> Result<(PathBuf, Option<TempDir>)> {
    let (folder, temp_dir) = if let Some(folder) = &config.folder {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        ensure!(
            std::fs::read_dir(folder)?.next().is_none(),
            "{} is not empty: a cluster starts from nothing",
            folder.display()
        );
        (std::fs::canonicalize(folder)?, None)
    } else {
        // Short: the path of a socket in it has at most 107 bytes.
        let dir = TempDir::with_prefix("grail-")?;
        (dir.path().to_owned(), Some(dir))
    };
    std::fs::create_dir_all(folder.join("logs"))?;
    Ok((folder, temp_dir))
}

/// Lines shown of the backend's log, and of each operator's.
const TAIL_LINES: usize = 20;
const OPERATOR_TAIL_LINES: usize = 3;
/// Longer lines are cut.
const TAIL_LINE_CHARS: usize = 400;

fn log_tails(folder: &Path) -> String {
    let mut logs: Vec<PathBuf> = std::fs::read_dir(folder.join("logs"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    logs.sort();
    logs.iter().map(|log| log_tail(log)).collect()
}

fn log_tail(log: &Path) -> String {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let count = if name.starts_with("operator") {
        OPERATOR_TAIL_LINES
    } else {
        TAIL_LINES
    };
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().take(TAIL_LINE_CHARS).collect())
        .collect();
    let from = lines.len().saturating_sub(count);
    format!("==> {name} <==\n{}\n", lines[from..].join("\n"))
}
