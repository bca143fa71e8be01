//! A user who goes by the command line, as users do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use bitcoin::{Address, Amount, OutPoint, ScriptBuf, Transaction, Txid, consensus};
use grail_api::Kind;
use grail_types::{Network, RequestId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;

/// A wallet made by `grail init`, in a folder of its own.
#[derive(Debug, Clone)]
pub struct CliWallet {
    name: String,
    program: PathBuf,
    home: PathBuf,
}

/// What a wallet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Holdings {
    /// BTC without charms, confirmed.
    #[serde(rename = "btc_sat")]
    pub btc: u64,
    /// zkBTC, confirmed.
    #[serde(rename = "zkbtc_sat")]
    pub zkbtc: u64,
}

/// A request whose deposit was sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Pegged {
    /// Its name.
    pub id: RequestId,
    /// Direction.
    pub kind: Kind,
    /// The deposit.
    pub deposit_outpoint: OutPoint,
    /// File with the receipt.
    pub receipt_file: PathBuf,
}

#[derive(Deserialize)]
struct Fresh {
    address: String,
}

#[derive(Deserialize)]
struct Sent {
    txid: Txid,
}

#[derive(Deserialize)]
struct Reclaimed {
    raw_transaction: String,
}

impl CliWallet {
    /// Makes a wallet that knows the cluster's node and API.
    pub fn init(cluster: &Cluster, name: &str) -> Result<Self> {
        let wallet = Self {
            name: name.to_owned(),
            program: cluster.programs.cli(),
            home: cluster.folder().join("wallets").join(name),
        };
        let parent = wallet.home.parent().context("a folder for wallets")?;
        std::fs::create_dir_all(parent)?;
        let network = Network::Regtest.to_string();
        let node = cluster.node.rpc_url();
        let api = cluster.backend.url();
        let cookie = cluster.node.cookie_path();
        let cookie = cookie.to_str().context("a path in UTF-8")?;
        wallet.run::<serde_json::Value>(&[
            "init",
            "--network",
            &network,
            "--node",
            &node,
            "--node-cookie",
            cookie,
            "--api",
            &api,
        ])?;
        Ok(wallet)
    }

    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A fresh address.
    pub fn address(&self) -> Result<String> {
        Ok(self.run::<Fresh>(&["address"])?.address)
    }

    /// A fresh address as a script.
    pub fn script(&self) -> Result<ScriptBuf> {
        let address: Address<_> = self.address()?.parse()?;
        let checked = address.require_network(bitcoin::Network::Regtest)?;
        Ok(checked.script_pubkey())
    }

    /// BTC and zkBTC.
    pub fn balance(&self) -> Result<Holdings> {
        self.run(&["balance"])
    }

    /// Deposits BTC for zkBTC.
    pub fn peg_in(&self, amount: Amount) -> Result<Pegged> {
        self.run(&["peg-in", &sat(amount)])
    }

    /// Deposits what pays the miners of a step of a rotation: `announce`, `cancel` or `execute`.
    pub fn sponsor(&self, step: &str, amount: Amount) -> Result<Pegged> {
        self.run(&[
            "operator",
            "sponsor",
            "--step",
            step,
            "--amount",
            &sat(amount),
        ])
    }

    /// Deposits zkBTC for BTC.
    pub fn peg_out(&self, amount: Amount) -> Result<Pegged> {
        self.run(&["peg-out", &sat(amount)])
    }

    /// Sends zkBTC.
    pub fn send_zkbtc(&self, amount: Amount, address: &str) -> Result<Txid> {
        Ok(self
            .run::<Sent>(&["send-zkbtc", &sat(amount), address])?
            .txid)
    }

    /// The transaction that takes a deposit back, made offline.
    pub fn reclaim(&self, id: &RequestId) -> Result<Transaction> {
        let made: Reclaimed = self.run(&["reclaim", &id.to_string()])?;
        Ok(consensus::encode::deserialize_hex(&made.raw_transaction)?)
    }

    /// Runs a command and reads its answer.
    pub fn run<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let answer = self
            .attempt(arguments)?
            .map_err(|error| anyhow!("{}: grail {}: {error}", self.name, arguments.join(" ")))?;
        serde_json::from_value(answer.clone())
            .with_context(|| format!("grail {} answers {answer}", arguments.join(" ")))
    }

    /// Runs a command that must fail, and returns the code of the failure.
    pub fn fail(&self, arguments: &[&str]) -> Result<String> {
        code_of_failure(self.attempt(arguments)?, arguments)
    }

    /// Runs a command and returns what it tells people.
    pub fn tell(&self, arguments: &[&str]) -> Result<String> {
        let ended = Command::new(&self.program)
            .arg("--home")
            .arg(&self.home)
            .args(arguments)
            .output()
            .with_context(|| format!("running {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        ensure!(
            ended.status.success(),
            "grail {}: {}: {text}{}",
            arguments.join(" "),
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        );
        Ok(text)
    }

    fn attempt(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.program);
        command.args(["--json", "--home"]).arg(&self.home);
        answer(command.args(arguments))
    }
}

/// What `grail --json` says: its answer, or the error that it ends with.
pub(crate) type Answer = Result<serde_json::Value, serde_json::Value>;

/// Runs `grail --json`.
pub(crate) fn answer(command: &mut Command) -> Result<Answer> {
    let ended = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    if ended.status.success() {
        return Ok(Ok(serde_json::from_slice(&ended.stdout)?));
    }
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code().is_some(),
        "{command:?}: {}: {errors}",
        ended.status
    );
    Ok(Err(serde_json::from_str(errors.trim()).unwrap_or_else(
        |_| serde_json::Value::String(errors.into_owned()),
    )))
}

/// The code of an error that must be one.
pub(crate) fn code_of_failure(answer: Answer, arguments: &[&str]) -> Result<String> {
    match answer {
        Ok(answer) => Err(anyhow!("grail {} succeeds: {answer}", arguments.join(" "))),
        Err(error) => error["error"]["code"]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no code in {error}")),
    }
}

fn sat(amount: Amount) -> String {
    format!("{}sat", amount.to_sat())
}
