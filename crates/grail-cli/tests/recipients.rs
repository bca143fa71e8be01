//! Who is never paid: the bridge's own address, and keys that nobody has.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Address, Script, ScriptBuf};
use common::scene::{Scene, peg, reclaim};
use common::{roster, vault};
use grail_chain::Chain;
use grail_cli::progress::Quiet;
use grail_cli::{Session, commands};

fn address(script: &Script) -> String {
    Address::from_script(script, bitcoin::Network::Regtest)
        .unwrap()
        .to_string()
}

/// The x of BIP-340's vector 5, which is on no point of the curve.
fn off_curve() -> String {
    let mut script = vec![0x51, 0x20];
    script.extend(
        hex::decode("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34").unwrap(),
    );
    address(&ScriptBuf::from_bytes(script))
}

/// The code of each command that pays to an address.
fn codes(scene: &Scene, to: &str) -> Vec<&'static str> {
    let mut asked = peg(100_000);
    asked.to = Some(to.to_owned());
    let pegged_in = commands::peg_in(&mut scene.user.open(), &asked, &mut Quiet).unwrap_err();
    let pegged_out = commands::peg_out(&mut scene.user.open(), &asked, &mut Quiet).unwrap_err();
    vec![
        scene.user.send(10_000, to).unwrap_err().code,
        scene.user.send_zkbtc(10_000, to).unwrap_err().code,
        pegged_in.code,
        pegged_out.code,
    ]
}

#[test]
fn nothing_goes_to_the_vaults_own_address() {
    let scene = Scene::new();
    let to = address(&vault(&roster(0)));
    assert_eq!(codes(&scene, &to), ["vault-address"; 4]);
    scene.nothing_was_paid();
    // Remembered when nobody can be asked, in any spelling.
    scene.api.lie(|_, answer| *answer = common::api::not_json());
    assert_eq!(
        scene
            .user
            .send(10_000, &to.to_uppercase())
            .unwrap_err()
            .code,
        "vault-address"
    );
}

#[test]
fn a_receipts_vault_is_known_without_an_api() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let _ = std::fs::remove_file(scene.user.settings.home.join("vaults.json"));
    scene.api.lie(|_, answer| *answer = common::api::not_json());
    let to = address(&vault(&roster(0)));
    assert_eq!(
        scene.user.send(10_000, &to).unwrap_err().code,
        "vault-address"
    );
    let mut asked = reclaim(&pegged.id);
    asked.to = Some(to);
    assert_eq!(scene.reclaim(&asked).unwrap_err().code, "vault-address");
}

#[test]
fn an_api_cannot_call_a_strangers_address_the_vault() {
    let scene = Scene::new();
    let shop = address(&common::conjurer());
    let named = shop.clone();
    scene.api.lie(move |path, answer| {
        if path == "/v1/roster" {
            common::api::replace(answer, "/address", named.clone());
        }
    });
    scene.user.send(10_000, &shop).unwrap();
}

#[test]
fn nothing_goes_to_a_key_that_nobody_can_have() {
    let scene = Scene::new();
    assert_eq!(codes(&scene, &off_curve()), ["unspendable-address"; 4]);
    scene.nothing_was_paid();
    assert!(scene.chain.node.chain().mempool_txids().unwrap().is_empty());
    let mut session = Session::open(scene.user.settings.clone()).unwrap();
    let mut asked = reclaim(&"00".repeat(32));
    asked.to = Some(off_curve());
    // The receipt is looked for first.
    let code = commands::reclaim(&mut session, &asked, &mut Quiet)
        .unwrap_err()
        .code;
    assert_eq!(code, "no-receipt");
}
