//! Sponsors and rotations over the API: what is answered, and what is refused with which code.

use axum::http;
use bitcoin::secp256k1::Secp256k1;
use grail_api::{
    CheckedRotation, ProblemCode, ProposedRoster, ROTATION_BYTES_MAX, Request, RequestState,
    RequestStatus, RotationDocument, RotationPaper, RotationStage, RotationStatus, Rotations,
};
use grail_fixtures::world::{governance, keypair};
use grail_store::{NewSettlement, RotationStep, SignedRotation};
use grail_types::{BoundedVec, Epoch, Roster};
use serde_json::{Value, json};

use super::support::{TestBackend, peg_in, script};

fn sponsor(kind: &str) -> Value {
    json!({
        "kind": kind,
        "reclaim_public_key": peg_in()["reclaim_public_key"],
        "fee_cap_sat": 50_000,
        "amount_sat": 40_000,
    })
}

#[tokio::test]
async fn a_sponsor_is_answered_with_a_receipt_and_found_under_its_own_route() {
    let t = TestBackend::new().await;
    let mut all = Vec::new();
    for kind in ["sponsor-announce", "sponsor-cancel", "sponsor-execute"] {
        let response = t.post("/v1/sponsors", kind, &sponsor(kind)).await;
        assert_eq!(response.status, http::StatusCode::CREATED, "{response:?}");
        let request: Request = response.parse();
        assert_eq!(request.kind.name(), kind);
        let checked = request.receipt.check().unwrap();
        assert_eq!(*checked.script_pubkey(), script(&request.deposit_address));
        let uri = format!("bitcoin:{}?amount=0.0004", request.deposit_address);
        assert_eq!(request.bip21, Some(uri));
        let path = format!("/v1/sponsors/{}", request.id);
        let status: RequestStatus = t.get(&path).await.parse();
        assert_eq!(status.state, RequestState::AwaitingDeposit);
        assert_eq!(status.kind, request.kind);
        let of_others = t.get(&format!("/v1/peg-ins/{}", request.id)).await;
        assert_eq!(of_others.problem(), ProblemCode::NotFound);
        all.push(request.id);
    }
    all.dedup();
    assert_eq!(all.len(), 3);
    let peg: Request = t.post("/v1/peg-ins", "peg", &peg_in()).await.parse();
    let as_sponsor = t.get(&format!("/v1/sponsors/{}", peg.id)).await;
    assert_eq!(as_sponsor.problem(), ProblemCode::NotFound);
}

#[tokio::test]
async fn what_no_step_could_take_is_not_asked_for() {
    let t = TestBackend::new().await;
    for (change, expected) in [
        (json!({ "kind": "peg-in" }), ProblemCode::MalformedBody),
        (json!({ "fee_cap_sat": 39_999 }), ProblemCode::FeeCapTooLow),
        (
            json!({ "fee_cap_sat": 100_000_000_001_u64 }),
            ProblemCode::FeeCapTooHigh,
        ),
        // Above what the heaviest transaction may give at the highest rate.
        (
            json!({ "fee_cap_sat": 30_000_001 }),
            ProblemCode::FeeCapTooHigh,
        ),
        (json!({ "amount_sat": 1 }), ProblemCode::AmountBelowMinimum),
        (
            json!({ "reclaim_delay": 1 }),
            ProblemCode::ReclaimDelayOutOfRange,
        ),
        (json!({ "payout_address": "x" }), ProblemCode::UnknownField),
    ] {
        let mut body = sponsor("sponsor-announce");
        let fields = change.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let refused = t.post("/v1/sponsors", "key", &body).await;
        assert_eq!(refused.problem(), expected, "{change}");
    }
}

/// The same signers again, signed by so many of the four administrators.
pub fn document(told: &Rotations, by: u16) -> RotationDocument {
    let basis = &told.basis;
    let keys = basis.roster.signers().to_vec();
    let proposed = ProposedRoster {
        roster: Roster::new(Epoch(1), keys, basis.roster.threshold()).unwrap(),
        governance: basis.governance.clone(),
        params: basis.params.clone(),
        images: basis.images.clone(),
        spell_min: basis.spell_min,
        spell_max: basis.spell_max,
        evidence: BoundedVec::default(),
        newcomers: BoundedVec::default(),
    };
    let document = RotationDocument {
        version: 1,
        bridge: basis.bridge,
        roster: basis.roster.clone(),
        governance: basis.governance.clone(),
        attempt: basis.attempt + 1,
        paper: RotationPaper::Announce(Box::new(proposed)),
        consents: BoundedVec::default(),
    };
    let secp = Secp256k1::new();
    let sign = |rotation: CheckedRotation, seed| {
        let key = keypair(seed);
        let digest = rotation.consent().digest();
        let signature = secp.sign_schnorr_no_aux_rand(&digest, &key);
        let public = key.x_only_public_key().0;
        rotation.signed(&secp, &public, signature).unwrap()
    };
    let rotation = document.check(&secp).unwrap();
    (901..901 + by).fold(rotation, sign).document().clone()
}

/// Puts the announcement of the first attempt on its way.
pub async fn begin_announcing(t: &TestBackend) {
    let mut tx = t.backend.store.begin().await.unwrap();
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input: t.backend.deployment_nft(),
        draft: b"a step",
        items: &[],
        now: 1,
    };
    let id = tx.create_settlement(&new).await.unwrap();
    tx.note_rotation_step(id, 1, RotationStep::Announce)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// The codes of rotations that are refused; the backend has one under way afterwards.
pub async fn refused(t: &TestBackend) -> Vec<ProblemCode> {
    let told: Rotations = t.get("/v1/rotations").await.parse();
    let good = document(&told, 3);
    let mut seen = Vec::new();
    for change in [
        |it: &mut Value| it["version"] = json!(2),
        |it: &mut Value| it["consents"] = json!([]),
    ] {
        let mut body = json!(good);
        change(&mut body);
        seen.push(t.post("/v1/rotations", "a", &body).await.problem());
    }
    let mut later = told.clone();
    later.basis.attempt = 1;
    let later = json!(document(&later, 3));
    seen.push(t.post("/v1/rotations", "b", &later).await.problem());

    assert_eq!(t.post("/v1/rotations", "c", &json!(good)).await.status, 201);
    begin_announcing(t).await;
    let mut other = told;
    other.basis.spell_max += 1;
    let other = json!(document(&other, 3));
    seen.push(t.post("/v1/rotations", "d", &other).await.problem());
    seen
}

#[tokio::test]
async fn a_rotation_is_taken_from_anybody_once_enough_have_signed() {
    let t = TestBackend::new().await;
    let told: Rotations = t.get("/v1/rotations").await.parse();
    assert_eq!(told.basis.governance, governance());
    assert_eq!((told.basis.attempt, told.basis.next), (0, None));
    assert_eq!(told.rotations, []);

    let few = t
        .post("/v1/rotations", "a", &json!(document(&told, 2)))
        .await;
    assert_eq!(few.problem(), ProblemCode::NotConsented);
    let enough = json!(document(&told, 3));
    for (path, value, expected) in [
        ("/attempt", json!(2), ProblemCode::NotConsented),
        ("/version", json!(2), ProblemCode::BadRotation),
        (
            "/paper/announce/spell_min",
            json!(16),
            ProblemCode::BadRotation,
        ),
        ("/consents", json!({}), ProblemCode::MalformedBody),
        (
            "/bridge/app/vk",
            json!("11".repeat(32)),
            ProblemCode::NotConsented,
        ),
    ] {
        let mut body = enough.clone();
        *body.pointer_mut(path).unwrap() = value;
        let refused = t.post("/v1/rotations", "b", &body).await;
        assert_eq!(refused.problem(), expected, "{path}");
    }
    let long = json!("x".repeat(ROTATION_BYTES_MAX));
    let refused = t.post("/v1/rotations", "c", &long).await;
    assert_eq!(refused.problem(), ProblemCode::BodyTooLarge);

    let taken = t.post("/v1/rotations", "d", &enough).await;
    assert_eq!(taken.status, http::StatusCode::CREATED, "{taken:?}");
    let status: RotationStatus = taken.parse();
    assert_eq!(status.stage, RotationStage::Consented);
    assert_eq!((status.approvals, status.approvals_needed), (3, 3));
    let again = t.post("/v1/rotations", "e", &enough).await;
    assert_eq!(again.status, http::StatusCode::OK);
    let told: Rotations = t.get("/v1/rotations").await.parse();
    assert_eq!(told.rotations, [status]);
}

/// A stranger asks as often as he likes.
#[tokio::test]
async fn a_document_is_verified_once_however_often_it_is_shown() {
    let t = TestBackend::new().await;
    let told: Rotations = t.get("/v1/rotations").await.parse();
    let good = json!(document(&told, 3));
    assert_eq!(t.post("/v1/rotations", "a", &good).await.status, 201);
    let once = t.backend.documents.verified_count();
    for _ in 0..3 {
        let told: Rotations = t.get("/v1/rotations").await.parse();
        assert_eq!(told.rotations.len(), 1);
    }
    assert_eq!(t.backend.documents.verified_count(), once);
    // What was found says nothing of other bytes: a damaged row is no rotation, and hides none.
    let mut tx = t.backend.store.begin().await.unwrap();
    let mut damaged = document(&told, 3);
    damaged.consents = BoundedVec::default();
    let damaged = serde_json::to_string(&damaged).unwrap();
    let signed = SignedRotation {
        attempt: 1,
        epoch: Epoch(0),
        next: &document(&told, 3)
            .check(&Secp256k1::new())
            .unwrap()
            .next()
            .to_string(),
        cancels: false,
        document: &damaged,
        now: 1,
    };
    assert!(tx.keep_rotation(&signed).await.unwrap());
    tx.commit().await.unwrap();
    let told: Rotations = t.get("/v1/rotations").await.parse();
    assert_eq!(told.rotations, []);
    assert_eq!(t.backend.documents.verified_count(), once + 1);
}
