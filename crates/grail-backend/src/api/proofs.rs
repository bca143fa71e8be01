//! How settlements are proven. What an error says in words stays inside: it may name our network.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use grail_api::{Page, ProblemCode, Proof, Proving, ProvingState};
use grail_flow::SettlementId;
use grail_store::{ProofRecord, ProofState, Reader};

use super::{
    Api,
    answer::{Answer, Failure},
    query::{ListQuery, bad_query, parse_after},
};
use crate::{backend::Backend, clock};

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<Json<Page<Proof>>> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let (state, page) = query.split();
    let state = state
        .map(|name| {
            name.parse::<ProofState>()
                .map_err(|_| Failure::new(ProblemCode::BadQuery, "expected a state of proofs"))
        })
        .transpose()?;
    let limit = page.limit()?;
    let before = parse_after(&page)?;
    let mut reader = api.backend.store.read().await?;
    // One more than asked for tells whether there is a next page.
    let mut rows = reader
        .proofs_newest_first(state, before, u32::from(limit).saturating_add(1))
        .await?;
    let is_last = rows.len() <= usize::from(limit);
    rows.truncate(limit.into());
    let next = rows
        .last()
        .filter(|_| !is_last)
        .map(|row| row.record.settlement.to_string());
    let estimate = estimate(&api.backend, &mut reader).await?;
    let now = clock::now();
    let items = rows
        .into_iter()
        .map(|row| Proof {
            settlement_txid: row.txid,
            request_count: row.request_count,
            proving: shown(row.record, estimate, now),
        })
        .collect();
    Ok(Json(Page { items, next }))
}

/// How a settlement is proven; none of one from before that was recorded.
pub(super) async fn of_settlement(
    backend: &Backend,
    reader: &mut Reader,
    id: SettlementId,
) -> Answer<Option<Proving>> {
    let Some(record) = reader.proof_record(id).await? else {
        return Ok(None);
    };
    let estimate = if record.finished_at.is_none() {
        estimate(backend, reader).await?
    } else {
        None
    };
    Ok(Some(shown(record, estimate, clock::now())))
}

/// Seconds that our prover takes.
async fn estimate(backend: &Backend, reader: &mut Reader) -> Answer<Option<u64>> {
    let estimate = reader.proof_estimate_ms(backend.prover.kind()).await?;
    Ok(estimate.map(|ms| ms.div_ceil(1_000)))
}

fn shown(record: ProofRecord, estimate: Option<u64>, now: u64) -> Proving {
    // A worker that is gone is not at it, whatever it wrote down.
    let is_held = record.is_leased && record.due_at > now;
    let state = match record.state {
        ProofState::Proving if is_held => ProvingState::Proving,
        ProofState::Queued | ProofState::Proving => ProvingState::Queued,
        ProofState::Proven => ProvingState::Proven,
        ProofState::Failed => ProvingState::Failed,
        ProofState::Abandoned => ProvingState::Abandoned,
    };
    let elapsed_seconds = if state == ProvingState::Proving {
        record
            .started_at
            .map(|started_at| now.saturating_sub(started_at))
    } else {
        record.duration_ms.map(|ms| ms / 1_000)
    };
    Proving {
        state,
        attempts: record.attempts,
        queued_at: record.queued_at,
        started_at: record.started_at,
        finished_at: record.finished_at,
        next_attempt_at: (state == ProvingState::Queued && record.due_at > now)
            .then_some(record.due_at),
        elapsed_seconds,
        estimated_seconds: estimate.filter(|_| record.finished_at.is_none()),
        prover: record.prover,
        is_reused: record.is_reused,
        fuel: record.fuel,
        prover_fee_sat: record.fee.map(bitcoin::Amount::to_sat),
        code: record.error_code,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: u64 = 1_000;

    fn record(state: ProofState) -> ProofRecord {
        ProofRecord {
            settlement: SettlementId(1),
            state,
            attempts: 1,
            worker: Some("a1b2".to_owned()),
            prover: Some("mock".to_owned()),
            request_hash: Some([1; 32]),
            queued_at: 100,
            started_at: Some(940),
            finished_at: None,
            duration_ms: None,
            is_reused: false,
            fuel: None,
            fee: None,
            error_code: None,
            error_text: Some("http://secret-host refused".to_owned()),
            due_at: NOW + 1,
            is_leased: true,
        }
    }

    #[test]
    fn states_have_the_names_of_the_store() {
        let api: Vec<_> = ProvingState::ALL.iter().map(|state| state.name()).collect();
        let states: Vec<_> = ProofState::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(api, states);
    }

    #[test]
    fn an_attempt_under_way_shows_time_taken_and_time_expected() {
        let proving = shown(record(ProofState::Proving), Some(90), NOW);
        assert_eq!(proving.state, ProvingState::Proving);
        assert_eq!(
            (proving.elapsed_seconds, proving.estimated_seconds),
            (Some(60), Some(90))
        );
        assert_eq!(proving.next_attempt_at, None);
    }

    #[test]
    fn an_attempt_whose_worker_is_gone_waits_again() {
        let gone = ProofRecord {
            due_at: NOW,
            ..record(ProofState::Proving)
        };
        let given_back = ProofRecord {
            is_leased: false,
            ..record(ProofState::Proving)
        };
        let gone = shown(gone, None, NOW);
        assert_eq!(
            (gone.state, gone.next_attempt_at, gone.elapsed_seconds),
            (ProvingState::Queued, None, None)
        );
        let given_back = shown(given_back, None, NOW);
        assert_eq!(
            (given_back.state, given_back.next_attempt_at),
            (ProvingState::Queued, Some(NOW + 1))
        );
    }

    #[test]
    fn a_finished_one_has_no_estimate_and_nothing_tells_of_workers_or_hosts() {
        let proven = ProofRecord {
            finished_at: Some(990),
            duration_ms: Some(2_999),
            ..record(ProofState::Proven)
        };
        let proven = shown(proven, Some(90), NOW);
        assert_eq!(
            (proven.elapsed_seconds, proven.estimated_seconds),
            (Some(2), None)
        );
        let text = serde_json::to_string(&proven).unwrap();
        assert!(!text.contains("secret-host") && !text.contains("a1b2"));
    }
}
