//! The outflow limit over random histories, and the limits that do not limit.

use std::env;

use bitcoin::{Amount, Sequence, absolute::LockTime};
use grail_txbuild::limits::{age_to_claim, claim};
use grail_types::{Age, OutflowAboveCap, OutflowLimit};
use proptest::{prelude::*, test_runner::Config};

use crate::chain::{Mined, Turn, turns, windows};

const CAP: u64 = 2_000;
const RATE: u64 = 13;

fn limit() -> OutflowLimit {
    OutflowLimit {
        cap: Amount::from_sat(CAP),
        rate: Amount::from_sat(RATE),
    }
}

/// More histories than the suite's: `GRAIL_LIMIT_CASES=200000 cargo test -p grail-txbuild
/// --test limits`.
fn config() -> Config {
    let cases = env::var("GRAIL_LIMIT_CASES").map_or(2_000, |it| it.parse().unwrap());
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Plays the turns of whoever wants out: what the limit refuses is burned as far as it lets.
fn played(turns: &[Turn]) -> Vec<Mined> {
    let (mut level, mut height) = (0_u64, 1_000_u64);
    let mut history = Vec::new();
    for turn in turns {
        height += turn.blocks;
        let mut burned = turn.burned;
        let after = limit().after(level, turn.age(), turn.minted, burned);
        if let Err(OutflowAboveCap { cap, got, .. }) = limit().check(after, turn.minted, burned) {
            burned -= (got - cap.to_sat()).min(burned);
        }
        level = limit().after(level, turn.age(), turn.minted, burned);
        limit().check(level, turn.minted, burned).unwrap();
        history.push(Mined {
            height,
            minted: turn.minted,
            burned,
        });
    }
    history
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn over_any_blocks_no_more_than_cap_and_rate_times_blocks_leaves(turns in turns()) {
        for (blocks, net) in windows(&played(&turns)) {
            prop_assert!(net <= i128::from(CAP + RATE * blocks), "{net} in {blocks} blocks");
        }
    }

    #[test]
    fn an_age_has_one_sequence_number(number: u32) {
        let sequence = Sequence::from_consensus(number);
        match Age::from_sequence(sequence) {
            Some(age) => prop_assert_eq!(claim(age), sequence),
            None => prop_assert!(number == 0 || number > 65_535),
        }
    }

    #[test]
    fn the_level_never_wraps(before: u64, age: u16, minted: u64, burned: u64, rate: u64) {
        let limit = OutflowLimit { cap: Amount::ZERO, rate: Amount::from_sat(rate) };
        let after = limit.after(before, Age(age), minted, burned);
        let decayed = (i128::from(before) - i128::from(rate) * i128::from(age)).max(0);
        let exact = (decayed + i128::from(burned) - i128::from(minted)).max(0);
        prop_assert!(i128::from(after) <= exact);
        if decayed + i128::from(burned) <= i128::from(u64::MAX) {
            prop_assert_eq!(i128::from(after), exact);
        }
    }
}

#[test]
fn ages_are_told_by_height_and_in_one_form() {
    let age = |number| Age::from_sequence(Sequence::from_consensus(number));
    assert_eq!(age(0xffff_fffd), Some(Age(0)));
    assert_eq!(age(1), Some(Age(1)));
    assert_eq!(age(65_535), Some(Age(65_535)));
    // Zero blocks in another form, a time, the lock switched off, bits that mean nothing, final.
    for number in [
        0,
        65_536,
        1 << 22 | 5,
        1 << 31 | 5,
        1 << 16 | 5,
        0xffff_fffe,
        u32::MAX,
    ] {
        assert_eq!(age(number), None, "{number:#x}");
    }
    assert!((0..=u16::MAX).all(|blocks| claim(Age(blocks)).is_rbf()));
}

#[test]
fn the_cap_passes_and_a_satoshi_more_does_not_until_its_time() {
    let cap = Amount::from_sat(CAP);
    assert_eq!(limit().check(CAP, 0, CAP), Ok(()));
    let refused = Err(OutflowAboveCap { cap, got: CAP + 1 });
    assert_eq!(limit().check(CAP + 1, 0, CAP + 1), refused);
    // So many blocks later it passes, and one block earlier it does not.
    let level = |age| limit().after(CAP, Age(age), 0, 100);
    assert_eq!(limit().blocks_to_let_go(level(0) - CAP), 8);
    assert_eq!(limit().check(level(8), 0, 100), Ok(()));
    assert!(limit().check(level(7), 0, 100).is_err());
}

#[test]
fn claims_what_the_coin_has_and_no_more_than_empties_the_level() {
    let claimed = |level, confirmations| age_to_claim(&limit(), level, confirmations);
    assert_eq!(claimed(0, 9), Age(0));
    assert_eq!(claimed(1, 0), Age(0));
    assert_eq!(claimed(1, 9), Age(1));
    assert_eq!(claimed(RATE, 9), Age(1));
    assert_eq!(claimed(RATE + 1, 9), Age(2));
    assert_eq!(claimed(CAP, 9), Age(9));
    assert_eq!(claimed(u64::MAX, u32::MAX), Age(u16::MAX));
    // A limit of nothing lets go of nothing, and divides by nothing.
    let shut = OutflowLimit {
        cap: Amount::ZERO,
        rate: Amount::ZERO,
    };
    assert_eq!(age_to_claim(&shut, 5, 3), Age(3));
}

#[test]
fn what_nets_in_passes_also_above_a_cap_that_was_lowered() {
    let level = 5 * CAP;
    assert_eq!(limit().check(level, 10, 9), Ok(()));
    assert_eq!(limit().check(level, 10, 10), Ok(()));
    assert!(limit().check(level, 10, 11).is_err());
}

/// Lock times as the clock: what decays is the *difference* of two lower bounds.
fn by_lock_times(level: u64, (before, now): (u64, u64), burned: u64) -> Option<u64> {
    let decayed = RATE.checked_mul(now.checked_sub(before)?)?;
    let after = level.saturating_sub(decayed) + burned;
    (after <= CAP).then_some(after)
}

#[test]
fn lock_times_as_the_clock_let_many_caps_out_in_one_block() {
    // Thirty windows of idleness, in each of which a settlement might have named its height. It
    // names a stale one: a lock time only says "at least".
    let window = CAP.div_ceil(RATE);
    let tip = 1_000 + 30 * window;
    let (mut level, mut named) = (0, 1_000);
    let mut history = Vec::new();
    while named + window <= tip {
        level = by_lock_times(level, (named, named + window), CAP).unwrap();
        named += window;
        assert!(named <= tip, "each is final at the tip");
        history.push(Mined {
            height: tip,
            minted: 0,
            burned: CAP,
        });
    }
    let in_one_block = windows(&history).map(|(_, net)| net).max().unwrap();
    assert!(
        in_one_block >= i128::from(25 * CAP),
        "the model is refuted by {in_one_block}"
    );

    // The same wish under the age of the coin: only the first of a block has any age.
    let turns: Vec<Turn> = (0..30)
        .map(|index| Turn {
            blocks: if index == 0 { 30 * window } else { 0 },
            claimed: u8::MAX,
            minted: 0,
            burned: CAP,
        })
        .collect();
    let out: u64 = played(&turns).iter().map(|it| it.burned).sum();
    assert_eq!(out, CAP);
}

#[test]
fn a_lock_time_may_be_a_date_which_is_no_clock_of_blocks() {
    let date = LockTime::from_consensus(500_000_000);
    assert!(date.is_block_time());
    // As a height it would be far ahead of every chain, and it is final today.
    let level = by_lock_times(CAP, (900_000, 500_000_000), CAP).unwrap();
    assert_eq!(level, CAP, "a whole cap at once, on top of a whole cap");
}

/// Gross windows: all that is burned within a window of blocks, whatever is minted.
fn by_gross_window(burned_in_window: u64, burned: u64) -> bool {
    burned_in_window + burned <= CAP
}

#[test]
fn gross_windows_are_closed_to_everybody_by_cycles_that_take_nothing_out() {
    let (mut gross_open, mut net_open) = (0, 0);
    let mut level = 0;
    for _window in 0..50 {
        // Borrowed capital goes in and out again within one settlement, for the miners' fee alone.
        let mut burned_in_window = 0;
        assert!(by_gross_window(burned_in_window, CAP));
        burned_in_window += CAP;
        level = limit().after(level, Age(0), CAP, CAP);
        // Then somebody else wants out.
        gross_open += u32::from(by_gross_window(burned_in_window, 1));
        let after = limit().after(level, Age(10), 0, 1);
        net_open += u32::from(limit().check(after, 0, 1).is_ok());
    }
    assert_eq!((gross_open, net_open), (0, 50));
}

#[test]
fn borrowed_capital_closes_no_exit_for_longer_than_it_stays_out() {
    // Mallory's capital equals the cap. He goes in and out as often and as well-timed as he likes,
    // before everybody else in each block; who wants out takes what is left, after him.
    let capital = CAP;
    for period in 1..200_u64 {
        let (mut level, mut inside, mut left) = (0_u64, 0_u64, 0_u64);
        let blocks = 2_000;
        for block in 0..blocks {
            let (minted, burned) = match inside {
                0 if block % period == 0 => (capital, 0),
                0 => (0, 0),
                all => (
                    0,
                    all.min(CAP - limit().after(level, Age(1), 0, 0).min(CAP)),
                ),
            };
            level = limit().after(level, Age(1), minted, burned);
            limit().check(level, minted, burned).unwrap();
            inside = inside + minted - burned;
            // In the same block, so without any age to claim.
            let room = CAP - level.min(CAP);
            level = limit().after(level, Age(0), 0, room);
            left += room;
        }
        assert!(
            left + capital >= RATE * (blocks - 1),
            "only {left} left within {blocks} blocks, at a period of {period}"
        );
    }
}

#[test]
fn never_more_than_the_cap_in_a_window_is_not_what_a_leaky_bucket_says() {
    let turn = |blocks| Turn {
        blocks,
        claimed: u8::MAX,
        minted: 0,
        burned: u64::MAX / 2,
    };
    let history = played(&[turn(0), turn(100)]);
    let (blocks, net) = windows(&history).max_by_key(|(_, net)| *net).unwrap();
    assert!(net > i128::from(CAP), "more than the cap: {net}");
    assert_eq!(
        net,
        i128::from(CAP + RATE * (blocks - 1)),
        "and no more than that"
    );
}
