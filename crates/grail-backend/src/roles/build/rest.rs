//! What came to nothing is tried again, ever more seldom: the lane that it held meanwhile is
//! everybody's, and so is what its proof cost.

use grail_flow::{AbandonCode, SettlementState};
use grail_store::Settlement;

/// Seconds until what came to nothing is tried again; twice as many each further time.
pub(super) const AGAIN_SECONDS: u64 = 10 * 60;
/// Most seconds until then.
const AGAIN_SECONDS_MAX: u64 = 6 * 60 * 60;

/// How many of the newest settlements, newest first, ended so.
pub(super) fn in_vain<'a>(
    newest: impl IntoIterator<Item = &'a Settlement>,
    is_vain: fn(AbandonCode) -> bool,
) -> usize {
    let vain = newest.into_iter().take_while(|settlement| {
        matches!(settlement.state, SettlementState::Abandoned { code } if is_vain(code))
    });
    vain.count()
}

/// Whether the same would most likely meet the same: not where others came in between.
pub(super) const fn is_own_fault(code: AbandonCode) -> bool {
    !matches!(
        code,
        AbandonCode::InputsSpent | AbandonCode::ParentAbandoned | AbandonCode::Replaced
    )
}

/// Whether the newest of these, newest first, ended too lately for another one at `now`, unix
/// seconds: what ended so rests ever longer, and anything `least` seconds.
pub(super) fn rests<'a>(
    newest: impl Iterator<Item = &'a Settlement> + Clone,
    is_vain: fn(AbandonCode) -> bool,
    least: u64,
    now: u64,
) -> bool {
    let pause = pause(in_vain(newest.clone(), is_vain)).max(least);
    let mut newest = newest;
    let last = newest.next().map(|it| it.stage_since);
    last.is_some_and(|last| now < last.saturating_add(pause))
}

/// Seconds to wait after so many settlements that came to nothing.
fn pause(in_vain: usize) -> u64 {
    let Some(doublings) = in_vain.checked_sub(1) else {
        return 0;
    };
    let factor = 1_u64.checked_shl(u32::try_from(doublings).unwrap_or(u32::MAX));
    let seconds = AGAIN_SECONDS.saturating_mul(factor.unwrap_or(u64::MAX));
    seconds.min(AGAIN_SECONDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_nothing_is_tried_ever_more_seldom() {
        let minutes: Vec<u64> = (0..=8).map(|it| pause(it) / 60).collect();
        assert_eq!(minutes, [0, 10, 20, 40, 80, 160, 320, 360, 360]);
        assert_eq!(pause(usize::MAX), AGAIN_SECONDS_MAX);
    }
}
