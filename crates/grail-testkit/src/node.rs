//! A Bitcoin Core of one's own on regtest.
//!
//! Owns the process, its folder and its port: gone when the [`Node`] is dropped, and killed by the
//! kernel when the process that started it dies. Mines to a built-in key and pays from it. Blocking
//! throughout: from async tests use a blocking thread.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Block, BlockHash, OutPoint, Script, ScriptBuf, Transaction, TxOut, Txid};
use grail_chain::{Auth, BitcoinCore, BlockRef, BlockSource, Chain, RpcClient, Verdict};
use serde_json::json;
use tempfile::TempDir;

use crate::binary::bitcoind_path;
use crate::miner::Miner;
use crate::process::{Process, dying_with_us};

/// A node that has not answered by then never will.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Mining a thousand blocks on a busy machine takes a few seconds.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);
/// Between two looks at a node that starts.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Another process may take the port between our look and the node's.
const PORT_TRIES_MAX: u32 = 5;
/// Blocks mined at the start: 20 coinbases can be spent.
const FIRST_BLOCKS: u32 = 120;

/// How a [`Node`] differs from the usual one.
#[derive(Debug, Default, Clone)]
pub struct NodeOptions {
    /// Keep the chain here, and leave it there at the end. Usual: a temporary folder.
    pub data_dir: Option<PathBuf>,
    /// More arguments for `bitcoind`.
    pub extra_args: Vec<String>,
}

/// A running Bitcoin Core on regtest with [`FIRST_BLOCKS`] blocks.
#[derive(Debug)]
pub struct Node {
    binary: PathBuf,
    options: NodeOptions,
    data_dir: PathBuf,
    miner: Miner,
    core: BitcoinCore,
    process: Option<Process>,
    port: u16,
    // Last, so that the folder goes after the process.
    _temp_dir: Option<TempDir>,
}

impl Node {
    /// Starts a node in a temporary folder.
    ///
    /// # Panics
    /// When there is no `bitcoind`, or it does not come up.
    pub fn start() -> Self {
        Self::start_with(NodeOptions::default())
    }

    /// Starts a node as told.
    ///
    /// # Panics
    /// As [`Node::start`].
    pub fn start_with(options: NodeOptions) -> Self {
        let binary = bitcoind_path();
        let (data_dir, temp_dir) = if let Some(dir) = &options.data_dir {
            fs::create_dir_all(dir).expect("folder for the node");
            // Relative paths would be read against another folder by bitcoind.
            (fs::canonicalize(dir).expect("folder for the node"), None)
        } else {
            let dir = TempDir::with_prefix("grail-node-").expect("temporary folder");
            (dir.path().to_owned(), Some(dir))
        };
        let (process, core, port) = launch(&binary, &data_dir, &options.extra_args, None);
        let node = Self {
            binary,
            options,
            data_dir,
            miner: Miner::default(),
            core,
            process: Some(process),
            port,
            _temp_dir: temp_dir,
        };
        let height = node.height();
        if height < FIRST_BLOCKS {
            node.mine(FIRST_BLOCKS - height);
        }
        node
    }

    /// Stops the node as a power cut would. Calls to it then fail until [`Node::restart`].
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops the node in order, then starts it again on the same port, with a new cookie.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart(&mut self) {
        if let Some(process) = self.process.take() {
            // After a kill blocks may be missing from its files; an orderly stop writes them.
            let _: Result<serde_json::Value, _> = self.rpc().call("stop", &[]);
            process.wait_for_end();
        }
        let (process, core, port) = launch(
            &self.binary,
            &self.data_dir,
            &self.options.extra_args,
            Some(self.port),
        );
        (self.process, self.core, self.port) = (Some(process), core, port);
    }

    /// More arguments that it was started with.
    pub fn extra_args(&self) -> &[String] {
        &self.options.extra_args
    }

    /// Restarts it with other arguments.
    ///
    /// # Panics
    /// As [`Node::restart`].
    pub fn restart_with(&mut self, extra_args: Vec<String>) {
        self.options.extra_args = extra_args;
        self.restart();
    }

    /// The node as a chain.
    pub fn chain(&self) -> &BitcoinCore {
        &self.core
    }

    /// A client for calls that the chain port does not have.
    pub fn rpc(&self) -> &RpcClient {
        self.core.rpc()
    }

    /// `http://127.0.0.1:port`.
    pub fn rpc_url(&self) -> String {
        url(self.port)
    }

    /// The file that holds the credentials.
    pub fn cookie_path(&self) -> PathBuf {
        cookie_path(&self.data_dir)
    }

    /// Where the node keeps its chain and its `debug.log` (under `regtest/`).
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The node's process id; 0 while stopped.
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// Height of the best block.
    pub fn height(&self) -> u32 {
        self.tip().height
    }

    /// The best block.
    pub fn tip(&self) -> BlockRef {
        self.core.tip().expect("tip of the node")
    }

    /// The block of this name.
    pub fn block(&self, hash: &BlockHash) -> Block {
        self.core
            .block(hash)
            .expect("block of the node")
            .expect("a known block")
    }

    /// Mines `count` blocks with all that fits of the mempool, paying the built-in key.
    pub fn mine(&self, count: u32) -> Vec<BlockHash> {
        let hashes = self.mine_to(count, &self.miner.script());
        for (hash, height) in hashes.iter().rev().zip((0..=self.height()).rev()) {
            self.miner.note_coinbase(&self.block(hash), height);
        }
        hashes
    }

    /// Mines `count` blocks with all that fits of the mempool, paying `script`.
    pub fn mine_to(&self, count: u32, script: &Script) -> Vec<BlockHash> {
        let mut hashes = Vec::new();
        // In parts: a call that mines thousands would outlast its timeout.
        while (hashes.len() as u64) < u64::from(count) {
            let part = (u64::from(count) - hashes.len() as u64).min(200);
            let mined: Vec<BlockHash> = self
                .rpc()
                .call(
                    "generatetodescriptor",
                    &[json!(part), json!(raw_descriptor(script))],
                )
                .expect("mining");
            assert_eq!(mined.len() as u64, part, "blocks mined");
            hashes.extend(mined);
        }
        hashes
    }

    /// Mines one block with no transaction of the mempool.
    pub fn mine_empty(&self) -> BlockHash {
        self.mine_only(&[])
    }

    /// Mines one block with these transactions and no other; they need not be in the mempool.
    pub fn mine_only(&self, transactions: &[Transaction]) -> BlockHash {
        let hash = self.mine_only_to(transactions, &self.miner.script());
        self.miner.note_coinbase(&self.block(&hash), self.height());
        hash
    }

    /// As [`Node::mine_only`], paying `script`.
    pub fn mine_only_to(&self, transactions: &[Transaction], script: &Script) -> BlockHash {
        let raw: Vec<String> = transactions.iter().map(serialize_hex).collect();
        let answer: serde_json::Value = self
            .rpc()
            .call(
                "generateblock",
                &[json!(raw_descriptor(script)), json!(raw)],
            )
            .expect("mining a block of given transactions");
        answer["hash"]
            .as_str()
            .and_then(|hash| hash.parse().ok())
            .expect("a hash")
    }

    /// Declares a block invalid: the chain falls back to its parent and the block's transactions to
    /// the mempool.
    pub fn invalidate(&self, hash: &BlockHash) {
        let _: serde_json::Value = self
            .rpc()
            .call("invalidateblock", &[json!(hash)])
            .expect("invalidating a block");
    }

    /// Takes [`Node::invalidate`] back.
    pub fn reconsider(&self, hash: &BlockHash) {
        let _: serde_json::Value = self
            .rpc()
            .call("reconsiderblock", &[json!(hash)])
            .expect("reconsidering a block");
    }

    /// Puts a transaction into the mempool.
    ///
    /// # Panics
    /// When the node refuses it; the message has the reason.
    pub fn send(&self, transaction: &Transaction) -> Txid {
        self.core
            .send(transaction)
            .unwrap_or_else(|error| panic!("sending: {error}"))
    }

    /// What the mempool would do with a transaction.
    pub fn test_accept(&self, transaction: &Transaction) -> Verdict {
        let tested = self
            .core
            .test_mempool_accept(std::slice::from_ref(transaction));
        tested
            .expect("testmempoolaccept")
            .pop()
            .expect("one answer")
            .verdict
    }

    /// Sends `amount` to `script` from the built-in key; unconfirmed. Mines only when the key has
    /// run dry.
    pub fn fund(&self, script: &Script, amount: bitcoin::Amount) -> OutPoint {
        self.fund_many(&[TxOut {
            value: amount,
            script_pubkey: script.to_owned(),
        }])
        .pop()
        .expect("one output asked, one made")
    }

    /// Pays several outputs with one transaction, as [`Node::fund`]. The answers are in the order
    /// of `outputs`.
    pub fn fund_many(&self, outputs: &[TxOut]) -> Vec<OutPoint> {
        let txid = loop {
            if let Some(txid) = self.miner.pay(outputs, &self.core) {
                break txid;
            }
            // Coins too young or too deep in the mempool: blocks help both, and bring rewards.
            self.mine(10);
        };
        (0u32..)
            .zip(outputs)
            .map(|(vout, _)| OutPoint { txid, vout })
            .collect()
    }

    /// The built-in key's script, where change and block rewards go.
    pub fn miner_script(&self) -> ScriptBuf {
        self.miner.script()
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn cookie_path(data_dir: &Path) -> PathBuf {
    data_dir.join("regtest").join(".cookie")
}

/// Any script as an output descriptor; without a checksum, which mining does not ask for.
pub(crate) fn raw_descriptor(script: &Script) -> String {
    format!("raw({script:x})")
}

fn launch(
    binary: &Path,
    data_dir: &Path,
    extra_args: &[String],
    port: Option<u16>,
) -> (Process, BitcoinCore, u16) {
    let mut said = String::new();
    for _ in 0..PORT_TRIES_MAX {
        let port = port.unwrap_or_else(free_port);
        match try_launch(binary, data_dir, extra_args, port) {
            Ok((process, core)) => return (process, core, port),
            Err(why) => {
                let _ = writeln!(said, "port {port}: {why}");
            }
        }
    }
    panic!("bitcoind does not start:\n{said}");
}

fn try_launch(
    binary: &Path,
    data_dir: &Path,
    extra_args: &[String],
    port: u16,
) -> Result<(Process, BitcoinCore), String> {
    let cookie = cookie_path(data_dir);
    // One left by a killed node would be read in place of the new one.
    let _ = fs::remove_file(&cookie);
    let log = data_dir.join("console.log");
    let process = Process::spawn(command(binary, data_dir, extra_args, port), &log)?;
    let core = BitcoinCore::new(&url(port), Auth::Cookie(cookie), CALL_TIMEOUT)
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let answer = core.network_name();
        if process.has_ended() {
            let text = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("it ended: {}", text.trim()));
        }
        match answer {
            Ok(name) if name == "regtest" => return Ok((process, core)),
            Ok(name) => return Err(format!("a node of another network answered: {name}")),
            Err(error) if Instant::now() > deadline => return Err(error.to_string()),
            Err(_) => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

fn command(binary: &Path, data_dir: &Path, extra_args: &[String], port: u16) -> Command {
    let mut command = dying_with_us(binary);
    command
        .arg(format!("-datadir={}", data_dir.display()))
        .arg(format!("-rpcport={port}"))
        .args([
            "-regtest",
            "-conf=/dev/null",
            "-rpcbind=127.0.0.1",
            "-rpcallowip=127.0.0.1",
            "-rpcthreads=8",
            "-rpcworkqueue=256",
            "-listen=0",
            "-connect=0",
            "-dnsseed=0",
            "-fixedseeds=0",
            "-txindex=0",
            "-acceptnonstdtxn=0",
            "-persistmempool=0",
            "-dbcache=16",
            // Regtest checks its whole state at every step by default: quadratic in what a test
            // does.
            "-checkmempool=0",
            "-checkblockindex=0",
            "-printtoconsole=0",
        ])
        .args(extra_args);
    command
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.local_addr().expect("bound").port()
}
