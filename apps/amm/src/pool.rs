//! Reserves and shares: what adds, removals and the way out do to them.
//!
//! `S`, the total, is the shares that are tokens plus [`LOCKED_SHARES`] that nobody holds. Once a
//! pool is opened, `S` is never zero and so neither reserve is: no price divides by zero, and no
//! pool starts again.

use crate::order::Amounts;
use crate::refusal::{OrderRefusal, Refusal, WholeRefusal};
use crate::units::{less, mul_div_ceil, mul_div_floor, narrow, sqrt_of_product, sum};

/// Most units of an asset that a pool holds, with all that a clearing brings: then no product of
/// two amounts leaves 128 bits. Bitcoin has about 2^51 satoshis.
pub const RESERVE_MAX: u64 = 1 << 62;
/// Shares that are nobody's. With them a drained pool keeps a remainder, and the first to add
/// cannot make a share so dear that others' adds round to nothing.
pub const LOCKED_SHARES: u64 = 1_000;

/// A pool before or after a clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Born, and nobody has added yet: holds nothing, and trades nothing.
    Unopened,
    /// Opened by the first add, for ever.
    Open(Open),
}

/// An opened pool. Reserves are from 1 to [`RESERVE_MAX`], the total from [`LOCKED_SHARES`] to
/// [`RESERVE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    a: u64,
    b: u64,
    total: u64,
}

impl Pool {
    /// The pool that a main cell with these holdings is.
    ///
    /// # Errors
    /// [`WholeRefusal::Pool`] for what no history of clearings leads to.
    pub fn read(holdings: Amounts, opened: bool) -> Result<Self, WholeRefusal> {
        let Amounts { a, b, shares } = holdings;
        if opened {
            let total = sum(shares, LOCKED_SHARES)?;
            return Ok(Self::Open(Open::new(a, b, total)?));
        }
        match holdings {
            Amounts::NONE => Ok(Self::Unopened),
            _ => Err(WholeRefusal::Pool { a, b, shares }),
        }
    }

    /// Whether the first add has been.
    pub const fn is_opened(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// What the main cell holds, with the shares that are tokens.
    pub fn holdings(&self) -> Amounts {
        match self {
            Self::Unopened => Amounts::NONE,
            Self::Open(open) => Amounts {
                a: open.a,
                b: open.b,
                shares: open.tokens(),
            },
        }
    }

    /// Adds liquidity; answers with the pool after it, and with the shares and what goes back.
    ///
    /// The first add takes all that is given and makes `isqrt(a * b) - 1,000` shares.
    pub(crate) fn add(self, given: Amounts) -> Result<(Self, Amounts), Bad> {
        match self {
            Self::Open(open) => open.add(given),
            Self::Unopened => first_add(given),
        }
    }

    /// Gives shares back for their part of both reserves.
    pub(crate) fn remove(self, shares: u64) -> Result<(Self, Amounts), Bad> {
        match self {
            Self::Open(open) => open.remove(shares),
            Self::Unopened => Err(OrderRefusal::NotOpened.into()),
        }
    }
}

impl Open {
    pub(crate) fn new(a: u64, b: u64, total: u64) -> Result<Self, WholeRefusal> {
        let reserves = 1..=RESERVE_MAX;
        let totals = LOCKED_SHARES..=RESERVE_MAX;
        if !reserves.contains(&a) || !reserves.contains(&b) || !totals.contains(&total) {
            let shares = total.saturating_sub(LOCKED_SHARES);
            return Err(WholeRefusal::Pool { a, b, shares });
        }
        Ok(Self { a, b, total })
    }

    /// Units of A, from 1 to [`RESERVE_MAX`].
    pub const fn a(&self) -> u64 {
        self.a
    }

    /// Units of B, from 1 to [`RESERVE_MAX`].
    pub const fn b(&self) -> u64 {
        self.b
    }

    /// Shares, with those that nobody holds.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Shares that somebody holds.
    pub const fn tokens(&self) -> u64 {
        // `new` refuses a total below.
        self.total.saturating_sub(LOCKED_SHARES)
    }

    /// The same shares over other reserves.
    pub(crate) fn with_reserves(self, a: u64, b: u64) -> Result<Self, WholeRefusal> {
        Self::new(a, b, self.total)
    }

    fn add(self, given: Amounts) -> Result<(Pool, Amounts), Bad> {
        let by_a = mul_div_floor(given.a, self.total, self.a).ok_or(WholeRefusal::Overflow)?;
        let by_b = mul_div_floor(given.b, self.total, self.b).ok_or(WholeRefusal::Overflow)?;
        let made = by_a.min(by_b);
        if made == 0 {
            return Err(OrderRefusal::TooSmall.into());
        }
        // More shares than the bound would take more than the bound of both reserves, since `S^2 <=
        // x * y`.
        let made = u64::try_from(made).map_err(|_| OrderRefusal::ReserveAboveMax)?;
        let taken_a = narrow(mul_div_ceil(made, self.a, self.total))?;
        let taken_b = narrow(mul_div_ceil(made, self.b, self.total))?;
        let back = Amounts {
            a: less(given.a, taken_a)?,
            b: less(given.b, taken_b)?,
            shares: made,
        };
        let after = grown(self.a, taken_a)
            .zip(grown(self.b, taken_b))
            .zip(grown(self.total, made))
            .ok_or(OrderRefusal::ReserveAboveMax)?;
        let ((a, b), total) = after;
        Ok((Pool::Open(Self::new(a, b, total)?), back))
    }

    fn remove(self, shares: u64) -> Result<(Pool, Amounts), Bad> {
        if shares > self.tokens() {
            return Err(OrderRefusal::SharesAboveAll.into());
        }
        let part = self.part_of(shares)?;
        if part == Amounts::NONE {
            return Err(OrderRefusal::TooSmall.into());
        }
        let after = Self::new(
            less(self.a, part.a)?,
            less(self.b, part.b)?,
            less(self.total, shares)?,
        )?;
        Ok((Pool::Open(after), part))
    }

    /// What so many shares are worth, rounded down: the part of both reserves that a removal pays,
    /// and that the way out of a broken app pays (`exit`, without [`crate::settle`]). The part of
    /// [`LOCKED_SHARES`] stays.
    pub fn part_of(&self, shares: u64) -> Result<Amounts, WholeRefusal> {
        Ok(Amounts {
            a: narrow(mul_div_floor(shares, self.a, self.total))?,
            b: narrow(mul_div_floor(shares, self.b, self.total))?,
            shares: 0,
        })
    }
}

fn first_add(given: Amounts) -> Result<(Pool, Amounts), Bad> {
    if given.a > RESERVE_MAX || given.b > RESERVE_MAX {
        return Err(OrderRefusal::ReserveAboveMax.into());
    }
    let total = sqrt_of_product(given.a, given.b)?;
    if total <= LOCKED_SHARES {
        return Err(OrderRefusal::TooSmall.into());
    }
    let open = Open::new(given.a, given.b, total)?;
    let made = Amounts {
        shares: open.tokens(),
        ..Amounts::NONE
    };
    Ok((Pool::Open(open), made))
}

/// `reserve + more`, none above the bound.
fn grown(reserve: u64, more: u64) -> Option<u64> {
    reserve
        .checked_add(more)
        .filter(|after| *after <= RESERVE_MAX)
}

/// A refusal without the place of its order, which the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    Order(OrderRefusal),
    Whole(WholeRefusal),
}

impl Bad {
    pub(crate) fn at(self, index: usize) -> Refusal {
        match self {
            Self::Order(why) => Refusal::Order { index, why },
            Self::Whole(why) => Refusal::Whole(why),
        }
    }
}

impl From<OrderRefusal> for Bad {
    fn from(why: OrderRefusal) -> Self {
        Self::Order(why)
    }
}

impl From<WholeRefusal> for Bad {
    fn from(why: WholeRefusal) -> Self {
        Self::Whole(why)
    }
}
