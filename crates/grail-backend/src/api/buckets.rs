//! Rates: of all callers together, and of each.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use grail_api::{Problem, ProblemCode};

use super::{answer::Failure, caller::Caller};

/// How often something may be done.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// At once, after a pause.
    pub burst: u32,
    /// From then on.
    pub per_second: f64,
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
struct Level {
    tokens: f64,
    since: Instant,
}

impl Rate {
    fn full(&self, now: Instant) -> Level {
        Level {
            tokens: f64::from(self.burst),
            since: now,
        }
    }

    /// What has come in since.
    fn grown(&self, level: Level, now: Instant) -> Level {
        let gained = now.saturating_duration_since(level.since).as_secs_f64() * self.per_second;
        Level {
            tokens: (level.tokens + gained).min(f64::from(self.burst)),
            since: now,
        }
    }

    /// Seconds until there is a token.
    fn wait(&self, level: Level) -> u64 {
        let missing = (1.0 - level.tokens).max(0.0);
        let seconds = (missing / self.per_second).ceil();
        // What never comes is worth asking for once an hour.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 3,600"
        )]
        let seconds = seconds.clamp(1.0, 3_600.0) as u64;
        seconds
    }
}

/// Creations: each caller has a rate, and all together have one. A caller's own comes first, so
/// that one who has used it up takes nothing from the others'.
pub(super) struct Creations {
    each: Rate,
    all: Rate,
    /// Callers remembered.
    callers_max: usize,
    levels: Mutex<Levels>,
}

struct Levels {
    all: Level,
    callers: BTreeMap<Caller, Level>,
}

impl Creations {
    pub(super) fn new(each: Rate, all: Rate, callers_max: usize) -> Self {
        let levels = Levels {
            all: all.full(Instant::now()),
            callers: BTreeMap::new(),
        };
        Self {
            each,
            all,
            callers_max,
            levels: Mutex::new(levels),
        }
    }

    /// Takes one token, or says that there is none.
    pub(super) fn take(&self, caller: Caller) -> Result<(), Failure> {
        Ok(self.take_at(caller, Instant::now())?)
    }

    fn take_at(&self, caller: Caller, now: Instant) -> Result<(), Problem> {
        // Numbers, valid after any panic.
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let own = levels.callers.get(&caller).copied();
        let own = own.map_or_else(|| self.each.full(now), |own| self.each.grown(own, now));
        let all = self.all.grown(levels.all, now);
        if own.tokens < 1.0 {
            let detail = "this address has asked for too many requests";
            return Err(too_many(detail, self.each.wait(own)));
        }
        if all.tokens < 1.0 {
            let detail = "too many requests are being created";
            return Err(too_many(detail, self.all.wait(all)));
        }
        let taken = |level: Level| Level {
            tokens: level.tokens - 1.0,
            ..level
        };
        self.make_room(&mut levels.callers, caller, now);
        levels.callers.insert(caller, taken(own));
        levels.all = taken(all);
        Ok(())
    }

    /// Forgets whoever may do as much as a stranger; where all have used something, whoever may do
    /// the most.
    fn make_room(&self, callers: &mut BTreeMap<Caller, Level>, caller: Caller, now: Instant) {
        if callers.len() < self.callers_max || callers.contains_key(&caller) {
            return;
        }
        let burst = f64::from(self.each.burst);
        callers.retain(|_, level| self.each.grown(*level, now).tokens < burst);
        if callers.len() >= self.callers_max {
            let tokens = |level: &Level| self.each.grown(*level, now).tokens;
            let fullest = callers
                .iter()
                .max_by(|(_, a), (_, b)| tokens(a).total_cmp(&tokens(b)))
                .map(|(caller, _)| *caller);
            if let Some(fullest) = fullest {
                callers.remove(&fullest);
            }
        }
    }
}

fn too_many(detail: &str, wait: u64) -> Problem {
    let detail = format!("{detail}; try again in {wait} s");
    Problem::new(ProblemCode::RateLimited, detail).with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;

    const ONE: Caller = Caller::V6(1);
    const OTHER: Caller = Caller::V6(2);
    const WIDE: Rate = Rate {
        burst: 1_000,
        per_second: 1_000.0,
    };

    fn slow(burst: u32) -> Rate {
        Rate {
            burst,
            per_second: 10.0,
        }
    }

    #[test]
    fn a_caller_has_its_burst_and_then_its_rate() {
        let creations = Creations::new(slow(2), WIDE, 10);
        let start = Instant::now();
        let take = |ms| creations.take_at(ONE, start + Duration::from_millis(ms));
        assert!(take(0).is_ok());
        assert!(take(0).is_ok());
        assert_eq!(take(0).unwrap_err().retry_after, Some(1));
        assert!(take(90).is_err());
        assert!(take(110).is_ok());
        assert!(take(110).is_err());
        // A long pause gives the burst again, no more.
        assert!(take(60_000).is_ok());
        assert!(take(60_000).is_ok());
        assert!(take(60_000).is_err());
    }

    #[test]
    fn one_caller_takes_nothing_from_another() {
        let creations = Creations::new(slow(2), slow(4), 10);
        let now = Instant::now();
        let taken = (0..100).filter(|_| creations.take_at(ONE, now).is_ok());
        assert_eq!(taken.count(), 2);
        let taken = (0..100).filter(|_| creations.take_at(OTHER, now).is_ok());
        assert_eq!(taken.count(), 2);
        // All together have a limit too.
        assert!(creations.take_at(Caller::V6(3), now).is_err());
    }

    #[test]
    fn a_rate_of_nothing_says_to_come_back_much_later() {
        let none = Rate {
            burst: 1,
            per_second: 0.0,
        };
        let creations = Creations::new(none, WIDE, 10);
        let now = Instant::now();
        assert!(creations.take_at(ONE, now).is_ok());
        let refused = creations.take_at(ONE, now).unwrap_err();
        assert_eq!(refused.retry_after, Some(3_600));
    }

    #[test]
    fn any_number_of_callers_fits_and_who_used_his_up_is_kept() {
        let creations = Creations::new(slow(2), WIDE, 10);
        let now = Instant::now();
        assert!(creations.take_at(ONE, now).is_ok());
        assert!(creations.take_at(ONE, now).is_ok());
        for n in 0..500_u32 {
            let caller = Caller::V4(Ipv4Addr::from_bits(n));
            let _ = creations.take_at(caller, now);
            assert!(creations.levels.lock().unwrap().callers.len() <= 10);
        }
        assert!(creations.take_at(ONE, now).is_err());
    }
}
