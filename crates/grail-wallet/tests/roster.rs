//! Belief in a roster: each lie of an API, and each contradiction of the NFT, refused.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Address, OutPoint, Transaction, TxOut};
use common::{
    BORN, Charm, NOW, PROGRAM, bridge, bridge_app, conjure, evidence, funding, images, params,
    protocol, public_key, roster, roster_answer, roster_of, roster_state, sat, vault,
};
use grail_api::RosterAnswer;
use grail_attest::Protocol;
use grail_bridge_contract::RosterState;
use grail_fixtures::world::governance;
use grail_types::{Bridge, Governance};
use grail_wallet::roster::{
    NftOnChain, RosterFailure, UnspentOutput, believe_roster, check_evidence, check_nft, printable,
    vault_of,
};

fn refused(lie: impl FnOnce(&mut RosterAnswer)) -> RosterFailure {
    let mut answer = roster_answer();
    lie(&mut answer);
    believe_roster(&answer, &protocol(), NOW).unwrap_err()
}

#[test]
fn an_honest_answer_is_believed() {
    let believed = believe_roster(&roster_answer(), &protocol(), NOW).unwrap();
    assert_eq!(believed, roster(0));
    for signer in check_evidence(&roster_answer(), &protocol(), NOW) {
        assert_eq!(signer.verdict.unwrap().at, BORN);
    }
}

#[test]
fn an_address_that_the_roster_does_not_have_is_refused() {
    for lie in [
        refused(|answer| answer.address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into()),
        refused(|answer| answer.threshold.0 = 4),
    ] {
        assert_eq!(lie.code(), "roster-address", "{lie}");
    }
}

#[test]
fn an_epoch_that_is_not_the_nfts_is_refused() {
    // Neither address nor evidence know it: the NFT alone does.
    let mut answer = roster_answer();
    answer.epoch.0 = 1;
    let believed = believe_roster(&answer, &protocol(), NOW).unwrap();
    let transaction = honest_nft();
    let outpoint = OutPoint::new(transaction.compute_txid(), 0);
    let unspent = UnspentOutput {
        transaction,
        confirmations: 3,
    };
    assert!(matches!(
        check_nft(Some(&unspent), outpoint, &believed, &protocol()),
        Err(RosterFailure::NftDiffers { what: "epoch" })
    ));
}

#[test]
fn keys_that_are_no_roster_are_refused() {
    for lie in [
        refused(|answer| answer.threshold.0 = 2),
        refused(|answer| answer.signers.swap(0, 1)),
        refused(|answer| answer.signers.clear()),
    ] {
        assert_eq!(lie.code(), "roster-invalid", "{lie}");
    }
}

#[test]
fn evidence_that_does_not_verify_is_refused_and_names_its_signer() {
    type Lie = fn(&mut RosterAnswer);
    let lies: [(&str, Lie); 10] = [
        ("empty", |answer| answer.signers[2].evidence.clear()),
        ("no base64", |answer| {
            answer.signers[2].evidence = "not base64".into();
        }),
        ("no document", |answer| {
            answer.signers[2].evidence = "AAAA".into();
        }),
        ("too long", |answer| {
            answer.signers[2].evidence = "A".repeat(32 * 1024 + 1);
        }),
        ("another signer's", |answer| {
            answer.signers[2].evidence = answer.signers[1].evidence.clone();
        }),
        ("of another program", |answer| {
            let key = answer.signers[2].public_key;
            answer.signers[2].evidence = evidence(b"another program", &bridge(), &key);
        }),
        ("for another bridge", |answer| {
            let other = Bridge {
                app: bridge_app(2),
                ..bridge()
            };
            let key = answer.signers[2].public_key;
            answer.signers[2].evidence = evidence(PROGRAM, &other, &key);
        }),
        ("of another time", |answer| {
            answer.signers[2].attested_at = 1;
        }),
        ("to no such challenge", |answer| {
            answer.signers[2].nonce = Some("00".repeat(32));
        }),
        ("challenge in no hex", |answer| {
            answer.signers[2].nonce = Some("no hex".into());
        }),
    ];
    for (name, lie) in lies {
        match refused(lie) {
            RosterFailure::Evidence { index, .. } => assert_eq!(index, 2, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    let misplaced = refused(|answer| answer.signers[2].index = 1);
    assert_eq!(misplaced.code(), "evidence-invalid");
}

#[test]
fn evidence_from_the_future_is_refused_and_a_late_clock_suspected() {
    let code_at = |answer: &RosterAnswer, now| {
        let believed = believe_roster(answer, &protocol(), now);
        believed.err().map(|failure| failure.code())
    };
    let honest = roster_answer();
    assert_eq!(code_at(&honest, BORN), None);
    // Five minutes are nothing, one second more is.
    assert_eq!(code_at(&honest, BORN - 300), None);
    for now in [BORN - 301, BORN - 3_600, BORN - 24 * 60 * 60, 0] {
        assert_eq!(code_at(&honest, now), Some("clock-late"), "{now}");
    }
    let told = believe_roster(&honest, &protocol(), BORN - 3_600).unwrap_err();
    let words = "60 minutes from now by this computer's clock: your clock may be wrong";
    assert!(told.to_string().contains(words), "{told}");
    // A forgery stays one, whatever the clock says.
    let mut forged = roster_answer();
    forged.signers[0].evidence = forged.signers[1].evidence.clone();
    assert_eq!(code_at(&forged, BORN - 3_600), Some("evidence-invalid"));
}

#[test]
fn a_roster_that_fewer_administrators_could_replace_is_refused() {
    let few = governance().administrators()[..3].to_vec();
    let two_of_three = Governance::new(few, 2).unwrap();
    let protocol = Protocol::new(bridge(), params(), images(), two_of_three).unwrap();
    let mut answer = roster_answer();
    let refused = believe_roster(&answer, &protocol, NOW).unwrap_err();
    assert_eq!(refused.code(), "roster-address");
    let address = Address::from_script(&vault_of(&roster(0), &protocol), bitcoin::Network::Regtest);
    answer.address = address.unwrap().to_string();
    let refused = believe_roster(&answer, &protocol, NOW).unwrap_err();
    assert_eq!(refused.code(), "governance-share");
}

fn nft(state: RosterState) -> Transaction {
    let at_vault = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&roster(0)),
    };
    conjure(
        &funding(100_000),
        0,
        &[(at_vault, Charm::Nft(Box::new(state)))],
    )
}

fn honest_nft() -> Transaction {
    nft(roster_state(&roster(0), &protocol(), 4_000))
}

fn checked(transaction: &Transaction, vout: u32) -> Result<NftOnChain, RosterFailure> {
    let unspent = UnspentOutput {
        transaction: transaction.clone(),
        confirmations: 3,
    };
    let outpoint = OutPoint::new(transaction.compute_txid(), vout);
    check_nft(Some(&unspent), outpoint, &roster(0), &protocol())
}

#[test]
fn the_nft_tells_supply_and_place() {
    let transaction = honest_nft();
    assert_eq!(
        checked(&transaction, 0).unwrap(),
        NftOnChain {
            outpoint: OutPoint::new(transaction.compute_txid(), 0),
            coin: params().nft_carrier,
            supply: sat(4_000),
            confirmations: 3,
        }
    );
}

#[test]
fn each_part_of_the_nfts_state_must_agree() {
    type Lie = fn(&mut RosterState);
    let lies: [(&str, Lie); 6] = [
        ("epoch", |state| state.epoch = 1),
        ("list of signers", |state| {
            state.signers[0] = public_key(99).serialize();
        }),
        ("threshold", |state| state.threshold = 4),
        ("params hash", |state| state.params_hash = [9; 32]),
        ("administrators", |state| state.governance = [9; 32]),
        ("vault script", |state| {
            state.vault_script = vault(&roster_of(0, 5..=8)).to_bytes();
        }),
    ];
    for (part, lie) in lies {
        let mut state = roster_state(&roster(0), &protocol(), 4_000);
        lie(&mut state);
        match checked(&nft(state), 0) {
            Err(RosterFailure::NftDiffers { what }) => assert_eq!(what, part),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn an_nft_away_from_the_vault_is_refused() {
    let elsewhere = TxOut {
        value: params().nft_carrier,
        script_pubkey: common::conjurer(),
    };
    let state = roster_state(&roster(0), &protocol(), 4_000);
    let transaction = conjure(
        &funding(100_000),
        0,
        &[(elsewhere, Charm::Nft(Box::new(state)))],
    );
    assert!(matches!(
        checked(&transaction, 0),
        Err(RosterFailure::NftDiffers { what: "place" })
    ));
}

#[test]
fn what_is_not_the_nft_is_refused() {
    let code = |result: Result<NftOnChain, RosterFailure>| result.unwrap_err().code();
    assert_eq!(code(checked(&funding(5_000), 0)), "nft-missing");
    let honest = honest_nft();
    assert_eq!(
        code(checked(&honest, 1)),
        "nft-missing",
        "the spell's output"
    );
    assert_eq!(code(checked(&honest, 9)), "nft-missing", "no such output");
    let mut forged = honest.clone();
    forged.output[0].value += sat(1);
    assert_eq!(code(checked(&forged, 0)), "nft-missing", "a false proof");
    // Honest, and not the one at the outpoint.
    let unspent = UnspentOutput {
        transaction: honest,
        confirmations: 3,
    };
    let elsewhere = check_nft(Some(&unspent), OutPoint::null(), &roster(0), &protocol());
    assert_eq!(code(elsewhere), "nft-missing");
    let gone = check_nft(None, OutPoint::null(), &roster(0), &protocol());
    assert_eq!(code(gone), "nft-spent");
}

#[test]
fn a_bridge_of_ones_own_does_not_lend_its_nft() {
    let other = Bridge {
        app: bridge_app(2),
        ..bridge()
    };
    let other = Protocol::new(
        other,
        params(),
        images(),
        grail_fixtures::world::governance(),
    )
    .unwrap();
    let transaction = honest_nft();
    let unspent = UnspentOutput {
        confirmations: 3,
        transaction,
    };
    let outpoint = OutPoint::new(unspent.transaction.compute_txid(), 0);
    let refused = check_nft(Some(&unspent), outpoint, &roster(0), &other).unwrap_err();
    assert_eq!(refused.code(), "nft-missing");
}

#[test]
fn an_operators_name_cannot_steer_a_terminal() {
    assert_eq!(printable("\u{1b}[31moperator\n"), "[31moperator");
    assert_eq!(printable(&"x".repeat(101)).len(), 100);
}
