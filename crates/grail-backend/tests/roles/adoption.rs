//! Rows made again from the chain: settlements that other rows made, adopted from their blocks.

use bitcoin::{OutPoint, Transaction};
use grail_api::{Page, Settlement};
use grail_backend::{api::router, roles::build::Built};
use grail_flow::{AbandonCode, ReclaimCode, SettlementState};
use grail_store::JobKind;
use tower::ServiceExt;

use super::{
    bridge::{own_script, transaction},
    users::{Asked, DEPOSIT_SAT, USER_KEY},
    world::World,
};

/// Settles all that is ready, to the last confirmation.
async fn settle(w: &World) -> Transaction {
    let (_, signed) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    signed
}

/// The bridge serves: a request made now is paid, on the chain's NFT.
async fn check_serves(w: &World, last: &Transaction) {
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    let signed = settle(w).await;
    let nft = OutPoint::new(last.compute_txid(), 0);
    assert_eq!(signed.input[0].previous_output, nft);
    assert_eq!(w.standing(&asked).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

/// A peg-out of zkBTC that a settlement minted, its deposit in a block.
async fn ready_peg_out(w: &World, minted: &Transaction) -> Asked {
    let asked = w.ask_peg_out().await;
    let (outpoint, amount) = w.tokens(minted).pop_first().unwrap();
    let to = [(asked.script.clone(), amount)];
    let deposit = w.transfer(std::slice::from_ref(minted), &[outpoint], &to);
    w.mine(vec![deposit]).await;
    asked
}

#[tokio::test]
async fn a_new_database_on_an_old_chain_adopts_and_serves_again() {
    let w = World::new().await;
    w.ready_peg_ins(2).await;
    let first = settle(&w).await;
    ready_peg_out(&w, &first).await;
    w.ready_peg_ins(1).await;
    let last = settle(&w).await;
    let new = w.rebuilt().await;
    assert_eq!(new.alarms().await, [""; 0]);
    let (before, after) = (w.settlements().await, new.settlements().await);
    assert_eq!(before.len(), after.len());
    for (made, adopted) in before.iter().zip(&after) {
        assert!(adopted.adopted && !made.adopted);
        assert_eq!(adopted.state, made.state);
        assert_eq!(adopted.txid, made.txid);
        assert_eq!(adopted.nft_input, made.nft_input);
        assert_eq!(adopted.nft_output, made.nft_output);
        assert_eq!(adopted.fee, made.fee);
        assert_eq!(adopted.vsize, made.vsize);
        assert_eq!(adopted.epoch, made.epoch);
        let items = async |w: &World, id| {
            let mut reader = w.backend.store.read().await.unwrap();
            reader.settlement_items(id).await.unwrap()
        };
        assert_eq!(items(&new, adopted.id).await, items(&w, made.id).await);
        assert_eq!(new.signed(adopted.id).await, w.signed(made.id).await);
    }
    let supply = async |w: &World| {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.vault_totals().await.unwrap()
    };
    assert_eq!(supply(&new).await, supply(&w).await);
    // The API shows them, but who signed and how they were proven.
    let (before, after) = (list(&w).await, list(&new).await);
    assert_eq!(before.len(), after.len());
    for (made, adopted) in before.iter().zip(&after) {
        assert!(adopted.adopted && adopted.signers.is_empty() && adopted.proving.is_none());
        let coins = |it: &Settlement| -> Vec<_> {
            let inputs = it.inputs.iter();
            inputs
                .map(|input| (input.outpoint, input.amount_sat))
                .collect()
        };
        assert_eq!(coins(adopted), coins(made));
        assert_eq!(adopted.outputs.len(), made.outputs.len());
    }
    check_serves(&new, &last).await;
}

async fn list(w: &World) -> Vec<Settlement> {
    let request = axum::http::Request::get("/v1/settlements")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = router(w.backend.clone()).oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 4 << 20).await;
    let page: Page<Settlement> = serde_json::from_slice(&body.unwrap()).unwrap();
    page.items
}

#[tokio::test]
async fn users_paid_since_the_backup_are_paid_in_what_is_restored() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(2).await;
    let backup = w.backup();
    settle(&w).await;
    let late = w.backup();
    requests.extend(w.ready_peg_ins(1).await);
    let last = settle(&w).await;
    for (backup, known) in [(backup, 2), (late, 2)] {
        let old = w.restored(backup).await;
        old.scan().await;
        assert_eq!(old.alarms().await, [""; 0]);
        for (asked, _) in &requests[..known] {
            assert_eq!(old.standing(asked).await, ("paid", None));
            assert_eq!(old.paid_count(asked).await, 1);
        }
        assert_eq!(old.build().await, Built::Nothing);
        assert_eq!(old.settlements().await.len(), 2);
        assert_eq!(old.settlements().await[1].txid, Some(last.compute_txid()));
    }
}

#[tokio::test]
async fn any_earlier_backup_settles_on() {
    let w = World::new().await;
    let mut backups = vec![w.backup()];
    let mut asked = vec![w.ask_peg_in().await, w.ask_peg_in().await];
    backups.push(w.backup());
    let deposits: Vec<_> = asked.iter().map(|it| w.deposit(it, DEPOSIT_SAT)).collect();
    w.chain.relay(deposits[0].clone());
    w.look().await;
    backups.push(w.backup());
    w.chain.clear_mempool();
    w.mine(deposits).await;
    backups.push(w.backup());
    assert_eq!(w.build().await, Built::Draft);
    backups.push(w.backup());
    assert!(w.job(JobKind::Prove).await);
    backups.push(w.backup());
    w.jobs().await;
    backups.push(w.backup());
    let ask = w.take_ask().await;
    let (_, first) = w.sign_and_publish(&ask).await;
    backups.push(w.backup());
    w.mine_mempool().await;
    backups.push(w.backup());
    asked.push(ready_peg_out(&w, &first).await);
    backups.push(w.backup());
    settle(&w).await;
    backups.push(w.backup());
    // One that only the chain knows of for most of them, with a reorg before it.
    w.mine_empty(1).await;
    w.chain.fork_at(w.tip_height().await);
    asked.extend(w.ready_peg_ins(1).await.into_iter().map(|(asked, _)| asked));
    let mut last = settle(&w).await;

    for (step, backup) in backups.into_iter().enumerate() {
        let old = w.restored(backup).await;
        old.look().await;
        old.jobs().await;
        assert_eq!(old.alarms().await, [""; 0], "step {step}");
        for asked in &asked {
            let mut reader = old.backend.store.read().await.unwrap();
            let is_known = reader.request(&asked.id).await.unwrap().is_some();
            drop(reader);
            if is_known {
                assert_eq!(old.standing(asked).await, ("paid", None), "step {step}");
                assert_eq!(old.paid_count(asked).await, 1, "step {step}");
            }
        }
        // What was under way in it has ended, and nothing is left to do.
        assert_eq!(old.build().await, Built::Nothing, "step {step}");
        let asked = old.ready_peg_ins(1).await.remove(0).0;
        let signed = settle(&old).await;
        let nft = OutPoint::new(last.compute_txid(), 0);
        assert_eq!(signed.input[0].previous_output, nft, "step {step}");
        assert_eq!(old.standing(&asked).await, ("paid", None), "step {step}");
        last = signed;
    }
}

#[tokio::test]
async fn nothing_is_drafted_or_proven_on_an_nft_that_the_chain_has_spent() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ready = w.backup();
    assert_eq!(w.build().await, Built::Draft);
    let drafted = w.backup();
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    // Its rows are behind, and the node says so.
    let ready = w.restored(ready).await;
    assert_eq!(ready.build().await, Built::Nothing);
    // What was drafted before ends with the block.
    let drafted = w.restored(drafted).await;
    drafted.scan().await;
    let inputs_spent = SettlementState::Abandoned {
        code: AbandonCode::InputsSpent,
    };
    let settlements = drafted.settlements().await;
    assert_eq!(settlements[0].state, inputs_spent);
    assert_eq!(settlements[1].state.name(), "final");
    drafted.jobs().await;
    let mut reader = drafted.backend.store.read().await.unwrap();
    let proof = reader
        .proof_record(settlements[0].id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(proof.attempts, 0);
    drop(reader);
    assert_eq!(drafted.build().await, Built::Nothing);
    assert_eq!(drafted.alarms().await, [""; 0]);
}

#[tokio::test]
async fn an_adopted_settlement_that_loses_its_block_is_published_again() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let backup = w.backup();
    let signed = settle(&w).await;
    for old in [w.restored(backup).await, w.emptied().await] {
        old.scan().await;
        let adopted = old.settlements().await.remove(0);
        assert_eq!(adopted.state.name(), "final");
        let height = adopted.block.unwrap().height;
        w.chain.fork_at(height);
        w.chain.clear_mempool();
        w.chain.mine(Vec::new());
        w.chain.mine(Vec::new());
        old.mine_empty(2).await;
        let broadcast = SettlementState::Broadcast {};
        assert_eq!(old.settlements().await[0].state, broadcast);
        old.check_reserves(0).await;
        old.jobs().await;
        assert_eq!(w.chain.mempool(), std::slice::from_ref(&signed));
        old.mine_mempool().await;
        old.mine_empty(1).await;
        assert_eq!(old.settlements().await[0].state.name(), "final");
        assert_eq!(old.settlements().await.len(), 1);
        assert_eq!(old.alarms().await, [""; 0]);
        let mut reader = old.backend.store.read().await.unwrap();
        let known = reader.request(&requests[0].0.id).await.unwrap();
        assert!(known.is_none_or(|request| request.state.name() == "paid"));
    }
}

#[tokio::test]
async fn an_adopted_settlement_gives_way_to_what_another_branch_holds() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let backup = w.backup();
    let rival = w.backup();
    settle(&w).await;
    let old = w.restored(backup).await;
    old.scan().await;
    let height = old.settlements().await[0].block.unwrap().height;
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    // Another database settles the same and one more.
    let rival = w.restored(rival).await;
    rival.ready_peg_ins(1).await;
    let other = settle(&rival).await;
    old.mine_empty(1).await;
    let settlements = old.settlements().await;
    let inputs_spent = SettlementState::Abandoned {
        code: AbandonCode::InputsSpent,
    };
    assert_eq!(settlements[0].state, inputs_spent);
    assert_eq!(settlements[1].txid, Some(other.compute_txid()));
    assert_eq!(settlements[1].state.name(), "final");
    let (asked, _) = &requests[0];
    assert_eq!(old.standing(asked).await, ("paid", None));
    assert_eq!(old.paid_count(asked).await, 1);
    check_serves(&old, &other).await;
}

#[tokio::test]
async fn a_deposit_taken_back_on_another_branch_ends_the_adopted_settlement() {
    for is_known in [true, false] {
        let w = World::new().await;
        let requests = w.ready_peg_ins(1).await;
        let (asked, deposit) = &requests[0];
        let backup = w.backup();
        settle(&w).await;
        let old = if is_known {
            w.restored(backup).await
        } else {
            w.emptied().await
        };
        old.scan().await;
        let height = old.settlements().await[0].block.unwrap().height;
        w.chain.fork_at(height);
        w.chain.clear_mempool();
        let mut reclaim = transaction(&[*deposit], vec![bitcoin::TxOut::NULL]);
        reclaim.output[0].script_pubkey = own_script(USER_KEY);
        w.chain.mine(vec![reclaim]);
        old.mine_empty(2).await;
        assert_eq!(old.settlements().await[0].state.name(), "abandoned");
        if is_known {
            assert_eq!(old.standing(asked).await.0, "reclaimed");
        }
        assert_eq!(old.alarms().await, [""; 0]);
        old.ready_peg_ins(1).await;
        assert_eq!(old.build().await, Built::Draft);
    }
}

#[tokio::test]
async fn a_settlement_may_have_paid_by_another_deposit_than_these_rows_go_by() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let backup = w.backup();
    let deposits = [
        w.deposit(&asked, DEPOSIT_SAT),
        w.deposit(&asked, DEPOSIT_SAT),
    ];
    let outpoints = deposits
        .each_ref()
        .map(|made| OutPoint::new(made.compute_txid(), 0));
    let height = w.tip_height().await + 1;
    w.mine(vec![deposits[1].clone()]).await;
    let (_, signed) = w.settle().await;
    // In the end the other deposit was mined first.
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.chain.mine(deposits.to_vec());
    let old = w.restored(backup).await;
    old.scan().await;
    assert_eq!(old.request(&asked).await.deposit(), Some(outpoints[0]));
    assert_eq!(old.build().await, Built::Draft);
    let at = old.tip_height().await + 1;
    old.mine(vec![signed.clone()]).await;
    old.mine_empty(1).await;
    let states = async || {
        let mut reader = old.backend.store.read().await.unwrap();
        let mut states = Vec::new();
        for outpoint in &outpoints {
            let row = reader.deposit(outpoint).await.unwrap().unwrap();
            states.push((row.state.name(), row.code.map(ReclaimCode::code)));
        }
        states
    };
    assert_eq!(old.standing(&asked).await, ("paid", None));
    assert_eq!(old.request(&asked).await.deposit(), Some(outpoints[1]));
    let left = ("reclaimable", Some("duplicate-deposit"));
    assert_eq!(states().await, [left, ("settled", None)]);
    assert_eq!(old.alarms().await, [""; 0]);
    // A reorg takes that back, too.
    w.chain.fork_at(at);
    w.chain.clear_mempool();
    old.mine_empty(3).await;
    assert_eq!(old.standing(&asked).await, ("settling", None));
    old.jobs().await;
    assert_eq!(w.chain.mempool(), [signed]);
    assert_eq!(old.alarms().await, [""; 0]);
}
