//! What an order brings, wants, and asks for.

use crate::refusal::{OrderRefusal, WholeRefusal};
use crate::terms::Terms;
use crate::units::part_floor;

/// Units of the pair's assets and of the pool's shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts {
    /// Units of A.
    pub a: u64,
    /// Units of B.
    pub b: u64,
    /// Shares of the pool.
    pub shares: u64,
}

impl Amounts {
    /// Nothing.
    pub const NONE: Self = Self {
        a: 0,
        b: 0,
        shares: 0,
    };

    /// Whether each is at least what is wanted of it.
    pub(crate) const fn reach(&self, wants: &Self) -> bool {
        self.a >= wants.a && self.b >= wants.b && self.shares >= wants.shares
    }
}

/// What an order asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Gives A or B, gets the other at the clearing's price.
    Swap,
    /// Gives both, gets shares, and what the shares did not cost.
    Add,
    /// Gives shares, gets their part of both reserves.
    Remove,
}

/// One order of a clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it asks for.
    pub kind: Kind,
    /// What it brings.
    pub given: Amounts,
    /// What it must at least get: its limit.
    pub wants: Amounts,
}

/// An order whose shape is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    Swap(Sale),
    Add,
    Remove,
}

/// A swap: so much is sold, of which so much counts, for at least so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sale {
    pub side: Side,
    /// What it brings; whether a reserve has room for it, [`crate::price::Book::with`] says.
    pub given: u64,
    /// What is left of it after the fee, at least 1.
    pub effective: u64,
    /// The least it takes, at least 1: a swap for nothing is none.
    pub want: u64,
}

/// What a swap gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}

impl Sale {
    /// What the other side pays, as part of the pair's amounts.
    pub(crate) fn paid(&self, units: u64) -> Amounts {
        match self.side {
            Side::A => Amounts {
                b: units,
                ..Amounts::NONE
            },
            Side::B => Amounts {
                a: units,
                ..Amounts::NONE
            },
        }
    }
}

impl Order {
    /// Reads the shape: what it gives must be what its kind takes, and nothing besides.
    pub(crate) fn leg(&self, terms: Terms) -> Result<Leg, crate::pool::Bad> {
        let Amounts { a, b, shares } = self.given;
        match (self.kind, a, b, shares) {
            (Kind::Swap, 1.., 0, 0) => self.sale(terms, Side::A),
            (Kind::Swap, 0, 1.., 0) => self.sale(terms, Side::B),
            (Kind::Add, 1.., 1.., 0) => Ok(Leg::Add),
            (Kind::Remove, 0, 0, 1..) if self.wants.shares == 0 => Ok(Leg::Remove),
            (Kind::Remove, 0, 0, 1..) => Err(OrderRefusal::WantsUnreachable.into()),
            _ => Err(OrderRefusal::Given.into()),
        }
    }

    fn sale(&self, terms: Terms, side: Side) -> Result<Leg, crate::pool::Bad> {
        let (given, want, others) = match side {
            Side::A => (self.given.a, self.wants.b, self.wants.a),
            Side::B => (self.given.b, self.wants.a, self.wants.b),
        };
        if others != 0 || self.wants.shares != 0 {
            return Err(OrderRefusal::WantsUnreachable.into());
        }
        let effective = after_fee(terms, given)?;
        if effective == 0 {
            return Err(OrderRefusal::TooSmall.into());
        }
        Ok(Leg::Swap(Sale {
            side,
            given,
            effective,
            want: want.max(1),
        }))
    }
}

/// What counts of an amount: the fee is rounded up.
fn after_fee(terms: Terms, given: u64) -> Result<u64, WholeRefusal> {
    let kept = Terms::BASIS.saturating_sub(terms.fee_bps());
    part_floor(given, kept, Terms::BASIS).ok_or(WholeRefusal::Overflow)
}
