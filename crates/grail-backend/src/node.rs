//! The node, from asynchronous code.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bitcoin::{OutPoint, Transaction};
use grail_chain::{Auth, BitcoinCore, CALL_TIMEOUT, Chain, View};
use grail_types::Network;

/// Where the node is and how it knows us.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    /// Bitcoin Core's RPC address, `http://host:port`.
    #[arg(long)]
    pub node_url: String,
    /// Bitcoin Core's cookie file.
    #[arg(long)]
    pub node_cookie: PathBuf,
}

/// A chain whose blocking calls run where blocking is allowed.
#[derive(Clone)]
pub struct Node(Arc<dyn Chain>);

impl Node {
    /// Connects and makes sure that the node is on `network`.
    pub async fn connect(args: &NodeArgs, network: Network) -> anyhow::Result<Self> {
        let auth = Auth::Cookie(args.node_cookie.clone());
        let core = BitcoinCore::new(&args.node_url, auth, CALL_TIMEOUT)?;
        let (core, got) = tokio::task::spawn_blocking(move || {
            let name = core.network_name();
            (core, name)
        })
        .await?;
        let got = got?;
        let expected = match network {
            Network::Mainnet => "main".to_owned(),
            other => other.to_string(),
        };
        if got != expected {
            bail!("the node is on {got}, the parameters are for {expected}");
        }
        Ok(Self(Arc::new(core)))
    }

    /// Any chain, for tests.
    pub fn from_chain(chain: Arc<dyn Chain>) -> Self {
        Self(chain)
    }

    /// Runs blocking calls.
    pub async fn call<T, F>(&self, calls: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&dyn Chain) -> T + Send + 'static,
    {
        let chain = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || calls(chain.as_ref())).await {
            Ok(value) => value,
            // The closure panicked, or the runtime ends: neither leaves anything to go on with.
            Err(error) => std::panic::resume_unwind(
                error
                    .try_into_panic()
                    .unwrap_or_else(|_| Box::new("runtime is shutting down")),
            ),
        }
    }

    /// The whole transaction behind an unspent output, and the output's confirmations.
    pub async fn unspent(&self, outpoint: OutPoint) -> anyhow::Result<(Transaction, u32)> {
        self.call(move |chain| {
            let status = chain
                .tx_out(&outpoint, View::WithMempool)?
                .with_context(|| format!("output {outpoint} is spent or unknown"))?;
            let transaction = if status.confirmations == 0 {
                chain.mempool_tx(&outpoint.txid)?
            } else {
                let tip = chain.tip()?;
                let height = tip
                    .height
                    .saturating_sub(status.confirmations.saturating_sub(1));
                let block = chain
                    .block_hash(height)?
                    .context("the chain moved, try again")?;
                chain.tx_in_block(&outpoint.txid, &block)?
            };
            let transaction = transaction.context("the chain moved, try again")?;
            Ok((transaction, status.confirmations))
        })
        .await
    }
}

/// Pause between looks at something outside that has not happened yet.
pub const POLL: Duration = Duration::from_millis(200);
