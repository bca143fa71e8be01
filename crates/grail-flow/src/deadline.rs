//! Heights at which things stop being allowed.

use grail_types::Params;

use crate::{COINBASE_MATURITY_BLOCKS, DepositOrigin};

/// Last height whose block may hold the deposit of a request made when the tip was at `tip_height`.
///
/// The wait is the shortest reclaim delay: long enough for a low-fee deposit, and nobody is asked
/// to watch an address for longer than its deposit could be kept. A deposit in a later block is
/// late: reclaimable, not served.
pub fn deposit_deadline_height(params: &Params, tip_height: u32) -> u32 {
    tip_height.saturating_add(u32::from(params.reclaim_delay_min))
}

/// Height of the first block that may hold the reclaim of a deposit mined at `height`: after its
/// delay (BIP-68), and for a coinbase not before that may be spent at all.
pub fn reclaim_height(height: u32, reclaim_delay: u16, origin: DepositOrigin) -> u32 {
    let blocks = match origin {
        DepositOrigin::Payment => reclaim_delay,
        DepositOrigin::Coinbase => reclaim_delay.max(COINBASE_MATURITY_BLOCKS),
    };
    height.saturating_add(blocks.into())
}

/// First tip height at which a deposit mined at `height` is too close to its reclaim to be swept.
///
/// The margin before the user's reclaim may enter a block is left free, so that settlement and
/// reclaim never race.
pub fn sweep_end_height(
    params: &Params,
    height: u32,
    reclaim_delay: u16,
    origin: DepositOrigin,
) -> u32 {
    reclaim_height(height, reclaim_delay, origin).saturating_sub(u32::from(params.sweep_margin))
}

/// Last tip height up to which the operators of a roster that handed over at `height` keep its keys
/// and answer, by the parameters that it went by.
///
/// The last address of the roster was given out before that block. Its deposit comes in time up to
/// a request's deadline, and can be settled until its sweep ends. What comes later is its user's to
/// take back, for which nobody is needed. Never less than a hundred confirmations of the hand-over,
/// since a coinbase counts as a deposit too: no reorg that anybody plans for gives the NFT back to
/// keys that are gone.
pub fn former_roster_end_height(params: &Params, height: u32) -> u32 {
    let in_time = deposit_deadline_height(params, height);
    let longest = params.reclaim_delay_max;
    sweep_end_height(params, in_time, longest, DepositOrigin::Coinbase).saturating_sub(1)
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
        let end =
            |height, delay| sweep_end_height(&params(), height, delay, DepositOrigin::Payment);
        assert_eq!(end(100, 24), 118);
        assert_eq!(end(0, 0), 0);
        assert_eq!(end(u32::MAX, 24), u32::MAX - 6);
    }

    #[test]
    fn a_former_roster_serves_until_no_deposit_of_its_can_be_settled() {
        // In time up to 124, taken back from 124 + 8,064 on, swept up to six blocks before that.
        assert_eq!(former_roster_end_height(&params(), 100), 8_181);
    }

    #[test]
    fn a_former_roster_serves_for_a_hundred_confirmations_at_least() {
        let shortest = params().with(|it| {
            (it.reclaim_delay_min, it.reclaim_delay_max, it.sweep_margin) = (2, 2, 1);
        });
        // The hundredth is in block 199.
        let shortest = shortest.map(|params| former_roster_end_height(&params, 100));
        assert_eq!(shortest, Ok(200));
    }

    #[test]
    fn a_coinbase_is_reclaimed_after_its_delay_and_its_maturity() {
        for (delay, payment, coinbase) in [(24, 74, 150), (100, 150, 150), (101, 151, 151)] {
            assert_eq!(reclaim_height(50, delay, DepositOrigin::Payment), payment);
            assert_eq!(reclaim_height(50, delay, DepositOrigin::Coinbase), coinbase);
        }
        let end = sweep_end_height(&params(), 50, 24, DepositOrigin::Coinbase);
        assert_eq!(end, 144);
    }
}
