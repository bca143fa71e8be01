//! What all roles share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use anyhow::Context;
use bitcoin::{
    OutPoint, Transaction,
    secp256k1::{All, Secp256k1},
};
use grail_attest::Protocol;
use grail_broker::Broker;
use grail_policy::adoption::Handover;
use grail_prover::Prover;
use grail_store::{Store, StoreTx};
use grail_types::{Bridge, MockAllowed, Params};
use grail_wire::AskerId;
use tokio::sync::{Notify, watch};

use crate::{
    approvals::Approvals,
    deployment::Deployment,
    documents::Documents,
    health::RolesHealth,
    node::Node,
    operators::Operators,
    queue,
    roles::retain::Removed,
    rosters::{LastAdopted, Rosters},
    rotations,
};

/// Name of the fact that holds the database's [`AskerId`].
const ASKER: &str = "asker";

/// Local settings: nothing here can change what gets signed.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Seconds that a ready request waits for company.
    pub batch_seconds: u64,
    /// Seconds until operators that have not answered are asked again.
    pub ask_seconds: u64,
    /// Seconds after which another worker may take a job over whose worker is gone. One that is at
    /// it prolongs them.
    pub lease_seconds: u64,
    /// How many proofs this process makes at a time.
    pub prove_workers: u16,
}

/// Hints that work may be waiting. Lost ones cost a poll interval.
#[derive(Debug, Default)]
pub struct Hints {
    /// A job was put in.
    pub jobs: Notify,
    /// A request became ready, or room for a settlement.
    pub build: Notify,
    /// The feed has a new event.
    pub feed: Notify,
}

/// The backend's parts, shared by its roles.
pub struct Backend {
    /// The deployed bridge.
    pub deployment: Deployment,
    /// What the newest roster goes by: the deployment's, or what a rotation announced.
    protocol: Protocol,
    /// Its deployment transaction.
    pub deployment_tx: Transaction,
    /// Rows.
    pub store: Store,
    /// The node.
    pub node: Node,
    /// Messages to and from operators.
    pub broker: Arc<dyn Broker>,
    /// The prover.
    pub prover: Arc<dyn Prover>,
    /// The bridge contract.
    pub wasm: Vec<u8>,
    /// Operators by evidence.
    pub operators: Arc<Operators>,
    /// Local settings.
    pub config: Config,
    /// Wake-ups between roles.
    pub hints: Hints,
    /// How its roles are.
    pub health: RolesHealth,
    /// What was let go.
    pub removed: Removed,
    /// What the dry run approved last.
    pub approvals: Approvals,
    /// The rotations' documents that were verified last.
    pub documents: Documents,
    /// The rosters that were verified last.
    pub(crate) adopted: LastAdopted,
    /// The height at which no replacement of what waits could be planned: not to be tried again
    /// before the next block, for plans take time.
    pub(crate) unreplaceable_at: AtomicU32,
    /// The height at which a settlement was refused for a limit: nothing is to be planned before
    /// the next block, for it would be refused again.
    pub(crate) limited_at: AtomicU32,
    /// The height at which no merge of donations could be planned: not to be tried again before the
    /// next block.
    pub(crate) unmerged_at: AtomicU32,
    /// Precomputed curve tables.
    pub secp: Secp256k1<All>,
    /// Names this process among those on the database: random, and new at every start.
    pub instance: String,
    /// Names all processes on this database to operators, who answer one asker apart from another.
    pub asker: AskerId,
    stop: watch::Sender<bool>,
    is_outdated: AtomicBool,
}

/// Parts that `Backend::new` needs.
pub struct Parts {
    /// The deployed bridge.
    pub deployment: Deployment,
    /// Rows.
    pub store: Store,
    /// The node.
    pub node: Node,
    /// Messages.
    pub broker: Arc<dyn Broker>,
    /// The prover.
    pub prover: Arc<dyn Prover>,
    /// The bridge contract.
    pub wasm: Vec<u8>,
    /// Local settings.
    pub config: Config,
}

impl Backend {
    /// Puts the parts together; the database must be this deployment's or new.
    pub async fn new(parts: Parts) -> anyhow::Result<Arc<Self>> {
        let Parts {
            deployment,
            store,
            node,
            broker,
            prover,
            wasm,
            config,
        } = parts;
        let deployment_tx = deployment.transaction()?;
        let mut tx = store.begin().await?;
        let facts = [
            ("network", deployment.protocol.bridge().network.to_string()),
            ("params_hash", deployment.protocol.hash().to_string()),
            ("deployment", deployment_tx.compute_txid().to_string()),
        ];
        for (name, value) in facts {
            tx.put_fact(name, &value)
                .await
                .context("the database belongs to another bridge")?;
        }
        tx.put_transaction(&deployment_tx).await?;
        let asker = asker(&mut tx).await?;
        tx.commit().await?;
        let secp = Secp256k1::new();
        let deployed = Handover {
            transaction: deployment_tx.clone(),
            spent: Vec::new(),
            governance: deployment.protocol.governance().clone(),
        };
        let first = Rosters::first(&secp, deployment.protocol.bridge(), &deployed)
            .context("the deployment makes no roster")?;
        let mut instance = [0; 8];
        getrandom::fill(&mut instance)?;
        let mut backend = Self {
            adopted: LastAdopted::new(first),
            unreplaceable_at: AtomicU32::new(0),
            limited_at: AtomicU32::new(0),
            unmerged_at: AtomicU32::new(0),
            operators: Operators::new(deployment.protocol.clone()),
            protocol: deployment.protocol.clone(),
            deployment,
            deployment_tx,
            store,
            node,
            broker,
            prover,
            wasm,
            config,
            hints: Hints::default(),
            health: RolesHealth::default(),
            removed: Removed::default(),
            approvals: Approvals::default(),
            documents: Documents::default(),
            secp,
            instance: hex::encode(instance),
            asker,
            stop: watch::Sender::new(false),
            is_outdated: AtomicBool::new(false),
        };
        backend.take_protocol_of_now().await?;
        let backend = Arc::new(backend);
        queue::fill(&backend).await?;
        Ok(backend)
    }

    /// Goes by what the newest roster in the rows goes by, where a rotation brought other
    /// parameters or administrators than the deployment's. The file of the deployment stays as it
    /// is.
    async fn take_protocol_of_now(&mut self) -> anyhow::Result<()> {
        let mut reader = self.store.read().await?;
        let rosters = self.rosters(&mut reader).await?;
        if let Some(protocol) = rotations::protocol_at(self, &mut reader, rosters.newest()).await?
            && protocol != self.protocol
        {
            let hash = protocol.hash();
            tracing::info!(%hash, "parameters and administrators are those of a rotation");
            self.operators = Operators::new(protocol.clone());
            self.protocol = protocol;
        }
        Ok(())
    }

    /// Asks workers to give their jobs back and end. There is no way back: the process is to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether workers have been asked to end.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Asks workers to end because a rotation brought other parameters: what is made of them
    /// everywhere is made at the start, and whoever watches this process starts it anew.
    pub fn stop_for_other_parameters(&self) {
        tracing::warn!("the roster goes by other parameters now: ending, to begin with them");
        self.is_outdated.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Whether the process ends because its parameters are outdated.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    /// Waits until workers are asked to end.
    pub async fn stopping(&self) {
        // The sender lives as long as `self`.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Bridge, parameters and images.
    pub const fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        self.protocol().bridge()
    }

    /// Protocol parameters.
    pub const fn params(&self) -> &Params {
        self.protocol().params()
    }

    /// The permission to read mock spells, where there is one.
    pub fn mock(&self) -> Option<MockAllowed> {
        MockAllowed::on(self.bridge().network)
    }

    /// The first output of the roster NFT.
    pub fn deployment_nft(&self) -> OutPoint {
        OutPoint::new(self.deployment_tx.compute_txid(), 0)
    }
}

/// The name that this database asks under: drawn once. Another database is another asker, also
/// where it was restored from a copy of this one, as long as its `asker` fact is drawn anew.
async fn asker(tx: &mut StoreTx) -> anyhow::Result<AskerId> {
    if let Some(known) = tx.fact(ASKER).await? {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&known, &mut bytes).context("the database's asker is malformed")?;
        return Ok(AskerId(bytes));
    }
    let mut drawn = [0; 16];
    getrandom::fill(&mut drawn)?;
    tx.put_fact(ASKER, &hex::encode(drawn)).await?;
    Ok(AskerId(drawn))
}
