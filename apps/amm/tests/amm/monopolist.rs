//! One backend alone, which also takes the arbitrage afterwards: what its choice of orders is worth
//! to it.
//!
//! Fractions by machine numbers: the question is which of two is larger by far, not a unit.

/// Reserves of A and B, and the weight of the price.
#[derive(Clone, Copy)]
struct Curve {
    x: f64,
    y: f64,
    weight: f64,
}

impl Curve {
    /// Sells `amount` of A at the price that the sum of the clearing's sales makes.
    fn sell(&mut self, amount: f64) -> f64 {
        let got = amount * self.y / (self.x + self.weight * amount);
        self.x += amount;
        self.y -= got;
        got
    }

    /// The most that selling B alone gains, where a unit of each is worth the same outside.
    fn arbitrage(self) -> f64 {
        let gain = |amount: f64| amount * self.x / (self.y + self.weight * amount) - amount;
        let (mut low, mut high) = (0.0, 1e6);
        for _ in 0..200 {
            let third = (high - low) / 3.0;
            if gain(low + third) < gain(high - third) {
                low += third;
            } else {
                high -= third;
            }
        }
        gain(low).max(0.0)
    }
}

const VICTIM: f64 = 1e4;

/// Own order beside the victim's, or before it, then the arbitrage: the best take, and the own
/// order for it.
fn best_take(weight: f64, held_back: bool) -> (f64, f64) {
    let mut best = (f64::MIN, 0.0);
    for step in 0..2_200_u32 {
        let own = f64::from(step) * 50.0;
        let mut curve = Curve {
            x: 1e6,
            y: 1e6,
            weight,
        };
        let (own_got, victim_got) = if held_back {
            (curve.sell(own), curve.sell(VICTIM))
        } else {
            let all = curve.sell(own + VICTIM);
            let part = own / (own + VICTIM);
            (all * part, all * (1.0 - part))
        };
        // The victim's limit, a tenth.
        if victim_got < 0.9 * VICTIM {
            break;
        }
        let take = own_got - own + curve.arbitrage();
        if take > best.0 {
            best = (take, own);
        }
    }
    best
}

#[test]
fn monopolist_gains_nothing_from_own_orders_at_weight_2() {
    let (take, own) = best_take(2.0, false);
    assert!(
        (48.0..50.0).contains(&take) && own < 1.0,
        "{take} with {own}"
    );
}

#[test]
fn monopolist_takes_the_whole_limit_at_weight_1() {
    // 99 by arbitrage alone; with own orders a tenth of the victim's order, which is its limit.
    let (take, own) = best_take(1.0, false);
    assert!(
        (990.0..1_001.0).contains(&take) && own > 90_000.0,
        "{take} with {own}"
    );
}

#[test]
fn holding_a_victim_back_one_clearing_gains_little_at_weight_2() {
    let (take, _) = best_take(2.0, true);
    assert!((64.0..66.0).contains(&take), "{take}");
    let (take, _) = best_take(1.0, true);
    assert!((990.0..1_001.0).contains(&take), "{take}");
}
