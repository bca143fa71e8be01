//! A wallet that is lost but for its words: what they find on a real chain, and what they do not.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{OutPoint, TxOut};
use common::api::{Api, replace};
use common::between::{Between, changed, refuses};
use common::scene::{Scene, peg, reclaim};
use common::{Charm, User, params, protocol, public_key, roster, roster_state, sat, vault};
use grail_api::{Page, RosterRecord, RosterSummary};
use grail_cli::home::read_receipt;
use grail_cli::progress::{Notes, Quiet};
use grail_cli::report::{Pegged, Reclaimed, Recovered};
use grail_cli::{Failure, Settings, arguments, commands};
use grail_types::{Epoch, Roster, Threshold};
use serde_json::json;

/// Another folder of the same words, with the node alone.
fn another(scene: &Scene, api: Option<&str>) -> User {
    let init = arguments::Init {
        mnemonic_file: Some(scene.user.created.mnemonic_file.clone().into()),
        ..arguments::Init::default()
    };
    User::with(&scene.chain.node, api, &init)
}

/// The words and the node, and nothing else: the folder is gone.
fn wiped(mut scene: Scene) -> Scene {
    scene.user = another(&scene, None);
    scene
}

fn recover_at(settings: &Settings, asked: &arguments::Recover) -> Result<Recovered, Failure> {
    commands::recover(settings, asked, &mut Quiet)
}

fn recover(user: &User) -> Recovered {
    recover_at(&user.settings, &arguments::Recover::default()).unwrap()
}

fn recover_from(user: &User, height: u32) -> Result<Recovered, Failure> {
    let asked = arguments::Recover {
        from_height: Some(height),
        ..arguments::Recover::default()
    };
    recover_at(&user.settings, &asked)
}

fn outpoints(recovered: &Recovered) -> Vec<&str> {
    let deposits = recovered.deposits.iter();
    deposits.map(|deposit| deposit.outpoint.as_str()).collect()
}

/// What the deposit that was found needs to come back, by the report's own words.
fn take_back(scene: &Scene, recovered: &Recovered) -> Result<Reclaimed, Failure> {
    let deposit = &recovered.deposits[0];
    let mut asked = reclaim(&deposit.id);
    asked.outpoint = Some(deposit.outpoint.parse().unwrap());
    asked.broadcast = true;
    scene.reclaim(&asked)
}

#[test]
fn a_peg_in_that_nobody_served_comes_back_by_words_and_node_alone() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    assert!(pegged.is_found_by_words);
    scene.chain.node.mine(1);
    let scene = wiped(scene);
    let recovered = recover(&scene.user);
    assert_eq!(outpoints(&recovered), [pegged.deposit_outpoint.as_str()]);
    let deposit = &recovered.deposits[0];
    assert_eq!((&deposit.id, deposit.carries), (&pegged.id, "no-spell"));
    assert_eq!((deposit.amount_sat, deposit.token_sat), (100_000, None));
    let height = scene.chain.node.height();
    assert_eq!(
        (recovered.height, recovered.scanned_height),
        (height, height)
    );
    assert_eq!(deposit.reclaimable_at_height, height + 24);
    assert_eq!(recovered.zkbtc_sat, 50_000, "what it had is there too");

    scene.chain.node.mine(22);
    let early = take_back(&scene, &recovered).unwrap_err();
    assert_eq!(early.code, "transaction-too-early");
    scene.chain.node.mine(1);
    let reclaimed = take_back(&scene, &recovered).unwrap();
    scene.chain.node.mine(1);
    let paid = 500_000 - pegged.fee_sat - (100_000 - reclaimed.amount_sat);
    assert_eq!(scene.user.funds(), (paid, 50_000));
    // What is settled or taken back is found no more.
    assert_eq!(outpoints(&recover(&scene.user)), [] as [&str; 0]);
}

#[test]
fn a_peg_out_that_nobody_served_comes_back_with_its_zkbtc() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    scene.chain.node.mine(1);
    let scene = wiped(scene);
    let recovered = recover(&scene.user);
    assert_eq!(outpoints(&recovered), [pegged.deposit_outpoint.as_str()]);
    let deposit = &recovered.deposits[0];
    assert_eq!(
        (deposit.carries, deposit.token_sat),
        ("zkbtc", Some(30_000))
    );
    assert_eq!(scene.user.funds().1, 20_000);
    scene.chain.node.mine(23);
    let reclaimed = take_back(&scene, &recovered).unwrap();
    assert_eq!(reclaimed.token_sat, Some(30_000));
    scene.chain.node.mine(1);
    assert_eq!(scene.user.funds().1, 50_000);
}

#[test]
fn what_requests_pay_is_counted_spent_and_found_by_the_words() {
    let scene = Scene::new();
    let destination = |pegged: &Pegged| {
        let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
        receipt.terms().destination.script().to_owned()
    };
    // In a test's bridge anybody is the bridge: it pays both requests.
    let (peg_in, peg_out) = (scene.peg_in(100_000), scene.peg_out(30_000));
    let (peg_in, peg_out) = (peg_in.unwrap(), peg_out.unwrap());
    scene.chain.node.mine(1);
    let (btc, zkbtc) = scene.user.funds();
    scene.chain.mint(&destination(&peg_in), 90_000, 330);
    let unconfirmed = scene.chain.node.fund(&destination(&peg_out), sat(25_000));
    let balance = scene.user.synced().wallet.balance();
    assert_eq!(balance.zkbtc, sat(zkbtc + 90_000));
    assert_eq!(balance.btc_pending, sat(25_000));
    scene.chain.node.mine(1);
    assert_eq!(scene.user.funds(), (btc + 25_000, zkbtc + 90_000));
    let explained = commands::explain(&mut scene.user.open(), unconfirmed, &mut Quiet).unwrap();
    assert!(
        explained.to_string().contains("request address"),
        "{explained}"
    );

    // The words find it without the folder: by reading, and by recovering.
    let other = another(&scene, None);
    assert_eq!(other.funds(), (btc + 25_000, zkbtc + 90_000));
    let recovered = recover(&another(&scene, None));
    assert_eq!(recovered.zkbtc_sat, zkbtc + 90_000);

    // And it is spent as any other coin, down to the last.
    let all = zkbtc + 90_000;
    scene.user.send_zkbtc(all, &other.address()).unwrap();
    scene.chain.node.mine(1);
    assert_eq!(other.funds().1, all);
    let listed = commands::list(&mut other.open(), &mut Quiet).unwrap();
    let amounts: Vec<_> = listed
        .outputs
        .iter()
        .filter_map(|it| it.token_sat)
        .collect();
    assert_eq!(amounts, [all], "spent together with the rest");
}

/// A peg-in with these choices: what was noted before it was paid.
fn noted(scene: &Scene, asked: &arguments::Peg) -> (Pegged, Notes) {
    let mut notes = Notes::default();
    let pegged = commands::peg_in(&mut scene.user.open(), asked, &mut notes).unwrap();
    scene.chain.node.mine(1);
    notes.0.retain(|note| note.code == "needs-receipt");
    (pegged, notes)
}

#[test]
fn what_the_words_will_not_find_is_said_before_it_is_paid() {
    let scene = Scene::new();
    let (pegged, notes) = noted(&scene, &peg(30_000));
    assert_eq!((pegged.is_found_by_words, notes.0.len()), (true, 0));
    let stranger = User::new(&scene.chain.node, None).address();
    let mut cap = peg(30_000);
    cap.fee_cap = Some(sat(12_345));
    let mut delay = peg(30_000);
    delay.reclaim_delay = Some(30);
    let mut to = peg(30_000);
    to.to = Some(stranger.clone());
    let mut made = Vec::new();
    for (asked, words) in [
        (&cap, "10000 sat or 20000 sat would do"),
        (&delay, "24 would do"),
        (&to, stranger.as_str()),
    ] {
        let (pegged, notes) = noted(&scene, asked);
        assert!(!pegged.is_found_by_words);
        assert!(notes.0[0].message.contains(words), "{}", notes.0[0]);
        made.push(pegged.deposit_outpoint);
    }
    // It is said before anything is paid: also where nothing is.
    let refusing = Between::start(&scene.chain.node, |method, hand_on| match method {
        "sendrawtransaction" => refuses(-26, "min relay fee not met"),
        _ => hand_on(),
    });
    let mut notes = Notes::default();
    commands::peg_in(&mut refusing.open(&scene.user), &cap, &mut notes).unwrap_err();
    assert!(notes.0.iter().any(|note| note.code == "needs-receipt"));

    // Indeed the words alone find the first one alone; who remembers the choice finds the rest.
    let scene = wiped(scene);
    let first = recover(&scene.user);
    assert_eq!(outpoints(&first), [pegged.deposit_outpoint.as_str()]);
    let usual = arguments::Recover::default;
    for (asked, outpoint) in [
        (
            arguments::Recover {
                fee_cap: cap.fee_cap,
                ..usual()
            },
            &made[0],
        ),
        (
            arguments::Recover {
                reclaim_delay: Some(30),
                ..usual()
            },
            &made[1],
        ),
        (
            arguments::Recover {
                to: to.to,
                ..usual()
            },
            &made[2],
        ),
    ] {
        let found = recover_at(&scene.user.settings, &asked).unwrap();
        assert!(outpoints(&found).contains(&outpoint.as_str()), "{asked:?}");
    }
}

#[test]
fn the_ninth_request_of_a_window_needs_its_receipt() {
    let scene = Scene::new();
    for _ in 0..8 {
        let (pegged, _) = noted(&scene, &peg(20_000));
        assert!(pegged.is_found_by_words);
    }
    let (ninth, notes) = noted(&scene, &peg(20_000));
    assert!(!ninth.is_found_by_words);
    assert!(notes.0[0].message.contains("8 requests"), "{}", notes.0[0]);
    // Its receipt is as good as ever.
    scene.chain.node.mine(24);
    let mut asked = reclaim(&ninth.id);
    asked.broadcast = true;
    scene.reclaim(&asked).unwrap();
    scene.chain.node.mine(144);
    assert!(noted(&scene, &peg(20_000)).0.is_found_by_words);
    let recovered = recover(&wiped(scene).user);
    assert_eq!(recovered.deposits.len(), 9, "{recovered}");
}

#[test]
fn after_a_restore_no_slot_is_used_that_may_have_been_used_before() {
    let scene = Scene::new();
    let mut nonces = Vec::new();
    let mut remember = |pegged: &Pegged| {
        let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
        let terms = receipt.terms();
        assert!(!nonces.contains(&terms.nonce), "a nonce was used twice");
        nonces.push(terms.nonce);
    };
    // Settled: nothing of it is left among the unspent outputs.
    let settled = scene.peg_in(30_000).unwrap();
    remember(&settled);
    scene.chain.node.mine(25);
    let mut asked = reclaim(&settled.id);
    asked.broadcast = true;
    scene.reclaim(&asked).unwrap();
    scene.chain.node.mine(1);

    let mut scene = wiped(scene);
    scene.user.settings.api = Some(scene.api.url());
    assert!(recover(&scene.user).deposits.is_empty());
    let (pegged, notes) = noted(&scene, &peg(30_000));
    assert!(!pegged.is_found_by_words);
    assert!(
        notes.0[0].message.contains("existing words"),
        "{}",
        notes.0[0]
    );
    remember(&pegged);
    // From the next window on the words are enough again, for this folder and for one more.
    scene.chain.node.mine(144);
    let (pegged, notes) = noted(&scene, &peg(30_000));
    assert_eq!((pegged.is_found_by_words, notes.0.len()), (true, 0));
    remember(&pegged);
    let mut scene = wiped(scene);
    scene.user.settings.api = Some(scene.api.url());
    let (again, _) = noted(&scene, &peg(30_000));
    assert!(!again.is_found_by_words);
    assert_eq!(
        outpoints(&recover(&scene.user)),
        [pegged.deposit_outpoint.as_str()]
    );
}

#[test]
fn a_slot_that_another_folder_has_just_used_is_passed_over() {
    let scene = Scene::new();
    // A backup of the folder, that goes on where the folder was.
    let slots = scene.user.settings.home.join("slots.json");
    let backup = std::fs::read(&slots).unwrap();
    let first = scene.peg_in(30_000).unwrap();
    scene.chain.node.mine(1);
    std::fs::write(&slots, backup).unwrap();
    let second = scene.peg_in(30_000).unwrap();
    scene.chain.node.mine(1);
    assert!(second.is_found_by_words);
    assert_ne!(first.id, second.id);
    assert_ne!(first.to, second.to);
    let recovered = recover(&wiped(scene).user);
    let mut found = outpoints(&recovered);
    found.sort_unstable();
    let mut made = [first.deposit_outpoint, second.deposit_outpoint];
    made.sort_unstable();
    assert_eq!(found, made);
}

#[test]
fn a_folder_of_before_has_its_receipts_and_begins_with_the_next_window() {
    let mut scene = Scene::new();
    std::fs::remove_file(scene.user.settings.home.join("slots.json")).unwrap();
    let (old, notes) = noted(&scene, &peg(100_000));
    assert_eq!((old.is_found_by_words, notes.0.len()), (false, 1));
    // The form of before, in which only a receipt tells of the deposit.
    let text = std::fs::read_to_string(&old.receipt_file).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields: Vec<_> = stored.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["receipt", "reclaim_key_index", "stored_at"]);
    assert_eq!(stored["reclaim_key_index"], 0);
    scene.chain.node.mine(144);
    let (new, _) = noted(&scene, &peg(20_000));
    assert!(new.is_found_by_words);

    let user = another(&scene, None);
    let receipt = user.folder.path().join("receipt.json");
    std::fs::copy(&old.receipt_file, &receipt).unwrap();
    scene.user = user;
    let recovered = recover(&scene.user);
    assert_eq!(outpoints(&recovered), [new.deposit_outpoint.as_str()]);
    let mut asked = reclaim(receipt.to_str().unwrap());
    asked.broadcast = true;
    scene.reclaim(&asked).unwrap();
}

/// A record of a roster, as an API shows it.
fn record(roster: &Roster) -> RosterRecord {
    let deposit = json!({
        "epoch": roster.epoch(), "threshold": roster.threshold(), "public_keys": roster.signers(),
        "address": "", "governance": protocol().governance(), "params_hash": protocol().hash(), "txid": "11".repeat(32),
        "height": null, "block_hash": null, "transaction": "", "spent": []
    });
    serde_json::from_value(deposit).unwrap()
}

fn says(api: &Api, rosters: &[Roster]) {
    let summaries: Vec<RosterSummary> = rosters
        .iter()
        .map(|roster| {
            let mut summary = json!(record(roster));
            summary["signer_count"] = 4.into();
            serde_json::from_value(summary).unwrap()
        })
        .collect();
    let page = Page {
        items: summaries,
        next: None,
    };
    api.serve("/v1/rosters?limit=4", &page);
    for roster in rosters {
        let path = format!("/v1/rosters/{}", roster.epoch());
        api.serve(&path, &record(roster));
    }
}

fn strangers(epoch: u64) -> Roster {
    let mut signers: Vec<_> = (90..94).map(public_key).collect();
    signers.sort_by_key(bitcoin::XOnlyPublicKey::serialize);
    Roster::new(Epoch(epoch), signers, Threshold(3)).unwrap()
}

#[test]
fn an_api_that_names_wrong_rosters_hides_nothing_that_blocks_show() {
    let scene = Scene::new();
    let deployed_at = scene.chain.node.height() - 2;
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    let outpoint = pegged.deposit_outpoint.as_str();
    let user = another(&scene, Some(&scene.api.url()));
    // Blocks from the deployment on: whatever the API says, or does not say.
    says(&scene.api, &[strangers(0), strangers(7)]);
    assert_eq!(
        outpoints(&recover_from(&user, deployed_at).unwrap()),
        [outpoint]
    );
    scene.api.lie(|_, answer| *answer = json!("nonsense"));
    assert_eq!(outpoints(&recover_from(&user, 1).unwrap()), [outpoint]);
    scene.api.be_honest();

    // Blocks that show no roster: then the API's are tried, and a wrong one finds nothing.
    let after = deployed_at + 1;
    let user = another(&scene, Some(&scene.api.url()));
    assert_eq!(
        outpoints(&recover_from(&user, after).unwrap()),
        [] as [&str; 0]
    );
    says(&scene.api, &[strangers(7), roster(0)]);
    let found = recover_from(&user, after).unwrap();
    assert_eq!(outpoints(&found), [outpoint]);
    let kept = user.open().home.receipts().unwrap().receipts;
    assert_eq!(kept.len(), 1, "receipts of what was found alone");
    // Without an API a roster must be seen.
    let alone = another(&scene, None);
    let refused = recover_from(&alone, after).unwrap_err();
    assert_eq!(refused.code, "recover-no-roster");
    assert!(refused.message.contains("--from-height"));
    assert_eq!(outpoints(&recover_from(&alone, 1).unwrap()), [outpoint]);
    // One that is no roster, and one that is away, cost nothing either.
    scene.api.lie(|path, answer| {
        if path.starts_with("/v1/rosters/") {
            replace(answer, "/threshold", 1);
        }
    });
    assert_eq!(outpoints(&recover_from(&user, 1).unwrap()), [outpoint]);
}

#[test]
fn a_deposit_of_any_roster_that_blocks_show_is_found() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    // The roster changes afterwards.
    let output = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&strangers(1)),
    };
    let state = roster_state(&strangers(1), &protocol(), 0);
    scene
        .chain
        .conjure(&[(output, Charm::Nft(Box::new(state)))]);
    scene.chain.node.mine(1);
    let recovered = recover(&wiped(scene).user);
    assert_eq!(recovered.roster_count, 2);
    assert_eq!(outpoints(&recovered), [pegged.deposit_outpoint.as_str()]);
}

#[test]
fn a_deposit_whose_transaction_nobody_shows_is_not_spent() {
    let scene = Scene::new();
    // Paid by somebody else, with zkBTC by mistake: a wallet that took it for BTC would burn it.
    let refusing = Between::start(&scene.chain.node, |method, hand_on| match method {
        "sendrawtransaction" => refuses(-26, "min relay fee not met"),
        _ => hand_on(),
    });
    let mut session = refusing.open(&scene.user);
    commands::peg_in(&mut session, &peg(100_000), &mut Quiet).unwrap_err();
    drop((session, refusing));
    let receipts = scene.user.open().home.receipts().unwrap().receipts;
    let script = receipts[0].1.script_pubkey().clone();
    let deposit = scene.chain.mint(&script, 40_000, 30_000);
    scene.chain.node.mine(24);
    let scene = wiped(scene);

    let deposit_txid = deposit.txid.to_string();
    // A node that has pruned the block: it knows the output, and not what made it.
    let pruned = Between::start(&scene.chain.node, |method, hand_on| {
        let answer = hand_on();
        match method {
            "getrawtransaction" => refuses(-1, "Block not available (pruned data)"),
            _ => answer,
        }
    });
    let asked = arguments::Recover::default();
    let recovered = recover_at(&pruned.settings(&scene.user), &asked).unwrap();
    assert_eq!(outpoints(&recovered), [deposit.to_string().as_str()]);
    assert_eq!(recovered.deposits[0].carries, "transaction-not-read");
    let mut asked = reclaim(&recovered.deposits[0].id);
    asked.outpoint = Some(deposit);
    asked.amount = Some(sat(30_000));
    asked.broadcast = true;
    let refused = commands::reclaim(&mut pruned.open(&scene.user), &asked, &mut Quiet);
    assert!(refused.is_err(), "{deposit_txid} was spent unseen");
    drop(pruned);

    // One that shows it: the zkBTC comes back.
    let recovered = recover(&scene.user);
    assert_eq!(recovered.deposits[0].token_sat, Some(40_000));
    assert_eq!(
        take_back(&scene, &recovered).unwrap().token_sat,
        Some(40_000)
    );
}

#[test]
fn a_node_that_tells_of_outputs_that_nobody_asked_for_is_passed_over() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    let scene = wiped(scene);
    let lying = Between::start(&scene.chain.node, |method, hand_on| {
        let answer = hand_on();
        if method != "scantxoutset" {
            return answer;
        }
        changed(&answer, |result| {
            let mut other = result["unspents"][0].clone();
            other["scriptPubKey"] = "51".into();
            let list = result["unspents"].as_array_mut().unwrap();
            *list = vec![other, list[0].clone()];
        })
    });
    let asked = arguments::Recover::default();
    let recovered = recover_at(&lying.settings(&scene.user), &asked).unwrap();
    assert_eq!(outpoints(&recovered), [pegged.deposit_outpoint.as_str()]);
    // One that names an output where the deposit is not.
    let lying = Between::start(&scene.chain.node, |method, hand_on| {
        let answer = hand_on();
        if method != "scantxoutset" {
            return answer;
        }
        changed(&answer, |result| result["unspents"][0]["vout"] = 1.into())
    });
    let refused = recover_at(&lying.settings(&scene.user), &asked).unwrap_err();
    assert_eq!(refused.code, "not-the-deposit");
}

#[test]
fn a_bridge_must_be_named_and_a_node_must_be_there() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    let scene = wiped(scene);
    let pin = scene.user.settings.home.join("protocol.json");
    let file = scene.user.folder.path().join("bridge.json");
    std::fs::rename(&pin, &file).unwrap();
    let nothing = arguments::Recover::default();
    let refused = recover_at(&scene.user.settings, &nothing).unwrap_err();
    assert_eq!(refused.code, "recover-no-bridge");
    let named = arguments::Recover {
        protocol: Some(file),
        ..arguments::Recover::default()
    };
    let mut away = scene.user.settings.clone();
    away.node = Some("http://127.0.0.1:1".to_owned());
    assert_eq!(
        recover_at(&away, &named).unwrap_err().code,
        "node-unreachable"
    );
    let recovered = recover_at(&scene.user.settings, &named).unwrap();
    assert_eq!(outpoints(&recovered), [pegged.deposit_outpoint.as_str()]);
    let outpoint: OutPoint = pegged.deposit_outpoint.parse().unwrap();
    assert!(
        recovered.to_string().contains(&outpoint.to_string()),
        "{recovered}"
    );
}
