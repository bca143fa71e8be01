//! Why a clearing is refused: for one of its orders, or as a whole.

use thiserror::Error;

/// Why [`crate::settle`] refuses. A contract refuses all the same; a planner leaves out the order that is named
/// and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// One order cannot be executed beside the others; without it they may be.
    #[error("order {index}: {why}")]
    Order {
        /// Its place among the clearing's orders.
        index: usize,
        /// What is wrong with it.
        why: OrderRefusal,
    },
    /// No choice of orders helps.
    #[error(transparent)]
    Whole(#[from] WholeRefusal),
}

/// What is wrong with one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum OrderRefusal {
    /// It brings something else than its kind takes.
    #[error("brings other assets than its kind takes")]
    Given,
    /// It wants an asset that its kind never pays.
    #[error("wants an asset that its kind never pays")]
    WantsUnreachable,
    /// Swap or removal before the first add.
    #[error("the pool is not opened")]
    NotOpened,
    /// Rounding leaves it nothing.
    #[error("too small: rounding leaves nothing")]
    TooSmall,
    /// A reserve would pass [`crate::RESERVE_MAX`].
    #[error("a reserve would pass 2^62 units")]
    ReserveAboveMax,
    /// It would get less than it wants.
    #[error("would get less than it wants")]
    LimitNotMet,
    /// It gives back more shares than there are.
    #[error("gives more shares than there are")]
    SharesAboveAll,
}

impl OrderRefusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Given,
        Self::WantsUnreachable,
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
            Self::NotOpened => "amm-not-opened",
            Self::TooSmall => "amm-too-small",
            Self::ReserveAboveMax => "amm-reserve-above-max",
            Self::LimitNotMet => "amm-limit-not-met",
            Self::SharesAboveAll => "amm-shares-above-all",
        }
    }
}

/// What is wrong with the clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WholeRefusal {
    /// The pool's coin has not lain as long as the config demands.
    #[error("the pool's coin is {age} blocks old, at least {spacing} are needed")]
    TooYoung {
        /// Blocks that the coin has lain, as its input's sequence says.
        age: u16,
        /// Blocks that the config demands.
        spacing: u8,
    },
    /// Reserves and shares that no history leads to.
    #[error("not a pool: {a} of A, {b} of B, {shares} shares")]
    Pool {
        /// Units of A.
        a: u64,
        /// Units of B.
        b: u64,
        /// Shares in existence, without those that nobody holds.
        shares: u64,
    },
    /// A number beyond its type. The bounds exclude it: a mistake of ours.
    #[error("a number beyond its bounds")]
    Overflow,
}

impl WholeRefusal {
    /// Stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooYoung { .. } => "amm-too-young",
            Self::Pool { .. } => "amm-pool",
            Self::Overflow => "amm-overflow",
        }
    }
}
