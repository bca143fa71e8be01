//! What a clearing does: the one function that the contract demands and the planner runs.

use std::cmp::Ordering;

use crate::order::{Amounts, Leg, Order, Sale, Side};
use crate::pool::{Open, Pool};
use crate::price::{Book, Price, demands, falls_short};
use crate::refusal::{OrderRefusal, Refusal, WholeRefusal};
use crate::terms::Terms;
use crate::units::sum;

/// What a clearing leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The pool after it.
    pub pool: Pool,
    /// What each order gets, in the orders' order: with what an add gets back.
    pub payouts: Vec<Amounts>,
    /// The price of the swaps; none where there are none.
    pub price: Option<Price>,
}

/// Whether the pool's coin has lain long enough.
///
/// `age` is the sequence of the main cell's input: Bitcoin mines it no earlier (BIP-68).
pub fn check_age(terms: Terms, age: u16) -> Result<(), WholeRefusal> {
    let spacing = terms.spacing();
    if age < u16::from(spacing) {
        return Err(WholeRefusal::TooYoung { age, spacing });
    }
    Ok(())
}

/// Executes orders against a pool: first all swaps at one price, then adds and removals one after
/// the other.
///
/// The outcome of the swaps depends on neither their order nor on adds and removals. All roundings
/// favour the pool.
///
/// # Errors
/// [`Refusal::Order`] names the order that a plan leaves out first: one whose shape is wrong, then
/// one that takes a reserve past its bound, then the swap that gets the smallest part of what it
/// wants (the last of equals), then the first add or removal that does not stand.
/// [`Refusal::Whole`] where leaving out helps nobody.
pub fn settle(terms: Terms, pool: &Pool, orders: &[Order]) -> Result<Outcome, Refusal> {
    let mut legs = Vec::with_capacity(orders.len());
    for (index, order) in orders.iter().enumerate() {
        legs.push(order.leg(terms).map_err(|bad| bad.at(index))?);
    }
    let mut payouts = vec![Amounts::NONE; orders.len()];
    let (mut after, price) = swap(terms, pool, &legs, &mut payouts)?;
    for (index, (order, leg)) in orders.iter().zip(&legs).enumerate() {
        if let Some(step) = liquidity(after, order, leg) {
            let (pool, payout) = step.map_err(|bad| bad.at(index))?;
            after = pool;
            if let Some(place) = payouts.get_mut(index) {
                *place = payout;
            }
        }
    }
    Ok(Outcome {
        pool: after,
        payouts,
        price,
    })
}

/// An add or a removal at these reserves, held against its limit; none for a swap.
pub(crate) fn liquidity(
    pool: Pool,
    order: &Order,
    leg: &Leg,
) -> Option<Result<(Pool, Amounts), crate::pool::Bad>> {
    let step = match leg {
        Leg::Swap(_) => return None,
        Leg::Add => pool.add(order.given),
        Leg::Remove => pool.remove(order.given.shares),
    };
    Some(step.and_then(|(pool, payout)| {
        if payout.reach(&order.wants) {
            Ok((pool, payout))
        } else {
            Err(OrderRefusal::LimitNotMet.into())
        }
    }))
}

fn swap(
    terms: Terms,
    pool: &Pool,
    legs: &[Leg],
    payouts: &mut [Amounts],
) -> Result<(Pool, Option<Price>), Refusal> {
    let Some(first) = swaps(legs).map(|(index, _)| index).next() else {
        return Ok((*pool, None));
    };
    let Pool::Open(open) = *pool else {
        return Err(Refusal::Order {
            index: first,
            why: OrderRefusal::NotOpened,
        });
    };
    let mut book = Book::default();
    for (index, sale) in swaps(legs) {
        book = book
            .with(&open, sale)
            .map_err(|why| Refusal::Order { index, why })?;
    }
    let price = book.price(&open, terms)?;
    let after = pay(&open, &book, &price, legs, payouts)?;
    Ok((Pool::Open(after), Some(price)))
}

/// Pays every swap, or names the one that falls short the most.
fn pay(
    pool: &Open,
    book: &Book,
    price: &Price,
    legs: &[Leg],
    payouts: &mut [Amounts],
) -> Result<Open, Refusal> {
    let mut paid = Amounts::NONE;
    let mut short = Short::default();
    for (index, sale) in swaps(legs) {
        let units = price.pays(sale)?;
        if units < sale.want {
            short.note(index, sale);
            continue;
        }
        let payout = sale.paid(units);
        paid.a = sum(paid.a, payout.a)?;
        paid.b = sum(paid.b, payout.b)?;
        if let Some(place) = payouts.get_mut(index) {
            *place = payout;
        }
    }
    if let Some(index) = short.worst(price)? {
        let why = OrderRefusal::LimitNotMet;
        return Err(Refusal::Order { index, why });
    }
    Ok(book.leaves(*pool, paid.a, paid.b)?)
}

fn swaps(legs: &[Leg]) -> impl Iterator<Item = (usize, &Sale)> {
    legs.iter()
        .enumerate()
        .filter_map(|(index, leg)| match leg {
            Leg::Swap(sale) => Some((index, sale)),
            Leg::Add | Leg::Remove => None,
        })
}

/// Per side, the swap that demands most of those whose limit is not met.
#[derive(Default)]
pub(crate) struct Short<'a> {
    a: Option<(usize, &'a Sale)>,
    b: Option<(usize, &'a Sale)>,
}

impl<'a> Short<'a> {
    /// Notes a swap that is not met. The later of two equals counts: call in the orders' order.
    pub fn note(&mut self, index: usize, sale: &'a Sale) {
        let place = match sale.side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        };
        if place.is_none_or(|(_, worst)| demands(sale, worst) != Ordering::Less) {
            *place = Some((index, sale));
        }
    }

    /// The one that gets the smallest part of what it wants, the later of equals.
    pub fn worst(&self, price: &Price) -> Result<Option<usize>, WholeRefusal> {
        Ok(match (self.a, self.b) {
            (None, None) => None,
            (Some((index, _)), None) | (None, Some((index, _))) => Some(index),
            (Some((a, of_a)), Some((b, of_b))) => Some(match falls_short(price, of_a, of_b)? {
                Ordering::Greater => a,
                Ordering::Less => b,
                Ordering::Equal => a.max(b),
            }),
        })
    }
}
