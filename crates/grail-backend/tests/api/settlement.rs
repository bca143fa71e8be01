//! A settlement's life as the API shows it, from request to final and back through a reorg.

use bitcoin::{Transaction, Txid, Witness};
use grail_api::{
    Kind, Page, Request, RequestState, RequestStatus, RequestSummary, RosterAnswer, Settlement,
    SettlementState, SignerOutcome,
};
use grail_backend::{
    clock,
    roles::build::{self, Built},
    step::Step,
    work,
};
use grail_flow::{SettlementEvent, SettlementId};
use grail_store::{JobKind, Lease, NewAnswer, Verdict};
use grail_types::SignerIndex;

use super::{
    bridge::payment,
    support::{TestBackend, peg_in, script},
};

/// What the test users deposit.
pub const DEPOSIT_SAT: u64 = 100_000;

/// Creates a peg-in and mines its deposit.
pub async fn deposited(t: &TestBackend, seed: u8) -> Request {
    let response = t
        .post("/v1/peg-ins", &format!("key-{seed}"), &peg_in())
        .await;
    let request: Request = response.parse();
    let deposit = payment(seed, script(&request.deposit_address), DEPOSIT_SAT);
    t.mine(vec![deposit]).await;
    request
}

async fn lease(t: &TestBackend, kind: JobKind) -> Lease {
    let store = &t.backend.store;
    let lease = store.lease_job(kind, clock::now(), 60).await.unwrap();
    lease.unwrap_or_else(|| panic!("no job to {kind}"))
}

/// Builds and proves a settlement of all that is ready.
pub async fn proven(t: &TestBackend) -> SettlementId {
    assert_eq!(build::build_once(&t.backend).await.unwrap(), Built::Draft);
    let job = lease(t, JobKind::Prove).await;
    let step = work::perform(&t.backend, &job).await.unwrap();
    step.commit().await.unwrap();
    let mut reader = t.backend.store.read().await.unwrap();
    let settlement = reader.settlement_tip().await.unwrap().unwrap();
    settlement.id
}

/// Runs the policy, as before operators are asked.
pub async fn asked(t: &TestBackend) {
    let job = lease(t, JobKind::DryRun).await;
    let step = work::perform(&t.backend, &job).await.unwrap();
    step.commit().await.unwrap();
}

/// Signs, with signatures that only this chain takes, and publishes.
pub async fn published(t: &TestBackend, id: SettlementId) -> Transaction {
    let mut step = Step::begin(&t.backend).await.unwrap();
    let mut signed = step.tx.unsigned_transaction(id).await.unwrap().unwrap();
    for input in &mut signed.input {
        input.witness = Witness::from_slice(&[[0_u8; 64]]);
    }
    let now = step.now();
    step.tx.set_signed(id, &signed, now).await.unwrap();
    step.tx.put_transaction(&signed).await.unwrap();
    step.tell_settlement(id, SettlementEvent::QuorumReached)
        .await
        .unwrap();
    step.tell_settlement(id, SettlementEvent::NodeAccepted)
        .await
        .unwrap();
    step.commit().await.unwrap();
    signed
}

/// A deployed bridge that has settled one peg-in; its transaction is mined.
pub async fn settled(t: &TestBackend) -> (Request, Transaction) {
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let request = deposited(t, 40).await;
    let id = proven(t).await;
    asked(t).await;
    let transaction = published(t, id).await;
    t.mine(vec![transaction.clone()]).await;
    (request, transaction)
}

async fn status(t: &TestBackend, request: &Request) -> RequestStatus {
    t.get(&format!("/v1/peg-ins/{}", request.id)).await.parse()
}

async fn settlement(t: &TestBackend, txid: Txid) -> Settlement {
    t.get(&format!("/v1/settlements/{txid}")).await.parse()
}

#[tokio::test]
async fn a_deposit_is_shown_with_confirmations_and_the_way_out() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let request = deposited(&t, 40).await;
    let shown = status(&t, &request).await;
    assert_eq!(shown.state, RequestState::Ready);
    let deposit = shown.deposit.unwrap();
    assert_eq!(
        (deposit.amount_sat, deposit.token_sat, deposit.height),
        (DEPOSIT_SAT, None, Some(2))
    );
    assert_eq!(
        (deposit.confirmations, deposit.confirmations_needed),
        (1, 1)
    );
    let reclaim = shown.reclaim.unwrap();
    assert_eq!(reclaim.outpoint, deposit.outpoint);
    assert_eq!((reclaim.delay, reclaim.possible_at_height), (24, Some(26)));
    assert_eq!(reclaim.reclaimed_by, None);

    // A second one to the same address is never served, and never silently ignored.
    let second = payment(41, script(&request.deposit_address), 1_000);
    t.mine(vec![second.clone()]).await;
    let shown = status(&t, &request).await;
    assert_eq!(shown.other_deposits.len(), 1);
    let other = &shown.other_deposits[0];
    assert_eq!(other.outpoint.txid, second.compute_txid());
    assert_eq!(other.code.name(), "below-minimum");
    assert_eq!(other.reclaim_possible_at_height, Some(27));
}

#[tokio::test]
async fn a_deposit_below_the_minimum_is_shown_as_reclaimable_with_its_code() {
    let t = TestBackend::new().await;
    let request: Request = t.post("/v1/peg-ins", "key-1", &peg_in()).await.parse();
    t.mine(vec![payment(40, script(&request.deposit_address), 19_999)])
        .await;
    let shown = status(&t, &request).await;
    assert_eq!(shown.state, RequestState::Reclaimable);
    assert_eq!(shown.code.unwrap().name(), "below-minimum");
    assert_eq!(shown.reclaim.unwrap().possible_at_height, Some(25));
}

#[tokio::test]
async fn a_settlement_is_shown_at_each_stage_of_its_life() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let request = deposited(&t, 40).await;
    // The estimate is what a settlement of it alone costs: within a tenth.
    let id = proven(&t).await;
    let list: Page<Settlement> = t.get("/v1/settlements").await.parse();
    let shown = &list.items[0];
    assert_eq!((list.items.len(), list.next.clone()), (1, None));
    assert_eq!(shown.state, SettlementState::Proving);
    let (estimate, fee) = (request.estimated_fee_share_sat, shown.fee_sat);
    assert!(estimate.abs_diff(fee) * 10 <= fee, "{estimate} for {fee}");
    let txid = shown.txid;

    asked(&t).await;
    let refused = Verdict::Refused {
        code: "below-dust".to_owned(),
        details: "expected more".to_owned(),
    };
    let signed = Verdict::Signed {
        signatures: vec![0; 64],
    };
    let mut tx = t.backend.store.begin().await.unwrap();
    for (index, verdict) in [(0, &signed), (2, &refused)] {
        let answer = NewAnswer {
            settlement: id,
            signer: SignerIndex(index),
            epoch: t.backend.deployment.roster.epoch(),
            attempt: 1,
            verdict,
        };
        let _ = tx.record_answer(&answer, clock::now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let shown = settlement(&t, txid).await;
    assert_eq!(shown.state, SettlementState::Signing);
    // Whom it serves is nobody's affair yet, nor what a refusal says of a deposit.
    assert_eq!((shown.request_count, shown.requests.len()), (1, 0));
    assert_eq!((shown.inputs.len(), shown.outputs.len()), (0, 0));
    assert_eq!(shown.signers[2].details, None);
    let text = t.get("/v1/settlements").await.text;
    let of_user = [
        request.id.to_string(),
        request.terms.destination.script().to_hex_string(),
    ];
    assert!(of_user.iter().all(|own| !text.contains(own)), "{text}");
    let outcomes: Vec<_> = shown.signers.iter().map(|answer| answer.outcome).collect();
    assert_eq!(
        outcomes,
        [
            SignerOutcome::Signed,
            SignerOutcome::Waiting,
            SignerOutcome::Refused,
            SignerOutcome::Waiting
        ]
    );
    assert_eq!(shown.signers[2].code.as_deref(), Some("below-dust"));
    let of_request = status(&t, &request).await;
    assert_eq!(of_request.refusals.len(), 1);
    assert_eq!(of_request.refusals[0].signer, 2);

    let transaction = published(&t, id).await;
    let shown = settlement(&t, txid).await;
    assert_eq!(
        (shown.request_count, &shown.requests[..]),
        (1, &[request.id][..])
    );
    assert_eq!(shown.signers[2].details.as_deref(), Some("expected more"));
    assert_eq!(
        (shown.state, shown.confirmations),
        (SettlementState::Published, 0)
    );
    let roster: RosterAnswer = t.get("/v1/roster").await.parse();
    assert_eq!(roster.nft_outpoint.txid, txid);

    t.mine(vec![transaction.clone()]).await;
    let shown = settlement(&t, txid).await;
    assert_eq!(
        (shown.state, shown.confirmations, shown.height),
        (SettlementState::Published, 1, Some(3))
    );
    let of_request = status(&t, &request).await.settlement.unwrap();
    assert_eq!(
        (of_request.confirmations, of_request.confirmations_needed),
        (1, 2)
    );

    t.mine(Vec::new()).await;
    let shown = settlement(&t, txid).await;
    assert_eq!(
        (shown.state, shown.confirmations),
        (SettlementState::Final, 2)
    );
    let of_request = status(&t, &request).await;
    assert_eq!(of_request.state, RequestState::Paid);
    assert_eq!(of_request.reclaim, None);
    let of_request = of_request.settlement.unwrap();
    let vout = usize::try_from(of_request.output_index.unwrap()).unwrap();
    assert_eq!(
        transaction.output[vout].script_pubkey,
        *request.terms.destination.script()
    );
    assert_eq!(
        of_request.amount_out_sat + of_request.fee_share_sat + request.carrier_sat,
        DEPOSIT_SAT
    );
    let list: Page<RequestSummary> = t.get("/v1/requests?state=paid").await.parse();
    assert_eq!(list.items[0].settlement_txid, Some(txid));
    assert_eq!(list.items[0].amount_sat, Some(DEPOSIT_SAT));
}

#[tokio::test]
async fn inputs_and_outputs_say_what_they_carry_and_for_whom() {
    let t = TestBackend::new().await;
    let (request, transaction) = settled(&t).await;
    let shown = settlement(&t, transaction.compute_txid()).await;
    assert_eq!(shown.requests, [request.id]);
    let amounts_in: Vec<_> = shown.inputs.iter().map(|input| input.amount_sat).collect();
    assert_eq!(
        amounts_in,
        [t.backend.params().nft_carrier.to_sat(), DEPOSIT_SAT]
    );
    assert_eq!(shown.inputs[0].request, None);
    assert_eq!(shown.inputs[1].request, Some(request.id));
    // NFT, vault, the user's zkBTC, spell.
    assert_eq!(shown.outputs.len(), 4);
    let minted = DEPOSIT_SAT - request.carrier_sat - shown.fee_sat;
    let tokens: Vec<_> = shown
        .outputs
        .iter()
        .map(|output| output.token_sat)
        .collect();
    assert_eq!(tokens, [None, None, Some(minted), None]);
    let served: Vec<_> = shown.outputs.iter().map(|output| output.request).collect();
    assert_eq!(served, [None, None, Some(request.id), None]);
    assert_eq!(shown.outputs[1].amount_sat, minted);
    let amounts_out: u64 = shown.outputs.iter().map(|output| output.amount_sat).sum();
    assert_eq!(amounts_in.iter().sum::<u64>(), amounts_out + shown.fee_sat);
    assert_eq!(Kind::from(request.terms.kind), Kind::PegIn);
}

#[tokio::test]
async fn settlements_are_listed_newest_first_in_pages() {
    let t = TestBackend::new().await;
    let (_, first) = settled(&t).await;
    deposited(&t, 41).await;
    let id = proven(&t).await;
    asked(&t).await;
    let second = published(&t, id).await;
    t.mine(vec![second.clone()]).await;
    let page: Page<Settlement> = t.get("/v1/settlements?limit=1").await.parse();
    assert_eq!(page.items[0].txid, second.compute_txid());
    // It spends the vault output of the first.
    assert_eq!(page.items[0].inputs[1].outpoint.txid, first.compute_txid());
    let next = page.next.unwrap();
    let page: Page<Settlement> = t
        .get(&format!("/v1/settlements?limit=1&after={next}"))
        .await
        .parse();
    assert_eq!(page.items[0].txid, first.compute_txid());
    assert_eq!(page.next, None);
}
