//! What may leave by now, and when more may: held against what the limit itself says.

use bitcoin::Amount;
use grail_txbuild::limits::{OutflowRoom, age_to_claim};
use grail_types::OutflowLimit;
use proptest::prelude::*;

const CAP: u64 = 2_000;
const RATE: u64 = 13;

fn limit() -> OutflowLimit {
    OutflowLimit {
        cap: Amount::from_sat(CAP),
        rate: Amount::from_sat(RATE),
    }
}

/// Whether a settlement that burns so much on balance passes, as the builder makes it.
fn passes(level: u64, confirmations: u32, burned: u64) -> bool {
    let age = age_to_claim(&limit(), level, confirmations);
    let after = limit().after(level, age, 0, burned);
    limit().check(after, 0, burned).is_ok()
}

fn room(level: u64, confirmations: u32) -> OutflowRoom {
    OutflowRoom::new(limit(), level, confirmations)
}

proptest! {
    #[test]
    fn what_may_leave_passes_and_a_satoshi_more_does_not(
        level in 0..3 * CAP, confirmations in 0_u32..300
    ) {
        let may_leave = room(level, confirmations).may_leave().to_sat();
        prop_assert!(may_leave == 0 || passes(level, confirmations, may_leave));
        prop_assert!(!passes(level, confirmations, may_leave + 1));
    }

    #[test]
    fn it_passes_after_as_many_blocks_as_are_told_and_not_one_earlier(
        level in 0..3 * CAP, confirmations in 0_u32..300, amount in 1..=CAP
    ) {
        let told = room(level, confirmations).blocks_until(Amount::from_sat(amount));
        let blocks = u32::try_from(told.unwrap()).unwrap();
        prop_assert!(passes(level, confirmations + blocks, amount));
        if let Some(earlier) = blocks.checked_sub(1) {
            prop_assert!(!passes(level, confirmations + earlier, amount));
        }
    }

    #[test]
    fn more_may_leave_after_so_many_blocks_and_all_of_it_when_empty(
        level in 0..3 * CAP, confirmations in 0_u32..300
    ) {
        let now = room(level, confirmations);
        let later = |blocks: u64| room(level, confirmations + u32::try_from(blocks).unwrap());
        match now.blocks_until_more() {
            None => prop_assert_eq!(now.may_leave().to_sat(), CAP),
            Some(blocks) => {
                prop_assert!(later(blocks).may_leave() > now.may_leave());
                prop_assert_eq!(later(blocks - 1).may_leave(), now.may_leave());
            }
        }
        let empty = now.blocks_until_empty();
        prop_assert_eq!(later(empty).may_leave().to_sat(), CAP);
        if let Some(earlier) = empty.checked_sub(1) {
            prop_assert!(later(earlier).may_leave().to_sat() < CAP);
        }
    }
}

#[test]
fn what_is_above_the_cap_never_leaves_alone() {
    assert_eq!(room(0, 9).blocks_until(Amount::from_sat(CAP)), Some(0));
    assert_eq!(room(0, 9).blocks_until(Amount::from_sat(CAP + 1)), None);
    // A coin in no block has no age: the level stands as it is until the next block.
    assert_eq!(room(CAP, 0).may_leave(), Amount::ZERO);
    assert_eq!(room(CAP, 0).blocks_until_more(), Some(1));
    assert_eq!(room(CAP, 1).may_leave(), Amount::from_sat(RATE));
}
