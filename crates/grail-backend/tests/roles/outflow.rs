//! What may leave: shown before anybody asks, told to who waits for it, and no reason ever to turn
//! a request away.

use axum::{body::Body, http::Request as HttpRequest};
use bitcoin::{Amount, OutPoint, Sequence, Transaction, secp256k1::Secp256k1};
use grail_api::{
    BridgeStatus, LimitCode, OutflowWait, Request, RequestStatus, StatusCode, ToldCode,
};
use grail_backend::{draft::Draft, roles::build::Built, step::Step};
use grail_charms::{PrevTx, roster_state};
use grail_flow::{AbandonCode, RequestEvent, SettlementId, SettlementState};
use grail_spell::nft_app;
use grail_store::{JobKind, NewSettlement, SettlementItem};
use grail_txbuild::{Coin, Deposit, SettlementRequest};
use grail_types::{BoundedVec, ParamsValues};
use grail_wire::{Action, Proposal};
use serde_json::json;

use super::{
    bridge::own_script,
    operators::key,
    signers::refusing_as,
    users::{Asked, FEE_CAP_SAT, USER_KEY, address},
    world::{QUORUM, World, settlement_id},
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
    /// The transfer that deposits it: to each of them, in order.
    transfer: Transaction,
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
    w.mine(vec![transfer.clone()]).await;
    Waiting {
        w,
        first,
        second,
        transfer,
    }
}

async fn get<T: serde::de::DeserializeOwned>(w: &World, path: &str) -> T {
    let request = HttpRequest::get(path).body(Body::empty()).unwrap();
    w.answer(request).await
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
async fn warnings(w: &World, amount: Option<u64>) -> Vec<(ToldCode, String)> {
    let body = json!({
        "payout_address": address(USER_KEY),
        "reclaim_public_key": key(60).to_string(),
        "fee_cap_sat": FEE_CAP_SAT,
        "amount_sat": amount,
    });
    let request: Request = w.answer(w.call("/v1/peg-outs", &body)).await;
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
    assert_eq!(above, [(StatusCode::OutflowLimit.into(), words.to_owned())]);
    // Of a peg-in nothing leaves.
    let peg_in: Request = w.answer(w.peg_in_call(FEE_CAP_SAT)).await;
    assert_eq!(peg_in.warnings, []);
}

/// The first two of four signers, of whom three must sign, say no.
async fn refused(w: &World, codes: [&str; 2]) -> SettlementId {
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    for (seed, code) in (1..).zip(codes) {
        w.send(&refusing_as(seed, &ask, code)).await;
    }
    w.answered(id).await;
    let state = w.settlement(id).await.state;
    let code = AbandonCode::QuorumRefused;
    assert_eq!(state, SettlementState::Abandoned { code });
    id
}

/// Nothing is planned before the next block; then all of them at once, as if nothing had been.
async fn planned_anew(w: &World, requests: &[(Asked, OutPoint)]) {
    for (asked, _) in requests {
        assert_eq!(w.standing(asked).await, ("ready", None));
    }
    assert_eq!(w.build().await, Built::Hold);
    w.mine_empty(1).await;
    let (id, _) = w.settle().await;
    let mut reader = w.backend.store.read().await.unwrap();
    let items = reader.settlement_items(id).await.unwrap();
    assert_eq!(items.len(), requests.len());
    drop(reader);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
    }
}

#[tokio::test]
async fn operators_that_refuse_for_a_limit_turn_nobody_away_and_suspect_nobody() {
    for codes in [
        ["outflow-above-cap"; 2],
        ["supply-above-max", "outflow-above-cap"],
        // Without the limit's there would still be a quorum.
        ["outflow-above-cap", "bad-mood"],
    ] {
        let w = World::new().await;
        let requests = w.ready_peg_ins(3).await;
        refused(&w, codes).await;
        assert_eq!(w.alarms().await, [""; 0], "{codes:?}");
        planned_anew(&w, &requests).await;
    }
    // Anything else is a person's to look at.
    let w = World::new().await;
    w.ready_peg_ins(3).await;
    refused(&w, ["outflow-mismatch"; 2]).await;
    assert_eq!(w.alarms().await, ["quorum-refused"]);
}

#[tokio::test]
async fn refusals_for_a_limit_that_do_not_end_are_told_of_before_more_is_paid() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    for _ in 0..2 {
        refused(&w, ["outflow-above-cap"; 2]).await;
        assert_eq!(w.alarms().await, [""; 0]);
        w.mine_empty(1).await;
    }
    refused(&w, ["outflow-above-cap"; 2]).await;
    assert_eq!(w.alarms().await, ["quorum-refused"]);
    w.mine_empty(1).await;
    assert_eq!(w.build().await, Built::Hold);
    w.acknowledge_alarms().await;
    w.settle().await;
    for (asked, _) in &requests {
        assert_eq!(w.standing(asked).await.0, "settling");
    }
}

/// A settlement of the second peg-out alone, planned as if the cap were higher: the contract lets
/// it through, the policy does not.
async fn draft_above_cap(it: &Waiting, made: &Transaction) {
    let w = &it.w;
    let backend = &w.backend;
    let coin = |transaction: &Transaction, vout: u32| Coin {
        outpoint: OutPoint::new(transaction.compute_txid(), vout),
        output: transaction.output[usize::try_from(vout).unwrap()].clone(),
    };
    let read = PrevTx::read(made.clone(), backend.mock());
    let app = nft_app(&backend.bridge().app);
    let state = roster_state(&read.charms_at(0), &app).unwrap().unwrap();
    let mut reader = backend.store.read().await.unwrap();
    let second = reader.request(&it.second.id).await.unwrap().unwrap();
    drop(reader);
    let higher = |values: &mut ParamsValues| values.outflow_cap = Amount::from_sat(2 * CAP);
    let planned = SettlementRequest {
        bridge: backend.bridge(),
        params: &backend.params().with(higher).unwrap(),
        roster: &backend.deployment.roster,
        former: None,
        governance: backend.protocol().governance(),
        state: &state,
        nft: coin(made, 0),
        nft_confirmations: 1,
        vault: Some(coin(made, 1)),
        deposits: vec![Deposit {
            terms: second.terms.clone(),
            coin: coin(&it.transfer, 1),
            token: SECOND,
            previous_bytes: it.transfer.base_size(),
        }],
        fee_rate: backend.params().fee_rate_min,
        deficit: Amount::ZERO,
        proof_bytes: backend.prover.proof_bytes(),
        prover_fee: None,
    };
    let plan = planned.plan(&Secp256k1::new()).unwrap();
    let requests = BoundedVec::new(plan.requests.clone()).unwrap();
    let proposal = Proposal::new(
        backend.deployment.roster.epoch(),
        backend.params().clone(),
        backend.protocol().governance().clone(),
        plan.transaction.clone(),
        [made, &it.transfer],
        Action::Settlement(grail_wire::SettlementRequest {
            requests,
            former: None,
        }),
    );
    let draft = Draft {
        proposal: proposal.unwrap(),
        spell: plan.spell.clone(),
    };
    let item = plan.items[0];
    let mut step = Step::begin(backend).await.unwrap();
    let new = NewSettlement {
        epoch: backend.deployment.roster.epoch(),
        nft_input: OutPoint::new(made.compute_txid(), 0),
        draft: &draft.encode().unwrap(),
        items: &[SettlementItem {
            request: item.request,
            deposit: item.deposit,
            amount_out: item.amount_out,
            fee_share: item.fee_share,
        }],
        now: step.now(),
    };
    let id = step.tx.create_settlement(&new).await.unwrap();
    let included = RequestEvent::Included {
        settlement: id,
        deposit: item.deposit,
    };
    step.tell_request(item.request, included).await.unwrap();
    step.enqueue_proving(id).await.unwrap();
    step.commit().await.unwrap();
}

#[tokio::test]
async fn a_draft_above_the_cap_turns_nobody_away_although_it_is_alone() {
    let it = waiting().await;
    let (_, made) = it.w.settle().await;
    it.w.mine_mempool().await;
    draft_above_cap(&it, &made).await;
    assert_eq!(it.w.standing(&it.second).await.0, "settling");
    it.w.jobs().await;
    let newest = it.w.settlements().await.pop().unwrap();
    let code = AbandonCode::DryRunRefused;
    assert_eq!(newest.state, SettlementState::Abandoned { code });
    // Neither condemned nor suspected, and planned as soon as it may leave.
    assert_eq!(it.w.standing(&it.second).await, ("ready", None));
    assert_eq!(it.w.alarms().await, [""; 0]);
    let needed = u32::try_from(EXCESS.div_ceil(RATE)).unwrap();
    it.w.mine_empty(needed - 2).await;
    assert_eq!(it.w.build().await, Built::Hold);
    it.w.mine_empty(1).await;
    it.w.settle().await;
    assert_eq!(it.w.standing(&it.second).await.0, "settling");
}

/// After a reorg the NFT's coin is younger than what was signed claims: the node says so, and takes
/// it once blocks have come.
#[tokio::test]
async fn what_claims_more_age_than_a_reorg_left_is_tried_until_its_time() {
    let it = waiting().await;
    let w = &it.w;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    let height = w.tip_height().await;
    let needed = u32::try_from(EXCESS.div_ceil(RATE)).unwrap();
    w.mine_empty(needed - 1).await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    w.sign(&ask, &QUORUM).await;
    w.answered(id).await;

    w.chain.fork_at(height);
    for _ in 0..needed {
        w.chain.mine(Vec::new());
    }
    w.mine(vec![made]).await;
    w.jobs().await;
    for _ in 1..needed {
        w.job_later_if_any(JobKind::Publish).await;
        assert_eq!(w.settlement(id).await.state, SettlementState::Signed {});
        assert_eq!(w.standing(&it.second).await.0, "settling");
        w.mine_empty(1).await;
    }
    assert_eq!(w.alarms().await, [""; 0]);
    w.job_later_if_any(JobKind::Publish).await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&it.second).await, ("paid", None));
}
