//! Requests made again from receipts. Anybody can write one, so each must be shown by the chain.

use axum::{
    body::Body,
    http::{Request as HttpRequest, StatusCode},
};
use bitcoin::OutPoint;
use grail_api::{Problem, ProblemCode, Receipt, RequestState, RequestStatus, RestoreRequest};
use grail_backend::{
    api::{Limits, Rate, router_with},
    roles::build::Built,
};
use grail_script::InternalKey;
use grail_types::Terms;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    bridge::{first_house, payment},
    foreign::{Foreign, by_leaf, lookalike, terms_of_nobody, tree},
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// The receipt that a request came with.
pub async fn receipt(w: &World, asked: &Asked) -> Receipt {
    let mut reader = w.backend.store.read().await.unwrap();
    let request = reader.request(&asked.id).await.unwrap().unwrap();
    Receipt::new(InternalKey::Nums, request.terms, request.roster)
}

/// A receipt that anybody can write.
pub fn written(terms: Terms) -> Receipt {
    Receipt::new(InternalKey::Nums, terms, first_house().roster)
}

async fn post_limited(w: &World, body: &Value, limits: Limits) -> (StatusCode, Value) {
    let request = HttpRequest::post("/v1/receipts")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let router = router_with(w.backend.clone(), limits);
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    (status, serde_json::from_slice(&body.unwrap()).unwrap())
}

async fn post(w: &World, body: &Value) -> (StatusCode, Value) {
    post_limited(w, body, Limits::default()).await
}

pub async fn hand_in(
    w: &World,
    receipt: &Receipt,
    deposit: Option<OutPoint>,
) -> (StatusCode, RequestStatus) {
    let body = RestoreRequest {
        receipt: receipt.clone(),
        deposit,
    };
    let (status, answer) = post(w, &json!(body)).await;
    let answer = serde_json::from_value(answer.clone()).unwrap_or_else(|_| panic!("{answer}"));
    (status, answer)
}

/// A refusal, which must leave nothing.
pub async fn refused(w: &World, receipt: &Receipt, deposit: Option<OutPoint>) -> ProblemCode {
    let before = counts(w).await;
    let body = RestoreRequest {
        receipt: receipt.clone(),
        deposit,
    };
    let (status, answer) = post(w, &json!(body)).await;
    let problem: Problem = serde_json::from_value(answer).unwrap();
    assert_eq!(status.as_u16(), problem.code.status());
    assert_eq!(counts(w).await, before);
    problem.code
}

async fn counts(w: &World) -> (usize, u64) {
    let mut reader = w.backend.store.read().await.unwrap();
    let requests = reader.requests(0, 1_000).await.unwrap().len();
    (requests, reader.last_event_id().await.unwrap())
}

async fn finish(w: &World) {
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
}

#[tokio::test]
async fn a_receipt_of_what_was_settled_shows_paid() {
    let w = World::new().await;
    let pegged_in = w.ready_peg_ins(2).await.remove(1).0;
    let (_, minted) = w.settle().await;
    w.mine_mempool().await;
    let pegged_out = w.ask_peg_out().await;
    let (outpoint, amount) = w.tokens(&minted).pop_first().unwrap();
    let to = [(pegged_out.script.clone(), amount)];
    let deposit = w.transfer(std::slice::from_ref(&minted), &[outpoint], &to);
    w.mine(vec![deposit]).await;
    w.ready_peg_ins(1).await;
    finish(&w).await;
    let new = w.rebuilt().await;
    for asked in [pegged_in, pegged_out] {
        let receipt = receipt(&w, &asked).await;
        let (status, answer) = hand_in(&new, &receipt, None).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(answer.state, RequestState::Paid);
        assert_eq!(new.standing(&asked).await, ("paid", None));
        // All that the old rows say of it, these say as well.
        let path = format!("/v1/{}s/{}", receipt.kind, asked.id);
        let old = get(&w, &path).await;
        let now = get(&new, &path).await;
        for field in [
            "deposit",
            "settlement",
            "receipt",
            "state",
            "deposit_address",
        ] {
            assert_eq!(now[field], old[field], "{field}");
        }
        // Once more changes nothing.
        let (status, again) = hand_in(&new, &receipt, None).await;
        assert_eq!((status, again), (StatusCode::OK, answer));
    }
    assert_eq!(new.alarms().await, [""; 0]);
}

pub async fn get(w: &World, path: &str) -> Value {
    let request = HttpRequest::get(path).body(Body::empty()).unwrap();
    let router = router_with(w.backend.clone(), Limits::default());
    let response = router.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    serde_json::from_slice(&body.unwrap()).unwrap()
}

#[tokio::test]
async fn what_a_receipt_shows_paid_is_undone_by_a_reorg_and_settled_again() {
    let w = World::new().await;
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    let height = w.tip_height().await + 1;
    finish(&w).await;
    let receipt = receipt(&w, &asked).await;
    let new = w.rebuilt().await;
    hand_in(&new, &receipt, None).await;
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    new.mine_empty(3).await;
    assert_eq!(new.standing(&asked).await, ("settling", None));
    // Somebody else's settlement takes its place, which does not pay this request.
    let terms = terms_of_nobody(&w, 1);
    let tree = tree(&w, &terms);
    let deposit = payment(w.next_number(), tree.script_pubkey, DEPOSIT_SAT);
    let rival = Foreign {
        w: &w,
        made: &w.backend.deployment_tx,
        deposit: (terms, &deposit, by_leaf(&tree.leaf)),
    };
    let rival = rival.settlement();
    new.mine(vec![deposit, rival]).await;
    assert_eq!(new.standing(&asked).await, ("ready", None));
    finish(&new).await;
    assert_eq!(new.standing(&asked).await, ("paid", None));
    assert_eq!(new.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_receipt_with_its_unspent_deposit_is_settled_as_any_other() {
    let w = World::new().await;
    let (asked, deposit) = w.ready_peg_ins(1).await.remove(0);
    w.mine_empty(2).await;
    let receipt = receipt(&w, &asked).await;
    let new = w.rebuilt().await;
    let (status, answer) = hand_in(&new, &receipt, Some(deposit)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(answer.state, RequestState::Ready);
    let shown = answer.deposit.unwrap();
    assert_eq!(shown.outpoint, deposit);
    assert_eq!(shown.confirmations, 3);
    finish(&new).await;
    assert_eq!(new.standing(&asked).await, ("paid", None));
    assert_eq!(new.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_deposit_in_a_block_that_is_still_to_be_read_is_found_there() {
    let w = World::new().await;
    let new = w.rebuilt().await;
    let (asked, deposit) = w.ready_peg_ins(1).await.remove(0);
    let receipt = receipt(&w, &asked).await;
    let (status, answer) = hand_in(&new, &receipt, Some(deposit)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(answer.state, RequestState::AwaitingDeposit);
    new.scan().await;
    assert_eq!(new.standing(&asked).await, ("ready", None));
}

#[tokio::test]
async fn a_deposit_too_close_to_its_reclaim_is_not_settled_any_more() {
    for (passed, state) in [(16, "ready"), (17, "reclaimable")] {
        let w = World::new().await;
        let (asked, deposit) = w.ready_peg_ins(1).await.remove(0);
        w.mine_empty(passed + 1).await;
        let receipt = receipt(&w, &asked).await;
        let new = w.rebuilt().await;
        hand_in(&new, &receipt, Some(deposit)).await;
        assert_eq!(new.standing(&asked).await.0, state, "{passed}");
        let built = new.build().await;
        assert_eq!(built == Built::Draft, state == "ready");
    }
}

#[tokio::test]
async fn a_known_request_is_never_altered_by_a_receipt() {
    let w = World::new().await;
    let (asked, deposit) = w.ready_peg_ins(1).await.remove(0);
    let waiting = w.ask_peg_in().await;
    let row = async |asked: &Asked| {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap()
    };
    let paid = w.deposit(&waiting, DEPOSIT_SAT);
    let other = OutPoint::new(paid.compute_txid(), 0);
    // In the chain and not in the rows.
    w.chain.mine(vec![paid]);
    for (asked, deposits) in [
        (&asked, [None, Some(deposit), Some(other)]),
        (&waiting, [None, Some(other), Some(deposit)]),
    ] {
        let (before, counted) = (row(asked).await, counts(&w).await);
        let receipt = receipt(&w, asked).await;
        for deposit in deposits {
            let (status, _) = hand_in(&w, &receipt, deposit).await;
            assert_eq!(status, StatusCode::OK);
        }
        assert_eq!(row(asked).await, before);
        assert_eq!(counts(&w).await, counted);
    }
}

#[tokio::test]
async fn a_commitment_settled_at_another_address_pays_no_receipt() {
    let w = World::new().await;
    let terms = terms_of_nobody(&w, 1);
    // A quorum with other code settled an output that only names the request.
    let (script, witness) = lookalike(&w, &terms);
    let deposit = payment(w.next_number(), script, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let foreign = Foreign {
        w: &w,
        made: &w.backend.deployment_tx,
        deposit: (terms.clone(), &deposit, witness),
    };
    w.mine(vec![foreign.settlement()]).await;
    assert_eq!(w.settlements().await.len(), 1);
    let receipt = written(terms);
    let outpoint = OutPoint::new(deposit.compute_txid(), 0);
    for deposit in [None, Some(outpoint)] {
        let code = refused(&w, &receipt, deposit).await;
        assert_eq!(code, ProblemCode::DepositNotFound);
    }
    // Its own deposit is served all the same.
    let own = tree(&w, &receipt.terms).script_pubkey;
    let own = payment(w.next_number(), own, DEPOSIT_SAT);
    w.mine(vec![own.clone()]).await;
    let own = OutPoint::new(own.compute_txid(), 0);
    let (_, answer) = hand_in(&w, &receipt, Some(own)).await;
    assert_eq!(answer.state, RequestState::Ready);
    finish(&w).await;
    let path = format!("/v1/peg-ins/{}", answer.id);
    assert_eq!(get(&w, &path).await["state"], "paid");
}

#[tokio::test]
async fn receipts_are_limited_as_new_requests_are_and_known_ones_are_not() {
    let w = World::new().await;
    let (asked, _) = w.ready_peg_ins(1).await.remove(0);
    let limits = Limits {
        creations_each: Rate {
            burst: 0,
            per_second: 0.0,
        },
        ..Limits::default()
    };
    let body = |receipt: Receipt| {
        json!(RestoreRequest {
            receipt,
            deposit: None,
        })
    };
    let unknown = body(written(terms_of_nobody(&w, 1)));
    let (status, problem) = post_limited(&w, &unknown, limits.clone()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(problem["code"], "rate-limited");
    let known = body(receipt(&w, &asked).await);
    let (status, _) = post_limited(&w, &known, limits).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_node_that_lost_the_block_of_a_settlement_makes_its_receipts_wait() {
    let w = World::new().await;
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    let receipt = receipt(&w, &asked).await;
    w.settle().await;
    let at = w.tip_height().await + 1;
    let settlement = w.chain.mempool();
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let new = w.emptied().await;
    new.scan().await;
    // The node has lost what it had not written when the power went.
    w.chain.fork_at(at);
    let unavailable = ProblemCode::Unavailable;
    assert_eq!(refused(&new, &receipt, None).await, unavailable);
    // Nor does it keep the deposit's block, for whoever asks.
    w.chain.mine(settlement);
    w.chain.mine(Vec::new());
    new.scan().await;
    w.chain.keep_from(at);
    assert_eq!(refused(&new, &receipt, None).await, unavailable);
    w.chain.keep_from(0);
    let (status, _) = hand_in(&new, &receipt, None).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(new.standing(&asked).await, ("paid", None));
}

#[tokio::test]
async fn a_node_that_is_away_or_on_another_branch_makes_a_receipt_wait() {
    let w = World::new().await;
    let receipt = written(terms_of_nobody(&w, 1));
    let deposit = tree(&w, &receipt.terms).script_pubkey;
    let deposit = payment(w.next_number(), deposit, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    w.mine_empty(1).await;
    let outpoint = Some(OutPoint::new(deposit.compute_txid(), 0));
    w.chain.set_away(true);
    assert_eq!(
        refused(&w, &receipt, outpoint).await,
        ProblemCode::Unavailable
    );
    w.chain.set_away(false);
    let tip = w.tip_height().await;
    w.chain.fork_at(tip);
    // Behind the rows, then on another branch.
    assert_eq!(
        refused(&w, &receipt, outpoint).await,
        ProblemCode::Unavailable
    );
    w.chain.mine(Vec::new());
    assert_eq!(
        refused(&w, &receipt, outpoint).await,
        ProblemCode::Unavailable
    );
    w.scan().await;
    let (status, _) = hand_in(&w, &receipt, outpoint).await;
    assert_eq!(status, StatusCode::CREATED);
}
