//! What can go wrong with the database, by who must act.

use grail_flow::SettlementId;
use grail_types::Epoch;

use crate::db;

/// Why a call did not do its work. Whatever it was part of must be dropped, not committed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row.
    #[error("{what} not found")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// A rule of uniqueness or order forbids it.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The row is no longer as the caller last saw it: read again.
    #[error("{what} changed since it was read")]
    Stale {
        /// What changed.
        what: &'static str,
    },
    /// A value that the database cannot or must not hold.
    #[error("{what}: expected at most {max}, got {got}")]
    OutOfRange {
        /// What was given.
        what: &'static str,
        /// Most that is allowed.
        max: u64,
        /// What it was.
        got: u64,
    },
    /// Busy, out of space or unreachable: retry later.
    #[error("database is unavailable")]
    Transient(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row does not read as what was written: an alarm.
    #[error("{what} is corrupt: {detail}")]
    Corrupt {
        /// Which column or value.
        what: &'static str,
        /// How.
        detail: String,
    },
    /// A newer version of this program wrote the row, in a form that this one does not know: it is
    /// that one's to go on with.
    #[error("{what} has form {version}, which this version does not know")]
    Newer {
        /// Which column.
        what: &'static str,
        /// Version of its form.
        version: u8,
    },
    /// Its rows went on in another database: it is a copy of before.
    #[error("the rows of this database were moved to {to}")]
    Moved {
        /// Where they are now.
        to: String,
    },
    /// The database refused for a reason that retrying will not change: a bug.
    #[error("database refused")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A rule that a write would break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The key came before with another body.
    #[error("the idempotency key was used with another body")]
    IdempotencyKeyReused,
    /// The same terms exist already.
    #[error("a request with these terms exists")]
    RequestExists,
    /// Another request has this deposit script.
    #[error("another request has this deposit script")]
    DepositScriptTaken,
    /// The terms name another epoch than the roster of the deposit address.
    #[error("the terms are of epoch {terms}, the roster is of epoch {roster}")]
    EpochDiffers {
        /// In the terms.
        terms: Epoch,
        /// Of the roster.
        roster: Epoch,
    },
    /// The rotation is not the one after the newest.
    #[error("expected the rotation to epoch {expected}, got {got}")]
    RotationDoesNotFollow {
        /// The epoch that follows.
        expected: Epoch,
        /// The epoch given.
        got: Epoch,
    },
    /// The outpoint is recorded with other contents.
    #[error("the deposit is recorded with another request, amount or charms")]
    DepositDiffers,
    /// The NFT is spent by another live settlement.
    #[error("the NFT is spent by settlement {by} already")]
    NftSpent {
        /// The other settlement.
        by: SettlementId,
    },
    /// The deposit is used by another live settlement, or twice by this one.
    #[error("the deposit is used by settlement {by} already")]
    DepositUsed {
        /// The settlement.
        by: SettlementId,
    },
    /// The request is served by another live settlement, or twice by this one.
    #[error("the request is served by settlement {by} already")]
    RequestServed {
        /// The settlement.
        by: SettlementId,
    },
    /// Another live settlement is this very transaction.
    #[error("the transaction is that of settlement {by} already")]
    TransactionTaken {
        /// The other settlement.
        by: SettlementId,
    },
    /// The transaction attached is not the one built.
    #[error("the transaction is not the one that was built")]
    TransactionDiffers,
    /// The block does not follow the newest one.
    #[error("expected a block at height {expected}, got {got}")]
    BlockDoesNotFollow {
        /// Height that follows.
        expected: u32,
        /// Height given.
        got: u32,
    },
    /// The block to rewind to is not among those remembered.
    #[error("the block at height {height} to rewind to is not remembered")]
    BlockUnknown {
        /// Its height.
        height: u32,
    },
    /// The fact is recorded with another value.
    #[error("fact {name} is {stored}, not {given}")]
    FactDiffers {
        /// Name of the fact.
        name: String,
        /// Its value.
        stored: String,
        /// The value given.
        given: String,
    },
    /// The settlement is abandoned: nothing can be attached to it.
    #[error("settlement {id} is abandoned")]
    SettlementAbandoned {
        /// The settlement.
        id: SettlementId,
    },
    /// Another backend runs on this database.
    #[error("another backend runs on this database")]
    Claimed,
    /// A constraint of the database that no check above it caught.
    #[error("constraint: {0}")]
    Constraint(String),
}

impl StoreError {
    /// Stable name of the kind, for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not-found",
            Self::Conflict(_) => "conflict",
            Self::Stale { .. } => "stale",
            Self::OutOfRange { .. } => "out-of-range",
            Self::Transient(_) => "transient",
            Self::Corrupt { .. } => "corrupt",
            Self::Newer { .. } => "newer",
            Self::Moved { .. } => "moved",
            Self::Database(_) => "database",
        }
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match error {
            Error::Database(inner) => match db::classify(inner.as_ref()) {
                db::Failure::Transient => Self::Transient(inner.into()),
                db::Failure::Constraint => Conflict::Constraint(inner.message().to_owned()).into(),
                db::Failure::Corrupt => Self::corrupt("database", inner),
                db::Failure::Other => Self::Database(inner.into()),
            },
            Error::Io(_)
            | Error::Tls(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed => Self::Transient(error.into()),
            Error::ColumnDecode { .. } | Error::Decode(_) => Self::corrupt("column", error),
            other => Self::Database(other.into()),
        }
    }
}
