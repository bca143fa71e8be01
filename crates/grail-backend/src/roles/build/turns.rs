//! Whose turn it is to be settled: who may have spoiled a batch comes first and in halves of it,
//! whose time ends soon has a part of each batch, the rest is served in the order in which it
//! became ready, whoever spoils even a batch of its own comes after all others; and who cannot be
//! planned holds nobody up.

use std::collections::BTreeSet;

use bitcoin::FeeRate;
use grail_store::{QueueCursor, Request, StoreError};
use grail_txbuild::{LeftOut, LeftOutReason};
use grail_types::{RequestId, Roster};

use crate::backend::Backend;

/// Requests of the queue read at a time: more than one settlement holds.
const PAGE: u32 = 400;
/// The part of a batch that is for those whose time ends first.
const URGENT_PART: u32 = 4;

/// The turns of one look.
pub(super) struct Turns<'a> {
    backend: &'a Backend,
    roster: &'a Roster,
    rate: FeeRate,
    cursor: QueueCursor,
    taken: BTreeSet<RequestId>,
    lone_was_taken: bool,
}

impl<'a> Turns<'a> {
    /// Of those whose deposits are `roster`'s, at this fee rate.
    pub(super) fn new(backend: &'a Backend, roster: &'a Roster, rate: FeeRate) -> Self {
        Self {
            backend,
            roster,
            rate,
            cursor: QueueCursor::default(),
            taken: BTreeSet::new(),
            lone_was_taken: false,
        }
    }

    /// The first turn: of suspects, if there are any; then nobody else's.
    pub(super) async fn first(&mut self) -> Result<Vec<Request>, StoreError> {
        let mut reader = self.backend.store.read().await?;
        let (mut suspects, size) = reader
            .suspects(self.roster.epoch(), self.rate, PAGE)
            .await?;
        drop(reader);
        // Half of them: a hostile deposit delays its neighbours by a few settlements and nobody
        // else.
        suspects.truncate(usize::try_from(size / 2).unwrap_or(usize::MAX));
        self.keep_own(&mut suspects);
        if !suspects.is_empty() {
            return Ok(suspects);
        }
        let inputs = u32::from(self.backend.params().roster_inputs_max);
        let mut reader = self.backend.store.read().await?;
        let mut batch = reader
            .queue_by_urgency(self.roster.epoch(), self.rate, inputs / URGENT_PART)
            .await?;
        drop(reader);
        self.keep_own(&mut batch);
        self.taken.extend(batch.iter().map(|request| request.id));
        batch.append(&mut self.page().await?);
        if batch.is_empty() {
            return self.lone().await;
        }
        Ok(batch)
    }

    /// The turn after one that served nobody; empty when there is none.
    pub(super) async fn next(
        &mut self,
        batch: &[Request],
        left_out: &[LeftOut],
    ) -> Result<Vec<Request>, StoreError> {
        let mut next = untried(batch, left_out, |request| request.id);
        next.append(&mut self.page().await?);
        if next.is_empty() {
            return self.lone().await;
        }
        Ok(next)
    }

    /// Who could not be served alone, when nobody else is left: one, and once.
    async fn lone(&mut self) -> Result<Vec<Request>, StoreError> {
        if std::mem::replace(&mut self.lone_was_taken, true) {
            return Ok(Vec::new());
        }
        let mut reader = self.backend.store.read().await?;
        let lone = reader.lone_suspect(self.roster.epoch(), self.rate).await?;
        drop(reader);
        let mut lone: Vec<_> = lone.into_iter().collect();
        self.keep_own(&mut lone);
        Ok(lone)
    }

    /// More of the queue, in order.
    async fn page(&mut self) -> Result<Vec<Request>, StoreError> {
        loop {
            let mut reader = self.backend.store.read().await?;
            let (mut page, cursor) = reader
                .queue(self.roster.epoch(), self.rate, self.cursor, PAGE)
                .await?;
            drop(reader);
            self.cursor = cursor;
            let is_end = page.is_empty();
            page.retain(|request| self.taken.insert(request.id));
            self.keep_own(&mut page);
            if is_end || !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// After a reorg another roster may have the same number. No settlement takes a sponsor.
    fn keep_own(&self, requests: &mut Vec<Request>) {
        let is_own = |it: &Request| it.roster == *self.roster && !it.terms.kind.is_sponsor();
        requests.retain(is_own);
    }
}

/// Those of a batch for whom there was no room.
fn untried<R: Clone>(batch: &[R], left_out: &[LeftOut], id: impl Fn(&R) -> RequestId) -> Vec<R> {
    let full: BTreeSet<RequestId> = left_out
        .iter()
        .filter(|left| left.reason == LeftOutReason::BatchFull)
        .map(|left| left.request)
        .collect();
    let untried = batch.iter().filter(|request| full.contains(&id(request)));
    let untried: Vec<R> = untried.cloned().collect();
    // A batch in which there is no room for anybody is one that never has any.
    if untried.len() == batch.len() {
        return Vec::new();
    }
    untried
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
    fn those_without_room_come_again_and_those_who_do_not_fit_do_not() {
        let tried = [
            left(1, LeftOutReason::TooSmall),
            left(2, LeftOutReason::FeeAboveCap),
            left(3, LeftOutReason::BatchFull),
            left(4, LeftOutReason::BatchFull),
        ];
        assert_eq!(untried(&[1, 2, 3, 4], &tried, id), [3, 4]);
    }

    #[test]
    fn turns_end_even_if_nothing_ever_fits() {
        let full = [left(1, LeftOutReason::BatchFull)];
        assert!(untried(&[1], &full, id).is_empty());
    }
}
