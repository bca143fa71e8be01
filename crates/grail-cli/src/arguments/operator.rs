//! `grail operator`: what the operators' administrators do.

use std::path::PathBuf;

use bitcoin::{FeeRate, Txid};
use clap::{Args, Subcommand, ValueEnum};
use grail_api::Kind;
use grail_wallet::amount::parse_amount;

use super::parse_fee_rate;

/// `grail operator`.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// The keys of administrators.
    #[command(subcommand)]
    Key(OperatorKey),
    /// Write a proposal: who is to hold the bridge next.
    Propose(Propose),
    /// Check a proposal or a cancellation and sign it.
    Approve(Approve),
    /// What a proposal or a cancellation says, who has signed it; with the API also where the
    /// rotation stands.
    Status(OperatorStatus),
    /// Write a cancellation of the rotation that is announced.
    Cancel(CancelRotation),
    /// Hand a signed proposal or cancellation to the API.
    Send(SendRotation),
    /// Pay the miners of a step of a rotation.
    Sponsor(Sponsor),
}

/// `grail operator key`.
#[derive(Debug, Subcommand)]
pub enum OperatorKey {
    /// Make a key.
    New(NewOperatorKey),
}

/// `grail operator key new`.
#[derive(Debug, Args)]
pub struct NewOperatorKey {
    /// The file to write, which must not be there yet. Keep it offline, and a copy of it.
    pub file: PathBuf,
}

/// Where the bridge's state comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct BasisArguments {
    /// The `basis` of `GET /v1/rotations`, as a file [default: asked of the API].
    #[arg(long)]
    pub basis: Option<PathBuf>,
}

/// `grail operator propose`.
#[derive(Debug, Args)]
pub struct Propose {
    /// Where the bridge stands.
    #[command(flatten)]
    pub basis: BasisArguments,
    /// The signers to come: a JSON file with `threshold` and `signers`, each of a `public_key` and,
    /// where the key is new, its `evidence`.
    #[arg(long)]
    pub roster: PathBuf,
    /// The administrators to come: a JSON file with `administrators` and `threshold` [default:
    /// those of today].
    #[arg(long)]
    pub governance: Option<PathBuf>,
    /// The parameters to come: a JSON file with those values that change [default: none].
    #[arg(long)]
    pub params: Option<PathBuf>,
    /// The enclave images to come: a JSON file as `images` of `GET /v1/params` [default: those of
    /// today].
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Lowest protocol version of the bridge's own spells [default: today's].
    #[arg(long)]
    pub spell_min: Option<u32>,
    /// Highest protocol version of the bridge's own spells [default: today's].
    #[arg(long)]
    pub spell_max: Option<u32>,
    /// The file to write, which must not be there yet.
    #[arg(long)]
    pub to: PathBuf,
}

/// `grail operator approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// The proposal or cancellation.
    pub file: PathBuf,
    /// The administrator's key.
    #[arg(long)]
    pub key: PathBuf,
    /// The protocol file, which names the bridge.
    #[arg(long)]
    pub protocol: PathBuf,
    /// The signers to come with their evidence, as `propose` was given them: needed where keys are
    /// new.
    #[arg(long)]
    pub roster: Option<PathBuf>,
    /// The bridge's rosters from its deployment on, as `grail rosters --to` writes them: followed
    /// from `--deployment` by the signatures of each before the next, so that the file's writer
    /// need not be believed. Roster, administrators, parameters and attempt are held against the
    /// newest [default: the proposal's word].
    #[arg(long, requires = "deployment")]
    pub history: Option<PathBuf>,
    /// The transaction that deployed the bridge, from a source of one's own: `grail auditor` names
    /// it. It never changes.
    #[arg(long, requires = "history")]
    pub deployment: Option<Txid>,
    /// The bridge's state, from a source of one's own: the roster, the administrators and the
    /// attempt are held against it [default: the proposal's word].
    #[arg(long)]
    pub basis: Option<PathBuf>,
    /// The file to write, which must not be there yet.
    #[arg(long)]
    pub to: PathBuf,
}

/// `grail operator status`.
#[derive(Debug, Args)]
pub struct OperatorStatus {
    /// The proposal or cancellation.
    pub file: PathBuf,
    /// Ask the API where the rotation stands.
    #[arg(long)]
    pub backend: bool,
    /// Ask the API, and tell each change until the rotation is over.
    #[arg(long)]
    pub watch: bool,
}

/// `grail operator cancel`.
#[derive(Debug, Args)]
pub struct CancelRotation {
    /// Where the bridge stands.
    #[command(flatten)]
    pub basis: BasisArguments,
    /// The file to write, which must not be there yet.
    #[arg(long)]
    pub to: PathBuf,
}

/// `grail operator send`.
#[derive(Debug, Args)]
pub struct SendRotation {
    /// The proposal or cancellation.
    pub file: PathBuf,
}

/// A step of a rotation that somebody can pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SponsoredStep {
    /// The announcement.
    Announce,
    /// Taking it back.
    Cancel,
    /// The hand-over.
    Execute,
}

impl SponsoredStep {
    /// The kind of request that pays for it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Announce => Kind::SponsorAnnounce,
            Self::Cancel => Kind::SponsorCancel,
            Self::Execute => Kind::SponsorExecute,
        }
    }
}

/// `grail operator sponsor`.
#[derive(Debug, Args)]
pub struct Sponsor {
    /// Which step.
    #[arg(long)]
    pub step: SponsoredStep,
    /// What to pay: `50000`, `50000sat` or `0.0005btc`. All of it goes to the miners.
    #[arg(long, value_parser = parse_amount)]
    pub amount: bitcoin::Amount,
    /// Blocks after which what no step took can be taken back [default: the shortest served].
    #[arg(long)]
    pub reclaim_delay: Option<u16>,
    /// Fee rate of the deposit's own transaction, sat/vB [default: the node's estimate].
    #[arg(long, value_parser = parse_fee_rate)]
    pub fee_rate: Option<FeeRate>,
    /// Ask also while the bridge says that it is paused. The server may refuse all the same.
    #[arg(long)]
    pub anyway: bool,
}
