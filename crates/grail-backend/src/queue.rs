//! A request's place in the queue: when it may be settled, until when, and at which fee rates.
//!
//! A function of its terms, its roster and its deposit's row alone, so that every process gives it
//! the same one.

use bitcoin::{Amount, FeeRate};
use grail_flow::{
    BlockRef, Deposit, confirmations_needed, least_weight, least_worth, sweep_end_height,
    viable_rate,
};
use grail_script::{DepositTree, InternalKey};
use grail_store::{QueuePlace, Request, Store, StoreError};
use grail_types::Terms;

use crate::{backend::Backend, roles::build::fee_cap::wait_blocks, step::Step};

/// Rows read at a time.
const PAGE: u32 = 500;

/// The place of a request whose deposit is in `block`.
pub fn place(
    backend: &Backend,
    request: &Request,
    deposit: &Deposit,
    block: BlockRef,
    is_ready: bool,
) -> QueuePlace {
    let params = backend.params();
    let delay = request.terms.reclaim_delay;
    let needed = confirmations_needed(params, deposit.origin);
    let weight = least_weight(params, &tree(backend, request), &request.terms);
    QueuePlace {
        is_ready,
        ready_height: block.height.saturating_add(needed.saturating_sub(1)),
        sweep_end: sweep_end_height(params, block.height, delay, deposit.origin),
        // Zero is no rate: no settlement takes a sponsor, and no rate shuts one out.
        viable_rate: if request.terms.kind.is_sponsor() {
            FeeRate::ZERO
        } else {
            viable_rate(params, &request.terms, deposit, weight)
        },
        patience: wait_blocks(params, delay),
        offer: offer(&request.terms, deposit),
    }
}

/// What a deposit gives to the miners whole. Operators refuse a coin above what its terms name.
fn offer(terms: &Terms, deposit: &Deposit) -> Option<Amount> {
    let is_taken = terms.kind.is_sponsor() && deposit.value <= terms.fee_cap;
    is_taken.then_some(deposit.value)
}

/// What a deposit of a request must be worth to be settled at all.
pub fn least(backend: &Backend, request: &Request) -> Amount {
    let params = backend.params();
    let weight = least_weight(params, &tree(backend, request), &request.terms);
    least_worth(params, &request.terms, weight)
}

fn tree(backend: &Backend, request: &Request) -> DepositTree {
    let Request { terms, roster, .. } = request;
    DepositTree::new(&backend.secp, InternalKey::Nums, terms, roster)
}

/// Gives a place to those who belong into the queue and have none: rows of before there was a
/// queue.
pub async fn fill(backend: &Backend) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let page = page(&backend.store, after).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.number;
        let mut step = Step::begin(backend).await?;
        for request in &page {
            step.place_in_queue(request, &request.state).await?;
        }
        step.commit().await?;
    }
}

async fn page(store: &Store, after: u64) -> Result<Vec<Request>, StoreError> {
    store.read().await?.not_queued(after, PAGE).await
}
