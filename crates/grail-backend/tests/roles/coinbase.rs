//! Deposits that a block's reward pays: they wait for their maturity, and hold nobody else up.

use bitcoin::{OutPoint, ScriptBuf, Transaction};
use grail_backend::roles::build::Built;
use grail_flow::{AbandonCode, DepositOrigin, RequestState, SettlementState};
use grail_store::JobKind;

use super::{
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// Longer than a reward's maturity and the margin before a reclaim.
const LONG_DELAY: u16 = 200;

/// A block's reward, paid to the deposit address.
fn reward(w: &World, asked: &Asked) -> Transaction {
    let mut reward = w.deposit(asked, DEPOSIT_SAT);
    reward.input[0].previous_output = OutPoint::null();
    // As miners do, so that no two are one transaction.
    reward.input[0].script_sig = ScriptBuf::from_bytes(vec![w.next_number()]);
    assert!(reward.is_coinbase());
    reward
}

async fn mined(w: &World, asked: &Asked) -> OutPoint {
    let reward = reward(w, asked);
    let outpoint = OutPoint::new(reward.compute_txid(), 0);
    w.mine(vec![reward]).await;
    outpoint
}

#[tokio::test]
async fn a_reward_waits_by_itself_and_everybody_else_is_served() {
    let w = World::new().await;
    let asked = w.ask_peg_in_for(LONG_DELAY).await;
    mined(&w, &asked).await;
    let others = w.ready_peg_ins(1).await;
    assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&others[0].0).await, ("paid", None));
    // Three blocks came since: the reward has four confirmations.
    w.mine_empty(95).await;
    assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
    assert_eq!(w.build().await, Built::Nothing);
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
    assert_eq!(w.paid_count(&asked).await, 1);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_reward_whose_delay_ends_before_its_maturity_is_refused_with_a_code() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    mined(&w, &asked).await;
    // Its reclaim is possible a hundred blocks later, not after the delay of 24.
    w.mine_empty(93).await;
    assert_eq!(w.standing(&asked).await, ("unconfirmed", None));
    w.mine_empty(1).await;
    let refused = ("reclaimable", Some("too-close-to-reclaim"));
    assert_eq!(w.standing(&asked).await, refused);
}

#[tokio::test]
async fn a_reward_whose_block_a_reorg_takes_is_gone_and_starts_anew_in_another() {
    let w = World::new().await;
    let asked = w.ask_peg_in_for(LONG_DELAY).await;
    mined(&w, &asked).await;
    let height = w.tip_height().await;
    w.mine_empty(98).await;
    w.chain.fork_at(height);
    let other = reward(&w, &asked);
    w.chain.mine(vec![other.clone()]);
    for _ in 0..98 {
        w.chain.mine(Vec::new());
    }
    w.chain.mine(Vec::new());
    w.look().await;
    // A reward of its own age: the first branch's confirmations do not count for it.
    let RequestState::Ready { deposit } = w.request(&asked).await else {
        panic!("{:?}", w.request(&asked).await);
    };
    assert_eq!(deposit, OutPoint::new(other.compute_txid(), 0));
}

#[tokio::test]
async fn a_settlement_that_spends_a_reward_too_soon_is_called_off() {
    let w = World::new().await;
    let asked = w.ask_peg_in_for(LONG_DELAY).await;
    let outpoint = mined(&w, &asked).await;
    w.mine_empty(99).await;
    // The node knows better than the books: as with a row of before rewards were told apart.
    w.chain.set_maturity(150);
    let mut tx = w.backend.store.begin().await.unwrap();
    tx.set_deposit_origin(&outpoint, DepositOrigin::Payment, 1)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(w.build().await, Built::Draft);
    assert!(w.job(JobKind::Prove).await);
    assert!(w.job(JobKind::DryRun).await);
    let newest = w.settlements().await.pop().unwrap();
    let called_off = SettlementState::Abandoned {
        code: AbandonCode::Cancelled,
    };
    assert_eq!(newest.state, called_off);
    // Nothing is tried again, nobody is refused, and the books have learnt.
    assert_eq!(w.open_jobs().await, [""; 0]);
    assert_eq!(w.standing(&asked).await, ("ready", None));
    let mut reader = w.backend.store.read().await.unwrap();
    let row = reader.deposit(&outpoint).await.unwrap().unwrap();
    assert_eq!(row.deposit.origin, DepositOrigin::Coinbase);
    drop(reader);
    assert_eq!(w.alarms().await, [""; 0]);
}
