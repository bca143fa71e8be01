//! Whose turn it is to be settled: who spoiled a batch comes first and alone, who cannot be planned
//! holds nobody up.
//!
//! Pure: told what is ready, what failed and what a plan left out.

use std::collections::{BTreeMap, BTreeSet};

use grail_flow::SettlementId;
use grail_txbuild::{LeftOut, LeftOutReason};
use grail_types::RequestId;

/// Who gets the next turn after a plan of `batch` served nobody: those of it for whom there was no
/// room, and whoever waits. At least one fewer than before, so that the turns end.
pub(crate) fn next_turn<R: Clone>(
    batch: &[R],
    waiting: &mut Vec<R>,
    left_out: &[LeftOut],
    id: impl Fn(&R) -> RequestId,
) -> Vec<R> {
    let full: BTreeSet<RequestId> = left_out
        .iter()
        .filter(|left| left.reason == LeftOutReason::BatchFull)
        .map(|left| left.request)
        .collect();
    let untried = batch.iter().filter(|request| full.contains(&id(request)));
    let mut next: Vec<R> = untried.cloned().collect();
    // A single request for which there is no room alone never has any.
    if next.len() == batch.len() {
        next.clear();
    }
    next.append(waiting);
    next
}

/// Requests of a batch that could not be served come again in halves, ahead of others, until the
/// one that spoils it is alone: a hostile deposit delays its neighbours by a few settlements and
/// nobody else. Returns whose turn it is, and who comes next should those not fit: nobody who is
/// suspected of anything.
pub(crate) fn isolate<R>(
    ready: Vec<R>,
    failed: &BTreeMap<RequestId, (usize, SettlementId)>,
    id: impl Fn(&R) -> RequestId,
) -> (Vec<R>, Vec<R>) {
    let suspect = ready
        .iter()
        .find_map(|request| failed.get(&id(request)).copied());
    let Some((size, batch)) = suspect else {
        return (ready, Vec::new());
    };
    let (mut suspects, mut others) = (Vec::new(), Vec::new());
    for request in ready {
        match failed.get(&id(&request)) {
            None => others.push(request),
            Some(known) if *known == (size, batch) && suspects.len() < (size / 2).max(1) => {
                suspects.push(request);
            }
            Some(_) => {}
        }
    }
    (suspects, others)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::trivially_copy_pass_by_ref)]
    use super::*;

    fn id(seed: &u8) -> RequestId {
        RequestId([*seed; 32])
    }

    fn left(seed: u8, reason: LeftOutReason) -> LeftOut {
        LeftOut {
            request: id(&seed),
            reason,
        }
    }

    #[test]
    fn suspects_come_first_by_halves_and_the_unsuspected_behind_them() {
        let failed = [(2, 7), (3, 7), (4, 7), (5, 7), (8, 9)]
            .map(|(seed, batch)| (id(&seed), (4, SettlementId(batch))))
            .into();
        let turns = isolate((1..=9).collect(), &failed, id);
        assert_eq!(turns, (vec![2, 3], vec![1, 6, 7, 9]));
        assert_eq!(isolate(vec![1, 6], &failed, id), (vec![1, 6], vec![]));
    }

    #[test]
    fn suspects_that_cannot_be_planned_hold_nobody_up() {
        let mut waiting = vec![6, 7];
        let tried = [
            left(2, LeftOutReason::TooSmall),
            left(3, LeftOutReason::FeeAboveCap),
        ];
        let next = next_turn(&[2, 3], &mut waiting, &tried, id);
        assert_eq!(next, [6, 7]);
        let tried = [6, 7].map(|seed| left(seed, LeftOutReason::TooSmall));
        assert!(next_turn(&next, &mut waiting, &tried, id).is_empty());
    }

    #[test]
    fn a_whole_batch_of_unfit_requests_starves_nobody_behind_it() {
        let tried = [
            left(1, LeftOutReason::TooSmall),
            left(2, LeftOutReason::FeeAboveCap),
            left(3, LeftOutReason::BatchFull),
            left(4, LeftOutReason::BatchFull),
        ];
        let next = next_turn(&[1, 2, 3, 4], &mut Vec::new(), &tried, id);
        assert_eq!(next, [3, 4]);
    }

    #[test]
    fn turns_end_even_if_nothing_ever_fits() {
        let full = [left(1, LeftOutReason::BatchFull)];
        assert!(next_turn(&[1], &mut Vec::new(), &full, id).is_empty());
    }
}
