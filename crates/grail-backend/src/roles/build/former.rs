//! Whose turn it is among former rosters: somebody's deposit of theirs is ready, a quorum of them
//! is there, and the last settlement that they did not sign is long enough ago.
//!
//! Rosters are those of the verified history and nobody's word. That a quorum is there is a hint;
//! what it costs to have believed it is bounded by the deadline of such settlements and by how
//! often they are tried.

use grail_flow::{AbandonCode, SettlementState};
use grail_policy::adoption::AdoptedRoster;
use grail_store::{Reader, Request, Settlement, StoreError};
use grail_types::Roster;

use crate::{backend::Backend, rosters::Rosters};

/// Former epochs that are looked at, the newest of those that have open requests.
const EPOCHS_MAX: usize = 20;
/// Seconds until a roster that did not sign is asked again; twice as many each further time.
const AGAIN_SECONDS: u64 = 10 * 60;
/// Most seconds until then.
const AGAIN_SECONDS_MAX: u64 = 6 * 60 * 60;
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
        if is_there(backend, roster, &tried, now) && !rests(&tried, now) {
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

/// The former roster that holds all of these deposits, if one does.
pub(super) fn holder_of_all<'a>(requests: &[Request], rosters: &'a Rosters) -> Option<&'a Roster> {
    let first = requests.first()?;
    let roster = rosters.of(first.terms.epoch)?.roster();
    let is_former = roster.epoch() < rosters.newest().epoch();
    let is_of_all = requests.iter().all(|request| request.roster == *roster);
    (is_former && is_of_all).then_some(roster)
}

/// How many of the newest settlements, newest first, came to nothing for want of signatures.
fn in_vain(newest: &[Settlement]) -> usize {
    let vain = newest.iter().take_while(|settlement| {
        matches!(
            settlement.state,
            SettlementState::Abandoned {
                code: AbandonCode::Cancelled | AbandonCode::QuorumRefused
            }
        )
    });
    vain.count()
}

fn rests(newest: &[Settlement], now: u64) -> bool {
    let Some(last) = newest.first() else {
        return false;
    };
    now < last.stage_since.saturating_add(pause(in_vain(newest)))
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
    fn who_does_not_sign_is_asked_ever_more_seldom() {
        let minutes: Vec<u64> = (0..=8).map(|it| pause(it) / 60).collect();
        assert_eq!(minutes, [0, 10, 20, 40, 80, 160, 320, 360, 360]);
        assert_eq!(pause(usize::MAX), AGAIN_SECONDS_MAX);
    }
}
