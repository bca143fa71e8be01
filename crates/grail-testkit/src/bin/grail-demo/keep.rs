//! Leaving it all running, and the two things that a person then needs: money and blocks.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::{Address, Amount};
use grail_chain::{Auth, BitcoinCore, BlockSource as _, CALL_TIMEOUT};
use grail_testkit::{Node, faucet};
use tokio::signal::unix::{SignalKind, signal};

use crate::story::Story;

/// Between two blocks while it runs by itself.
const BLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Where the demo's node is.
#[derive(Debug, clap::Args)]
pub struct NodeArguments {
    /// Bitcoin Core's RPC address, `http://host:port`.
    #[arg(long, env = "GRAIL_NODE")]
    node: String,
    /// Bitcoin Core's cookie file.
    #[arg(long, env = "GRAIL_NODE_COOKIE")]
    node_cookie: PathBuf,
}

impl NodeArguments {
    fn connect(&self) -> Result<BitcoinCore> {
        let auth = Auth::Cookie(self.node_cookie.clone());
        Ok(BitcoinCore::new(&self.node, auth, CALL_TIMEOUT)?)
    }
}

/// Says where everything is, and mines a block now and then until the process is stopped.
pub fn keep(story: &Story<'_>) -> Result<()> {
    let cluster = &story.cluster;
    let demo = std::env::current_exe().context("path of this program")?;
    let alice = story.user("alice")?;
    println!(
        "\n\
         Left running; a block comes every {} s. Ctrl-C ends everything and removes it.\n\n\
         export GRAIL_API={}\n\
         export GRAIL_NODE={}\n\
         export GRAIL_NODE_COOKIE={}\n\
         export GRAIL_NETWORK=regtest\n\
         alias grail={}\n\
         alias grail-demo={}\n\n\
         curl $GRAIL_API/v1/reserves\n\
         grail --home {} balance\n\
         grail --home me init && grail --home me address\n\
         grail-demo fund ADDRESS 0.1\n\
         grail-demo mine 2\n\n\
         files and logs: {}",
        BLOCK_INTERVAL.as_secs(),
        cluster.backend.url(),
        cluster.node.rpc_url(),
        cluster.node.cookie_path().display(),
        cluster.programs.cli().display(),
        demo.display(),
        alice.home().display(),
        cluster.folder().display(),
    );
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(mine_until_asked_to_end(&cluster.node))
}

async fn mine_until_asked_to_end(node: &Node) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = tokio::time::sleep(BLOCK_INTERVAL) => drop(node.mine(1)),
        }
    }
}

/// Sends regtest BTC.
pub fn fund(node: &NodeArguments, address: &str, amount: Amount) -> Result<()> {
    let address: Address<_> = address.parse()?;
    let checked = address.require_network(bitcoin::Network::Regtest)?;
    let txid = faucet::fund(&node.connect()?, &checked.script_pubkey(), amount)?;
    println!("{txid}");
    Ok(())
}

/// Mines blocks.
pub fn mine(node: &NodeArguments, count: u32) -> Result<()> {
    let core = node.connect()?;
    faucet::mine(&core, count)?;
    println!("{}", core.tip()?);
    Ok(())
}
