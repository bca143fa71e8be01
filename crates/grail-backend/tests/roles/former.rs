//! Deposits of a former roster: settled with its signers' help, by themselves, and never at the
//! cost of others.

use bitcoin::{Amount, FeeRate, Transaction, TxIn};
use grail_api::{RotationPaper, Settlement};
use grail_backend::{
    clock,
    roles::{
        build::{self, Built},
        lane,
    },
    rotations,
};
use grail_flow::{AbandonCode, SettlementId, SettlementState};
use grail_store::SignedRotation;
use grail_types::{Epoch, ParamsValues, SignerIndex};
use grail_wire::{Action, decode_proposal};
use serde_json::json;

use super::{
    bridge::first_house,
    operators::{key, show_up},
    rotation::{SECOND, get, house, mine_settled, rotate, rotation, settled},
    signers::refusing,
    steps::{proposal_after, signed},
    users::{Asked, DEPOSIT_SAT},
    wait::eventually,
    world::{Question, World, settlement_id},
};

/// A quorum of the first roster, of which nobody is in the second, and one of the second.
const FORMER: [u8; 3] = [1, 2, 3];
const NOW: [u8; 3] = [11, 12, 13];
const MINUTES: u64 = 60;

/// A bridge in its second epoch, with so many peg-ins to the first roster that are ready.
struct Rotated {
    w: World,
    former: Vec<Asked>,
    /// Another one, whose deposit is still to come.
    late: Asked,
    minted: u64,
}

async fn rotated(requests: usize) -> Rotated {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let former = w.ready_peg_ins(requests).await;
    let late = w.ask_peg_in().await;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    let former = former.into_iter().map(|(asked, _)| asked).collect();
    Rotated {
        w,
        former,
        late,
        minted,
    }
}

impl Rotated {
    async fn standing(&self, asked: &Asked) -> &'static str {
        self.w.standing(asked).await.0
    }

    /// Waits until so many have answered.
    async fn answers(&self, id: SettlementId, count: usize) {
        eventually(async || {
            let mut reader = self.w.backend.store.read().await.unwrap();
            reader.answers(id).await.unwrap().len() == count
        })
        .await;
    }

    /// Lets these sign a settlement and publishes it.
    async fn publish(&self, question: &Question, signers: &[u8]) -> Transaction {
        let id = settlement_id(question);
        self.w.sign(question, signers).await;
        self.w.answered(id).await;
        self.w.jobs().await;
        assert_eq!(self.w.settlement(id).await.state.name(), "broadcast");
        self.w.signed(id).await
    }

    async fn build_at(&self, now: u64) -> Built {
        build::build_at(&self.w.backend, now).await.unwrap()
    }

    async fn state(&self, id: SettlementId) -> SettlementState {
        self.w.settlement(id).await.state
    }

    async fn holding_roster(&self, asked: &Asked) -> serde_json::Value {
        let (_, told) = get(&self.w, &format!("/v1/peg-ins/{}", asked.id)).await;
        told["holding_roster"].clone()
    }
}

const CANCELLED: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Cancelled,
};

/// What a question says of a former roster.
fn former_epoch(question: &Question) -> Option<Epoch> {
    let proposal = decode_proposal(&question.proposal).unwrap();
    let Action::Settlement(request) = proposal.action else {
        panic!("a settlement");
    };
    request.former.map(|shown| shown.0.epoch())
}

#[tokio::test]
async fn a_former_roster_helps_to_settle_what_it_holds() {
    let it = rotated(2).await;
    let w = &it.w;
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(it.holding_roster(&it.former[0]).await, "gone");
    show_up(&w.backend, &FORMER).await;
    assert_eq!(it.holding_roster(&it.former[0]).await, "former");
    let question = w.ask_operators().await;
    assert_eq!(former_epoch(&question), Some(Epoch(0)));
    let id = settlement_id(&question);
    // One of both rosters signs for both; a quorum of now's alone is not enough.
    w.sign(&question, &[4]).await;
    w.sign(&question, &NOW).await;
    w.sign(&question, &FORMER[..1]).await;
    it.answers(id, 5).await;
    assert_eq!(it.state(id).await.name(), "asked");
    let signed = it.publish(&question, &FORMER[1..]).await;

    let mut reader = w.backend.store.read().await.unwrap();
    let answers = reader.answers(id).await.unwrap();
    let settlement = reader.settlement(id).await.unwrap().unwrap();
    let signers = w.backend.signers_of(&mut reader, &settlement).await;
    drop(reader);
    let signers = signers.unwrap();
    assert_eq!(signers.all().count(), 7);
    let who = answers
        .iter()
        .map(|it| (it.signer, it.epoch, *signers.signer(it.signer).unwrap()));
    for (signer, epoch, public) in who {
        let is_former = FORMER.iter().any(|seed| key(*seed) == public);
        assert_eq!(epoch, Epoch(u64::from(!is_former)));
        assert_eq!(signer >= SignerIndex(4), is_former);
    }
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for asked in &it.former {
        assert_eq!(w.standing(asked).await, ("paid", None));
    }
    let more: u64 = w.tokens(&signed).values().sum();
    w.check_reserves(it.minted + more).await;
    assert_eq!(w.alarms().await, [""; 0]);

    let (_, told) = get(w, &format!("/v1/settlements/{}", signed.compute_txid())).await;
    let told: Settlement = serde_json::from_value(told).unwrap();
    assert_eq!((told.epoch, told.former_epoch), (Epoch(1), Some(Epoch(0))));
    assert_eq!(told.signers.len(), 7);
    // A new database reads the same from the chain, terms or not.
    let rebuilt = w.rebuilt().await;
    rebuilt.check_reserves(it.minted + more).await;
    let newest = rebuilt.settlements().await.pop().unwrap();
    assert_eq!((newest.adopted, newest.epoch), (true, Epoch(1)));
    assert_eq!(rebuilt.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_quorum_of_the_former_roster_alone_settles_nothing() {
    let it = rotated(1).await;
    let w = &it.w;
    show_up(&w.backend, &FORMER).await;
    let question = w.ask_operators().await;
    let id = settlement_id(&question);
    w.sign(&question, &FORMER).await;
    w.sign(&question, &NOW[..2]).await;
    it.answers(id, 5).await;
    assert_eq!(it.state(id).await.name(), "asked");
}

/// Attack 10: it answers challenges, and signs nothing.
#[tokio::test]
async fn a_silent_former_quorum_holds_up_nobody() {
    let it = rotated(1).await;
    let w = &it.w;
    show_up(&w.backend, &FORMER).await;
    let question = w.ask_operators().await;
    let id = settlement_id(&question);
    w.sign(&question, &NOW).await;
    w.sign(&question, &FORMER[..2]).await;
    it.answers(id, 5).await;
    let others = w.ready_peg_ins(3).await;
    assert_eq!(w.build().await, Built::Nothing);
    let due = w.settlement(id).await.stage_since + lane::FORMER_ASKED_SECONDS;
    lane::watch(&w.backend, due - 1).await.unwrap();
    assert_eq!(it.state(id).await.name(), "asked");
    lane::watch(&w.backend, due).await.unwrap();
    assert_eq!(it.state(id).await, CANCELLED);
    assert_eq!(it.standing(&it.former[0]).await, "ready");

    // All others are paid, at once.
    let question = w.ask_operators().await;
    assert_eq!(former_epoch(&question), None);
    it.publish(&question, &NOW).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in &others {
        assert_eq!(w.standing(asked).await, ("paid", None));
    }
    // It is asked again, ever more seldom; and others go on in between.
    let failed = w.settlement(id).await.stage_since;
    assert_eq!(it.build_at(failed + 9 * MINUTES).await, Built::Nothing);
    assert_eq!(it.build_at(failed + 10 * MINUTES).await, Built::Draft);
    w.jobs().await;
    let question = w.take_ask().await;
    assert_eq!(former_epoch(&question), Some(Epoch(0)));
    let id = settlement_id(&question);
    let due = w.settlement(id).await.stage_since + lane::FORMER_ASKED_SECONDS;
    lane::watch(&w.backend, due).await.unwrap();
    assert_eq!(it.state(id).await, CANCELLED);
    let failed = w.settlement(id).await.stage_since;
    assert_eq!(it.build_at(failed + 19 * MINUTES).await, Built::Nothing);
    assert_eq!(it.build_at(failed + 20 * MINUTES).await, Built::Draft);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn who_was_not_heard_for_long_is_not_asked() {
    let it = rotated(1).await;
    show_up(&it.w.backend, &FORMER[..2]).await;
    assert_eq!(it.w.build().await, Built::Nothing);
    show_up(&it.w.backend, &FORMER[2..]).await;
    assert_eq!(
        it.build_at(clock::now() + 26 * MINUTES).await,
        Built::Nothing
    );
    assert_eq!(it.w.build().await, Built::Draft);
}

#[tokio::test]
async fn a_former_roster_that_refuses_stops_nothing() {
    let it = rotated(2).await;
    let w = &it.w;
    show_up(&w.backend, &FORMER).await;
    let question = w.ask_operators().await;
    let id = settlement_id(&question);
    w.sign(&question, &NOW).await;
    for seed in FORMER {
        w.send(&refusing(seed, &question)).await;
    }
    w.answered(id).await;
    let refused = SettlementState::Abandoned {
        code: AbandonCode::QuorumRefused,
    };
    assert_eq!(it.state(id).await, refused);
    assert_eq!(w.alarms().await, [""; 0]);
    let others = w.ready_peg_ins(1).await;
    let question = w.ask_operators().await;
    assert_eq!(former_epoch(&question), None);
    it.publish(&question, &NOW).await;
    assert_eq!(w.standing(&others[0].0).await.0, "settling");
    // Should it be one of their deposits, it is soon alone.
    let later = clock::now() + 11 * MINUTES;
    assert_eq!(it.build_at(later).await, Built::Draft);
    let newest = w.settlements().await.pop().unwrap();
    let mut reader = w.backend.store.read().await.unwrap();
    assert_eq!(reader.settlement_items(newest.id).await.unwrap().len(), 1);
}

/// A no of the roster of now is an alarm as ever.
#[tokio::test]
async fn a_refusal_by_the_roster_of_now_is_an_alarm() {
    let it = rotated(1).await;
    let w = &it.w;
    show_up(&w.backend, &FORMER).await;
    let question = w.ask_operators().await;
    for seed in NOW {
        w.send(&refusing(seed, &question)).await;
    }
    w.answered(settlement_id(&question)).await;
    assert_eq!(w.alarms().await, ["quorum-refused"]);
}

#[tokio::test]
async fn former_deposits_are_never_mixed_in_and_take_turns_with_others() {
    let it = rotated(1).await;
    let w = &it.w;
    w.ready_peg_ins(2).await;
    show_up(&w.backend, &FORMER).await;
    let first = w.ask_operators().await;
    assert_eq!(former_epoch(&first), Some(Epoch(0)));
    it.publish(&first, &[&NOW[..], &FORMER].concat()).await;
    // Another one of theirs is ready, and those of now are before it.
    w.mine_mempool().await;
    w.mine(vec![w.deposit(&it.late, DEPOSIT_SAT)]).await;
    let second = w.ask_operators().await;
    assert_eq!(former_epoch(&second), None);
    it.publish(&second, &NOW).await;
    let third = w.ask_operators().await;
    assert_eq!(former_epoch(&third), Some(Epoch(0)));
    it.publish(&third, &[&NOW[..], &FORMER].concat()).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&it.late).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn sponsors_of_a_former_roster_are_their_users() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let sponsor = w.ask_sponsor("sponsor-announce").await;
    w.mine(vec![w.deposit(&sponsor, DEPOSIT_SAT)]).await;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    show_up(&w.backend, &FORMER).await;
    assert_eq!(w.build().await, Built::Nothing);
    let (_, told) = get(&w, &format!("/v1/sponsors/{}", sponsor.id)).await;
    assert_eq!(told["holding_roster"], json!("gone"));
}

#[tokio::test]
async fn what_a_former_roster_signed_is_replaced_with_its_help() {
    let it = rotated(2).await;
    let w = &it.w;
    show_up(&w.backend, &FORMER).await;
    let first = w.ask_operators().await;
    let old = it.publish(&first, &[&NOW[..], &FORMER].concat()).await;
    // Of those who are ready by now nobody comes along: they would wait for the former signers.
    let others = w.ready_peg_ins(1).await;
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(5));
    assert_eq!(w.build_later().await, Built::Draft);
    w.jobs().await;
    let second = w.take_ask().await;
    assert_eq!(former_epoch(&second), Some(Epoch(0)));
    let new = w.settlement(settlement_id(&second)).await;
    assert_eq!(new.replaces, Some(settlement_id(&first)));
    let made = it.publish(&second, &[&NOW[..], &FORMER].concat()).await;
    assert_eq!(w.chain.mempool(), std::slice::from_ref(&made));
    assert_eq!(
        made.input[0],
        TxIn {
            witness: made.input[0].witness.clone(),
            ..old.input[0].clone()
        }
    );
    let next = w.ask_operators().await;
    assert_eq!(former_epoch(&next), None);
    it.publish(&next, &NOW).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for asked in it.former.iter().chain([&others[0].0]) {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    assert_eq!(w.alarms().await, [""; 0]);
}

/// Operators judge by the parameters of today, whoever holds a deposit.
#[tokio::test]
async fn what_parameters_of_today_do_not_allow_is_given_back_without_a_proof() {
    let mut w = World::new().await;
    let (made, _) = settled(&w).await;
    let small = w.ready_peg_ins(4).await;
    let large = w.ask_peg_in().await;
    w.mine(vec![w.deposit(&large, 3 * DEPOSIT_SAT)]).await;
    let second = house(&w, 1, &SECOND);
    let mut document = proposal_after(&w, &w.backend.deployment.roster, 1);
    let RotationPaper::Announce(proposed) = &mut document.paper else {
        panic!("an announcement");
    };
    proposed.roster = second.roster.clone();
    let higher = |values: &mut ParamsValues| values.deposit_min = Amount::from_sat(2 * DEPOSIT_SAT);
    proposed.params = proposed.params.with(higher).unwrap();
    let hash = proposed.params.hash(w.backend.bridge());
    rotations::take(&w.backend, signed(document, 3))
        .await
        .unwrap();
    // A newer row that nobody can read hides it from nobody.
    let mut tx = w.backend.store.begin().await.unwrap();
    let unreadable = SignedRotation {
        attempt: 7,
        epoch: Epoch(0),
        next: &hash.to_string(),
        cancels: false,
        document: "damaged",
        now: 1,
    };
    assert!(tx.keep_rotation(&unreadable).await.unwrap());
    tx.commit().await.unwrap();
    let first = first_house();
    let step = rotate(&w, &made, &first, &second);
    let step = step.with_state(3, |state| state.params_hash = hash.0);
    mine_settled(&w, &step).await;
    assert_eq!(w.build().await, Built::Hold);
    w.crash().await;
    show_up(&w.backend, &[&NOW[..], &FORMER].concat()).await;

    assert_eq!(w.build().await, Built::Outdated);
    assert_eq!(w.settlements().await.len(), 1);
    for (asked, _) in &small {
        let given_back = ("reclaimable", Some("below-minimum"));
        assert_eq!(w.standing(asked).await, given_back);
    }
    let question = w.ask_operators().await;
    assert_eq!(former_epoch(&question), Some(Epoch(0)));
    assert_eq!(w.standing(&large).await, ("settling", None));
    assert_eq!(w.alarms().await, [""; 0]);
}
