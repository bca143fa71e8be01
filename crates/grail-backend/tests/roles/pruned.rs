//! A node that does not keep what must be read: said with a name, and gone on from where it stood.

use grail_backend::{
    commands::{exit::Fault, rebuild::from_chain},
    roles::scan::Scanner,
};

use super::world::World;

const LACKING: &str = "node-lacks-blocks";

#[tokio::test]
async fn a_settlement_whose_deposits_are_pruned_is_named_and_adopted_later() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let deposited = w.tip_height().await;
    let backup = w.backup();
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let old = w.restored(backup).await;
    let before = old.tip_height().await;
    w.chain.keep_from(deposited + 1);
    for _ in 0..2 {
        let error = Scanner::new(&old.backend).take_block().await.unwrap_err();
        assert!(error.to_string().contains("does not keep"), "{error:#}");
        assert_eq!(old.alarms().await, [LACKING]);
    }
    assert_eq!(old.tip_height().await, before);
    assert_eq!(old.settlements().await.len(), 0);
    assert_eq!(old.standing(&requests[0].0).await, ("ready", None));
    // A node that keeps them takes its place: nothing is lost, and nobody need do anything else.
    w.chain.keep_from(0);
    old.scan().await;
    assert_eq!(old.standing(&requests[0].0).await, ("paid", None));
    assert_eq!(old.paid_count(&requests[0].0).await, 1);
    old.ready_peg_ins(1).await;
    old.settle().await;
}

#[tokio::test]
async fn blocks_that_were_pruned_before_they_were_read_are_named() {
    let w = World::new().await;
    w.mine_empty(2).await;
    let backup = w.backup();
    w.mine_empty(3).await;
    let old = w.restored(backup).await;
    let before = old.tip_height().await;
    w.chain.keep_from(before + 2);
    assert!(Scanner::new(&old.backend).take_block().await.is_err());
    assert_eq!(old.alarms().await, [LACKING]);
    w.chain.keep_from(before + 1);
    old.scan().await;
    assert_eq!(old.tip_height().await, before + 3);
}

#[tokio::test]
async fn a_rival_with_a_pruned_deposit_holds_up_nothing_else() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let deposited = w.tip_height().await;
    let backup = w.backup();
    let (_, signed) = w.settle().await;
    let old = w.restored(backup).await;
    old.mine_empty(1).await;
    assert_eq!(w.chain.mempool(), [signed]);
    w.chain.keep_from(deposited + 1);
    old.look().await;
    assert_eq!(old.alarms().await, [LACKING]);
    assert_eq!(old.settlements().await.len(), 0);
}

#[tokio::test]
async fn a_rebuild_on_a_node_that_prunes_is_a_fault_of_the_configuration() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let deposited = w.tip_height().await;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let new = w.emptied().await;
    w.chain.keep_from(deposited);
    let error = from_chain(&new.backend, None).await.unwrap_err();
    assert!(format!("{error:#}").contains("does not keep"), "{error:#}");
    assert_eq!(
        Fault::exit_code_of(&error),
        Fault::Configuration.exit_code()
    );
}
