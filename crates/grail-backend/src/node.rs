//! The node, from asynchronous code.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail, ensure};
use bitcoin::{OutPoint, Transaction};
use grail_chain::{Auth, BitcoinCore, CALL_TIMEOUT, Chain, ChainError, ErrorKind, Nodes, View};
use grail_program::options::Table;
use grail_types::Network;

/// Variable that holds the node's password, for those who keep it in no file.
const PASSWORD_VARIABLE: &str = "GRAIL_NODE_PASSWORD";
/// A password has some dozens of characters.
const PASSWORD_BYTES_MAX: usize = 4_096;
/// Pauses between looks for a node that is down or starts, the last one again and again.
const WAIT_SECONDS: [u64; 4] = [1, 2, 5, 10];

/// A node: where it is and how it knows us.
#[derive(Clone, Debug, clap::Args)]
pub struct OneNode {
    /// Bitcoin Core's RPC address, `http://host:port`. Several nodes are told in the configuration
    /// file.
    #[arg(long)]
    node_url: Option<String>,
    /// Bitcoin Core's cookie file.
    #[arg(long, requires = "node_url", conflicts_with = "node_user")]
    node_cookie: Option<PathBuf>,
    /// Bitcoin Core's RPC user (`rpcauth`). Its password comes from `--node-password-file` or the
    /// variable `GRAIL_NODE_PASSWORD`.
    #[arg(long, requires = "node_url")]
    node_user: Option<String>,
    /// File with that user's password.
    #[arg(long, requires = "node_user", conflicts_with = "node_cookie")]
    node_password_file: Option<PathBuf>,
}

/// The node, or the nodes that the configuration file lists.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    #[command(flatten)]
    one: OneNode,
    /// A table `[[node]]` of the file.
    #[arg(long, hide = true)]
    node_table: Vec<Table<OneNode>>,
}

impl NodeArgs {
    /// The one that options name, or else those of the file.
    fn all(&self) -> anyhow::Result<Vec<&OneNode>> {
        if self.one.node_url.is_some() {
            return Ok(vec![&self.one]);
        }
        let all: Vec<_> = self.node_table.iter().map(|it| &it.0).collect();
        ensure!(
            !all.is_empty(),
            "no node is named: --node-url URL, or a table [[node]] in the configuration file"
        );
        Ok(all)
    }
}

impl OneNode {
    /// The credentials. `variable` is the environment's word, where it has one: empty is none.
    fn auth(&self, variable: Option<OsString>) -> anyhow::Result<Auth> {
        let Some(user) = &self.node_user else {
            let cookie = self.node_cookie.clone();
            return Ok(Auth::Cookie(
                cookie.context("a node needs --node-cookie or --node-user")?,
            ));
        };
        let password = match (&self.node_password_file, variable) {
            (Some(path), _) => {
                String::from_utf8(grail_files::read_bounded(path, PASSWORD_BYTES_MAX)?)
                    .map_err(|_| anyhow!("{}: expected text", path.display()))?
            }
            (None, Some(value)) if !value.is_empty() => value
                .into_string()
                .map_err(|_| anyhow!("{PASSWORD_VARIABLE}: expected text"))?,
            (None, _) => bail!("--node-user needs --node-password-file or {PASSWORD_VARIABLE}"),
        };
        // Editors end a file with a line's end; a password has none.
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        ensure!(!password.is_empty(), "the node's password is empty");
        Ok(Auth::UserPassword {
            user: user.clone(),
            password,
        })
    }

    fn core(&self) -> anyhow::Result<BitcoinCore> {
        let url = self.node_url.as_deref().context("a node needs its url")?;
        let auth = self.auth(std::env::var_os(PASSWORD_VARIABLE))?;
        Ok(BitcoinCore::new(url, auth, CALL_TIMEOUT)?)
    }

    /// Whether it is worth asking again. A password that the node does not know stays unknown; a
    /// cookie is written by a node that starts.
    fn passes(&self, error: &ChainError) -> bool {
        let is_refused = matches!(error, ChainError::Credentials { .. });
        error.kind() == ErrorKind::Transient && !(is_refused && self.node_user.is_some())
    }
}

/// A chain whose blocking calls run where blocking is allowed.
#[derive(Clone)]
pub struct Node(Arc<dyn Chain>);

impl Node {
    /// Connects and makes sure that the node is on `network`. Of several, those that do not answer
    /// now are asked again later.
    pub async fn connect(args: &NodeArgs, network: Network) -> anyhow::Result<Self> {
        let site = Site::new(args, network)?;
        match site.check().await? {
            Some((_, error)) => Err(error.into()),
            None => Ok(site.node()),
        }
    }

    /// The same, once one of them is there: waits for those that are down or start, and says so.
    pub async fn wait(
        args: &NodeArgs,
        network: Network,
        waits: impl Fn(&'static str),
    ) -> anyhow::Result<Self> {
        let site = Site::new(args, network)?;
        let mut tries = 0_usize;
        while let Some((node, error)) = site.check().await? {
            if !node.passes(&error) {
                return Err(error.into());
            }
            let seconds = WAIT_SECONDS.get(tries).or(WAIT_SECONDS.last());
            let seconds = seconds.copied().unwrap_or(1);
            tracing::warn!(code = error.code(), %error, seconds, "waiting for the node");
            waits(error.code());
            tries = tries.saturating_add(1);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        Ok(site.node())
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

/// Nodes that are to be asked, with what was told of each.
struct Site {
    network: String,
    all: Vec<(OneNode, Arc<BitcoinCore>)>,
}

impl Site {
    fn new(args: &NodeArgs, network: Network) -> anyhow::Result<Self> {
        let all = args.all()?.into_iter();
        let all = all.map(|it| Ok((it.clone(), Arc::new(it.core()?))));
        Ok(Self {
            // As Bitcoin Core names it.
            network: match network {
                Network::Mainnet => "main".to_owned(),
                other => other.to_string(),
            },
            all: all.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Makes sure that each one that answers is on the network. The first one's answer, if none
    /// gives a good one.
    async fn check(&self) -> anyhow::Result<Option<(&OneNode, ChainError)>> {
        let expected = &self.network;
        let (mut first, mut is_there) = (None, false);
        for (node, core) in &self.all {
            let asked = Arc::clone(core);
            match tokio::task::spawn_blocking(move || asked.network_name()).await? {
                Ok(got) => {
                    ensure!(
                        got == *expected,
                        "the node at {} is on {got}, the parameters are for {expected}",
                        core.rpc().url()
                    );
                    is_there = true;
                }
                Err(error) => {
                    if self.all.len() > 1 {
                        tracing::warn!(code = error.code(), %error, "a node does not answer");
                    }
                    first.get_or_insert((node, error));
                }
            }
        }
        Ok(first.filter(|_| !is_there))
    }

    fn node(self) -> Node {
        let mut all = self.all.into_iter().map(|(_, core)| core);
        match (all.next(), all.next()) {
            (Some(only), None) => Node(only),
            (first, second) => {
                let all = first.into_iter().chain(second).chain(all);
                Node(Arc::new(Nodes::new(self.network, all.collect())))
            }
        }
    }
}

/// Pause between looks at something outside that has not happened yet.
pub const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        node: NodeArgs,
    }

    fn parsed(options: &[&str]) -> Result<OneNode, clap::Error> {
        let fixed = ["program", "--node-url", "http://127.0.0.1:1"];
        Program::try_parse_from(fixed.iter().chain(options)).map(|program| program.node.one)
    }

    fn password(options: &[&str], variable: Option<&str>) -> anyhow::Result<String> {
        match parsed(options).unwrap().auth(variable.map(Into::into))? {
            Auth::UserPassword { password, .. } => Ok(password),
            Auth::Cookie(_) => bail!("a cookie"),
        }
    }

    #[test]
    fn a_node_is_asked_by_cookie_or_by_user_and_by_one_of_them() {
        let by_cookie = parsed(&["--node-cookie", "c"]).unwrap();
        assert!(matches!(by_cookie.auth(None).unwrap(), Auth::Cookie(_)));
        let neither = parsed(&[]).unwrap().auth(None).err().unwrap().to_string();
        assert!(neither.contains("--node-user"), "{neither}");
        for wrong in [
            &["--node-cookie", "c", "--node-user", "u"][..],
            &["--node-cookie", "c", "--node-password-file", "f"],
            // On a command line everybody on the machine reads it.
            &["--node-user", "u", "--node-password", "secret"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_comes_from_its_file_or_else_from_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "from file \n").unwrap();
        let with_file = [
            "--node-user",
            "u",
            "--node-password-file",
            path.to_str().unwrap(),
        ];
        assert_eq!(password(&with_file, None).unwrap(), "from file ");
        assert_eq!(password(&with_file, Some("other")).unwrap(), "from file ");
        let alone = ["--node-user", "u"];
        assert_eq!(password(&alone, Some("other")).unwrap(), "other");
        for none in [None, Some("")] {
            let error = password(&alone, none).unwrap_err().to_string();
            assert!(error.contains(PASSWORD_VARIABLE), "{error}");
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(password(&with_file, None).is_err());
        std::fs::write(&path, "x".repeat(PASSWORD_BYTES_MAX + 1)).unwrap();
        assert!(password(&with_file, None).is_err());
    }

    #[test]
    fn a_late_cookie_is_waited_for_and_a_wrong_password_is_not() {
        let refused = ChainError::Credentials {
            detail: "a test".to_owned(),
        };
        let busy = ChainError::Busy {
            detail: "a test".to_owned(),
        };
        let by_cookie = parsed(&["--node-cookie", "c"]).unwrap();
        let by_user = parsed(&["--node-user", "u"]).unwrap();
        assert!(by_cookie.passes(&refused) && by_cookie.passes(&busy));
        assert!(!by_user.passes(&refused) && by_user.passes(&busy));
    }
}
