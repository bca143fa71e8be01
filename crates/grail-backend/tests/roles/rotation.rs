//! Rosters that change, as blocks tell: adopted from the chain's own evidence, followed by
//! requests, settlements, answers and the API, undone by a reorg.

use axum::{body::Body, http::Request as HttpRequest};
use bitcoin::{Address, Network, OutPoint, Transaction, Txid, hashes::Hash};
use grail_api::{Page, Request, RosterAnswer, RosterRecord, RosterSummary, Settlement};
use grail_backend::{api::router, roles::build::Built};
use grail_fixtures::house::{House, Rotated, Rotation};
use grail_policy::adoption::{Genesis, Handover, adopt_genesis, adopt_next};
use grail_types::{Epoch, ParamsHash};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    bridge::{WASM, first_house, payment},
    operators::{key, keypair, show_up},
    users::{DEPOSIT_SAT, FEE_CAP_SAT},
    world::{QUORUM, World, settlement_id},
};

/// Signers of the second roster, by number of their keys: one is kept.
pub(super) const SECOND: [u8; 4] = [4, 11, 12, 13];
/// Signers of the third.
pub(super) const THIRD: [u8; 4] = [21, 22, 23, 24];

pub(super) fn house(world: &World, epoch: u64, seeds: &[u8]) -> House {
    let keys = seeds.iter().map(|seed| keypair(*seed)).collect();
    House::new(&world.backend.secp, epoch, keys, 3)
}

/// A rotation of what `made` left, as a block would hold it.
pub(super) fn rotation(world: &World, made: &Transaction, from: &House, to: &House) -> Rotated {
    rotate(world, made, from, to).signed_by(3)
}

pub(super) fn rotate<'a>(
    world: &'a World,
    made: &'a Transaction,
    from: &'a House,
    to: &'a House,
) -> Rotation<'a> {
    Rotation {
        bridge: world.backend.bridge(),
        wasm: WASM,
        made,
        funding: None,
        from,
        to,
    }
}

async fn epoch(world: &World) -> Epoch {
    let mut reader = world.backend.store.read().await.unwrap();
    let rosters = world.backend.rosters(&mut reader).await.unwrap();
    rosters.newest().epoch()
}

/// Mines a rotation and the blocks after which addresses are made with its roster.
pub(super) async fn mine_settled(world: &World, step: &Rotated) {
    world.mine(step.in_block()).await;
    let needed = world.backend.params().settlement_confirmations;
    world.mine_empty(needed - 1).await;
}

pub(super) async fn get(world: &World, path: &str) -> (u16, Value) {
    let request = HttpRequest::get(path).body(Body::empty()).unwrap();
    answered(world, request).await
}

async fn ask(world: &World) -> (u16, Value) {
    answered(world, world.peg_in_call(FEE_CAP_SAT)).await
}

async fn answered(world: &World, request: HttpRequest<Body>) -> (u16, Value) {
    let response = router(world.backend.clone())
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 4 << 20)
        .await
        .unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// A bridge with zkBTC in existence: what is to be handed over is more than the NFT.
pub(super) async fn settled(world: &World) -> (Transaction, u64) {
    world.ready_peg_ins(2).await;
    let (_, made) = world.settle().await;
    world.mine_mempool().await;
    world.mine_empty(1).await;
    let minted = world.tokens(&made).values().sum();
    (made, minted)
}

/// A peg-in from the request to the payment, and what paid it.
async fn paid_peg_in(world: &World) -> Transaction {
    let asked = world.ready_peg_ins(1).await.remove(0).0;
    let (_, signed) = world.settle().await;
    world.mine_mempool().await;
    world.mine_empty(1).await;
    assert_eq!(world.standing(&asked).await, ("paid", None));
    signed
}

#[tokio::test]
async fn a_rotation_in_a_block_is_adopted_and_the_bridge_goes_on_under_it() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let second = house(&w, 1, &SECOND);
    let step = rotation(&w, &made, &first_house(), &second);
    w.mine(step.in_block()).await;
    assert_eq!(epoch(&w).await, Epoch(1));
    assert_eq!(w.alarms().await, [""; 0]);
    w.check_reserves(minted).await;

    // No address of a roster that a reorg can undo, and none of one that has given the NFT away.
    let (status, problem) = ask(&w).await;
    assert_eq!((status, &problem["code"]), (503, &json!("paused")));
    w.mine_empty(w.backend.params().settlement_confirmations - 1)
        .await;
    let (status, answer) = ask(&w).await;
    assert_eq!(status, 201);
    let answer: Request = serde_json::from_value(answer).unwrap();
    assert_eq!(answer.terms.epoch, Epoch(1));
    assert_eq!(answer.receipt.roster, second.roster);
    answer.receipt.check().unwrap();
    // Neither vault is a place to pay to: that of before holds nobody's coins any more.
    for vault in [first_house().vault, second.vault.clone()] {
        let vault = Address::from_script(&vault.script_pubkey, Network::Regtest).unwrap();
        let body = json!({
            "payout_address": vault.to_string(),
            "reclaim_public_key": key(60).to_string(),
            "fee_cap_sat": FEE_CAP_SAT,
        });
        let call = HttpRequest::post("/v1/peg-outs")
            .header("content-type", "application/json")
            .header("idempotency-key", "to-a-vault")
            .body(Body::from(body.to_string()))
            .unwrap();
        let (status, problem) = answered(&w, call).await;
        let code = &problem["code"];
        assert_eq!((status, code), (422, &json!("unsupported-address")));
    }

    // The new roster settles; the old one has no say.
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    let question = w.ask_operators().await;
    let id = settlement_id(&question);
    assert_eq!(w.settlement(id).await.epoch, Epoch(1));
    w.sign(&question, &QUORUM).await;
    w.sign(&question, &SECOND[1..]).await;
    w.answered(id).await;
    let mut reader = w.backend.store.read().await.unwrap();
    let answers = reader.answers(id).await.unwrap();
    drop(reader);
    assert_eq!(answers.len(), 3);
    for answer in &answers {
        assert_eq!(answer.epoch, Epoch(1));
        assert_eq!(answer.verdict.name(), "signed");
        let signer = second.roster.signer(answer.signer).unwrap();
        assert!(SECOND[1..].iter().any(|seed| key(*seed) == *signer));
    }
    w.jobs().await;
    let signed = w.signed(id).await;
    assert_eq!(
        signed.input[0].previous_output,
        OutPoint::new(step.transaction.compute_txid(), 0)
    );
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
    let more: u64 = w.tokens(&signed).values().sum();
    w.check_reserves(minted + more).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn settlements_go_on_while_a_rotation_is_announced_and_it_follows() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let (first, second) = (first_house(), house(&w, 1, &SECOND));
    let waiting = w.ready_peg_ins(1).await.remove(0).0;
    // A settlement on the same NFT is under way, and gives way.
    let question = w.ask_operators().await;
    let step = rotation(&w, &made, &first, &second);
    w.mine(vec![step.announcement.clone()]).await;
    assert_eq!(epoch(&w).await, Epoch(0));
    assert_eq!(w.alarms().await, [""; 0]);
    w.check_reserves(minted).await;
    let state = w.settlement(settlement_id(&question)).await.state;
    assert_eq!(state.name(), "abandoned");
    assert_eq!(w.standing(&waiting).await.0, "ready");

    // The next one builds on what the announcement left.
    let (_, signed) = w.settle().await;
    let spent = &signed.input[0].previous_output;
    assert_eq!(*spent, OutPoint::new(step.announcement.compute_txid(), 0));
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&waiting).await, ("paid", None));
    let more: u64 = w.tokens(&signed).values().sum();
    w.check_reserves(minted + more).await;
    // And a new database reads the same from the chain.
    let rebuilt = w.rebuilt().await;
    rebuilt.check_reserves(minted + more).await;
    assert_eq!(rebuilt.alarms().await, [""; 0]);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn the_api_shows_every_roster_with_evidence_that_anybody_can_adopt() {
    let mut w = World::new().await;
    let (made, _) = settled(&w).await;
    let houses = [first_house(), house(&w, 1, &SECOND), house(&w, 2, &THIRD)];
    let one = rotation(&w, &made, &houses[0], &houses[1]);
    let two = rotation(&w, &one.transaction, &houses[1], &houses[2]);
    // Both in one block.
    let block = [one.in_block(), two.in_block()].concat();
    w.mine(block).await;
    assert_eq!(epoch(&w).await, Epoch(2));

    let secp = &bitcoin::secp256k1::Secp256k1::new();
    let bridge = *w.backend.bridge();
    let mut adopted = None;
    for (number, house) in (0_u64..).zip(&houses) {
        let (status, record) = get(&w, &format!("/v1/rosters/{number}")).await;
        assert_eq!(status, 200, "{record}");
        let record: RosterRecord = serde_json::from_value(record).unwrap();
        assert_eq!(record.roster().unwrap(), house.roster);
        assert!(record.height.is_some() && record.block_hash.is_some());
        let transaction: Transaction =
            bitcoin::consensus::encode::deserialize_hex(&record.transaction).unwrap();
        assert_eq!(record.txid, transaction.compute_txid());
        let spent = record.spent.iter().map(|output| bitcoin::TxOut {
            value: bitcoin::Amount::from_sat(output.amount_sat),
            script_pubkey: bitcoin::ScriptBuf::from_hex(&output.script).unwrap(),
        });
        let step = Handover {
            spent: spent.collect(),
            transaction,
            governance: record.governance.clone(),
        };
        let next = match &adopted {
            None => adopt_genesis(secp, &bridge, &Genesis(record.txid), &step),
            Some(before) => adopt_next(secp, &bridge, before, &step),
        };
        let next = next.unwrap();
        assert_eq!(next.roster(), &house.roster);
        assert_eq!(next.params_hash(), record.params_hash);
        adopted = Some(next);
    }
    for (path, code) in [("/v1/rosters/3", 404), ("/v1/rosters/x", 400)] {
        assert_eq!(get(&w, path).await.0, code, "{path}");
    }

    // Newest first, in pages.
    let mut epochs = Vec::new();
    let mut path = "/v1/rosters?limit=2".to_owned();
    loop {
        let (_, page) = get(&w, &path).await;
        let page: Page<RosterSummary> = serde_json::from_value(page).unwrap();
        epochs.extend(page.items.iter().map(|item| item.epoch.0));
        let Some(next) = page.next else { break };
        path = format!("/v1/rosters?limit=2&after={next}");
    }
    assert_eq!(epochs, [2, 1, 0]);

    // The roster of now needs evidence of its own signers.
    assert_eq!(get(&w, "/v1/roster").await.0, 503);
    show_up(&w.backend, &THIRD).await;
    let (status, answer) = get(&w, "/v1/roster").await;
    assert_eq!(status, 200);
    let answer: RosterAnswer = serde_json::from_value(answer).unwrap();
    assert_eq!(answer.roster().unwrap(), houses[2].roster);
    let tip = OutPoint::new(two.transaction.compute_txid(), 0);
    assert_eq!(answer.nft_outpoint, tip);
    // And keeps it, when they are away and this process is another.
    w.crash().await;
    let (status, again) = get(&w, "/v1/roster").await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_value::<RosterAnswer>(again).unwrap(),
        answer
    );
    let (_, settlements) = get(&w, "/v1/settlements").await;
    let settlements: Page<Settlement> = serde_json::from_value(settlements).unwrap();
    assert_eq!(settlements.items[0].epoch, Epoch(0));
    assert_eq!(settlements.items[0].signers.len(), 4);
}

#[tokio::test]
async fn deposits_of_a_former_roster_wait_for_their_users() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let waiting = w.ready_peg_ins(1).await.remove(0).0;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    assert_eq!(w.standing(&waiting).await.0, "ready");
    assert_eq!(w.build().await, Built::Nothing);
    // It stands in nobody's way.
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
    assert_eq!(w.standing(&waiting).await.0, "ready");
    let (_, health) = get(&w, "/healthz").await;
    let parts = health["components"].as_array().unwrap();
    let roster = parts.iter().find(|part| part["name"] == "roster").unwrap();
    assert_eq!(roster["status"], "degraded");
    assert_eq!(
        roster["detail"],
        "epoch 1, 1 open requests of former epochs"
    );
    // Until its time is over: then it is the user's, with a receipt that needs no roster of now.
    let params = w.backend.params();
    w.mine_empty(u32::from(24 - params.sweep_margin)).await;
    assert_eq!(
        w.standing(&waiting).await,
        ("reclaimable", Some("too-close-to-reclaim"))
    );
    let (_, status) = get(&w, &format!("/v1/peg-ins/{}", waiting.id)).await;
    let receipt: grail_api::Receipt = serde_json::from_value(status["receipt"].clone()).unwrap();
    assert_eq!(receipt.check().unwrap().roster(), &first_house().roster);
}

#[tokio::test]
async fn a_settlement_under_way_gives_way_to_a_rotation() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let waiting = w.ready_peg_ins(1).await.remove(0).0;
    let question = w.ask_operators().await;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    let state = w.settlement(settlement_id(&question)).await.state;
    assert_eq!(state.name(), "abandoned");
    assert_eq!(w.standing(&waiting).await.0, "ready");
    // What the former roster signs now is of no transaction that can be.
    w.sign(&question, &QUORUM).await;
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_reorg_that_undoes_a_rotation_brings_the_former_roster_back() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let height = w.tip_height().await;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    assert_eq!(epoch(&w).await, Epoch(1));
    w.chain.fork_at(height + 1);
    w.mine_empty(3).await;
    assert_eq!(epoch(&w).await, Epoch(0));
    w.check_reserves(minted).await;
    // It settles again.
    let signed = paid_peg_in(&w).await;
    // And another roster follows, from there.
    let third = house(&w, 1, &THIRD);
    mine_settled(&w, &rotation(&w, &signed, &first_house(), &third)).await;
    let mut reader = w.backend.store.read().await.unwrap();
    let rosters = w.backend.rosters(&mut reader).await.unwrap();
    assert_eq!(rosters.newest().roster(), &third.roster);
    drop(reader);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn rosters_are_adopted_anew_from_rows_and_from_an_empty_database() {
    let mut w = World::new().await;
    let (made, minted) = settled(&w).await;
    let second = house(&w, 1, &SECOND);
    let step = rotation(&w, &made, &first_house(), &second);
    mine_settled(&w, &step).await;
    w.crash().await;
    assert_eq!(epoch(&w).await, Epoch(1));
    let rebuilt = w.rebuilt().await;
    assert_eq!(epoch(&rebuilt).await, Epoch(1));
    rebuilt.check_reserves(minted).await;
    // A row that is not what a roster signed makes none.
    let mut reader = w.backend.store.read().await.unwrap();
    let genuine = reader.newest_rotation().await.unwrap().unwrap();
    drop(reader);
    let next = grail_store::Rotation {
        epoch: Epoch(2),
        vault_epoch: Epoch(2),
        txid: Txid::all_zeros(),
        nft_input: OutPoint::null(),
        block: genuine.block,
    };
    for handover in [b"nonsense".to_vec(), step.to_bytes()] {
        let mut tx = w.backend.store.begin().await.unwrap();
        tx.record_rotation(&next, &handover).await.unwrap();
        assert!(w.backend.rosters(&mut tx).await.is_err());
    }
    // Nor one that says something else of the true evidence.
    let forged: [fn(&mut grail_store::Rotation); 4] = [
        |row| row.txid = Txid::all_zeros(),
        |row| row.nft_input.vout = 7,
        |row| row.vault_epoch = Epoch(0),
        |_| {},
    ];
    for (number, forge) in forged.into_iter().enumerate() {
        let mut row = genuine;
        forge(&mut row);
        let rows = w.emptied().await;
        let mut tx = rows.backend.store.begin().await.unwrap();
        tx.record_rotation(&row, &step.to_bytes()).await.unwrap();
        let adopted = rows.backend.rosters(&mut tx).await;
        assert_eq!(adopted.is_ok(), number == 3, "forgery {number}");
    }
    assert_eq!(epoch(&w).await, Epoch(1));
}

#[tokio::test]
async fn settlements_of_each_roster_are_adopted_by_a_new_database() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    w.ready_peg_ins(1).await;
    let question = w.ask_operators().await;
    let id = settlement_id(&question);
    w.sign(&question, &SECOND[1..]).await;
    w.answered(id).await;
    w.jobs().await;
    let signed = w.signed(id).await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let rebuilt = w.rebuilt().await;
    let settlements = rebuilt.settlements().await;
    let epochs: Vec<_> = settlements
        .iter()
        .map(|it| (it.adopted, it.epoch))
        .collect();
    assert_eq!(epochs, [(true, Epoch(0)), (true, Epoch(1))]);
    let more: u64 = w.tokens(&signed).values().sum();
    rebuilt.check_reserves(minted + more).await;
    assert_eq!(rebuilt.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_mined_handover_that_does_not_follow_stops_the_bridge() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let waiting = w.ready_peg_ins(1).await.remove(0).0;
    // The paper chain runs no scripts: two signatures of three.
    let second = house(&w, 1, &SECOND);
    let first = first_house();
    let short = rotate(&w, &made, &first, &second).signed_by(2);
    w.mine(short.in_block()).await;
    assert_eq!(w.alarms().await, ["rotation-not-adopted"]);
    assert_eq!(epoch(&w).await, Epoch(0));
    assert_eq!(w.build().await, Built::Hold);
    let (status, problem) = ask(&w).await;
    assert_eq!((status, &problem["code"]), (503, &json!("paused")));
    // Also once a person has looked: the NFT is not where the first roster could spend it.
    w.acknowledge_alarms().await;
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.standing(&waiting).await.0, "ready");
    assert_eq!(w.settlements().await.len(), 1);
}

#[tokio::test]
async fn a_rotation_to_other_parameters_stops_building_and_issuing_at_once() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let second = house(&w, 1, &SECOND);
    let first = first_house();
    let other = ParamsHash([9; 32]);
    let step = rotate(&w, &made, &first, &second).with_state(3, |state| {
        state.params_hash = other.0;
    });
    mine_settled(&w, &step).await;
    assert_eq!(epoch(&w).await, Epoch(1));
    assert_eq!(w.alarms().await, ["params-unknown"]);
    assert_eq!(w.build().await, Built::Hold);
    let (status, problem) = ask(&w).await;
    assert_eq!((status, &problem["code"]), (503, &json!("paused")));
    // Looking at it does not make the parameters known.
    w.acknowledge_alarms().await;
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(w.alarms().await, ["params-unknown"]);
    assert_eq!(w.settlements().await.len(), 1);
}

#[tokio::test]
async fn a_settlement_on_a_rotation_that_a_reorg_undoes_is_called_off() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let height = w.tip_height().await;
    let second = house(&w, 1, &SECOND);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    let stranded = w.ready_peg_ins(1).await.remove(0).0;
    let question = w.ask_operators().await;
    w.chain.fork_at(height + 1);
    w.mine_empty(2).await;
    let id = settlement_id(&question);
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
    // The lane is the first roster's again.
    let signed = paid_peg_in(&w).await;
    // Another roster of the same number: what was deposited to the one that never was is left out.
    let third = house(&w, 1, &THIRD);
    mine_settled(&w, &rotation(&w, &signed, &first_house(), &third)).await;
    w.mine(vec![w.deposit(&stranded, DEPOSIT_SAT + 1)]).await;
    assert_eq!(w.standing(&stranded).await.0, "ready");
    assert_eq!(w.build().await, Built::Nothing);
    // Also when that number is a former one's, and all those signers are there.
    let fourth = house(&w, 2, &[31, 32, 33, 34]);
    let handed_over = newest_nft(&w).await;
    mine_settled(&w, &rotation(&w, &handed_over, &third, &fourth)).await;
    show_up(&w.backend, &[4, 11, 12, 13, 21, 22, 23, 24]).await;
    assert_eq!(w.standing(&stranded).await.0, "ready");
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.alarms().await, [""; 0]);
}

/// The transaction that made the newest roster.
async fn newest_nft(w: &World) -> Transaction {
    let mut reader = w.backend.store.read().await.unwrap();
    let newest = reader.newest_rotation().await.unwrap().unwrap();
    reader.transaction(&newest.txid).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_rotation_that_a_reorg_moves_to_another_block_changes_nothing() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let height = w.tip_height().await;
    let second = house(&w, 1, &SECOND);
    let step = rotation(&w, &made, &first_house(), &second);
    mine_settled(&w, &step).await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let question = w.ask_operators().await;
    w.sign(&question, &SECOND[..3]).await;
    w.answered(settlement_id(&question)).await;
    w.jobs().await;
    let signed = w.signed(settlement_id(&question)).await;
    w.chain.fork_at(height + 1);
    w.chain.mine(Vec::new());
    w.chain.mine([step.in_block(), vec![deposit]].concat());
    w.scan().await;
    w.mine_empty(3).await;
    assert_eq!(epoch(&w).await, Epoch(1));
    w.mine(vec![signed.clone()]).await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
    let more: u64 = w.tokens(&signed).values().sum();
    w.check_reserves(minted + more).await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_settlement_and_a_rotation_in_one_block_are_taken_in_order() {
    let w = World::new().await;
    w.ready_peg_ins(2).await;
    let (_, made) = w.settle().await;
    let minted = w.tokens(&made).values().sum();
    let second = house(&w, 1, &SECOND);
    let step = rotation(&w, &made, &first_house(), &second);
    // Somebody pays to the address before it is the vault's, in the same block.
    let gift = payment(w.next_number(), second.vault.script_pubkey.clone(), 777);
    w.mine([vec![gift, made], step.in_block()].concat()).await;
    assert_eq!(epoch(&w).await, Epoch(1));
    w.check_reserves(minted).await;
    let mut reader = w.backend.store.read().await.unwrap();
    let totals = reader.vault_totals().await.unwrap();
    assert_eq!(
        (totals.donations.to_sat(), totals.former.to_sat()),
        (777, 0)
    );
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn reserves_say_from_which_height_the_address_was_watched() {
    let w = World::new().await;
    let (_, before) = get(&w, "/v1/reserves").await;
    assert_eq!(before["since_height"], 0);
    let (made, minted) = settled(&w).await;
    let second = house(&w, 1, &SECOND);
    // Seen by nobody: it is not the vault's address yet.
    let gift = payment(w.next_number(), second.vault.script_pubkey.clone(), 777);
    w.mine(vec![gift]).await;
    let height = w.tip_height().await + 1;
    mine_settled(&w, &rotation(&w, &made, &first_house(), &second)).await;
    w.check_reserves(minted).await;
    let (_, reserves) = get(&w, "/v1/reserves").await;
    assert_eq!(reserves["since_height"], height);
    assert_eq!(reserves["donations_sat"], 0);
}

#[tokio::test]
async fn a_rotation_that_keeps_the_address_keeps_its_donations() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let first = first_house();
    let gift = payment(w.next_number(), first.vault.script_pubkey.clone(), 777);
    w.mine(vec![gift]).await;
    // The same signers and threshold: the vault's address has no epoch in it.
    let renewed = house(&w, 1, &[1, 2, 3, 4]);
    assert_eq!(renewed.vault.script_pubkey, first.vault.script_pubkey);
    mine_settled(&w, &rotation(&w, &made, &first, &renewed)).await;
    assert_eq!(epoch(&w).await, Epoch(1));
    w.check_reserves(minted).await;
    let (_, reserves) = get(&w, "/v1/reserves").await;
    assert_eq!(reserves["donations_sat"], 777);
    assert_eq!(reserves["former_sat"], 0);
    assert_eq!(reserves["outpoints"].as_array().unwrap().len(), 2);
    // On to another one: what is not brought along is a former roster's.
    let mut reader = w.backend.store.read().await.unwrap();
    let newest = reader.newest_rotation().await.unwrap().unwrap();
    assert_eq!((newest.epoch, newest.vault_epoch), (Epoch(1), Epoch(0)));
    let kept = reader.transaction(&newest.txid).await.unwrap().unwrap();
    drop(reader);
    let third = house(&w, 2, &THIRD);
    mine_settled(&w, &rotation(&w, &kept, &renewed, &third)).await;
    w.check_reserves(minted).await;
    let (_, reserves) = get(&w, "/v1/reserves").await;
    assert_eq!(reserves["donations_sat"], 0);
    assert_eq!(reserves["former_sat"], 777);
}

/// Their operators must not destroy keys that are needed, so none of them is forgotten.
#[tokio::test]
async fn every_former_roster_that_is_needed_is_told_of() {
    let w = World::new().await;
    let (mut made, _) = settled(&w).await;
    let mut from = first_house();
    for number in 1..=10 {
        let to = house(&w, number, if number % 2 == 0 { &THIRD } else { &SECOND });
        let step = rotation(&w, &made, &from, &to);
        w.mine(step.in_block()).await;
        made = newest_nft(&w).await;
        from = to;
    }
    assert_eq!(epoch(&w).await, Epoch(10));
    show_up(&w.backend, &THIRD).await;
    let (_, roster) = get(&w, "/v1/roster").await;
    let former = roster["former"].as_array().unwrap();
    let epochs = former.iter().map(|it| it["epoch"].as_u64().unwrap());
    let epochs: Vec<_> = epochs.collect();
    assert_eq!(epochs, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    // Until its end, each of them.
    let end = former[9]["serves_until_height"].as_u64().unwrap();
    let height = u64::from(w.tip_height().await);
    w.mine_empty(u32::try_from(end - height).unwrap()).await;
    let (_, roster) = get(&w, "/v1/roster").await;
    let former = roster["former"].as_array().unwrap();
    assert!(former.iter().all(|it| it["epoch"] != 0));
    assert_eq!(former[0]["epoch"], 9);
}
