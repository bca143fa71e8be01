//! What may leave: shown before anybody asks, told to who waits for it, and no reason ever to turn
//! a request away.

use axum::{body::Body, http::Request as HttpRequest};
use bitcoin::{OutPoint, Sequence};
use grail_api::{BridgeStatus, LimitCode, OutflowWait, Request, RequestStatus, StatusCode};
use grail_backend::{api::router, roles::build::Built};
use serde_json::json;
use tower::ServiceExt;

use super::{
    bridge::own_script,
    operators::key,
    users::{Asked, FEE_CAP_SAT, USER_KEY, address},
    world::World,
};

/// The parameters of these tests: most that may leave at once, and besides with each block.
const CAP: u64 = 100_000_000_000;
const RATE: u64 = 700_000_000;
/// What the first peg-out takes of it, and what the second asks for: [`EXCESS`] too much.
const FIRST: u64 = 60_000_000_000;
const SECOND: u64 = 43_000_000_000;
const EXCESS: u64 = FIRST + SECOND - CAP;

/// Two peg-outs, of which only one may leave by now.
struct Waiting {
    w: World,
    first: Asked,
    second: Asked,
}

/// Both deposits are in a block, and nothing is planned yet.
async fn waiting() -> Waiting {
    let w = World::new().await;
    let params = w.backend.params();
    assert_eq!(params.outflow_cap.to_sat(), CAP);
    assert_eq!(params.outflow_rate.to_sat(), RATE);
    let ins = [w.ask_peg_in().await, w.ask_peg_in().await];
    let deposits = ins.iter().map(|asked| w.deposit(asked, CAP)).collect();
    w.mine(deposits).await;
    let (_, minted) = w.settle().await;
    w.mine_mempool().await;
    let tokens = w.tokens(&minted);
    let inputs: Vec<OutPoint> = tokens.keys().copied().collect();
    let rest = tokens.values().sum::<u64>() - FIRST - SECOND;
    let (first, second) = (w.ask_peg_out().await, w.ask_peg_out().await);
    let to = [
        (first.script.clone(), FIRST),
        (second.script.clone(), SECOND),
        (own_script(USER_KEY), rest),
    ];
    let transfer = w.transfer(std::slice::from_ref(&minted), &inputs, &to);
    w.mine(vec![transfer]).await;
    Waiting { w, first, second }
}

async fn get<T: serde::de::DeserializeOwned>(w: &World, path: &str) -> T {
    let request = HttpRequest::get(path).body(Body::empty()).unwrap();
    parsed(w, request).await
}

async fn parsed<T: serde::de::DeserializeOwned>(w: &World, request: HttpRequest<Body>) -> T {
    let response = router(w.backend.clone()).oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    serde_json::from_slice(&body.unwrap()).unwrap()
}

async fn waits(w: &World, asked: &Asked) -> Option<OutflowWait> {
    let path = format!("/v1/peg-outs/{}", asked.id);
    let status: RequestStatus = get(w, &path).await;
    status.outflow_wait
}

/// What may leave, and blocks until more may, and until as much as the cap may.
async fn shown(w: &World) -> (u64, Option<u64>, u64) {
    let status: BridgeStatus = get(w, "/v1/status").await;
    let outflow = status.outflow.unwrap();
    assert_eq!(outflow.cap_sat, CAP);
    assert_eq!(outflow.rate_sat_per_block, RATE);
    let until = (outflow.blocks_until_more, outflow.blocks_until_empty);
    (outflow.may_leave_sat, until.0, until.1)
}

#[tokio::test]
async fn who_waits_for_the_limit_is_told_how_long_and_is_paid_then() {
    let Waiting {
        w, first, second, ..
    } = waiting().await;
    assert_eq!(shown(&w).await, (CAP, None, 0));
    assert_eq!(waits(&w, &first).await, None);
    assert_eq!(waits(&w, &second).await, None);
    let (_, made) = w.settle().await;
    assert_eq!(made.input[0].sequence, Sequence::ENABLE_RBF_NO_LOCKTIME);
    assert_eq!(w.standing(&first).await.0, "settling");
    assert_eq!(w.standing(&second).await, ("ready", None));

    // The newest settlement counts as soon as it is published; its coin has no age yet.
    let blocks_until = |level: u64| level.div_ceil(RATE);
    let left = CAP - FIRST;
    assert_eq!(shown(&w).await, (left, Some(1), blocks_until(FIRST)));
    let wait = |left, blocks| OutflowWait {
        code: LimitCode::OutflowLimit,
        may_leave_sat: left,
        blocks: Some(blocks),
    };
    let needed = EXCESS.div_ceil(RATE);
    assert_eq!(waits(&w, &second).await, Some(wait(left, needed)));
    assert_eq!(waits(&w, &first).await, None);
    assert_eq!(w.build().await, Built::Hold);

    // Each block lets the rate go.
    w.mine_mempool().await;
    let empty_in = blocks_until(FIRST - RATE);
    assert_eq!(shown(&w).await, (left + RATE, Some(1), empty_in));
    w.mine_empty(u32::try_from(needed).unwrap() - 2).await;
    let left = left + (needed - 1) * RATE;
    assert_eq!(waits(&w, &second).await, Some(wait(left, 1)));
    assert_eq!(w.build().await, Built::Hold);
    w.mine_empty(1).await;
    assert_eq!(waits(&w, &second).await, None);
    let (_, made) = w.settle().await;
    let claimed = u16::try_from(needed).unwrap();
    assert_eq!(made.input[0].sequence, Sequence::from_height(claimed));
    let level = FIRST + SECOND - needed * RATE;
    assert_eq!(shown(&w).await.0, CAP - level);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&second).await, ("paid", None));
    assert_eq!(waits(&w, &second).await, None);
    assert_eq!(w.alarms().await, [""; 0]);
}

/// The warnings of a peg-out that names an amount, or none.
async fn warnings(w: &World, amount: Option<u64>) -> Vec<(StatusCode, String)> {
    let body = json!({
        "payout_address": address(USER_KEY),
        "reclaim_public_key": key(60).to_string(),
        "fee_cap_sat": FEE_CAP_SAT,
        "amount_sat": amount,
    });
    let request: Request = parsed(w, w.call("/v1/peg-outs", &body)).await;
    let warnings = request.warnings.into_iter();
    warnings.map(|it| (it.code, it.detail)).collect()
}

#[tokio::test]
async fn a_peg_out_above_what_may_leave_is_warned_of_before_it_is_paid() {
    let Waiting { w, .. } = waiting().await;
    assert_eq!(warnings(&w, Some(CAP)).await, []);
    w.settle().await;
    let left = CAP - FIRST;
    assert_eq!(warnings(&w, Some(left)).await, []);
    assert_eq!(warnings(&w, None).await, []);
    let above = warnings(&w, Some(SECOND)).await;
    let words = "40000000000 sat may leave by now, 43000000000 sat in 5 blocks at the earliest";
    assert_eq!(above, [(StatusCode::OutflowLimit, words.to_owned())]);
    // Of a peg-in nothing leaves.
    let peg_in: Request = parsed(&w, w.peg_in_call(FEE_CAP_SAT)).await;
    assert_eq!(peg_in.warnings, []);
}
