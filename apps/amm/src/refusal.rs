//! Why a clearing is refused: for one of its orders, or as a whole.

use std::fmt;

use crate::terms::TermsError;

/// Why [`crate::settle`] refuses. A contract refuses all the same; a planner leaves out the order
/// that is named and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// One order cannot be executed beside the others; without it they may be.
    Order {
        /// Its place among the clearing's orders.
        index: usize,
        /// What is wrong with it.
        why: OrderRefusal,
    },
    /// No choice of orders helps.
    Whole(WholeRefusal),
}

/// What is wrong with one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderRefusal {
    /// It brings something else than its kind takes.
    Given,
    /// It wants an asset that its kind never pays.
    WantsUnreachable,
    /// It may be paid a charm that it does not name among what it wants.
    NotNamed,
    /// Swap or removal before the first add.
    NotOpened,
    /// Rounding leaves it nothing.
    TooSmall,
    /// A reserve would pass [`crate::RESERVE_MAX`].
    ReserveAboveMax,
    /// It would get less than it wants.
    LimitNotMet,
    /// It gives back more shares than there are.
    SharesAboveAll,
}

impl OrderRefusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Given,
        Self::WantsUnreachable,
        Self::NotNamed,
        Self::NotOpened,
        Self::TooSmall,
        Self::ReserveAboveMax,
        Self::LimitNotMet,
        Self::SharesAboveAll,
    ];

    /// Stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Given => "amm-given",
            Self::WantsUnreachable => "amm-wants-unreachable",
            Self::NotNamed => "amm-not-named",
            Self::NotOpened => "amm-not-opened",
            Self::TooSmall => "amm-too-small",
            Self::ReserveAboveMax => "amm-reserve-above-max",
            Self::LimitNotMet => "amm-limit-not-met",
            Self::SharesAboveAll => "amm-shares-above-all",
        }
    }
}

/// What is wrong with the clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeRefusal {
    /// The pool's coin has not lain as long as the config demands.
    TooYoung {
        /// Blocks that the coin has lain, as its input's sequence says.
        age: u16,
        /// Blocks that the config demands.
        spacing: u8,
    },
    /// Reserves and shares that no history leads to.
    Pool {
        /// Units of A.
        a: u64,
        /// Units of B.
        b: u64,
        /// Shares in existence, without those that nobody holds.
        shares: u64,
    },
    /// The main cell holds what this pool does not.
    Holdings,
    /// The configuration's terms are out of bounds: no birth lets them be.
    Terms(TermsError),
    /// A number beyond its type. The bounds exclude it: a mistake of ours.
    Overflow,
}

impl WholeRefusal {
    /// Stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooYoung { .. } => "amm-too-young",
            Self::Pool { .. } => "amm-pool",
            Self::Holdings => "amm-holdings",
            Self::Terms(why) => why.code(),
            Self::Overflow => "amm-overflow",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order { index, why } => write!(out, "order {index}: {why}"),
            Self::Whole(why) => why.fmt(out),
        }
    }
}

impl fmt::Display for OrderRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Given => "brings other assets than its kind takes",
            Self::WantsUnreachable => "wants an asset that its kind never pays",
            Self::NotNamed => "may be paid a charm that it does not name",
            Self::NotOpened => "the pool is not opened",
            Self::TooSmall => "too small: rounding leaves nothing",
            Self::ReserveAboveMax => "a reserve would pass 2^62 units",
            Self::LimitNotMet => "would get less than it wants",
            Self::SharesAboveAll => "gives more shares than there are",
        })
    }
}

impl fmt::Display for WholeRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooYoung { age, spacing } => {
                write!(out, "expected a coin of {spacing} blocks, got {age}")
            }
            Self::Pool { a, b, shares } => {
                write!(out, "not a pool: {a} of A, {b} of B, {shares} shares")
            }
            Self::Holdings => out.write_str("the main cell holds what this pool does not"),
            Self::Terms(why) => why.fmt(out),
            Self::Overflow => out.write_str("a number beyond its bounds"),
        }
    }
}

impl std::error::Error for Refusal {}
impl std::error::Error for OrderRefusal {}
impl std::error::Error for WholeRefusal {}

impl From<WholeRefusal> for Refusal {
    fn from(why: WholeRefusal) -> Self {
        Self::Whole(why)
    }
}
