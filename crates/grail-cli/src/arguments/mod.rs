//! The command line.

mod attest;
mod explain;
mod operator;

use std::path::PathBuf;

use bitcoin::{FeeRate, OutPoint, Txid};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use grail_program::options::without_empty_variables;
use grail_types::{Network, RequestId};

use grail_wallet::amount::parse_amount;
use grail_wallet::fund::{FEE_RATE_MAX, FEE_RATE_MIN};

use crate::passphrase::{PASSPHRASE, PassphraseSource};
use crate::session::Settings;

pub use attest::{AttestCommand, EvidenceKind, ExpectedRegister, VerifyEvidence};
pub use explain::{AtBlock, Explain, Explained};
pub use operator::{
    Approve, BasisArguments, CancelRotation, NewOperatorKey, OperatorCommand, OperatorKey,
    OperatorStatus, Propose, SendRotation, Sponsor, SponsoredStep,
};

/// A wallet for BTC and zkBTC.
#[derive(Debug, Parser)]
#[command(name = "grail", version, about, long_about = None)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// The wallet's folder [default: ~/.grail].
    #[arg(long, global = true, env = "GRAIL_HOME")]
    home: Option<PathBuf>,
    /// Network: regtest, signet, testnet4 or mainnet.
    #[arg(long, global = true, env = "GRAIL_NETWORK")]
    network: Option<Network>,
    /// Bitcoin Core's RPC address, `http://host:port`.
    #[arg(long, global = true, env = "GRAIL_NODE")]
    node: Option<String>,
    /// Bitcoin Core's cookie file.
    #[arg(long, global = true, env = "GRAIL_NODE_COOKIE", conflicts_with_all = ["node_user", "node_password_file"])]
    node_cookie: Option<PathBuf>,
    /// Bitcoin Core's RPC user.
    #[arg(
        long,
        global = true,
        env = "GRAIL_NODE_USER",
        requires = "node_password_file"
    )]
    node_user: Option<String>,
    /// File with that user's password.
    #[arg(
        long,
        global = true,
        env = "GRAIL_NODE_PASSWORD_FILE",
        requires = "node_user"
    )]
    node_password_file: Option<PathBuf>,
    /// Grail's API, `http://host:port`.
    #[arg(long, global = true, env = "GRAIL_API")]
    api: Option<String>,
    /// File with the passphrase of the mnemonic, where it is encrypted [default:
    /// `GRAIL_PASSPHRASE`, or asked on the terminal].
    #[arg(long, global = true, env = "GRAIL_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// Answer in JSON; errors too, on standard error.
    #[arg(long, global = true)]
    json: bool,
}

impl Arguments {
    /// Reads the command line and the environment, where a variable without content counts as
    /// absent: that is how a compose file passes what nobody has set. Wrong usage ends the process.
    pub fn read() -> Self {
        let mut matches = without_empty_variables(Self::command()).get_matches();
        match Self::from_arg_matches_mut(&mut matches) {
            Ok(arguments) => arguments,
            Err(error) => error.exit(),
        }
    }

    /// Whether to answer in JSON.
    pub fn is_json(&self) -> bool {
        self.global.json
    }

    /// The network that was named, if one was.
    pub fn network(&self) -> Option<Network> {
        self.global.network
    }

    /// Where everything is. `None` when there is no home folder and none was named.
    pub fn settings(&self) -> Option<Settings> {
        let default = || std::env::home_dir().map(|home| home.join(".grail"));
        let home = self.global.home.clone().or_else(default)?;
        Some(self.settings_at(home))
    }

    /// The same for a command that needs no home folder: where none is known, a name that is never
    /// there.
    pub fn settings_without_home(&self) -> Settings {
        self.settings()
            .unwrap_or_else(|| self.settings_at(PathBuf::new()))
    }

    fn settings_at(&self, home: PathBuf) -> Settings {
        let global = &self.global;
        Settings {
            home,
            network: global.network,
            node: global.node.clone(),
            node_cookie: global.node_cookie.clone(),
            node_user: global.node_user.clone(),
            node_password_file: global.node_password_file.clone(),
            api: global.api.clone(),
            passphrase: PassphraseSource::of(global.passphrase_file.as_deref(), PASSPHRASE),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a wallet: a new mnemonic, or one from a file.
    Init(Init),
    /// Read the chain anew, and look for addresses further ahead: where a balance is less than
    /// expected.
    Rescan(Rescan),
    /// What the words alone find, from a Bitcoin node: coins, zkBTC, and deposits that are not
    /// settled, with the receipts to take them back.
    Recover(Recover),
    /// A fresh address, for BTC and zkBTC alike.
    Address,
    /// BTC and zkBTC, apart.
    Balance,
    /// Unspent outputs and what they carry.
    List,
    /// Send BTC. Never spends an output that carries charms.
    Send(Send),
    /// Send zkBTC.
    SendZkbtc(Send),
    /// Raise the fee of a payment that waits for a block: pays the difference from its change.
    Bump(Bump),
    /// BTC to zkBTC.
    PegIn(Peg),
    /// zkBTC to BTC.
    PegOut(Peg),
    /// Where a request stands.
    Status(Status),
    /// Take a deposit back; works offline, prints the raw transaction.
    Reclaim(Reclaim),
    /// Whether a request made now would be served, and how much may leave.
    Bridge,
    /// The signers, and whether their evidence verifies.
    Roster,
    /// Every roster so far, followed from the deployment by the signatures of each before the next;
    /// with a node, also that each is in a block.
    Rosters(Rosters),
    /// What is locked against what exists; with a node, recomputed from the chain.
    Reserves,
    /// Receipts of requests made here.
    Receipts(Receipts),
    /// Encrypt the mnemonic on this machine, change its passphrase, or remove it.
    #[command(subcommand)]
    Passphrase(PassphraseCommand),
    /// Show the words of the mnemonic on the terminal, to copy them to paper.
    Words(Words),
    /// About the wallet's outputs.
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Spells of transactions; needs no wallet, no node and no network.
    #[command(subcommand)]
    Spell(SpellCommand),
    /// Attestation evidence of a TEE; needs no wallet, no node and no network.
    #[command(subcommand)]
    Attest(AttestCommand),
    /// Follow the roster NFT from its deployment and check every step, from a Bitcoin node alone.
    Auditor(Audit),
    /// What the operators' administrators do: rotations are proposed, approved, taken back and paid
    /// for.
    #[command(subcommand)]
    Operator(OperatorCommand),
}

/// `grail passphrase`.
#[derive(Debug, Subcommand)]
pub enum PassphraseCommand {
    /// Encrypt the mnemonic under a passphrase, or under another one.
    Set(SetPassphrase),
    /// Leave the words as they are in their file.
    Remove,
}

/// `grail passphrase set`.
#[derive(Debug, Default, Args)]
pub struct SetPassphrase {
    /// File with the new passphrase [default: `GRAIL_NEW_PASSPHRASE`, or asked on the terminal].
    #[arg(long)]
    pub new_passphrase_file: Option<PathBuf>,
}

/// `grail words`.
#[derive(Debug, Default, Args)]
pub struct Words {
    /// Write them to this file, which must not be there yet, instead of showing them.
    #[arg(long)]
    pub to: Option<PathBuf>,
}

/// `grail rosters`.
#[derive(Debug, Default, Args)]
pub struct Rosters {
    /// Write them with their evidence to this file, which must not be there yet: for machines
    /// without a network, and for `grail auditor`.
    #[arg(long)]
    pub to: Option<PathBuf>,
}

/// `grail wallet`.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Why an output is or is not counted in the balance.
    Explain(Explain),
}

/// `grail spell`.
#[derive(Debug, Subcommand)]
pub enum SpellCommand {
    /// Verify the spells of raw transactions. Mock proofs count with `--network regtest` alone.
    Verify(VerifySpells),
}

/// `grail spell verify`.
#[derive(Debug, Args)]
pub struct VerifySpells {
    /// Files with one raw transaction each, hexadecimal; `-` is standard input.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// `grail auditor`.
#[derive(Debug, Args)]
pub struct Audit {
    /// The protocol file, which names the bridge [default: what the wallet has pinned].
    #[arg(long)]
    pub protocol: Option<PathBuf>,
    /// What the bridge went by since: a file of `grail rosters --to`, by whomever it was written.
    #[arg(long, requires = "protocol")]
    pub history: Option<PathBuf>,
    /// The transaction that deployed the bridge, instead of a protocol file: the parameters' hash
    /// is then not checked.
    #[arg(long, conflicts_with = "protocol")]
    pub deployment: Option<Txid>,
    /// First block to read: any up to the deployment's, or better up to the first coin at the
    /// first vault's address.
    #[arg(long, default_value_t = 1)]
    pub from_height: u32,
    /// Show each transfer and reclaim, not only their number.
    #[arg(long)]
    pub all: bool,
}

/// `grail init`.
#[derive(Debug, Default, Args)]
pub struct Init {
    /// File with the words of an existing mnemonic.
    #[arg(long)]
    pub mnemonic_file: Option<PathBuf>,
    /// Blocks before this hold nothing of the wallet's [default: the tip for a new mnemonic, 1 for
    /// an existing one].
    #[arg(long)]
    pub birthday_height: Option<u32>,
    /// Addresses that are looked for beyond the last one known to be in use [default: 25 for a new
    /// mnemonic, 200 for an existing one].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=LOOK_AHEAD_MAX))]
    pub look_ahead: Option<u32>,
    /// The protocol file to pin (bridge, parameters, images) [default: the API's].
    #[arg(long)]
    pub protocol: Option<PathBuf>,
    /// Keep the words as they are, in a file of mode 600 [default: asked on a terminal; a
    /// passphrase that is given encrypts them].
    #[arg(long)]
    pub no_passphrase: bool,
}

/// `grail rescan`.
#[derive(Debug, Default, Args)]
pub struct Rescan {
    /// Addresses that are looked for beyond the last one known to be in use [default: 1,000, or
    /// what was asked for last time if that is more].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=LOOK_AHEAD_MAX))]
    pub look_ahead: Option<u32>,
    /// First block to read [default: the wallet's birthday].
    #[arg(long)]
    pub from_height: Option<u32>,
}

/// `grail recover`.
#[derive(Debug, Default, Args)]
pub struct Recover {
    /// First block to read, and since when requests are looked for [default: the wallet's
    /// birthday; requests of two years].
    #[arg(long)]
    pub from_height: Option<u32>,
    /// Addresses that are looked for beyond the last one known to be in use [default: 1,000, or
    /// what was asked for last time if that is more].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=LOOK_AHEAD_MAX))]
    pub look_ahead: Option<u32>,
    /// The protocol file of the bridge, where none is pinned [default: the API's].
    #[arg(long)]
    pub protocol: Option<PathBuf>,
    /// A fee cap that a request may have, beside the default ones.
    #[arg(long, value_parser = parse_amount)]
    pub fee_cap: Option<bitcoin::Amount>,
    /// A reclaim delay that a request may have, beside the default one.
    #[arg(long)]
    pub reclaim_delay: Option<u16>,
    /// Whom requests pay, in place of this wallet.
    #[arg(long)]
    pub to: Option<String>,
}

/// More addresses take minutes to derive at each command.
const LOOK_AHEAD_MAX: i64 = 100_000;

/// `grail send`, `grail send-zkbtc`.
#[derive(Debug, Args)]
pub struct Send {
    /// `50000`, `50000sat` or `0.0005btc`.
    #[arg(value_parser = parse_amount)]
    pub amount: bitcoin::Amount,
    /// To whom.
    pub address: String,
    /// Fee rate, sat/vB [default: the node's estimate].
    #[arg(long, value_parser = parse_fee_rate)]
    pub fee_rate: Option<FeeRate>,
}

/// `grail bump`.
#[derive(Debug, Args)]
pub struct Bump {
    /// The payment.
    pub txid: Txid,
    /// Fee rate, sat/vB [default: the node's estimate, and at least what nodes take in place of the
    /// old one].
    #[arg(long, value_parser = parse_fee_rate)]
    pub fee_rate: Option<FeeRate>,
}

/// `grail peg-in`, `grail peg-out`.
#[derive(Debug, Args)]
pub struct Peg {
    /// `50000`, `50000sat` or `0.0005btc`.
    #[arg(value_parser = parse_amount)]
    pub amount: bitcoin::Amount,
    /// Ask also while the bridge says that it is paused. The server may refuse all the same.
    #[arg(long)]
    pub anyway: bool,
    /// Who gets the other side [default: a fresh address of this wallet].
    #[arg(long)]
    pub to: Option<String>,
    /// Most that the settlement's fee may take [default: by the fee rate, at most half of the
    /// amount].
    #[arg(long, value_parser = parse_amount)]
    pub fee_cap: Option<bitcoin::Amount>,
    /// Blocks after which the deposit can be taken back [default: the shortest served].
    #[arg(long)]
    pub reclaim_delay: Option<u16>,
    /// Fee rate of the deposit's own transaction, sat/vB [default: the node's estimate].
    #[arg(long, value_parser = parse_fee_rate)]
    pub fee_rate: Option<FeeRate>,
    /// Peg in although the node does not relay spells: the way back then needs another node.
    #[arg(long)]
    pub one_way: bool,
}

/// `grail receipts`.
#[derive(Debug, Default, Args)]
pub struct Receipts {
    /// What to do with them, other than to show them.
    #[command(subcommand)]
    pub command: Option<ReceiptsCommand>,
}

/// `grail receipts`.
#[derive(Debug, Subcommand)]
pub enum ReceiptsCommand {
    /// Hand receipts to a server that lost the requests, so that it serves them after all.
    Send(SendReceipts),
}

/// `grail receipts send`.
#[derive(Debug, Default, Args)]
pub struct SendReceipts {
    /// Receipt files, or ids of requests made here [default: every request made here whose deposit
    /// is unspent].
    pub receipts: Vec<String>,
    /// The deposit of the one receipt that is named, `txid:vout` [default: found in the wallet].
    #[arg(long, requires = "receipts")]
    pub outpoint: Option<OutPoint>,
}

/// `grail status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The request.
    pub id: RequestId,
    /// Show every change until the request has ended.
    #[arg(long)]
    pub watch: bool,
}

/// `grail reclaim`.
#[derive(Debug, Args)]
pub struct Reclaim {
    /// A receipt file, or the id of a request made here.
    pub receipt: String,
    /// The deposit, `txid:vout` [default: found in the wallet].
    #[arg(long)]
    pub outpoint: Option<OutPoint>,
    /// The deposit's amount, when its transaction is not at hand.
    #[arg(long, value_parser = parse_amount, requires = "outpoint")]
    pub amount: Option<bitcoin::Amount>,
    /// File with the deposit's transaction, hex.
    #[arg(long)]
    pub deposit_tx: Option<PathBuf>,
    /// Where the deposit goes [default: a fresh address of this wallet].
    #[arg(long)]
    pub to: Option<String>,
    /// Fee rate, sat/vB [default: 2 offline, the node's estimate with --broadcast].
    #[arg(long, value_parser = parse_fee_rate)]
    pub fee_rate: Option<FeeRate>,
    /// Hand it to the node.
    #[arg(long)]
    pub broadcast: bool,
}

/// Whole satoshis per vbyte.
fn parse_fee_rate(text: &str) -> Result<FeeRate, String> {
    text.parse()
        .ok()
        .and_then(FeeRate::from_sat_per_vb)
        .filter(|rate| (FEE_RATE_MIN..=FEE_RATE_MAX).contains(rate))
        .ok_or_else(|| format!("expected 1 to 1000 sat/vB, got {text:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn fee_rates_are_whole_and_sane() {
        assert_eq!(parse_fee_rate("1").unwrap(), FeeRate::BROADCAST_MIN);
        assert!(parse_fee_rate("1000").is_ok());
        for wrong in ["0", "1001", "-1", "1.5", "", "18446744073709551615"] {
            assert!(parse_fee_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn global_options_stand_before_and_after_the_command() {
        let before = Arguments::try_parse_from(["grail", "--json", "balance"]).unwrap();
        let after = Arguments::try_parse_from(["grail", "balance", "--json"]).unwrap();
        assert!(before.is_json() && after.is_json());
    }

    #[test]
    fn refuses_bad_amounts_as_usage() {
        for wrong in ["0", "1.5", "abc"] {
            let error = Arguments::try_parse_from(["grail", "peg-in", wrong]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
    }
}
