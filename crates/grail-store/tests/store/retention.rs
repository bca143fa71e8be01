//! What goes, and what must not.

use bitcoin::{Amount, OutPoint, Transaction, Witness};
use grail_flow::{AbandonCode, Deposit, SettlementId, SettlementState};
use grail_store::{
    BlockRef, BuiltTransaction, DepositState, Horizon, Idempotency, NewAnswer, NewEvent,
    NewRequest, NewSettlement, Reclaim, StoreTx, Subject, VaultKind, VaultOutput, Verdict,
    VerdictKind, Work,
};
use grail_types::{Epoch, SignerIndex};

use crate::support::{
    NOW, add_deposit, add_request, block, deposit, item, move_settlement, new_store, outpoint,
    roster, run, script, terms, transaction,
};

/// The height of all that is settled here.
const HEIGHT: u32 = 100;

/// Everything at this height and below may go, and whatever ended up to this time.
fn horizon(height: u32, time: u64) -> Horizon {
    Horizon { height, time }
}

/// Nothing goes for its age alone.
fn at(height: u32) -> Horizon {
    horizon(height, 0)
}

fn nft(from: OutPoint) -> VaultOutput {
    VaultOutput {
        outpoint: from,
        amount: Amount::from_sat(330),
        epoch: Epoch(0),
        kind: VaultKind::Nft {
            supply: Amount::ZERO,
        },
    }
}

/// A settlement of request `seed` that spends `nft_input`, with all that there can be of one.
async fn signed(tx: &mut StoreTx, seed: u8, nft_input: OutPoint) -> (SettlementId, Transaction) {
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input,
        draft: b"draft",
        items: &[item(seed)],
        now: NOW,
    };
    let id = tx.create_settlement(&new).await.unwrap();
    let mut transaction = transaction(nft_input);
    let built = BuiltTransaction {
        unsigned: &transaction,
        nft_vout: 0,
        fee: Amount::from_sat(1),
        weight: transaction.weight(),
    };
    tx.set_built(id, &built, NOW).await.unwrap();
    tx.set_proposal(id, &format!("name-{seed}"), b"proposal", NOW)
        .await
        .unwrap();
    move_settlement(tx, id, SettlementState::Asked { round: 1 })
        .await
        .unwrap();
    let verdict = Verdict::Signed {
        signatures: vec![7; 64],
    };
    let answer = NewAnswer {
        settlement: id,
        signer: SignerIndex(2),
        epoch: Epoch(0),
        attempt: 1,
        verdict: &verdict,
    };
    let _ = tx.record_answer(&answer, NOW).await.unwrap();
    transaction.input[0].witness = Witness::from_slice(&[[9; 64]]);
    tx.set_signed(id, &transaction, NOW).await.unwrap();
    tx.put_transaction(&transaction).await.unwrap();
    (id, transaction)
}

fn mined(block: BlockRef) -> SettlementState {
    let BlockRef { height, hash } = block;
    SettlementState::Final { height, hash }
}

#[tokio::test]
async fn what_was_needed_to_settle_goes_behind_the_horizon_alone() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let (id, transaction) = signed(&mut tx, 1, outpoint(50)).await;
    // Not before it is final, wherever the horizon is.
    assert_eq!(tx.trim_settlements(at(u32::MAX), 10).await.unwrap(), 0);
    move_settlement(&mut tx, id, mined(block(HEIGHT, 0)))
        .await
        .unwrap();
    assert_eq!(tx.trim_settlements(at(HEIGHT - 1), 10).await.unwrap(), 0);
    assert!(tx.signed_transaction(id).await.unwrap().is_some());
    assert_eq!(tx.answers(id).await.unwrap().len(), 1);

    assert_eq!(tx.trim_settlements(at(HEIGHT), 10).await.unwrap(), 1);
    assert_eq!(tx.trim_settlements(at(HEIGHT), 10).await.unwrap(), 0);
    assert_eq!(tx.signed_transaction(id).await.unwrap(), None);
    assert_eq!(tx.proposal(id).await.unwrap(), None);
    assert_eq!(tx.answers(id).await.unwrap(), []);
    // What lists show stays: the transaction without witnesses, and who signed.
    let kept = tx.unsigned_transaction(id).await.unwrap().unwrap();
    assert_eq!(kept.compute_txid(), transaction.compute_txid());
    assert!(kept.input.iter().all(|input| input.witness.is_empty()));
    let stored = tx.transaction(&transaction.compute_txid()).await.unwrap();
    assert_eq!(stored, Some(kept));
    let summaries = tx.answer_summaries(id).await.unwrap();
    assert_eq!(summaries[0].verdict, VerdictKind::Signed);
    assert_eq!(tx.settlement_items(id).await.unwrap(), [item(1)]);
}

/// A batch takes as many as it is told to, and the next one goes on.
#[tokio::test]
async fn a_batch_of_settlements_is_no_larger_than_asked_for() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in 1..=3 {
        add_deposit(&mut tx, seed).await;
        let (id, _) = signed(&mut tx, seed, outpoint(50 + seed)).await;
        move_settlement(&mut tx, id, mined(block(HEIGHT, 0)))
            .await
            .unwrap();
    }
    for expected in [2, 1, 0] {
        assert_eq!(tx.trim_settlements(at(HEIGHT), 2).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn one_given_up_is_kept_for_as_long_as_it_could_be_mined() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let code = AbandonCode::Replaced;
    for seed in [1, 2] {
        add_deposit(&mut tx, seed).await;
    }
    let made_at = block(HEIGHT - 10, 0);
    tx.record_vault_output(&nft(outpoint(50)), made_at)
        .await
        .unwrap();
    // One on the chain's NFT, and one on what that makes.
    let (first, transaction) = signed(&mut tx, 1, outpoint(50)).await;
    let made = OutPoint::new(transaction.compute_txid(), 0);
    let (second, _) = signed(&mut tx, 2, made).await;
    for id in [first, second] {
        move_settlement(&mut tx, id, SettlementState::Abandoned { code })
            .await
            .unwrap();
    }
    // Nothing has spent the NFT: either may still be mined, however old.
    let everything = horizon(u32::MAX, NOW + 1);
    assert_eq!(tx.trim_settlements(everything, 10).await.unwrap(), 0);
    // A rival has, and is not final by as much.
    let rival = crate::support::txid(9);
    let nft = outpoint(50);
    let spent = tx.spend_vault_output(&nft, &rival, block(HEIGHT, 0));
    spent.await.unwrap();
    let before = horizon(HEIGHT - 1, NOW + 1);
    assert_eq!(tx.trim_settlements(before, 10).await.unwrap(), 0);
    assert!(tx.signed_transaction(first).await.unwrap().is_some());
    // Then the first goes, and the second, which can never be, after it; not before its time.
    assert_eq!(tx.trim_settlements(at(HEIGHT), 10).await.unwrap(), 1);
    assert_eq!(tx.signed_transaction(first).await.unwrap(), None);
    assert_eq!(tx.trim_settlements(at(HEIGHT), 10).await.unwrap(), 0);
    let later = horizon(HEIGHT, NOW + 1);
    assert_eq!(tx.trim_settlements(later, 10).await.unwrap(), 1);
    assert_eq!(tx.signed_transaction(second).await.unwrap(), None);
}

#[tokio::test]
async fn a_draft_that_was_given_up_goes_once_it_is_old() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input: outpoint(50),
        draft: b"draft",
        items: &[item(1)],
        now: NOW,
    };
    let id = tx.create_settlement(&new).await.unwrap();
    let old = horizon(u32::MAX, NOW + 1);
    assert_eq!(tx.trim_settlements(old, 10).await.unwrap(), 0);
    let code = AbandonCode::Cancelled;
    move_settlement(&mut tx, id, SettlementState::Abandoned { code })
        .await
        .unwrap();
    let young = horizon(u32::MAX, NOW);
    assert_eq!(tx.trim_settlements(young, 10).await.unwrap(), 0);
    assert_eq!(tx.trim_settlements(old, 10).await.unwrap(), 1);
    assert_eq!(tx.draft(id).await.unwrap(), None);
}

/// A deposit of request `seed` in a transaction that is stored.
async fn paid(tx: &mut StoreTx, seed: u8) -> OutPoint {
    let request = add_request(tx, seed).await.id;
    let payment = transaction(outpoint(100 + seed));
    tx.put_transaction(&payment).await.unwrap();
    let outpoint = OutPoint::new(payment.compute_txid(), 0);
    let deposit = Deposit {
        outpoint,
        ..deposit(seed)
    };
    let _ = tx.record_deposit(&request, &deposit, NOW).await.unwrap();
    outpoint
}

async fn sweep(tx: &mut StoreTx, horizon: Horizon) -> u64 {
    let swept = tx.sweep_transactions(None, horizon, 100).await.unwrap();
    assert_eq!(swept.next, None);
    swept.removed
}

#[tokio::test]
async fn a_deposits_transaction_goes_with_its_end_and_never_before() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let everything = horizon(u32::MAX, NOW + 10);
    let old = paid(&mut tx, 1).await;
    for state in DepositState::ALL {
        tx.set_deposit_state(&old, state, None, NOW).await.unwrap();
        match state {
            DepositState::Vanished => {}
            // Of what is said to be settled or taken back, the chain's word is missing.
            DepositState::Unconfirmed
            | DepositState::Ready
            | DepositState::Settling
            | DepositState::Settled
            | DepositState::Reclaimable
            | DepositState::Reclaimed
            | DepositState::Taken => {
                assert_eq!(sweep(&mut tx, everything).await, 0, "{state:?}");
            }
        }
    }
    // Vanished: once it is old, and in no block.
    assert_eq!(sweep(&mut tx, horizon(u32::MAX, NOW - 1)).await, 0);
    let place = Some(block(HEIGHT, 0));
    tx.set_deposit_block(&old, place, NOW).await.unwrap();
    assert_eq!(sweep(&mut tx, everything).await, 0);
    tx.set_deposit_block(&old, None, NOW).await.unwrap();
    assert_eq!(sweep(&mut tx, everything).await, 1);
    assert_eq!(tx.transaction(&old.txid).await.unwrap(), None);

    // Taken back, or by operators, in a block behind the horizon.
    for (seed, state) in [(2, DepositState::Reclaimed), (3, DepositState::Taken)] {
        let back = paid(&mut tx, seed).await;
        let reclaim = Reclaim {
            txid: crate::support::txid(9),
            block: block(HEIGHT, 0),
        };
        tx.set_deposit_reclaim(&back, Some(reclaim), NOW)
            .await
            .unwrap();
        assert_eq!(sweep(&mut tx, everything).await, 0);
        tx.set_deposit_state(&back, state, None, NOW).await.unwrap();
        assert_eq!(sweep(&mut tx, at(HEIGHT - 1)).await, 0);
        assert_eq!(sweep(&mut tx, at(HEIGHT)).await, 1);
    }
}

#[tokio::test]
async fn a_settled_deposits_transaction_goes_behind_the_horizon() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let deposit = paid(&mut tx, 1).await;
    let items = [grail_store::SettlementItem { deposit, ..item(1) }];
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input: outpoint(50),
        draft: b"draft",
        items: &items,
        now: NOW,
    };
    let id = tx.create_settlement(&new).await.unwrap();
    tx.set_deposit_state(&deposit, DepositState::Settled, None, NOW)
        .await
        .unwrap();
    assert_eq!(sweep(&mut tx, at(u32::MAX)).await, 0);
    move_settlement(&mut tx, id, mined(block(HEIGHT, 0)))
        .await
        .unwrap();
    assert_eq!(sweep(&mut tx, at(HEIGHT - 1)).await, 0);
    assert_eq!(sweep(&mut tx, at(HEIGHT)).await, 1);
    assert_eq!(tx.transaction(&deposit.txid).await.unwrap(), None);
}

/// Of one transaction's deposits, one that is open keeps it; so does what else it made.
#[tokio::test]
async fn a_transaction_that_something_else_hangs_on_stays() {
    let everything = horizon(u32::MAX, NOW + 10);
    for what in ["another deposit", "the vault", "nothing"] {
        let store = new_store().await;
        let mut tx = store.begin().await.unwrap();
        let gone = paid(&mut tx, 1).await;
        tx.set_deposit_state(&gone, DepositState::Vanished, None, NOW)
            .await
            .unwrap();
        let second = OutPoint::new(gone.txid, 1);
        match what {
            "another deposit" => {
                let request = add_request(&mut tx, 2).await.id;
                let open = Deposit {
                    outpoint: second,
                    ..deposit(2)
                };
                let _ = tx.record_deposit(&request, &open, NOW).await.unwrap();
            }
            "the vault" => {
                tx.record_vault_output(&nft(second), block(HEIGHT, 0))
                    .await
                    .unwrap();
            }
            _ => {}
        }
        let expected = u64::from(what == "nothing");
        assert_eq!(sweep(&mut tx, everything).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_walk_goes_on_where_it_was_and_keeps_what_is_no_deposit() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in 1..=3 {
        let gone = paid(&mut tx, seed).await;
        tx.set_deposit_state(&gone, DepositState::Vanished, None, NOW)
            .await
            .unwrap();
    }
    let other = transaction(outpoint(7));
    tx.put_transaction(&other).await.unwrap();
    let (mut from, mut removed) = (None, 0);
    for _ in 0..3 {
        let horizon = horizon(u32::MAX, NOW);
        let swept = tx.sweep_transactions(from, horizon, 2).await.unwrap();
        removed += swept.removed;
        from = swept.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((removed, from), (3, None));
    let kept = tx.transaction(&other.compute_txid()).await.unwrap();
    assert_eq!(kept, Some(other));
}

#[tokio::test]
async fn old_events_go_in_batches_and_the_newest_stays() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_request(&mut tx, 1).await.id;
    assert_eq!(tx.first_event_id().await.unwrap(), None);
    for now in [10, 20, 30, 40] {
        let event = NewEvent {
            subject: Subject::Request(request),
            kind: "test",
            body: &serde_json::Value::Null,
            now,
        };
        tx.append_event(&event).await.unwrap();
    }
    assert_eq!(tx.forget_events(9, 10).await.unwrap(), 0);
    assert_eq!(tx.forget_events(20, 1).await.unwrap(), 1);
    assert_eq!(tx.forget_events(20, 10).await.unwrap(), 1);
    assert_eq!(tx.first_event_id().await.unwrap(), Some(3));
    assert_eq!(tx.forget_events(1_000, 10).await.unwrap(), 1);
    assert_eq!(tx.forget_events(1_000, 10).await.unwrap(), 0);
    assert_eq!(tx.first_event_id().await.unwrap(), Some(4));
    assert_eq!(tx.last_event_id().await.unwrap(), 4);
}

#[tokio::test]
async fn jobs_that_are_done_go_and_those_of_proofs_stay() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let settlement = SettlementId(1);
    for work in [
        Work::Prove { settlement },
        Work::DryRun { settlement },
        Work::Publish {
            settlement,
            turn: 1,
        },
    ] {
        let job = grail_store::NewJob {
            work,
            run_after: NOW,
            now: NOW,
        };
        tx.enqueue(&job).await.unwrap();
    }
    tx.commit().await.unwrap();
    // All but the last are done.
    run(
        &store,
        "UPDATE jobs SET state = 'done' WHERE kind <> 'publish'",
    )
    .await
    .unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.forget_jobs(NOW - 1, 10).await.unwrap(), 0);
    assert_eq!(tx.forget_jobs(NOW, 10).await.unwrap(), 1);
    for (key, is_there) in [
        ("prove:1:0", true),
        ("dry-run:1:0", false),
        ("publish:1:1", true),
    ] {
        assert_eq!(
            tx.job_by_key(key).await.unwrap().is_some(),
            is_there,
            "{key}"
        );
    }
}

#[tokio::test]
async fn acknowledged_alarms_go_and_are_still_counted() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (seen, open) = (
        crate::support::dead_job("seen"),
        crate::support::dead_job("open"),
    );
    let id = tx.raise_alarm(&seen, NOW).await.unwrap();
    for alarm in [&seen, &open] {
        tx.raise_alarm(alarm, NOW).await.unwrap();
    }
    let totals = tx.alarm_totals().await.unwrap();
    assert_eq!(totals[0].1, 3);
    assert_eq!(tx.forget_alarms(u64::MAX >> 1, 10).await.unwrap(), 0);
    tx.acknowledge_alarm(id, NOW + 5).await.unwrap();
    assert_eq!(tx.forget_alarms(NOW + 4, 10).await.unwrap(), 0);
    assert_eq!(tx.forget_alarms(NOW + 5, 10).await.unwrap(), 1);
    assert_eq!(tx.alarms(0, 10).await.unwrap().len(), 1);
    assert_eq!(tx.alarm_totals().await.unwrap(), totals);
}

#[tokio::test]
async fn a_key_that_was_forgotten_makes_a_request_of_its_own() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (terms, roster, script) = (terms(1), roster(), script(1));
    let idempotency = Idempotency {
        key: "key",
        body_hash: [1; 32],
    };
    let new = NewRequest {
        terms: &terms,
        roster: &roster,
        deposit_script: &script,
        deadline_height: 100,
        idempotency: Some(idempotency),
        now: NOW,
    };
    let request = tx.create_request(&new).await.unwrap().into_request();
    assert_eq!(tx.forget_idempotency_keys(NOW - 1, 10).await.unwrap(), 0);
    assert!(tx.request_by_key(idempotency).await.unwrap().is_some());
    assert_eq!(tx.forget_idempotency_keys(NOW, 10).await.unwrap(), 1);
    assert_eq!(tx.forget_idempotency_keys(NOW, 10).await.unwrap(), 0);
    assert_eq!(tx.request_by_key(idempotency).await.unwrap(), None);
    // The request stays, and somebody may pay to its address.
    assert_eq!(tx.request_by_script(&script).await.unwrap(), Some(request));
}

#[tokio::test]
async fn sums_are_those_of_the_rows_whatever_moves() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in 1..=3 {
        add_deposit(&mut tx, seed).await;
    }
    let (id, _) = signed(&mut tx, 1, outpoint(50)).await;
    move_settlement(&mut tx, id, mined(block(HEIGHT, 0)))
        .await
        .unwrap();
    signed(&mut tx, 2, outpoint(51)).await;
    let start = grail_flow::RequestState::start();
    let expired = grail_flow::RequestState::Expired {};
    tx.set_request_state(&terms(3).id(), &start, &expired, NOW)
        .await
        .unwrap();
    let counted = |counts: Vec<(String, u64)>| -> Vec<String> {
        let texts = counts.iter();
        texts
            .map(|(name, count)| format!("{name} {count}"))
            .collect()
    };
    assert_eq!(
        counted(tx.request_counts().await.unwrap()),
        ["awaiting-deposit 2", "expired 1"]
    );
    assert_eq!(
        counted(tx.settlement_counts().await.unwrap()),
        ["asked 1", "final 1"]
    );
    assert_eq!(tx.open_request_epochs().await.unwrap(), [(Epoch(0), 2)]);
}

sqlite_alone! {
/// The database as a version left it that kept everything in wide rows.
async fn downgrade(store: &crate::support::TestStore) {
    store.close().await;
    for sql in [
        "DROP TRIGGER requests_counted",
        "DROP TRIGGER requests_moved",
        "DROP TRIGGER requests_uncounted",
        "DROP TRIGGER settlements_counted",
        "DROP TRIGGER settlements_moved",
        "DROP TRIGGER proofs_counted",
        "DROP TRIGGER proofs_moved",
        "DROP TRIGGER alarms_counted",
        "DROP TRIGGER alarms_seen",
        "DROP TABLE request_totals",
        "DROP TABLE settlement_totals",
        "DROP TABLE proof_totals",
        "DROP TABLE alarm_totals",
        "DROP INDEX requests_ready_since",
        "DROP INDEX alarms_open",
        "DROP INDEX jobs_ended",
        "DROP INDEX alarms_acknowledged",
        "DROP INDEX requests_keyed",
        "CREATE INDEX vault_outputs_by_epoch ON vault_outputs (epoch)",
        "ALTER TABLE settlements ADD COLUMN proposal BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE settlements ADD COLUMN unsigned_tx BLOB",
        "ALTER TABLE settlements ADD COLUMN signed_tx BLOB",
        "ALTER TABLE settlements ADD COLUMN draft BLOB",
        "UPDATE settlements SET (draft, unsigned_tx, signed_tx) = (\
         (SELECT body FROM settlement_bodies WHERE settlement = id AND kind = 'draft'), \
         (SELECT body FROM settlement_bodies WHERE settlement = id AND kind = 'unsigned'), \
         (SELECT body FROM settlement_bodies WHERE settlement = id AND kind = 'signed'))",
        "UPDATE settlements SET proposal = COALESCE((SELECT body FROM settlement_bodies \
         WHERE settlement = id AND kind = 'proposal'), x'')",
        // One of before drafts had a column.
        "UPDATE settlements SET proposal = x'a0', draft = NULL WHERE state_name = 'draft' AND id = 2",
        "DROP TABLE settlement_bodies",
        "DELETE FROM _sqlx_migrations WHERE version = 15",
    ] {
        crate::support::run(store, sql).await.unwrap();
    }
}

#[tokio::test]
async fn wide_rows_of_before_are_read_after_the_upgrade() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in 1..=3 {
        add_deposit(&mut tx, seed).await;
    }
    let (whole, transaction) = signed(&mut tx, 1, outpoint(50)).await;
    let mut drafts = Vec::new();
    for seed in [2, 3] {
        let new = NewSettlement {
            epoch: Epoch(0),
            nft_input: outpoint(50 + seed),
            draft: b"draft",
            items: &[item(seed)],
            now: NOW,
        };
        drafts.push(tx.create_settlement(&new).await.unwrap());
    }
    tx.raise_alarm(&crate::support::dead_job("key"), NOW)
        .await
        .unwrap();
    let totals = tx.alarm_totals().await.unwrap();
    tx.commit().await.unwrap();
    downgrade(&store).await;

    let again = grail_store::Store::open(&store.url).await.unwrap();
    let mut tx = again.begin().await.unwrap();
    assert_eq!(
        tx.signed_transaction(whole).await.unwrap(),
        Some(transaction)
    );
    assert_eq!(tx.proposal(whole).await.unwrap().unwrap(), b"proposal");
    assert_eq!(tx.draft(whole).await.unwrap(), None);
    assert_eq!(tx.draft(drafts[0]).await.unwrap().unwrap(), [0xa0]);
    assert_eq!(tx.proposal(drafts[0]).await.unwrap(), None);
    assert_eq!(tx.draft(drafts[1]).await.unwrap().unwrap(), b"draft");
    assert_eq!(tx.alarm_totals().await.unwrap(), totals);
    let counts = tx.request_counts().await.unwrap();
    assert_eq!(counts, [("awaiting-deposit".to_owned(), 3)]);
    let counts = tx.settlement_counts().await.unwrap();
    assert_eq!(counts, [("asked".to_owned(), 1), ("draft".to_owned(), 2)]);
}
}
