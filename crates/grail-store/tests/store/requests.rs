//! Requests.

use bitcoin::{Amount, ScriptBuf};
use grail_flow::{RequestStage, RequestState, SettlementId};
use grail_store::{
    Conflict, Created, IDEMPOTENCY_KEY_BYTES_MAX, Idempotency, NewRequest, PAGE_ROWS_MAX,
};
use grail_types::{Epoch, RequestId, Roster, SUPPLY_MAX_SAT};

use crate::support::{
    NOW, add_deposit, add_request, block, code, conflict, new_store, outpoint, roster, script,
    terms,
};

#[tokio::test]
async fn a_request_reads_back_as_written() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_request(&mut tx, 1).await;
    assert_eq!(request.id, terms(1).id());
    assert_eq!(request.terms, terms(1));
    assert_eq!(request.roster, roster());
    assert_eq!(request.state, RequestState::start());
    assert_eq!(request.deadline_height, 101);
    assert_eq!(
        tx.request_by_script(&script(1)).await.unwrap(),
        Some(request.clone())
    );
    assert_eq!(tx.request(&request.id).await.unwrap(), Some(request));
    assert_eq!(tx.request(&RequestId([0; 32])).await.unwrap(), None);
    assert_eq!(tx.request_by_script(&ScriptBuf::new()).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_terms_or_the_same_script_twice_are_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_request(&mut tx, 1).await;
    let new = |terms, deposit_script| NewRequest {
        terms,
        roster: Box::leak(Box::new(roster())),
        deposit_script,
        deadline_height: 1,
        idempotency: None,
        now: NOW,
    };
    let (one, two) = (terms(1), terms(2));
    let (script_one, script_two) = (script(1), script(2));
    let same_terms = tx.create_request(&new(&one, script_two.as_script())).await;
    assert_eq!(conflict(same_terms), Conflict::RequestExists);
    let same_script = tx.create_request(&new(&two, script_one.as_script())).await;
    assert_eq!(conflict(same_script), Conflict::DepositScriptTaken);
}

#[tokio::test]
async fn an_idempotency_key_names_one_request_and_one_body() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let roster = roster();
    let (one, two) = (terms(1), terms(2));
    let (script_one, script_two) = (script(1), script(2));
    let mut new = NewRequest {
        terms: &one,
        roster: &roster,
        deposit_script: &script_one,
        deadline_height: 1,
        idempotency: Some(Idempotency {
            key: "key",
            body_hash: [1; 32],
        }),
        now: NOW,
    };
    let Created::New(first) = tx.create_request(&new).await.unwrap() else {
        panic!("expected a new request");
    };
    // The server drew another nonce for the same body: the first request stands.
    new.terms = &two;
    new.deposit_script = &script_two;
    assert_eq!(
        tx.create_request(&new).await.unwrap(),
        Created::Existing(first)
    );
    new.idempotency = Some(Idempotency {
        key: "key",
        body_hash: [2; 32],
    });
    let reused = tx.create_request(&new).await;
    assert_eq!(conflict(reused), Conflict::IdempotencyKeyReused);
    assert_eq!(tx.requests(0, 10).await.unwrap().len(), 1);

    let longest = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX);
    let longer = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1);
    for (key, is_fine) in [(&longest, true), (&longer, false)] {
        new.idempotency = Some(Idempotency {
            key,
            body_hash: [2; 32],
        });
        assert_eq!(tx.create_request(&new).await.is_ok(), is_fine);
    }
}

#[tokio::test]
async fn extremes_are_held_or_refused_never_bent() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for (seed, fee_cap, epoch, is_fine) in [
        (1, 0, 0, true),
        (2, SUPPLY_MAX_SAT, i64::MAX as u64, true),
        (3, SUPPLY_MAX_SAT + 1, 0, false),
        (4, u64::MAX, 0, false),
        (5, 0, u64::MAX, false),
    ] {
        let mut terms = terms(seed);
        terms.fee_cap = Amount::from_sat(fee_cap);
        terms.epoch = Epoch(epoch);
        let first = roster();
        let signers = first.signers().to_vec();
        let of_epoch = Roster::new(Epoch(epoch), signers, first.threshold()).unwrap();
        let new = NewRequest {
            terms: &terms,
            roster: &of_epoch,
            deposit_script: &script(seed),
            deadline_height: u32::MAX,
            idempotency: None,
            now: NOW,
        };
        let created = tx.create_request(&new).await;
        if is_fine {
            assert_eq!(created.unwrap().into_request().terms, terms);
        } else {
            assert_eq!(code(created), "out-of-range");
        }
    }
    assert_eq!(tx.requests(0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_state_is_changed_only_from_the_one_that_was_read() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    let start = RequestState::start();
    let ready = RequestState::Ready {
        deposit: outpoint(1),
    };
    tx.set_request_state(&id, &start, &ready, NOW + 1)
        .await
        .unwrap();
    let request = tx.request(&id).await.unwrap().unwrap();
    assert_eq!((request.state, request.updated_at), (ready, NOW + 1));
    let again = tx.set_request_state(&id, &start, &ready, NOW + 2).await;
    assert_eq!(code(again), "stale");
    // Of the same name, but about another deposit.
    let other = RequestState::Ready {
        deposit: outpoint(2),
    };
    let from_other = tx.set_request_state(&id, &other, &start, NOW + 2).await;
    assert_eq!(code(from_other), "stale");
    let nobody = RequestId([9; 32]);
    let missing = tx.set_request_state(&nobody, &start, &ready, NOW).await;
    assert_eq!(code(missing), "not-found");
}

#[tokio::test]
async fn every_state_reads_back() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    let deposit = outpoint(1);
    let settlement = SettlementId(1);
    let code = grail_flow::ReclaimCode::Late;
    let mut from = RequestState::start();
    for to in [
        RequestState::Unconfirmed {
            deposit,
            height: Some(7),
        },
        RequestState::Ready { deposit },
        RequestState::Settling {
            deposit,
            settlement,
        },
        RequestState::Paid {
            deposit,
            settlement,
        },
        RequestState::Reclaimable { deposit, code },
        RequestState::Reclaimed { deposit, code },
        RequestState::Expired {},
        RequestState::AwaitingDeposit {},
    ] {
        tx.set_request_state(&id, &from, &to, NOW).await.unwrap();
        assert_eq!(tx.request(&id).await.unwrap().unwrap().state, to);
        let listed = tx.requests_in_state(to.stage(), 0, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        from = to;
    }
}

#[tokio::test]
async fn lists_go_page_by_page_in_order_of_creation() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in 1..=5 {
        add_request(&mut tx, seed).await;
    }
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = tx.requests(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last.number;
        seen.extend(page.into_iter().map(|request| request.terms.nonce[0]));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert!(tx.requests(u64::MAX, 2).await.unwrap().is_empty());
    assert!(tx.requests(0, 0).await.unwrap().is_empty());
    assert_eq!(tx.requests(0, u32::MAX).await.unwrap().len(), 5);
    const { assert!(PAGE_ROWS_MAX >= 5) };
    let waiting = tx
        .requests_in_state(RequestStage::AwaitingDeposit, 3, 10)
        .await
        .unwrap();
    assert_eq!(waiting.len(), 2);
    let counts = tx.request_counts().await.unwrap();
    assert_eq!(counts, [("awaiting-deposit".to_owned(), 5)]);
}

#[tokio::test]
async fn a_deadline_is_due_at_its_height_unless_a_deposit_is_mined() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    // Deadlines are 101, 102, 103.
    let waiting = add_request(&mut tx, 1).await.id;
    let start = RequestState::start();
    let mut unconfirmed = Vec::new();
    for seed in [2, 3] {
        let id = add_deposit(&mut tx, seed).await;
        let state = RequestState::Unconfirmed {
            deposit: outpoint(seed),
            height: (seed == 3).then_some(90),
        };
        tx.set_request_state(&id, &start, &state, NOW)
            .await
            .unwrap();
        unconfirmed.push(id);
    }
    tx.set_deposit_block(&outpoint(3), Some(block(90, 0)), NOW)
        .await
        .unwrap();
    for (tip_height, expected) in [
        (100, vec![]),
        (101, vec![waiting]),
        (500, vec![waiting, unconfirmed[0]]),
    ] {
        let due = tx.requests_past_deadline(tip_height, 10).await.unwrap();
        let ids: Vec<_> = due.iter().map(|request| request.id).collect();
        assert_eq!(ids, expected, "tip {tip_height}");
    }
}

#[tokio::test]
async fn a_wait_for_lower_fees_keeps_its_first_height_until_it_ends() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    assert_eq!(tx.fee_wait(&id).await.unwrap(), None);
    assert_eq!(tx.begin_fee_wait(&id, 7).await.unwrap(), 7);
    assert_eq!(tx.begin_fee_wait(&id, 9).await.unwrap(), 7);
    tx.end_fee_wait(&id).await.unwrap();
    tx.end_fee_wait(&id).await.unwrap();
    assert_eq!(tx.begin_fee_wait(&id, u32::MAX).await.unwrap(), u32::MAX);
    assert_eq!(tx.fee_wait(&id).await.unwrap(), Some(u32::MAX));
    // An empty list for a name that waits for nothing.
    let nobody = terms(9).id();
    assert!(tx.begin_fee_wait(&nobody, 7).await.is_err());
}
