//! Whose turn it is among former rosters: somebody's deposit of theirs is ready, a quorum of them
//! is there, and the last settlement that they did not sign is long enough ago.
//!
//! Rosters are those of the verified history and nobody's word. That a quorum is there is a hint;
//! what it costs to have believed it is bounded by the deadline of such settlements and by how
//! often they are tried.

use anyhow::Context;
use grail_flow::{AbandonCode, RequestEvent, RequestState, served_today};
use grail_policy::adoption::AdoptedRoster;
use grail_store::{Reader, Request, Settlement, StoreError};
use grail_types::Roster;

use super::rest;
use crate::{backend::Backend, queue, rosters::Rosters, step::Step};

/// Former epochs that are looked at, the newest of those that have open requests.
const EPOCHS_MAX: usize = 20;
/// Settlements in a row that came to nothing, after which a roster is asked no more: two days, of
/// which the lane was held for two hours.
const TRIES_MAX: usize = 12;
const TRIES_READ: u32 = 12;

/// The former rosters whose deposits may be settled at `now`, unix seconds, the oldest first.
pub(super) async fn due<'a>(
    backend: &Backend,
    rosters: &'a Rosters,
    reader: &mut Reader,
    now: u64,
) -> Result<Vec<&'a Roster>, StoreError> {
    let newest = rosters.newest().epoch();
    let open = reader.open_request_epochs().await?;
    let former = open.iter().rev().filter(|(epoch, _)| *epoch < newest);
    let former = former.filter_map(|(epoch, _)| rosters.of(*epoch));
    let former: Vec<_> = former.take(EPOCHS_MAX).map(AdoptedRoster::roster).collect();
    let signers = former.iter().flat_map(|roster| roster.signers());
    backend.operators.expect(signers.copied().collect());
    let mut due = Vec::new();
    for roster in former.into_iter().rev() {
        if !reader.is_anybody_ready(roster.epoch()).await? {
            continue;
        }
        let tried = tried(reader, roster).await?;
        if is_there(backend, roster, &tried, now) && !rest::rests(tried.iter(), is_unsigned, 0, now)
        {
            due.push(roster);
        }
    }
    Ok(due)
}

/// Whether there is sense in asking a former roster at all: a quorum of it is there, and has not
/// been asked in vain too often.
pub(crate) async fn is_asked(
    backend: &Backend,
    reader: &mut Reader,
    roster: &Roster,
    now: u64,
) -> Result<bool, StoreError> {
    let tried = tried(reader, roster).await?;
    Ok(is_there(backend, roster, &tried, now))
}

fn is_there(backend: &Backend, roster: &Roster, tried: &[Settlement], now: u64) -> bool {
    in_vain(tried) < TRIES_MAX && backend.operators.has_quorum(roster, now)
}

async fn tried(reader: &mut Reader, roster: &Roster) -> Result<Vec<Settlement>, StoreError> {
    reader.former_settlements(roster.epoch(), TRIES_READ).await
}

/// Tells those of a batch whose deposits the parameters of today do not allow that they are theirs
/// to take back, and says how many they are. Operators judge by today's parameters whoever holds a
/// deposit: a settlement with one of these would be proven in vain, and count as the bridge's
/// fault.
pub(super) async fn give_back(backend: &Backend, batch: &[Request]) -> anyhow::Result<usize> {
    let mut unfit = Vec::new();
    let mut reader = backend.store.read().await?;
    for request in batch {
        let Some(deposit) = request.state.deposit() else {
            continue;
        };
        let row = reader.deposit(&deposit).await?;
        let row = row.context("a ready request whose deposit is not stored")?;
        let least = queue::least(backend, request);
        let served = served_today(backend.params(), &request.terms, &row.deposit, least);
        if let Err(code) = served {
            unfit.push((request.id, deposit, code));
        }
    }
    drop(reader);
    if unfit.is_empty() {
        return Ok(0);
    }
    let mut step = Step::begin(backend).await?;
    let mut told = 0;
    for (request, deposit, code) in unfit {
        // Blocks may have come or gone since the batch was read.
        let row = step.tx.request(&request).await?;
        if row.is_some_and(|row| row.state == RequestState::Ready { deposit }) {
            let event = RequestEvent::DepositUnacceptable { deposit, code };
            step.tell_request(request, event).await?;
            told += 1;
        }
    }
    step.commit().await?;
    Ok(told)
}

/// The former roster that holds all of these deposits, if one does.
pub(super) fn holder_of_all<'a>(requests: &[Request], rosters: &'a Rosters) -> Option<&'a Roster> {
    let first = requests.first()?;
    let roster = rosters.of(first.terms.epoch)?.roster();
    let is_former = roster.epoch() < rosters.newest().epoch();
    let is_of_all = requests.iter().all(|request| request.roster == *roster);
    (is_former && is_of_all).then_some(roster)
}

/// For want of signatures.
const fn is_unsigned(code: AbandonCode) -> bool {
    matches!(code, AbandonCode::Cancelled | AbandonCode::QuorumRefused)
}

fn in_vain(newest: &[Settlement]) -> usize {
    rest::in_vain(newest, is_unsigned)
}
