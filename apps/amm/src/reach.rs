//! Which limits are out of reach: orders that sleep until the pool's price has moved.

use crate::order::{Leg, Order, Sale, Side};
use crate::pool::{Open, Pool, RESERVE_MAX};
use crate::price::Price;
use crate::refusal::WholeRefusal;
use crate::terms::Terms;
use crate::units::sum;

/// For each order, whether its limit is out of reach: no clearing of it and any of the others meets
/// it.
///
/// The best that a swap can hope for is to stand alone on its side with all of the other side that
/// is itself in reach. Whoever plans lets those sleep that not even that helps: so that they
/// neither fill the list that [`crate::plan`] looks at nor move its prices. True for swaps alone.
pub fn out_of_reach(
    terms: Terms,
    pool: &Pool,
    orders: &[Order],
) -> Result<Vec<bool>, WholeRefusal> {
    let mut asleep = vec![false; orders.len()];
    let Pool::Open(open) = pool else {
        return Ok(asleep);
    };
    let sales: Vec<Option<Sale>> = orders
        .iter()
        .map(|order| match order.leg(terms) {
            Ok(Leg::Swap(sale)) => Some(sale),
            _ => None,
        })
        .collect();
    loop {
        let awake = sales.iter().zip(&asleep).filter(|(_, asleep)| !**asleep);
        let (mut a, mut b) = (0, 0);
        for sale in awake.filter_map(|(sale, _)| sale.as_ref()) {
            let side = match sale.side {
                Side::A => &mut a,
                Side::B => &mut b,
            };
            *side = sale.effective.saturating_add(*side);
        }
        let mut changed = false;
        for (sale, asleep) in sales.iter().zip(&mut asleep) {
            let Some(sale) = sale else { continue };
            if !*asleep && !best_price(*open, terms, sale, a, b)?.meets(sale) {
                *asleep = true;
                changed = true;
            }
        }
        if !changed {
            return Ok(asleep);
        }
    }
}

/// The price with this swap alone on its side, and as much on the other as the bound of the reserve
/// has room for.
fn best_price(
    pool: Open,
    terms: Terms,
    sale: &Sale,
    all_a: u64,
    all_b: u64,
) -> Result<Price, WholeRefusal> {
    let (a, b) = match sale.side {
        Side::A => (sale.effective, all_b),
        Side::B => (all_a, sale.effective),
    };
    let weighed = |reserve: u64, brought: u64| {
        let brought = brought.min(RESERVE_MAX.saturating_sub(reserve));
        (0..terms.weight().number()).try_fold(reserve, |weighed, _| sum(weighed, brought))
    };
    Ok(Price {
        a_units: weighed(pool.a(), a)?,
        b_units: weighed(pool.b(), b)?,
    })
}
