//! How large a settlement may be so that nodes relay it behind those that wait for a block.
//!
//! Settlements spend each other's outputs, and anybody who was paid by one may build on it. A node
//! takes only so many relatives, and so much of them, into its mempool; what is planned past that
//! is proven and signed for nothing. So the room that is left is counted before.

use bitcoin::{Txid, Weight};
use grail_chain::{Chain, ChainError, MempoolKin};

/// Relatives that a node takes by default, the newcomer included (Bitcoin Core's
/// `-limitancestorcount` and `-limitdescendantcount` until version 30; later its clusters take 64).
const KIN_MAX: u64 = 25;
/// Their size, vbytes (`-limitancestorsize`, `-limitdescendantsize`, `-limitclustersize`).
const KIN_VSIZE_MAX: u64 = 101_000;
/// Room for which no settlement is worth its proof, vbytes: the smallest has some 2,600.
const WORTH_A_PROOF: u64 = 3_000;

/// The largest settlement that the node would take on top of `chain`: those in its mempool, oldest
/// first, the one to build on last. None when there is no room worth a settlement.
///
/// # Errors
/// What the node answers; and one that is not in its mempool any more has either been mined or been
/// dropped, which the next look knows.
pub(super) fn left(node: &dyn Chain, chain: &[Txid]) -> Result<Option<Weight>, ChainError> {
    let mut kin = Vec::new();
    for txid in chain {
        match node.mempool_kin(txid)? {
            Some(found) => kin.push(found),
            None => return Ok(None),
        }
    }
    Ok(room(&kin))
}

/// The new one is a descendant of all of them, and they, with what they build on, are its
/// ancestors.
fn room(chain: &[MempoolKin]) -> Option<Weight> {
    let newest = chain.last();
    let count = newest
        .map_or(0, |kin| kin.ancestors)
        .max(chain.iter().map(|kin| kin.descendants).max().unwrap_or(0));
    let vsize = newest.map_or(0, |kin| kin.ancestors_vsize).max(
        chain
            .iter()
            .map(|kin| kin.descendants_vsize)
            .max()
            .unwrap_or(0),
    );
    let left = KIN_VSIZE_MAX.saturating_sub(vsize);
    if count >= KIN_MAX || left < WORTH_A_PROOF {
        return None;
    }
    Weight::from_vb(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin(ancestors: u64, above: u64, descendants: u64, below: u64) -> MempoolKin {
        MempoolKin {
            ancestors,
            ancestors_vsize: above,
            descendants,
            descendants_vsize: below,
            descendants_fee: bitcoin::Amount::ZERO,
        }
    }

    #[test]
    fn without_relatives_there_is_all_the_room() {
        assert_eq!(room(&[]), Weight::from_vb(101_000));
    }

    #[test]
    fn ancestors_of_the_newest_and_descendants_of_any_take_room() {
        let chain = [kin(1, 47_000, 2, 94_000), kin(2, 94_000, 1, 47_000)];
        assert_eq!(room(&chain), Weight::from_vb(7_000));
        // A stranger's child of the oldest counts there alone.
        let chain = [kin(1, 40_000, 3, 98_000), kin(2, 80_000, 1, 40_000)];
        assert_eq!(room(&chain), Weight::from_vb(3_000));
        let chain = [kin(1, 40_000, 3, 98_001), kin(2, 80_000, 1, 40_000)];
        assert_eq!(room(&chain), None);
    }

    #[test]
    fn so_many_small_relatives_leave_no_room_either() {
        assert_eq!(room(&[kin(1, 300, 24, 7_000)]), Weight::from_vb(94_000));
        assert_eq!(room(&[kin(1, 300, 25, 7_000)]), None);
        assert_eq!(room(&[kin(25, 9_000, 1, 300)]), None);
    }
}
