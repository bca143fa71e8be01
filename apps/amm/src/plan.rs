//! Which open orders a clearing executes. The backend's half, and the audit's: no contract runs it.
//!
//! [`plan`] gives what the plain loop over [`settle`] gives (leave out whom it names until it
//! stands, then try those left out again by age, each alone, until a whole pass admits none),
//! without running [`settle`] for every trial: a swap stands or falls by the price alone, so of
//! each side only the one that demands most has to be looked at. A test holds the two against each
//! other.

use std::cmp::Ordering;

use crate::clearing::{Outcome, Short, liquidity, settle};
use crate::order::{Amounts, Leg, Order, Sale, Side};
use crate::pool::{Bad, Open, Pool};
use crate::price::{Book, demands};
use crate::refusal::{OrderRefusal, WholeRefusal};
use crate::terms::Terms;

/// Most open orders that a plan looks at, the oldest: so that no flood of orders makes planning
/// slow.
pub const OPEN_ORDERS_MAX: usize = 1_000;

/// What a clearing executes, and why the rest waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Places of the orders that are executed, ascending: by age, as they were given.
    pub chosen: Vec<usize>,
    /// What happened to each of the open orders, in their order.
    pub verdicts: Vec<Verdict>,
    /// What the clearing leads to, with a payout for each of the chosen.
    pub outcome: Outcome,
}

/// What a plan does with an open order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is executed.
    Executed,
    /// It does not stand beside those that are.
    Refused(OrderRefusal),
    /// It would have stood, but older ones filled the clearing.
    Full,
}

/// Chooses, of the open orders by age, those of the next clearing: `places` at most.
///
/// Pure and deterministic: same pool, same orders, same plan. Orders beyond [`OPEN_ORDERS_MAX`] are
/// not looked at and have no verdict.
///
/// # Errors
/// [`WholeRefusal::Overflow`] alone, for a mistake of ours.
pub fn plan(
    terms: Terms,
    pool: &Pool,
    open_orders: &[Order],
    places: usize,
) -> Result<Plan, WholeRefusal> {
    let orders = open_orders.get(..OPEN_ORDERS_MAX).unwrap_or(open_orders);
    let mut draft = Draft::new(terms, pool, orders)?;
    draft.leave_out()?;
    if draft.keep_oldest(places) {
        draft.leave_out()?;
    }
    draft.admit(places)?;
    draft.finish()
}

/// A choice in the making.
struct Draft<'a> {
    terms: Terms,
    pool: &'a Pool,
    orders: &'a [Order],
    /// None for those whose shape is wrong: they never stand.
    legs: Vec<Option<Leg>>,
    verdicts: Vec<Verdict>,
}

impl<'a> Draft<'a> {
    /// All orders whose shape is right, and that the bound of the reserves has room for.
    fn new(terms: Terms, pool: &'a Pool, orders: &'a [Order]) -> Result<Self, WholeRefusal> {
        let mut legs = Vec::with_capacity(orders.len());
        let mut verdicts = Vec::with_capacity(orders.len());
        let mut book = Book::default();
        for order in orders {
            let (leg, verdict) = match (order.leg(terms), pool) {
                (Err(Bad::Whole(why)), _) => return Err(why),
                (Err(Bad::Order(why)), _) => (None, Verdict::Refused(why)),
                (Ok(Leg::Swap(_)), Pool::Unopened) => {
                    (None, Verdict::Refused(OrderRefusal::NotOpened))
                }
                (Ok(Leg::Swap(sale)), Pool::Open(open)) => match book.with(open, &sale) {
                    Err(why) => (Some(Leg::Swap(sale)), Verdict::Refused(why)),
                    Ok(more) => {
                        book = more;
                        (Some(Leg::Swap(sale)), Verdict::Executed)
                    }
                },
                (Ok(leg), _) => (Some(leg), Verdict::Executed),
            };
            legs.push(leg);
            verdicts.push(verdict);
        }
        Ok(Self {
            terms,
            pool,
            orders,
            legs,
            verdicts,
        })
    }

    /// Leaves out whom [`settle`] would name, one after the other, until all that are left stand.
    fn leave_out(&mut self) -> Result<(), WholeRefusal> {
        if let Pool::Open(open) = self.pool {
            self.leave_out_swaps(open)?;
        }
        let mut after = self.after_swaps()?;
        for index in 0..self.orders.len() {
            match self.step(after, index) {
                None => {}
                Some(Ok((pool, _))) => after = pool,
                Some(Err(Bad::Order(why))) => self.refuse(index, why),
                Some(Err(Bad::Whole(why))) => return Err(why),
            }
        }
        Ok(())
    }

    fn leave_out_swaps(&mut self, open: &Open) -> Result<(), WholeRefusal> {
        let mut book = self.book(open)?;
        let mut a = self.by_demand(Side::A);
        let mut b = self.by_demand(Side::B);
        loop {
            let price = book.price(open, self.terms)?;
            let mut short = Short::default();
            for (index, sale) in a.last().into_iter().chain(b.last()) {
                if !price.meets(sale) {
                    short.note(*index, sale);
                }
            }
            let Some(index) = short.worst(&price)? else {
                return Ok(());
            };
            let list = match a.last() {
                Some((last, _)) if *last == index => &mut a,
                _ => &mut b,
            };
            if let Some((_, sale)) = list.pop() {
                book = book.without(&sale)?;
            }
            self.refuse(index, OrderRefusal::LimitNotMet);
        }
    }

    /// Keeps the oldest alone; answers whether there were more.
    fn keep_oldest(&mut self, places: usize) -> bool {
        let mut left = places;
        let mut cut = false;
        for verdict in &mut self.verdicts {
            if *verdict == Verdict::Executed {
                if left == 0 {
                    *verdict = Verdict::Full;
                    cut = true;
                }
                left = left.saturating_sub(1);
            }
        }
        cut
    }

    /// Tries those left out again, by age, until a whole pass admits none.
    fn admit(&mut self, places: usize) -> Result<(), WholeRefusal> {
        let mut market = match self.pool {
            Pool::Open(open) => Some(Market::of(open, self.chosen_sales())?),
            Pool::Unopened => None,
        };
        loop {
            let mut admitted = false;
            for index in 0..self.orders.len() {
                if self.count() >= places {
                    return Ok(());
                }
                let out = self.verdicts.get(index) != Some(&Verdict::Executed);
                let Some(leg) = self.legs.get(index).copied().flatten().filter(|_| out) else {
                    continue;
                };
                let after = match (leg, market) {
                    (Leg::Swap(sale), Some(market)) => match market.with(&sale, self.terms)? {
                        Some(after) => Some(after),
                        None => continue,
                    },
                    _ => market,
                };
                if self.liquidity_stands_with(index)? {
                    market = after;
                    admitted = true;
                }
            }
            if !admitted {
                return Ok(());
            }
        }
    }

    /// Admits this one if all chosen adds and removals stand then.
    fn liquidity_stands_with(&mut self, index: usize) -> Result<bool, WholeRefusal> {
        let Some(before) = self.verdicts.get(index).copied() else {
            return Ok(false);
        };
        self.set(index, Verdict::Executed);
        let stands = self.liquidity_stands()?;
        if !stands {
            self.set(index, before);
        }
        Ok(stands)
    }

    fn liquidity_stands(&self) -> Result<bool, WholeRefusal> {
        let mut after = self.after_swaps()?;
        for index in 0..self.orders.len() {
            match self.step(after, index) {
                None => {}
                Some(Ok((pool, _))) => after = pool,
                Some(Err(Bad::Order(_))) => return Ok(false),
                Some(Err(Bad::Whole(why))) => return Err(why),
            }
        }
        Ok(true)
    }

    fn finish(self) -> Result<Plan, WholeRefusal> {
        let executed = |index: &usize| self.verdicts.get(*index) == Some(&Verdict::Executed);
        let chosen: Vec<usize> = (0..self.orders.len()).filter(executed).collect();
        let orders = self.orders.iter().enumerate();
        let orders: Vec<Order> = orders
            .filter(|(index, _)| executed(index))
            .map(|(_, order)| *order)
            .collect();
        // What is planned is what the contract will say: never handed on otherwise.
        let outcome = settle(self.terms, self.pool, &orders).map_err(|_| WholeRefusal::Overflow)?;
        Ok(Plan {
            chosen,
            verdicts: self.verdicts,
            outcome,
        })
    }

    fn chosen_sales(&self) -> impl Iterator<Item = (usize, Sale)> {
        let legs = self.legs.iter().zip(&self.verdicts).enumerate();
        legs.filter_map(|(index, pair)| match pair {
            (Some(Leg::Swap(sale)), Verdict::Executed) => Some((index, *sale)),
            _ => None,
        })
    }

    /// The chosen swaps of a side, the one that demands most last; the later of equals after the
    /// earlier.
    fn by_demand(&self, side: Side) -> Vec<(usize, Sale)> {
        let mut sales: Vec<(usize, Sale)> = self
            .chosen_sales()
            .filter(|(_, sale)| sale.side == side)
            .collect();
        sales.sort_by(|(_, one), (_, other)| demands(one, other));
        sales
    }

    fn book(&self, open: &Open) -> Result<Book, WholeRefusal> {
        let mut sales = self.chosen_sales();
        sales.try_fold(Book::default(), |book, (_, sale)| {
            // Chosen ones are within the bound already.
            book.with(open, &sale).map_err(|_| WholeRefusal::Overflow)
        })
    }

    fn after_swaps(&self) -> Result<Pool, WholeRefusal> {
        let Pool::Open(open) = self.pool else {
            return Ok(*self.pool);
        };
        let book = self.book(open)?;
        let price = book.price(open, self.terms)?;
        let mut paid = Amounts::NONE;
        for (_, sale) in self.chosen_sales() {
            let payout = sale.paid(price.pays(&sale)?);
            paid.a = crate::units::sum(paid.a, payout.a)?;
            paid.b = crate::units::sum(paid.b, payout.b)?;
        }
        Ok(Pool::Open(book.leaves(*open, paid.a, paid.b)?))
    }

    /// The chosen add or removal at this place; none where there is none.
    fn step(&self, pool: Pool, index: usize) -> Option<Result<(Pool, Amounts), Bad>> {
        let chosen = self.verdicts.get(index) == Some(&Verdict::Executed);
        let leg = self.legs.get(index)?.as_ref().filter(|_| chosen)?;
        liquidity(pool, self.orders.get(index)?, leg)
    }

    fn count(&self) -> usize {
        let executed = |verdict: &&Verdict| **verdict == Verdict::Executed;
        self.verdicts.iter().filter(executed).count()
    }

    fn refuse(&mut self, index: usize, why: OrderRefusal) {
        self.set(index, Verdict::Refused(why));
    }

    fn set(&mut self, index: usize, verdict: Verdict) {
        if let Some(place) = self.verdicts.get_mut(index) {
            *place = verdict;
        }
    }
}

/// What the chosen swaps come to: enough to tell whether all of them stand.
#[derive(Clone, Copy)]
struct Market {
    pool: Open,
    book: Book,
    /// Of each side, the swap that demands most: where it is met, all are.
    most: [Option<Sale>; 2],
}

impl Market {
    fn of(
        pool: &Open,
        mut sales: impl Iterator<Item = (usize, Sale)>,
    ) -> Result<Self, WholeRefusal> {
        let none = Self {
            pool: *pool,
            book: Book::default(),
            most: [None; 2],
        };
        // Chosen ones are within the bound already.
        sales.try_fold(none, |market, (_, sale)| {
            market.counting(&sale).ok_or(WholeRefusal::Overflow)
        })
    }

    /// None where the bound of a reserve has no room.
    fn counting(mut self, sale: &Sale) -> Option<Self> {
        self.book = self.book.with(&self.pool, sale).ok()?;
        let [a, b] = &mut self.most;
        let most = match sale.side {
            Side::A => a,
            Side::B => b,
        };
        if most.is_none_or(|most| demands(sale, &most) == Ordering::Greater) {
            *most = Some(*sale);
        }
        Some(self)
    }

    /// With one more swap, if all of them stand.
    fn with(self, sale: &Sale, terms: Terms) -> Result<Option<Self>, WholeRefusal> {
        let Some(after) = self.counting(sale) else {
            return Ok(None);
        };
        let price = after.book.price(&after.pool, terms)?;
        let stands = after.most.iter().flatten().all(|sale| price.meets(sale));
        Ok(stands.then_some(after))
    }
}
