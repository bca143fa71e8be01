//! Who is next: nobody who cannot be served holds up who can, however many they are.

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, TxOut, Txid, hashes::Hash, secp256k1::Secp256k1,
};
use grail_backend::{clock, roles::build::Built};
use grail_script::{DepositTree, InternalKey};
use grail_store::{NewRequest, QueueCursor};
use grail_types::{Kind, Terms};

use super::{
    bridge::{own_script, transaction},
    operators::key,
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// More requests than any look ever read at once.
const CROWD: u32 = 1_001;
/// A cap that bears a full batch at 1 sat/vB, and not at 5.
const LEAST_CAP: u64 = 250;

/// Requests of a stranger, straight into the rows; and one transaction that pays them all.
async fn crowd(w: &World, count: u32, fee_cap_sat: u64) -> Vec<ScriptBuf> {
    let roster = &w.backend.deployment.roster;
    let bridge = w.backend.bridge();
    let secp = Secp256k1::verification_only();
    let mut tx = w.backend.store.begin().await.unwrap();
    let mut scripts = Vec::new();
    for number in 0..count {
        let mut nonce = [0xcc; 16];
        nonce[..4].copy_from_slice(&number.to_le_bytes());
        let terms = Terms {
            kind: Kind::PegIn,
            network: bridge.network,
            bridge: bridge.app,
            destination: own_script(3).try_into().unwrap(),
            fee_cap: Amount::from_sat(fee_cap_sat),
            epoch: roster.epoch(),
            reclaim_key: key(61),
            reclaim_delay: 40,
            nonce,
        };
        let tree = DepositTree::new(&secp, InternalKey::Nums, &terms, roster);
        let new = NewRequest {
            terms: &terms,
            roster,
            deposit_script: &tree.script_pubkey,
            deadline_height: 1_000,
            idempotency: None,
            now: clock::now(),
        };
        tx.create_request(&new).await.unwrap();
        scripts.push(tree.script_pubkey);
    }
    tx.commit().await.unwrap();
    scripts
}

async fn pay(w: &World, scripts: &[ScriptBuf]) {
    let outputs = scripts.iter().map(|script_pubkey| TxOut {
        value: Amount::from_sat(20_000),
        script_pubkey: script_pubkey.clone(),
    });
    let source = OutPoint::new(Txid::from_byte_array([0xdd; 32]), 0);
    w.mine(vec![transaction(&[source], outputs.collect())])
        .await;
}

async fn ready(w: &World, asked: &Asked) {
    w.mine(vec![w.deposit(asked, DEPOSIT_SAT)]).await;
    assert_eq!(w.standing(asked).await, ("ready", None));
}

#[tokio::test]
async fn a_thousand_who_cannot_be_served_hold_up_nobody_behind_them() {
    let w = World::new().await;
    let scripts = crowd(&w, CROWD, LEAST_CAP).await;
    pay(&w, &scripts).await;
    let victim = w.ask_peg_in().await;
    ready(&w, &victim).await;
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(5));
    w.settle().await;
    assert_eq!(w.standing(&victim).await.0, "settling");
    assert_eq!(w.settlements().await.len(), 1);
    // And alone they are a reason to wait, not to be asked for again and again.
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_crowd_that_only_a_full_batch_could_bear_holds_up_nobody_either() {
    let w = World::new().await;
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(5));
    // Viable in a full batch at this rate, and not in one of these few.
    let scripts = crowd(&w, 20, 1_200).await;
    pay(&w, &scripts).await;
    let victim = w.ask_peg_in().await;
    ready(&w, &victim).await;
    w.settle().await;
    assert_eq!(w.standing(&victim).await.0, "settling");
    let newest = w.settlements().await.pop().unwrap();
    let mut reader = w.backend.store.read().await.unwrap();
    assert_eq!(reader.settlement_items(newest.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_was_paid_first_is_first_whoever_asked_first() {
    let w = World::new().await;
    let early = w.ask_peg_in_for(100).await;
    let late = w.ask_peg_in_for(100).await;
    // In the order of their deposits, not of their numbers.
    ready(&w, &late).await;
    ready(&w, &early).await;
    let mut reader = w.backend.store.read().await.unwrap();
    let rate = FeeRate::from_sat_per_kwu(250);
    let epoch = w.backend.deployment.roster.epoch();
    let (first, cursor) = reader
        .queue(epoch, rate, QueueCursor::default(), 1)
        .await
        .unwrap();
    let (second, cursor) = reader.queue(epoch, rate, cursor, 1).await.unwrap();
    let (third, _) = reader.queue(epoch, rate, cursor, 1).await.unwrap();
    let ids = |page: &[grail_store::Request]| page.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(
        (ids(&first), ids(&second), ids(&third)),
        (vec![late.id], vec![early.id], vec![])
    );
}

#[tokio::test]
async fn those_whose_time_ends_first_have_a_part_of_each_batch() {
    let w = World::new().await;
    // Enough to fill a batch, all of them before the one in a hurry.
    let scripts = crowd(&w, 220, 10_000).await;
    pay(&w, &scripts).await;
    let hurried = w.ask_peg_in_for(24).await;
    ready(&w, &hurried).await;
    w.settle().await;
    assert_eq!(w.standing(&hurried).await.0, "settling");
}

#[tokio::test]
async fn a_deposit_that_could_never_pay_its_part_is_given_back_at_once() {
    let w = World::new().await;
    let ready = w.ready_peg_ins(1).await;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&ready[0].0).await.0, "paid");
    let (from, amount) = w.tokens(&made).into_iter().next().unwrap();
    let (dust, rich) = (w.ask_peg_out().await, w.ask_peg_out().await);
    let to = [(dust.script.clone(), 1), (rich.script.clone(), amount - 1)];
    let transfer = w.transfer(&[made], &[from], &to);
    w.mine(vec![transfer]).await;
    assert_eq!(
        w.standing(&dust).await,
        ("reclaimable", Some("below-minimum"))
    );
    assert_eq!(w.standing(&rich).await, ("ready", None));
}

#[tokio::test]
async fn rows_of_before_there_was_a_queue_come_into_it_at_the_start() {
    let mut w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    let mut tx = w.backend.store.begin().await.unwrap();
    for (asked, _) in &requests {
        let request = tx.request(&asked.id).await.unwrap().unwrap();
        tx.set_queue_place(&request, None).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(w.build().await, Built::Nothing);
    w.crash().await;
    w.settle().await;
    assert_eq!(w.standing(&requests[1].0).await.0, "settling");
}
