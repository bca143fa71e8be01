//! The one price of a clearing, and what it pays whom.
//!
//! With reserves `x` and `y`, sums after the fee `SA` and `SB`, and weight `w`, the price is of
//! `X = x + w * SA` and `Y = y + w * SB`: one unit of A is worth `Y / X` of B. Since `x + SA` and
//! `y + SB` are at most 2^62, both are at most 2^63, an amount is at most 2^62, and every product
//! stays below 2^126.

use std::cmp::Ordering;

use crate::order::{Sale, Side};
use crate::pool::{Open, RESERVE_MAX};
use crate::refusal::{OrderRefusal, WholeRefusal};
use crate::terms::{Terms, Weight};
use crate::units::{less, mul_div_floor, narrow, product_is_less, sum};

/// The price of a clearing: `b_units` of B for `a_units` of A, a fraction that is not reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// `X`, at least 1.
    pub a_units: u64,
    /// `Y`, at least 1.
    pub b_units: u64,
}

impl Price {
    /// What a swap gets, rounded down.
    pub(crate) fn pays(&self, sale: &Sale) -> Result<u64, WholeRefusal> {
        let (bought, sold) = self.toward(sale.side);
        narrow(mul_div_floor(sale.effective, bought, sold))
    }

    /// Whether a swap gets what it wants, without a division: `effective * bought / sold >= want`.
    pub(crate) fn meets(&self, sale: &Sale) -> bool {
        let (bought, sold) = self.toward(sale.side);
        !product_is_less(sale.effective, bought, sale.want, sold)
    }

    const fn toward(&self, side: Side) -> (u64, u64) {
        match side {
            Side::A => (self.b_units, self.a_units),
            Side::B => (self.a_units, self.b_units),
        }
    }
}

/// Sums over the swaps of a clearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    given: Both,
    effective: Both,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Both {
    a: u64,
    b: u64,
}

impl Both {
    fn of(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}

impl Book {
    /// Counts a swap in, unless the reserve that it adds to would pass the bound.
    pub fn with(mut self, pool: &Open, sale: &Sale) -> Result<Self, OrderRefusal> {
        let reserve = match sale.side {
            Side::A => pool.a(),
            Side::B => pool.b(),
        };
        let given = self.given.of(sale.side);
        let after = given.checked_add(sale.given).filter(|given| {
            reserve
                .checked_add(*given)
                .is_some_and(|reserve| reserve <= RESERVE_MAX)
        });
        *given = after.ok_or(OrderRefusal::ReserveAboveMax)?;
        // At most what is given, which the bound above holds.
        let effective = self.effective.of(sale.side);
        *effective = effective.saturating_add(sale.effective);
        Ok(self)
    }

    /// Counts a swap out that was counted in.
    pub fn without(mut self, sale: &Sale) -> Result<Self, WholeRefusal> {
        let given = self.given.of(sale.side);
        *given = less(*given, sale.given)?;
        let effective = self.effective.of(sale.side);
        *effective = less(*effective, sale.effective)?;
        Ok(self)
    }

    /// The price at which all of these swaps are executed.
    pub fn price(&self, pool: &Open, terms: Terms) -> Result<Price, WholeRefusal> {
        let weighed = |reserve: u64, brought: u64| match terms.weight() {
            Weight::One => sum(reserve, brought),
            Weight::Two => sum(sum(reserve, brought)?, brought),
        };
        Ok(Price {
            a_units: weighed(pool.a(), self.effective.a)?,
            b_units: weighed(pool.b(), self.effective.b)?,
        })
    }

    /// The pool after these swaps were paid so much of A and of B.
    pub fn leaves(&self, pool: Open, paid_a: u64, paid_b: u64) -> Result<Open, WholeRefusal> {
        pool.with_reserves(
            less(sum(pool.a(), self.given.a)?, paid_a)?,
            less(sum(pool.b(), self.given.b)?, paid_b)?,
        )
    }
}

/// Of two swaps of one side, which demands the higher price. Equal limits: equal, however large the
/// orders.
pub(crate) fn demands(one: &Sale, other: &Sale) -> Ordering {
    if product_is_less(one.want, other.effective, other.want, one.effective) {
        Ordering::Less
    } else if product_is_less(other.want, one.effective, one.want, other.effective) {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Of two swaps of either side, which gets the smaller part of what it wants at this price.
/// `Greater`: the first.
pub(crate) fn falls_short(
    price: &Price,
    one: &Sale,
    other: &Sale,
) -> Result<Ordering, WholeRefusal> {
    let (gets, other_gets) = (price.pays(one)?, price.pays(other)?);
    Ok(if product_is_less(gets, other.want, other_gets, one.want) {
        Ordering::Greater
    } else if product_is_less(other_gets, one.want, gets, other.want) {
        Ordering::Less
    } else {
        Ordering::Equal
    })
}
