//! The wait between a rotation's announcement and its execution, and the waits that do not wait.

use bitcoin::Amount;
use grail_types::{Age, OutflowLimit};
use proptest::prelude::*;

const NOTICE: u16 = 144;

fn limit() -> OutflowLimit {
    OutflowLimit {
        cap: Amount::from_sat(1_000),
        rate: Amount::from_sat(7),
    }
}

/// The wait that holds: the age of a coin which the announcement makes and nothing else touches.
fn executable_by_notice_coin(announced: u64, wait: u16, tip: u64) -> bool {
    tip + 1 >= announced + u64::from(wait)
}

/// By the age of the NFT's own coin, which every settlement makes anew.
fn executable_by_age_of_the_nft(last_settlement: u64, wait: u16, tip: u64) -> bool {
    tip + 1 >= last_settlement + u64::from(wait)
}

/// By a lock time that is `wait` above the height which the announcement *says* that it was made
/// at: its own lock time, of which consensus only knows that it has passed.
fn executable_by_lock_time(said: u64, wait: u16, tip: u64) -> bool {
    tip + 1 > said + u64::from(wait)
}

#[test]
fn settlements_prolong_a_wait_by_the_nfts_age_and_none_by_a_notice_coin() {
    let announced = 1_000;
    let mut by_notice = None;
    for tip in announced..announced + 100_000 {
        let last_settlement = tip;
        assert!(!executable_by_age_of_the_nft(last_settlement, NOTICE, tip));
        if by_notice.is_none() && executable_by_notice_coin(announced, NOTICE, tip) {
            by_notice = Some(tip + 1);
        }
    }
    assert_eq!(by_notice, Some(announced + u64::from(NOTICE)));
}

#[test]
fn a_wait_by_lock_time_is_over_at_once_when_announced_at_a_stale_height() {
    let tip = 900_000;
    let stale = tip - u64::from(NOTICE);
    assert!(executable_by_lock_time(stale, NOTICE, tip));
    assert!(!executable_by_notice_coin(tip, NOTICE, tip));
}

#[test]
fn the_wait_is_the_notice_or_what_the_supply_needs() {
    assert_eq!(limit().wait(NOTICE, 0), Some(NOTICE));
    assert_eq!(limit().wait(NOTICE, 7 * 144), Some(144));
    assert_eq!(limit().wait(NOTICE, 7 * 144 + 1), Some(145));
    assert_eq!(limit().wait(NOTICE, 7 * 65_535), Some(65_535));
    assert_eq!(limit().wait(NOTICE, 7 * 65_535 + 1), None);
    assert_eq!(limit().wait(NOTICE, u64::MAX), None);
}

proptest! {
    /// Announced with the limit exhausted, in whatever pieces and blocks settlements come.
    #[test]
    fn the_whole_supply_leaves_within_the_wait(
        supply in 0..100_000_u64,
        // A gap of more than cap / rate blocks would let the bucket run empty, and lose the rest.
        gaps in proptest::collection::vec(1..=142_u64, 1..50),
    ) {
        let wait = u64::from(limit().wait(NOTICE, supply).unwrap());
        let (mut level, mut left, mut height) = (limit().cap.to_sat(), supply, 0);
        let gaps = gaps.into_iter().cycle();
        for gap in gaps {
            // The last settlement is in the block that may hold the execution.
            let gap = gap.min(wait - height);
            height += gap;
            let age = Age(u16::try_from(gap).unwrap());
            let room = limit().cap.to_sat() - limit().after(level, age, 0, 0);
            let burned = left.min(room);
            level = limit().after(level, age, 0, burned);
            prop_assert_eq!(limit().check(level, 0, burned), Ok(()));
            left -= burned;
            if height == wait {
                break;
            }
        }
        prop_assert_eq!(left, 0, "of {} stay", supply);
    }
}
