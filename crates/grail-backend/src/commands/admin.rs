//! `admin`: asks a backend that runs for what only whoever runs it may ask for.

use std::path::PathBuf;

use anyhow::Context;

use super::exit::Fault;
use crate::admin::{
    self, AskError,
    protocol::{Answer, PAGE_DEFAULT, Part, Reason, Request},
};

/// Arguments of `admin`.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminArgs {
    /// The database of the backend that runs: the socket lies beside a SQLite file.
    #[arg(long)]
    database: String,
    /// Where the backend listens for admins, if not beside its database.
    #[arg(long)]
    admin_socket: Option<PathBuf>,
    /// Print the answer as a line of JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum AdminCommand {
    /// How it stands: pause, height, alarms, what holds the lane.
    Status,
    /// Plan no settlement and take no request until `resume`.
    Pause {
        /// Why; users see it.
        #[arg(long)]
        reason: Reason,
    },
    /// End the pause.
    Resume {
        /// Why.
        #[arg(long)]
        reason: Option<Reason>,
    },
    /// Call a settlement off that nobody has signed yet.
    Cancel {
        /// Its number, as `status` shows it.
        settlement: u64,
        /// Why.
        #[arg(long)]
        reason: Reason,
    },
    /// Jobs that are not done, oldest first.
    Jobs {
        #[command(flatten)]
        part: PartArgs,
    },
    /// Do a job no more.
    DiscardJob {
        /// Its number, as `jobs` shows it.
        id: u64,
        /// Why.
        #[arg(long)]
        reason: Reason,
    },
    /// Open alarms, newest first.
    Alarms {
        /// Also those that were acknowledged.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        part: PartArgs,
    },
    /// Take note of an alarm: you have looked, and work may go on.
    Acknowledge {
        /// Its number, as `alarms` shows it.
        alarm: u64,
        /// What you found.
        #[arg(long)]
        reason: Reason,
    },
    /// Read blocks again, as after a reorg.
    Rescan {
        /// The first of them.
        #[arg(long)]
        from_height: u32,
        /// Why.
        #[arg(long)]
        reason: Option<Reason>,
    },
    /// Who asked for what, when and why, newest first.
    Log {
        #[command(flatten)]
        part: PartArgs,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct PartArgs {
    /// Where the page begins, as the page before says.
    #[arg(long)]
    from: Option<u64>,
    /// Lines of a page, at most 200.
    #[arg(long, default_value_t = PAGE_DEFAULT)]
    limit: u16,
}

impl From<PartArgs> for Part {
    fn from(PartArgs { from, limit }: PartArgs) -> Self {
        Self { from, limit }
    }
}

impl From<AdminCommand> for Request {
    fn from(command: AdminCommand) -> Self {
        match command {
            AdminCommand::Status => Self::Status {},
            AdminCommand::Pause { reason } => Self::Pause { reason },
            AdminCommand::Resume { reason } => Self::Resume { reason },
            AdminCommand::Cancel { settlement, reason } => Self::Cancel { settlement, reason },
            AdminCommand::Jobs { part } => Self::Jobs { part: part.into() },
            AdminCommand::DiscardJob { id, reason } => Self::DiscardJob { job: id, reason },
            AdminCommand::Alarms { all, part } => Self::Alarms {
                all,
                part: part.into(),
            },
            AdminCommand::Acknowledge { alarm, reason } => Self::Acknowledge { alarm, reason },
            AdminCommand::Rescan {
                from_height,
                reason,
            } => Self::Rescan {
                from_height,
                reason,
            },
            AdminCommand::Log { part } => Self::Log { part: part.into() },
        }
    }
}

/// Runs `admin`.
pub async fn admin(args: AdminArgs) -> anyhow::Result<()> {
    let socket = (args.admin_socket)
        .or_else(|| admin::socket_of(&args.database))
        .context("the database is no file of this machine: --admin-socket PATH")
        .context(Fault::Configuration)?;
    let request = args.command.into();
    let answer = admin::ask(&socket, &request).await.map_err(|error| {
        let fault = match error {
            AskError::NotRunning(_) => Some(Fault::NotRunning),
            AskError::NotAllowed => Some(Fault::Refused),
            AskError::Broken(_) | AskError::Unreadable(_) => None,
        };
        let error = anyhow::Error::new(error);
        match fault {
            Some(fault) => error.context(fault),
            None => error,
        }
    })?;
    if args.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else if !matches!(answer, Answer::Refused(_)) {
        println!("{answer}");
    }
    match answer {
        Answer::Refused(refusal) => Err(anyhow::Error::new(refusal).context(Fault::Refused)),
        Answer::Status(_)
        | Answer::Done { .. }
        | Answer::Jobs(_)
        | Answer::Alarms(_)
        | Answer::Log(_) => Ok(()),
    }
}
