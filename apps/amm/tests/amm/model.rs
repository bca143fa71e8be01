//! The AMM told by another mind: exact fractions, equations instead of formulas, a ledger instead
//! of floors.
//!
//! The price is not computed but checked against the equation that defines it. Shares cost what
//! their part of the reserves is worth, to the fraction. No code and no number type is shared with
//! what is tested.

use grail_amm::{Amounts, Kind, Order, Terms, Weight};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

pub type Exact = BigRational;

/// A whole number, exactly.
pub fn exact(units: impl Into<BigInt>) -> Exact {
    Exact::from_integer(units.into())
}

fn ratio(above: u64, below: u64) -> Exact {
    Exact::new(above.into(), below.into())
}

/// The largest whole number that is not above.
pub fn down(value: &Exact) -> BigInt {
    value.floor().to_integer()
}

/// Swaps of a clearing, with what counts of each.
pub struct Swaps {
    /// Reserves before.
    pub x: Exact,
    pub y: Exact,
    /// `(sells A, given, effective)`.
    pub sales: Vec<(bool, Exact, Exact)>,
    pub weight: Weight,
}

impl Swaps {
    /// With the fee taken to the fraction, or rounded to whole units as the app takes it.
    pub fn new(terms: Terms, x: u64, y: u64, orders: &[Order], whole_units: bool) -> Self {
        let kept = Exact::one() - ratio(u64::from(terms.fee_bps()), 10_000);
        let swaps = orders.iter().filter(|order| order.kind == Kind::Swap);
        let sales = swaps.map(|order| {
            let given = exact(order.given.a.max(order.given.b));
            let counts = &given * &kept;
            let counts = if whole_units { counts.floor() } else { counts };
            (order.given.a > 0, given, counts)
        });
        Self {
            x: exact(x),
            y: exact(y),
            sales: sales.collect(),
            weight: terms.weight(),
        }
    }

    /// What counts of one side.
    pub fn sum(&self, sells_a: bool) -> Exact {
        let side = self.sales.iter().filter(|sale| sale.0 == sells_a);
        side.map(|sale| &sale.2)
            .fold(Exact::zero(), |all, one| all + one)
    }

    /// What flows into the pool of A, on balance, at a price.
    fn net(&self, price: &Exact) -> Exact {
        self.sum(true) - self.sum(false) / price
    }

    /// How far a price is from what defines it; zero for the right one, and falling in the price.
    ///
    /// Weight 1: the product of the reserves is the same before and after. Weight 2: the price is
    /// the ratio of the reserves after.
    fn defect(&self, price: &Exact) -> Exact {
        let net = self.net(price);
        let (x, y) = (&self.x + &net, &self.y - price * &net);
        match self.weight {
            Weight::One => x * y - &self.x * &self.y,
            Weight::Two => y - price * x,
        }
    }

    /// Holds a claimed price against the equation.
    pub fn assert_defines(&self, price: &Exact) {
        assert!(price > &Exact::zero(), "a price is positive");
        assert!(self.defect(price).is_zero(), "not the price: {price}");
    }

    /// What an order of so much of one side gets, to the fraction.
    pub fn gets(&self, index: usize, price: &Exact) -> Exact {
        let (sells_a, _, counts) = &self.sales[index];
        if *sells_a {
            counts * price
        } else {
            counts / price
        }
    }

    /// Reserves after, where everybody is paid to the fraction.
    pub fn after(&self, price: &Exact) -> (Exact, Exact) {
        let (mut x, mut y) = (self.x.clone(), self.y.clone());
        for (index, (sells_a, given, _)) in self.sales.iter().enumerate() {
            let paid = self.gets(index, price);
            if *sells_a {
                x += given;
                y -= paid;
            } else {
                y += given;
                x -= paid;
            }
        }
        (x, y)
    }
}

/// What so many shares of a total are worth, to the fraction.
pub fn part(shares: u64, total: u64, x: u64, y: u64) -> (Exact, Exact) {
    let part = ratio(shares, total);
    (&part * exact(x), part * exact(y))
}

/// How many shares two amounts pay for, to the fraction.
pub fn affordable(given: Amounts, total: u64, x: u64, y: u64) -> Exact {
    let by_a = ratio(given.a, x) * exact(total);
    let by_b = ratio(given.b, y) * exact(total);
    by_a.min(by_b)
}

/// `x * y / S^2`: what a share is worth, in a measure that swaps do not change by themselves.
pub fn worth(holdings: Amounts) -> Exact {
    let total = BigInt::from(holdings.shares) + 1_000;
    let product = BigInt::from(holdings.a) * BigInt::from(holdings.b);
    Exact::new(product, &total * &total)
}
