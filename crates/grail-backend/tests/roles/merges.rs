//! Donations become part of the vault's coin when somebody pays for it, and not before.

use bitcoin::{Amount, OutPoint, ScriptBuf, opcodes::all::OP_RETURN, script::Builder};
use grail_backend::roles::{build, build::Built, lane};
use grail_fixtures::world::{funding, output};
use grail_flow::SettlementState;

use super::{
    steps::sponsored,
    users::DEPOSIT_SAT,
    world::{QUORUM, World, settlement_id},
};

/// Gives the vault these coins in one transaction, with confirmations enough.
async fn donate(w: &World, amounts: &[u64]) -> Vec<OutPoint> {
    let state = w.backend.deployment.state().unwrap();
    let script = ScriptBuf::from_bytes(state.vault_script);
    let outputs = amounts.iter().map(|sat| output(*sat, script.clone()));
    let given = funding(4_000 + u64::from(w.next_number()), outputs.collect());
    let txid = given.compute_txid();
    w.mine(vec![given]).await;
    (0..)
        .zip(amounts)
        .map(|(vout, _)| OutPoint::new(txid, vout))
        .collect()
}

async fn totals(w: &World) -> (Amount, Amount) {
    let mut reader = w.backend.store.read().await.unwrap();
    let totals = reader.vault_totals().await.unwrap();
    (totals.vault, totals.donations)
}

#[tokio::test]
async fn a_sponsor_has_donations_moved_into_the_vaults_coin() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    let (vault, none) = totals(&w).await;
    assert_eq!(none, Amount::ZERO);
    let given = donate(&w, &[40_000, 50_000]).await;
    // Nobody pays, so they stay where they are.
    assert_eq!(w.build_later().await, Built::Nothing);
    let sponsor = sponsored(&w, "sponsor-merge").await;
    let (id, transaction) = w.settle().await;
    let spent: Vec<_> = transaction
        .input
        .iter()
        .map(|it| it.previous_output)
        .collect();
    assert!(given.iter().all(|it| spent.contains(it)), "{spent:?}");
    w.mine_mempool().await;
    let after = (vault + Amount::from_sat(90_000), Amount::ZERO);
    assert_eq!(totals(&w).await, after);
    assert_eq!(w.settlement(id).await.state.name(), "confirmed");
    w.mine_empty(10).await;
    assert_eq!(w.standing(&sponsor).await, ("paid", None));
    // Settlements go on from the larger coin.
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    assert_eq!(w.alarms().await, [""; 0]);
}

/// Lets two of the roster sign what is asked for, which is then called off.
async fn nobody_signs(w: &World) {
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign(&ask, &QUORUM[..2]).await;
    let asked = w.settlement(settlement_id(&ask)).await;
    let due = asked.stage_since + lane::deadline(asked.state.stage()).unwrap();
    lane::watch(&w.backend, due).await.unwrap();
    let ended = w.settlement(settlement_id(&ask)).await.state;
    assert!(
        matches!(ended, SettlementState::Abandoned { .. }),
        "{ended:?}"
    );
}

async fn build_in(w: &World, minutes: u64) -> Built {
    let later = grail_backend::clock::now() + minutes * 60;
    build::build_at(&w.backend, later).await.unwrap()
}

#[tokio::test]
async fn a_merge_that_nobody_signs_holds_up_nobody() {
    let w = World::new().await;
    donate(&w, &[40_000]).await;
    let sponsor = sponsored(&w, "sponsor-merge").await;
    assert_eq!(w.build().await, Built::Draft);
    nobody_signs(&w).await;
    assert_eq!(w.standing(&sponsor).await, ("ready", None));
    // And again, once a while has passed, from when it ended.
    assert_eq!(build_in(&w, 9).await, Built::Nothing);
    assert_eq!(build_in(&w, 11).await, Built::Draft);
    nobody_signs(&w).await;
    // Then twice as long: meanwhile everybody else has the lane.
    let pegs = w.ready_peg_ins(1).await;
    assert_eq!(build_in(&w, 19).await, Built::Draft);
    assert_eq!(w.standing(&pegs[0].0).await, ("settling", None));
    w.jobs().await;
    let ask = w.take_ask().await;
    w.sign_and_publish(&ask).await;
    w.mine_mempool().await;
    assert_eq!(build_in(&w, 19).await, Built::Nothing);
    assert_eq!(build_in(&w, 21).await, Built::Draft);
    assert_eq!(w.standing(&sponsor).await, ("settling", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn nobody_hides_a_sponsor_who_pays() {
    let w = World::new().await;
    donate(&w, &[40_000]).await;
    let (mut deposits, mut smalls) = (Vec::new(), Vec::new());
    // More than are read at a time, and too small for all that may pay together.
    for _ in 0..55 {
        let small = w.ask_sponsor("sponsor-merge").await;
        deposits.push(w.deposit(&small, 250));
        smalls.push(small);
    }
    // So large that operators would refuse the fee, or above what its own terms name.
    let rich = w.ask_sponsor_of("sponsor-merge", 20_000_000).await;
    deposits.push(w.deposit(&rich, 20_000_000));
    let above = w.ask_sponsor("sponsor-merge").await;
    deposits.push(w.deposit(&above, DEPOSIT_SAT + 1));
    w.mine(deposits).await;
    assert_eq!(w.standing(&smalls[54]).await, ("ready", None));
    assert_eq!(w.build().await, Built::Nothing);
    let honest = sponsored(&w, "sponsor-merge").await;
    let (_, transaction) = w.settle().await;
    // NFT, one donation, one sponsor: no vault's coin is there yet.
    assert_eq!(transaction.input.len(), 3);
    assert_eq!(w.standing(&honest).await, ("settling", None));
    assert_eq!(w.standing(&rich).await, ("ready", None));
}

/// Operators refuse a coin of which nobody knows what it carries.
#[tokio::test]
async fn a_donation_of_an_unknown_spell_is_left_out() {
    let w = World::new().await;
    let state = w.backend.deployment.state().unwrap();
    let script = ScriptBuf::from_bytes(state.vault_script);
    let spell = Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice([0xff; 8])
        .into_script();
    let outputs = vec![output(70_000, script), output(0, spell)];
    let strange = funding(5_000, outputs);
    w.mine(vec![strange]).await;
    sponsored(&w, "sponsor-merge").await;
    assert_eq!(w.build().await, Built::Nothing);
    let honest = donate(&w, &[40_000]).await;
    let (_, transaction) = w.settle().await;
    assert_eq!(transaction.input.len(), 3);
    assert_eq!(transaction.input[1].previous_output, honest[0]);
}

/// What the vault has above the supply must be left as an output by the last to leave.
#[tokio::test]
async fn less_than_an_output_may_have_is_not_merged() {
    let w = World::new().await;
    donate(&w, &[329]).await;
    sponsored(&w, "sponsor-merge").await;
    assert_eq!(w.build().await, Built::Nothing);
    donate(&w, &[1]).await;
    let (_, transaction) = w.settle().await;
    assert_eq!(transaction.output[1].value, Amount::from_sat(330));
}

#[tokio::test]
async fn no_merge_is_built_on_those_who_wait_for_a_block() {
    let w = World::new().await;
    donate(&w, &[40_000]).await;
    w.ready_peg_ins(1).await;
    w.settle().await;
    sponsored(&w, "sponsor-merge").await;
    assert_eq!(w.build().await, Built::Nothing);
    w.mine_mempool().await;
    assert_eq!(w.build().await, Built::Draft);
}

#[tokio::test]
async fn a_new_database_follows_the_nft_over_a_merge() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    donate(&w, &[40_000]).await;
    sponsored(&w, "sponsor-merge").await;
    w.settle().await;
    w.mine_mempool().await;
    let expected = totals(&w).await;
    let w = w.rebuilt().await;
    assert_eq!(totals(&w).await, expected);
    assert_eq!(w.alarms().await, [""; 0]);
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    assert_eq!(w.alarms().await, [""; 0]);
}
