//! Heights at which things stop being allowed.

use grail_types::Params;

/// Last height whose block may hold the deposit of a request made when the tip was at `tip_height`.
///
/// The wait is the shortest reclaim delay: long enough for a low-fee deposit, and nobody is asked to watch an address
/// for longer than its deposit could be kept. A deposit in a later block is late: reclaimable, not served.
pub fn deposit_deadline_height(params: &Params, tip_height: u32) -> u32 {
    tip_height.saturating_add(u32::from(params.reclaim_delay_min))
}

/// First tip height at which a deposit mined at `height` is too close to its reclaim to be swept.
///
/// The user's reclaim may enter the block at `height + reclaim_delay` (BIP-68); the margin before that is left free,
/// so that settlement and reclaim never race.
pub fn sweep_end_height(params: &Params, height: u32, reclaim_delay: u16) -> u32 {
    height
        .saturating_add(u32::from(reclaim_delay))
        .saturating_sub(u32::from(params.sweep_margin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests_support::params;

    #[test]
    fn a_deposit_deadline_is_the_shortest_reclaim_delay_away() {
        assert_eq!(deposit_deadline_height(&params(), 100), 124);
        assert_eq!(deposit_deadline_height(&params(), u32::MAX), u32::MAX);
    }

    #[test]
    fn sweeping_ends_a_margin_before_the_reclaim() {
        assert_eq!(sweep_end_height(&params(), 100, 24), 118);
        assert_eq!(sweep_end_height(&params(), 0, 0), 0);
        assert_eq!(sweep_end_height(&params(), u32::MAX, 24), u32::MAX - 6);
    }
}
