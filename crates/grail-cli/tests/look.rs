//! Roster, reserves and status: what is told, held against what can be known.
#![allow(clippy::unwrap_used)]

mod common;

use common::api::replace;
use common::scene::{Scene, stranger_evidence};
use common::{params, roster, vault};
use grail_api::{RequestState, Reserves, VaultOutput};
use grail_chain::BlockSource;
use grail_cli::commands;
use grail_cli::progress::Quiet;

#[test]
fn the_roster_report_names_the_signer_whose_evidence_is_false() {
    let scene = Scene::new();
    let report = commands::roster(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(report.nft, "verified");
    assert_eq!(report.trust_anchor, "development-root");
    assert!(report.signers.iter().all(|signer| signer.is_attested));

    scene.api.lie(|path, answer| {
        if path == "/v1/roster" {
            replace(answer, "/signers/0/evidence", stranger_evidence());
            replace(answer, "/signers/1/name", "\u{1b}[31moperator");
        }
    });
    let report = commands::roster(&mut scene.user.open(), &mut Quiet).unwrap();
    let attested: Vec<bool> = report
        .signers
        .iter()
        .map(|signer| signer.is_attested)
        .collect();
    assert_eq!(attested, [false, true, true, true]);
    assert_eq!(report.signers[1].name, "[31moperator");
    assert!(report.to_string().contains("NOT ATTESTED"));
}

#[test]
fn an_operator_that_refuses_by_its_own_brake_is_told_apart_from_the_rest() {
    let scene = Scene::new();
    scene.api.lie(|path, answer| {
        if path == "/v1/roster" {
            let brake = serde_json::json!({"code": "operator-paused\u{1b}", "at": 1});
            answer["signers"][2]["fail_safe"] = brake;
        }
    });
    let report = commands::roster(&mut scene.user.open(), &mut Quiet).unwrap();
    let told: Vec<_> = report
        .signers
        .iter()
        .map(|it| it.fail_safe.as_deref())
        .collect();
    assert_eq!(told, [None, None, Some("operator-paused"), None]);
    assert!(
        report
            .to_string()
            .contains("signs nothing now: operator-paused")
    );
}

#[test]
fn reserves_are_recomputed_from_the_chain_with_donations_apart() {
    let scene = Scene::new();
    let vault_script = vault(&roster(0));
    let locked = scene.chain.pay(&vault_script, 50_000);
    let donated = scene.chain.pay(&vault_script, 1_234);
    // A coin of the NFT's size is not taken for the NFT.
    let decoy = scene
        .chain
        .pay(&vault_script, params().nft_carrier.to_sat());
    let tip = scene.chain.node.chain().tip().unwrap();
    let honest = Reserves {
        vault_sat: 50_000,
        supply_sat: 50_000,
        donations_sat: 2_234,
        former_sat: 0,
        since_height: 0,
        nft_outpoint: scene.nft,
        outpoints: [(locked, 50_000), (donated, 1_234), (decoy, 1_000)]
            .map(|(outpoint, amount_sat)| VaultOutput {
                outpoint,
                amount_sat,
            })
            .to_vec(),
        height: tip.height,
        block_hash: tip.hash,
    };
    scene.api.serve_reserves(&honest);
    let report = commands::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!((report.is_backed, report.agrees), (Some(true), Some(true)));
    let chain = report.chain.unwrap();
    assert_eq!(
        (chain.vault_sat, chain.supply_sat, chain.donations_sat),
        (50_000, 50_000, 2_234)
    );

    let mut false_supply = honest.clone();
    false_supply.supply_sat -= 1;
    scene.api.serve_reserves(&false_supply);
    let report = commands::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(report.agrees, Some(false));

    // Coins of before the address was the vault's are nobody's reserve. Whoever says so of the
    // reserves themselves hides them, and shows none.
    let mut nothing_counts = honest;
    nothing_counts.since_height = tip.height + 1;
    scene.api.serve_reserves(&nothing_counts);
    let report = commands::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(
        (report.is_backed, report.agrees),
        (Some(false), Some(false))
    );
    assert_eq!(report.chain.unwrap().output_count, 0);
}

#[test]
fn reserves_below_the_supply_are_called_so() {
    let scene = Scene::new();
    let locked = scene.chain.pay(&vault(&roster(0)), 49_999);
    let tip = scene.chain.node.chain().tip().unwrap();
    scene.api.serve_reserves(&Reserves {
        vault_sat: 50_000,
        supply_sat: 50_000,
        donations_sat: 0,
        former_sat: 0,
        since_height: 0,
        nft_outpoint: scene.nft,
        outpoints: vec![VaultOutput {
            outpoint: locked,
            amount_sat: 50_000,
        }],
        height: tip.height,
        block_hash: tip.hash,
    });
    let report = commands::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(
        (report.is_backed, report.agrees),
        (Some(false), Some(false))
    );
    assert!(report.to_string().contains("NOT BACKED"));
}

#[test]
fn a_status_is_asked_for_by_kind_and_watched_to_its_end() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let session = scene.user.open();
    let id = pegged.id.parse().unwrap();
    assert_eq!(
        commands::status(&session, &id).err().unwrap().code,
        "not-found"
    );

    let receipt = session.home.receipt(&id).unwrap().receipt().clone();
    let status = grail_api::RequestStatus {
        holding_roster: None,
        id,
        kind: grail_api::Kind::PegIn,
        state: RequestState::Paid,
        code: None,
        deposit_address: receipt.deposit_address.clone(),
        deadline_height: 1_000,
        deposit: None,
        other_deposits: Vec::new(),
        settlement: None,
        proving: None,
        fee_wait: None,
        outflow_wait: None,
        refusals: Vec::new(),
        reclaim: None,
        receipt,
        created_at: 1,
        updated_at: 2,
    };
    scene.api.serve(&format!("/v1/peg-ins/{id}"), &status);
    assert_eq!(commands::status(&session, &id).unwrap().status, status);
    let mut seen = Vec::new();
    commands::watch(&session, &id, |report| {
        seen.push(report.status.state);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, [RequestState::Paid]);
}

#[test]
fn each_amount_of_a_status_has_its_own_unit() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    let id = pegged.id.parse().unwrap();
    let receipt = scene.user.open().home.receipt(&id).unwrap();
    let receipt = receipt.receipt().clone();
    let outpoint = pegged.deposit_outpoint.parse().unwrap();
    // Denied: BTC was paid where zkBTC was expected, and zkBTC beside it.
    let mut status = grail_api::RequestStatus {
        holding_roster: None,
        id,
        kind: grail_api::Kind::PegOut,
        state: RequestState::Reclaimable,
        code: Some(grail_api::ReclaimCode::WrongCharms),
        deposit_address: receipt.deposit_address.clone(),
        deadline_height: 1_000,
        deposit: Some(grail_api::Deposit {
            outpoint,
            amount_sat: 70_000,
            token_sat: None,
            confirmations: 1,
            confirmations_needed: 1,
            height: Some(1),
        }),
        other_deposits: vec![grail_api::OtherDeposit {
            outpoint,
            amount_sat: 330,
            token_sat: Some(30_000),
            confirmations: 1,
            code: grail_api::ReclaimCode::WrongCharms,
            reclaim_possible_at_height: None,
        }],
        settlement: None,
        proving: None,
        fee_wait: None,
        outflow_wait: None,
        refusals: Vec::new(),
        reclaim: None,
        receipt,
        created_at: 1,
        updated_at: 2,
    };
    let shown = |status: &grail_api::RequestStatus| {
        scene
            .api
            .serve(&format!("/v1/{}s/{id}", status.kind), status);
        commands::status(&scene.user.open(), &id)
            .unwrap()
            .to_string()
    };
    let denied = shown(&status);
    assert!(denied.contains("deposit       0.0007 BTC at"), "{denied}");
    assert!(denied.contains("not served    0.0003 zkBTC at"), "{denied}");
    // As it should be.
    if let Some(deposit) = &mut status.deposit {
        (deposit.amount_sat, deposit.token_sat) = (330, Some(30_000));
    }
    let served = shown(&status);
    assert!(served.contains("deposit       0.0003 zkBTC at"), "{served}");
    // While it waits for the limit.
    let wait = |blocks| grail_api::OutflowWait {
        code: grail_api::LimitCode::OutflowLimit,
        may_leave_sat: 20_000,
        blocks,
    };
    for (blocks, words) in [
        (
            Some(5),
            "so much in 5 block(s) at the earliest [outflow-limit]",
        ),
        (
            None,
            "so much only with others that come in [outflow-limit]",
        ),
    ] {
        status.outflow_wait = Some(wait(blocks));
        let waits = shown(&status);
        let line = format!("waits         0.0002 zkBTC may leave by now, {words}");
        assert!(waits.contains(&line), "{waits}");
    }
}

#[test]
fn what_may_leave_is_shown_with_the_bridges_state() {
    let scene = Scene::new();
    let mut status = serde_json::json!({
        "state": "degraded",
        "reasons": [{ "code": "outflow-limit", "detail": "too\u{1b}[2J little" }],
        "expected_wait_seconds": 40, "retry_after": 60,
        "ready_requests": 0, "oldest_ready_seconds": null, "unconfirmed_settlements": 0,
        "epoch": 0, "operators_heard": 4, "operators": 4, "threshold": 3, "height": 100,
        "node_height": 100, "deposit_confirmations": 1, "settlement_confirmations": 2,
        "fee_rate_sat_per_kvb": null,
        "outflow": {
            "may_leave_sat": 10_000, "cap_sat": 100_000_000, "rate_sat_per_block": 5_000,
            "level_sat": 99_990_000, "nft_confirmations": 0, "blocks_until_more": 1,
            "blocks_until_empty": 19_998
        }
    });
    scene.api.serve("/v1/status", &status);
    let shown = || commands::bridge(&scene.user.open()).unwrap().to_string();
    let text = shown();
    for words in [
        "state         degraded, about 40 s from",
        "[outflow-limit]",
        "may leave     0.0001 zkBTC on balance by now, of 1 zkBTC at once and 0.00005 zkBTC with",
        "more in 1 block(s), all of it in 19998",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    // A server of before tells no limit.
    status.as_object_mut().unwrap().remove("outflow");
    scene.api.serve("/v1/status", &status);
    assert!(shown().contains("may leave     not known"));
}

#[test]
fn a_late_clock_is_told_from_a_forgery() {
    let scene = Scene::new();
    // Evidence of two hours from now, as a clock that is two hours late sees it.
    let later = grail_cli::session::now() + 7_200;
    scene.api.serve_roster_of(scene.nft, later);
    let report = commands::roster(&mut scene.user.open(), &mut Quiet).unwrap();
    assert!(
        report
            .signers
            .iter()
            .all(|signer| signer.code == Some("clock-late"))
    );
    assert!(
        report.to_string().contains("your clock may be wrong"),
        "{report}"
    );
    let failure = scene.peg_in(100_000).unwrap_err();
    assert_eq!(failure.code, "clock-late");
    assert!(failure.message.contains("120 minutes"), "{failure}");
    scene.nothing_was_paid();
    scene.api.lie(|path, answer| {
        if path == "/v1/roster" {
            replace(answer, "/signers/0/evidence", stranger_evidence());
        }
    });
    let report = commands::roster(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(report.signers[0].code, Some("evidence-invalid"));
}

#[test]
fn a_status_does_not_ask_for_a_deposit_that_was_sent() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let id = pegged.id.parse().unwrap();
    let receipt = scene.user.open().home.receipt(&id).unwrap();
    // The API has not seen it.
    let status = grail_api::RequestStatus {
        holding_roster: None,
        id,
        kind: grail_api::Kind::PegIn,
        state: RequestState::AwaitingDeposit,
        code: None,
        deposit_address: pegged.deposit_address.clone(),
        deadline_height: 1_000,
        deposit: None,
        other_deposits: Vec::new(),
        settlement: None,
        proving: None,
        fee_wait: None,
        outflow_wait: None,
        refusals: Vec::new(),
        reclaim: None,
        receipt: receipt.receipt().clone(),
        created_at: 1,
        updated_at: 2,
    };
    scene.api.serve(&format!("/v1/peg-ins/{id}"), &status);
    let report = commands::status(&scene.user.open(), &id).unwrap();
    assert_eq!(report.sent_here.join(" "), pegged.deposit_outpoint);
    let shown = report.to_string();
    assert!(shown.contains(&pegged.deposit_outpoint), "{shown}");
    assert!(
        !shown.contains("pay it") && !shown.contains("none yet"),
        "{shown}"
    );
    // To somebody else it does.
    std::fs::remove_file(&pegged.receipt_file).unwrap();
    let shown = commands::status(&scene.user.open(), &id)
        .unwrap()
        .to_string();
    assert!(shown.contains("pay it before the deadline"), "{shown}");
}
