//! Steps of a rotation in the lane: who pays for them, and that they hold up nobody.

use bitcoin::secp256k1::Secp256k1;
use grail_api::{CheckedRotation, ProposedRoster, RotationDocument, RotationPaper, RotationStage};
use grail_backend::{
    clock,
    roles::{build, build::Built, lane},
    rotations::{self, NotTaken},
};
use grail_fixtures::world::{governance, keypair};
use grail_flow::{AbandonCode, SettlementState};
use grail_types::{BoundedVec, Epoch, Roster};

use super::{
    signers::refusing,
    users::{Asked, DEPOSIT_SAT},
    world::{QUORUM, World, settlement_id},
};

/// The first rotation of all, to the same signers again.
fn proposal(w: &World) -> RotationDocument {
    proposal_after(w, &w.backend.deployment.roster, 1)
}

/// The same signers again, in the epoch after `today`'s.
pub(super) fn proposal_after(w: &World, today: &Roster, attempt: u64) -> RotationDocument {
    let protocol = w.backend.protocol();
    let (epoch, keys) = (today.epoch().0 + 1, today.signers().to_vec());
    let proposed = ProposedRoster {
        roster: Roster::new(Epoch(epoch), keys, today.threshold()).unwrap(),
        governance: governance(),
        params: protocol.params().clone(),
        images: protocol.images().get().clone(),
        spell_min: 15,
        spell_max: 15,
        evidence: BoundedVec::default(),
        newcomers: BoundedVec::default(),
    };
    RotationDocument {
        version: 1,
        bridge: *protocol.bridge(),
        roster: today.clone(),
        governance: governance(),
        attempt,
        paper: RotationPaper::Announce(Box::new(proposed)),
        consents: BoundedVec::default(),
    }
}

/// Signed by so many of the four administrators.
pub(super) fn signed(document: RotationDocument, by: u16) -> RotationDocument {
    let secp = Secp256k1::new();
    let sign = |rotation: CheckedRotation, seed| {
        let key = keypair(seed);
        let digest = rotation.consent().digest();
        let signature = secp.sign_schnorr_no_aux_rand(&digest, &key);
        let public = key.x_only_public_key().0;
        rotation.signed(&secp, &public, signature).unwrap()
    };
    let rotation = document.check(&secp).unwrap();
    let rotation = (901..901 + by).fold(rotation, sign);
    rotation.document().clone()
}

async fn take(w: &World, document: RotationDocument) -> Result<bool, NotTaken> {
    let taken = rotations::take(&w.backend, document).await;
    taken.map(|(_, is_new)| is_new)
}

fn refusal(taken: Result<bool, NotTaken>) -> &'static str {
    match taken.unwrap_err() {
        NotTaken::Rotation(error) => error.code(),
        NotTaken::Conflict => "conflict",
        NotTaken::Other(error) => panic!("{error:#}"),
    }
}

async fn stage(w: &World) -> RotationStage {
    let mut reader = w.backend.store.read().await.unwrap();
    let rosters = w.backend.rosters(&mut reader).await.unwrap();
    let nft = rotations::chain_nft(&w.backend, &mut reader).await.unwrap();
    let row = reader.signed_rotation(1).await.unwrap().unwrap();
    let known = rotations::read(&w.backend, row).unwrap();
    let status = rotations::status(&w.backend, &mut reader, &rosters, &nft, &known).await;
    status.unwrap().stage
}

/// Somebody who pays, with a deposit that is ready.
pub(super) async fn sponsored(w: &World, kind: &str) -> Asked {
    let sponsor = w.ask_sponsor(kind).await;
    w.mine(vec![w.deposit(&sponsor, DEPOSIT_SAT)]).await;
    assert_eq!(w.standing(&sponsor).await, ("ready", None));
    sponsor
}

#[tokio::test]
async fn no_settlement_takes_a_sponsor_and_none_waits_for_one() {
    let w = World::new().await;
    let sponsor = sponsored(&w, "sponsor-announce").await;
    assert_eq!(w.build().await, Built::Nothing);
    let pegs = w.ready_peg_ins(2).await;
    let (id, _) = w.settle().await;
    let mut reader = w.backend.store.read().await.unwrap();
    let items = reader.settlement_items(id).await.unwrap();
    let mut requests: Vec<_> = items.iter().map(|item| item.request).collect();
    let mut expected: Vec<_> = pegs.iter().map(|(asked, _)| asked.id).collect();
    requests.sort();
    expected.sort();
    assert_eq!(requests, expected);
    assert_eq!(w.standing(&sponsor).await, ("ready", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn only_what_enough_administrators_signed_for_the_next_attempt_is_taken() {
    let w = World::new().await;
    assert_eq!(
        refusal(take(&w, signed(proposal(&w), 2)).await),
        "consent-too-few"
    );
    let other = RotationDocument {
        attempt: 2,
        ..proposal(&w)
    };
    assert_eq!(
        refusal(take(&w, signed(other, 3)).await),
        "rotation-attempt"
    );
    let mut altered = signed(proposal(&w), 3);
    altered.attempt = 2;
    assert_eq!(refusal(take(&w, altered).await), "consent-invalid");
    let cancel = RotationDocument {
        paper: RotationPaper::Cancel {
            next: grail_api::Hash32([1; 32]),
        },
        attempt: 0,
        ..proposal(&w)
    };
    assert_eq!(refusal(take(&w, signed(cancel, 3)).await), "rotation-step");
    assert!(take(&w, signed(proposal(&w), 3)).await.unwrap());
    assert!(!take(&w, signed(proposal(&w), 3)).await.unwrap());
    assert_eq!(stage(&w).await, RotationStage::Consented);
    // Without a sponsor nothing is built.
    assert_eq!(w.build().await, Built::Nothing);
}

#[tokio::test]
async fn a_step_that_no_quorum_signs_is_called_off_and_pegs_go_on() {
    let w = World::new().await;
    take(&w, signed(proposal(&w), 3)).await.unwrap();
    let sponsor = sponsored(&w, "sponsor-announce").await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    assert_eq!(w.standing(&sponsor).await, ("settling", None));
    // Two sign, and three must.
    w.sign(&ask, &QUORUM[..2]).await;
    let pegs = w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Nothing);
    let asked = w.settlement(id).await;
    let due = asked.stage_since + lane::deadline(asked.state.stage()).unwrap();
    lane::watch(&w.backend, due - 1).await.unwrap();
    assert_eq!(w.settlement(id).await.state.name(), "asked");
    lane::watch(&w.backend, due).await.unwrap();
    let cancelled = SettlementState::Abandoned {
        code: AbandonCode::Cancelled,
    };
    assert_eq!(w.settlement(id).await.state, cancelled);
    assert_eq!(w.standing(&sponsor).await, ("ready", None));
    w.settle().await;
    assert_eq!(w.standing(&pegs[0].0).await, ("settling", None));
    assert_eq!(stage(&w).await, RotationStage::Consented);
    assert_eq!(w.alarms().await, [""; 0]);
    // It comes again, later, and then later still.
    for (too_early, minutes) in [(9, 11), (19, 21), (39, 41)] {
        let at = |minutes: u64| clock::now() + minutes * 60;
        let built = build::build_at(&w.backend, at(too_early)).await.unwrap();
        assert_eq!(built, Built::Nothing);
        let built = build::build_at(&w.backend, at(minutes)).await.unwrap();
        assert_eq!(built, Built::Draft);
        assert_eq!(w.standing(&sponsor).await, ("settling", None));
        assert_eq!(stage(&w).await, RotationStage::Announcing);
        w.jobs().await;
        let ask = w.take_ask().await;
        let asked = w.settlement(settlement_id(&ask)).await;
        let due = asked.stage_since + lane::deadline(asked.state.stage()).unwrap();
        lane::watch(&w.backend, due).await.unwrap();
    }
}

#[tokio::test]
async fn a_step_that_a_quorum_refuses_stops_nothing_else() {
    let w = World::new().await;
    take(&w, signed(proposal(&w), 3)).await.unwrap();
    let sponsor = sponsored(&w, "sponsor-announce").await;
    let ask = w.ask_operators().await;
    let id = settlement_id(&ask);
    for seed in QUORUM {
        w.send(&refusing(seed, &ask)).await;
    }
    w.answered(id).await;
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
    assert_eq!(w.standing(&sponsor).await, ("ready", None));
    assert_eq!(w.alarms().await, [""; 0]);
    let pegs = w.ready_peg_ins(1).await;
    w.settle().await;
    assert_eq!(w.standing(&pegs[0].0).await, ("settling", None));
}

#[tokio::test]
async fn a_new_database_is_told_what_it_lacks_and_hands_over() {
    let w = World::new().await;
    let document = signed(proposal(&w), 3);
    take(&w, document.clone()).await.unwrap();
    sponsored(&w, "sponsor-announce").await;
    let (announcement, _) = w.settle().await;
    w.mine_mempool().await;
    assert_eq!(stage(&w).await, RotationStage::Announced);
    assert_eq!(w.settlement(announcement).await.state.name(), "confirmed");
    // Twice the same is known; another one for the number comes too late.
    assert!(!take(&w, document.clone()).await.unwrap());
    let mut other = proposal(&w);
    if let RotationPaper::Announce(proposed) = &mut other.paper {
        proposed.spell_max = 16;
    }
    let other = signed(other, 3);
    assert_eq!(refusal(take(&w, other.clone()).await), "rotation-attempt");

    let w = w.rebuilt().await;
    assert!(take(&w, document.clone()).await.unwrap());
    assert_eq!(stage(&w).await, RotationStage::Announced);
    sponsored(&w, "sponsor-execute").await;
    // Two blocks old: it may be executed from the sixth on.
    w.mine_empty(3).await;
    assert_eq!(w.build().await, Built::Nothing);
    w.mine_empty(1).await;
    let (execution, transaction) = w.settle().await;
    let notice = &transaction.input[1];
    assert_eq!(notice.sequence.to_consensus_u32(), 6);
    w.mine_mempool().await;
    assert_eq!(stage(&w).await, RotationStage::Executed);
    assert_eq!(w.settlement(execution).await.state.name(), "confirmed");

    let w = w.rebuilt().await;
    assert_eq!(refusal(take(&w, other).await), "rotation-epoch");
    assert!(take(&w, document.clone()).await.unwrap());
    assert!(!take(&w, document).await.unwrap());
    assert_eq!(stage(&w).await, RotationStage::Executed);
}

#[tokio::test]
async fn a_reorg_takes_a_step_back_and_it_is_published_again() {
    let w = World::new().await;
    take(&w, signed(proposal(&w), 3)).await.unwrap();
    let sponsor = sponsored(&w, "sponsor-announce").await;
    let (id, signed_step) = w.settle().await;
    assert_eq!(stage(&w).await, RotationStage::Announcing);
    w.mine_mempool().await;
    assert_eq!(stage(&w).await, RotationStage::Announced);
    w.chain.fork_at(w.tip_height().await);
    w.chain.clear_mempool();
    w.mine_empty(2).await;
    assert_eq!(stage(&w).await, RotationStage::Announcing);
    assert_eq!(w.settlement(id).await.state.name(), "broadcast");
    assert_eq!(w.standing(&sponsor).await, ("settling", None));
    w.jobs().await;
    assert_eq!(w.chain.mempool(), [signed_step]);
    w.mine_mempool().await;
    assert_eq!(stage(&w).await, RotationStage::Announced);
    assert_eq!(w.alarms().await, [""; 0]);
}
