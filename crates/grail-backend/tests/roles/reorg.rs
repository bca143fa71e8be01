//! Reorgs: a deposit that is gone with its block, a settlement that is.

use bitcoin::{OutPoint, Transaction};
use grail_backend::roles::{build::Built, scan::Scanner};
use grail_chain::ChainError;
use grail_flow::{AbandonCode, SettlementState};
use grail_store::JobKind;

use super::{
    bridge::{own_script, transaction},
    users::{Asked, DEPOSIT_SAT},
    world::{QUORUM, World, settlement_id},
};

const INPUTS_SPENT: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::InputsSpent,
};

/// Two requests, each deposit in a block of its own: the second may be forked away.
struct Two {
    w: World,
    stays: Asked,
    goes: Asked,
    goes_tx: Transaction,
    goes_height: u32,
}

async fn two_deposits() -> Two {
    let w = World::new().await;
    let (stays, goes) = (w.ask_peg_in().await, w.ask_peg_in().await);
    let (stays_tx, goes_tx) = (
        w.deposit(&stays, DEPOSIT_SAT),
        w.deposit(&goes, DEPOSIT_SAT),
    );
    w.mine(vec![stays_tx]).await;
    w.mine(vec![goes_tx.clone()]).await;
    let goes_height = w.tip_height().await;
    Two {
        w,
        stays,
        goes,
        goes_tx,
        goes_height,
    }
}

impl Two {
    /// The second deposit's coins, spent to somebody else.
    fn double_spend(&self) -> Transaction {
        let source = self.goes_tx.input[0].previous_output;
        let mut output = self.goes_tx.output[0].clone();
        output.script_pubkey = own_script(77);
        transaction(&[source], vec![output])
    }

    /// Another branch without the second deposit, which is double-spent.
    async fn double_spent(&self) {
        self.w.chain.fork_at(self.goes_height);
        self.w.chain.clear_mempool();
        self.w.chain.mine(vec![self.double_spend()]);
        self.w.mine_empty(1).await;
    }

    /// One transaction pays the first request and nothing ever pays the second.
    async fn check_first_alone_is_paid(&self) {
        let w = &self.w;
        w.look().await;
        w.settle_all().await;
        w.mine_mempool().await;
        w.mine_empty(1).await;
        assert_eq!(w.standing(&self.stays).await, ("paid", None));
        assert_eq!(w.paid_count(&self.stays).await, 1);
        assert_eq!(w.standing(&self.goes).await, ("awaiting-deposit", None));
        assert_eq!(w.paid_count(&self.goes).await, 0);
        assert_eq!(w.build().await, Built::Nothing);
        assert_eq!(w.alarms().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_deposit_double_spent_under_a_published_settlement_ends_it() {
    let two = two_deposits().await;
    let w = &two.w;
    let (id, signed) = w.settle().await;
    two.double_spent().await;
    w.jobs().await;
    assert_eq!(w.settlement(id).await.state, INPUTS_SPENT);
    assert_eq!(w.standing(&two.stays).await, ("ready", None));
    two.check_first_alone_is_paid().await;
    // The given-up settlement can never come back: its place is taken twice.
    assert_eq!(w.chain.mined_count(&signed.compute_txid()), 0);
}

#[tokio::test]
async fn a_deposit_double_spent_before_operators_are_asked_ends_the_settlement() {
    for proven_before in [false, true] {
        let two = two_deposits().await;
        let w = &two.w;
        assert_eq!(w.build().await, Built::Draft);
        if proven_before {
            assert!(w.job(JobKind::Prove).await);
        }
        two.double_spent().await;
        if !proven_before {
            assert!(w.job(JobKind::Prove).await);
        }
        assert!(w.job(JobKind::DryRun).await);
        let settlement = w.settlements().await.pop().unwrap();
        assert_eq!(settlement.state, INPUTS_SPENT);
        two.check_first_alone_is_paid().await;
    }
}

#[tokio::test]
async fn a_deposit_double_spent_while_operators_decide_ends_the_settlement() {
    let two = two_deposits().await;
    let w = &two.w;
    let ask = w.ask_operators().await;
    two.double_spent().await;
    // They see no chain and sign.
    w.sign(&ask, &QUORUM).await;
    w.answered(settlement_id(&ask)).await;
    w.jobs().await;
    assert_eq!(w.settlement(settlement_id(&ask)).await.state, INPUTS_SPENT);
    two.check_first_alone_is_paid().await;
}

#[tokio::test]
async fn a_deposit_that_a_reorg_only_delays_is_settled_by_the_same_settlement() {
    let two = two_deposits().await;
    let w = &two.w;
    let (id, signed) = w.settle().await;
    w.chain.fork_at(two.goes_height);
    w.chain.clear_mempool();
    w.mine_empty(2).await;
    // The node has lost both: the deposit is sent again, and then the settlement.
    w.jobs().await;
    assert_eq!(w.chain.mempool(), std::slice::from_ref(&two.goes_tx));
    w.job_later(JobKind::Publish).await;
    assert_eq!(w.chain.mempool(), [two.goes_tx.clone(), signed.clone()]);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(id).await.state.name(), "final");
    for asked in [&two.stays, &two.goes] {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    assert_eq!(w.settlements().await.len(), 1);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_deposit_comes_back_also_while_blocks_come_faster_than_they_are_read() {
    let two = two_deposits().await;
    let w = &two.w;
    let (id, signed) = w.settle().await;
    w.chain.fork_at(two.goes_height);
    w.chain.clear_mempool();
    w.mine_empty(2).await;
    // The node is a block ahead whenever the settlement is handed over.
    w.chain.mine(vec![]);
    w.jobs().await;
    assert_eq!(w.chain.mempool(), std::slice::from_ref(&two.goes_tx));
    w.chain.mine(vec![]);
    w.job_later(JobKind::Publish).await;
    assert_eq!(w.chain.mempool(), [two.goes_tx.clone(), signed]);
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
}

#[tokio::test]
async fn while_the_rows_lag_behind_the_node_no_missing_input_ends_a_settlement() {
    let two = two_deposits().await;
    let w = &two.w;
    let (id, _) = w.settle().await;
    w.chain.fork_at(two.goes_height);
    w.chain.clear_mempool();
    w.mine_empty(2).await;
    w.chain.mine(vec![two.double_spend()]);
    w.jobs().await;
    assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
    // Once they have the same, it ends.
    w.look().await;
    w.job_later(JobKind::Publish).await;
    assert_eq!(w.settlement(id).await.state, INPUTS_SPENT);
}

#[tokio::test]
async fn a_settlement_that_lost_its_block_is_published_again_and_becomes_final() {
    for depth in [1, 2] {
        let w = World::new().await;
        let requests = w.ready_peg_ins(2).await;
        let (id, signed) = w.settle().await;
        w.mine_mempool().await;
        let height = w.tip_height().await;
        w.mine_empty(depth - 1).await;
        let before = w.settlement(id).await.state.name();
        assert_eq!(before, ["confirmed", "final"][usize::from(depth == 2)]);

        w.chain.fork_at(height);
        w.mine_empty(depth + 1).await;
        assert_eq!(w.settlement(id).await.state, SettlementState::Broadcast {});
        assert_eq!(w.standing(&requests[0].0).await.0, "settling");
        w.check_reserves(0).await;
        assert!(w.chain.mempool().is_empty());
        w.jobs().await;
        assert_eq!(w.chain.mempool(), std::slice::from_ref(&signed));
        w.mine_mempool().await;
        w.mine_empty(1).await;
        assert_eq!(w.settlement(id).await.state.name(), "final");
        for (asked, _) in &requests {
            assert_eq!(w.standing(asked).await, ("paid", None));
            assert_eq!(w.paid_count(asked).await, 1);
        }
        w.check_reserves(w.tokens(&signed).values().sum()).await;
        assert_eq!(w.alarms().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_chain_of_settlements_that_lost_its_blocks_is_published_parent_first() {
    let w = World::new().await;
    let first = w.ready_peg_ins(1).await;
    let (_, parent) = w.settle().await;
    let second = w.ready_peg_ins(1).await;
    let (_, child) = w.settle().await;
    w.mine_mempool().await;
    let height = w.tip_height().await;
    w.chain.fork_at(height);
    w.mine_empty(2).await;
    while w.chain.mempool().len() < 2 {
        w.job_later(JobKind::Publish).await;
    }
    assert_eq!(w.chain.mempool(), [parent, child]);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in first.iter().chain(&second) {
        assert_eq!(w.paid_count(asked).await, 1);
        assert_eq!(w.standing(asked).await, ("paid", None));
    }
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_settlement_that_the_mempool_dropped_is_published_again() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (_, signed) = w.settle().await;
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!(w.chain.mempool(), [signed]);
}

#[tokio::test]
async fn a_given_up_settlement_that_is_mined_has_paid_and_ends_its_rival() {
    let two = two_deposits().await;
    let w = &two.w;
    let (old, signed) = w.settle().await;
    two.double_spent().await;
    w.jobs().await;
    assert_eq!(w.settlement(old).await.state, INPUTS_SPENT);
    let (new, _) = w.settle().await;
    // A longer branch still, on which the deposit was never double-spent, and the old settlement is
    // mined.
    w.chain.fork_at(two.goes_height);
    w.chain.clear_mempool();
    w.chain.mine(vec![two.goes_tx.clone()]);
    w.chain.mine(vec![signed.clone()]);
    w.mine_empty(2).await;
    w.jobs().await;
    assert_eq!(w.settlement(old).await.state.name(), "final");
    assert_eq!(w.settlement(new).await.state, INPUTS_SPENT);
    for asked in [&two.stays, &two.goes] {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    assert_eq!(w.alarms().await, [""; 0]);
    // And the bridge goes on from there.
    let more = w.ready_peg_ins(1).await;
    let (_, next) = w.settle().await;
    assert_eq!(
        next.input[0].previous_output,
        OutPoint::new(signed.compute_txid(), 0)
    );
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&more[0].0).await, ("paid", None));
}

#[tokio::test]
async fn a_settlement_on_top_of_a_given_up_one_is_settled_anew() {
    let two = two_deposits().await;
    let w = &two.w;
    let (parent, _) = w.settle().await;
    let late = w.ask_peg_in().await;
    let deposit = w.deposit(&late, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let (child, _) = w.settle().await;
    // The second deposit is double-spent; the other one is mined again.
    w.chain.fork_at(two.goes_height);
    w.chain.clear_mempool();
    w.chain.mine(vec![two.double_spend(), deposit]);
    w.mine_empty(2).await;
    for id in [child, parent] {
        if !w.settlement(id).await.state.stage().has_ended() {
            w.jobs().await;
        }
    }
    assert_eq!(w.settlement(parent).await.state, INPUTS_SPENT);
    assert_eq!(
        w.settlement(child).await.state,
        SettlementState::Abandoned {
            code: AbandonCode::ParentAbandoned
        }
    );
    two.check_first_alone_is_paid().await;
    assert_eq!(w.standing(&late).await, ("paid", None));
    assert_eq!(w.paid_count(&late).await, 1);
    assert_eq!(w.settlements().await.len(), 3);
}

#[tokio::test]
async fn a_node_that_is_merely_behind_makes_nothing_unhappen() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let (id, _) = w.settle().await;
    w.mine_mempool().await;
    let height = w.tip_height().await;
    w.chain.fork_at(height);
    w.look().await;
    assert_eq!(w.settlement(id).await.state.name(), "confirmed");
    assert_eq!(w.standing(&requests[0].0).await.0, "settling");
}

#[tokio::test]
async fn nodes_that_disagree_are_waited_for_and_shown_once() {
    let w = World::new().await;
    let height = w.tip_height().await;
    let mut scanner = Scanner::new(&w.backend);
    w.chain.mine(Vec::new());
    let tips = "one at 7, another at 7".to_owned();
    w.chain.set_error(Some(ChainError::NodesDisagree { tips }));
    for _ in 0..3 {
        assert!(!scanner.take_block().await.unwrap());
    }
    assert_eq!(w.alarms().await, ["nodes-disagree"]);
    // What is left when the best node goes is no disagreement, and no chain either.
    let tip = "one at 6".to_owned();
    w.chain.set_error(Some(ChainError::NodesBehind { tip }));
    assert!(!scanner.take_block().await.unwrap());
    w.chain.set_error(None);
    assert_eq!(w.tip_height().await, height);
    assert!(scanner.take_block().await.unwrap());
    assert_eq!(w.alarms().await, ["nodes-disagree"]);
}
