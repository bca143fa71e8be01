//! Deposits that operators spent against the rules: whoever acknowledges the alarm, nothing is
//! planned with them.

use bitcoin::{OutPoint, Transaction};
use grail_backend::roles::build::Built;
use grail_store::DepositState;

use super::{
    foreign::{Foreign, by_leaf, tree},
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// A settlement with a serial too many, which spends this deposit of a request.
async fn breaking(
    w: &World,
    made: &Transaction,
    asked: &Asked,
    deposit: &Transaction,
) -> Transaction {
    let terms = {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().terms
    };
    let witness = by_leaf(&tree(w, &terms).leaf);
    let deposit = (terms, deposit, witness);
    let foreign = Foreign { w, made, deposit };
    foreign.with_state(|state| state.serial += 1)
}

/// A world with one settlement in a block, and what it is.
async fn settled() -> (World, Transaction) {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    (w, made)
}

#[tokio::test]
async fn nothing_is_planned_with_what_operators_took_once_it_is_acknowledged() {
    let (w, made) = settled().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let foreign = breaking(&w, &made, &asked, &deposit).await;
    w.mine(vec![foreign.clone()]).await;
    assert_eq!(w.alarms().await, ["foreign-settlement"]);
    assert_eq!(w.build().await, Built::Hold);
    w.acknowledge_alarms().await;
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.settlements().await.len(), 1);
    assert_eq!(w.standing(&asked).await, ("taken", None));
    // Others are served, from where it left the NFT.
    let other = w.ready_peg_ins(1).await.remove(0).0;
    let (_, next) = w.settle().await;
    let nft = OutPoint::new(foreign.compute_txid(), 0);
    assert_eq!(next.input[0].previous_output, nft);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&other).await, ("paid", None));
    assert_eq!(w.standing(&asked).await, ("taken", None));
}

#[tokio::test]
async fn a_reorg_gives_back_what_operators_took_and_it_is_settled() {
    let (w, made) = settled().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let foreign = breaking(&w, &made, &asked, &deposit).await;
    let height = w.tip_height().await + 1;
    w.mine(vec![foreign]).await;
    assert_eq!(w.standing(&asked).await, ("taken", None));
    w.chain.fork_at(height);
    w.mine_empty(2).await;
    assert_eq!(w.standing(&asked).await, ("ready", None));
    w.acknowledge_alarms().await;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
    assert_eq!(w.paid_count(&asked).await, 1);
}

#[tokio::test]
async fn what_was_to_spend_a_taken_deposit_ends_and_gives_back_the_others() {
    let (w, made) = settled().await;
    let requests = w.ready_peg_ins(2).await;
    let (settlement, _) = w.settle().await;
    let (taken, other) = (&requests[0], &requests[1]);
    let deposit = {
        let mut reader = w.backend.store.read().await.unwrap();
        let txid = taken.1.txid;
        reader.transaction(&txid).await.unwrap().unwrap()
    };
    w.chain.clear_mempool();
    let foreign = breaking(&w, &made, &taken.0, &deposit).await;
    w.mine(vec![foreign]).await;
    assert_eq!(w.settlement(settlement).await.state.name(), "abandoned");
    assert_eq!(w.standing(&taken.0).await, ("taken", None));
    assert_eq!(w.standing(&other.0).await, ("ready", None));
}

#[tokio::test]
async fn a_second_deposit_that_operators_took_is_not_said_to_be_its_users() {
    let (w, _) = settled().await;
    let asked = w.ask_peg_in().await;
    let deposits = [
        w.deposit(&asked, DEPOSIT_SAT),
        w.deposit(&asked, DEPOSIT_SAT),
    ];
    w.mine(deposits.to_vec()).await;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let foreign = breaking(&w, &made, &asked, &deposits[1]).await;
    let height = w.tip_height().await + 1;
    let second = OutPoint::new(deposits[1].compute_txid(), 0);
    let state = async || {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.deposit(&second).await.unwrap().unwrap().state
    };
    assert_eq!(state().await, DepositState::Reclaimable);
    w.mine(vec![foreign]).await;
    assert_eq!(state().await, DepositState::Taken);
    assert_eq!(w.standing(&asked).await, ("paid", None));
    w.chain.fork_at(height);
    w.mine_empty(2).await;
    assert_eq!(state().await, DepositState::Reclaimable);
}
