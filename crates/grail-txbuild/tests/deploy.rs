//! The transaction that creates the roster NFT.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script::reference;
use grail_fixtures::world as support;

use bitcoin::{
    Amount, FeeRate, ScriptBuf, Transaction, XOnlyPublicKey,
    hashes::Hash,
    secp256k1::{Message, schnorr::Signature},
};
use grail_charms::roster_state;
use grail_spell::{nft_app, read_strict};
use grail_txbuild::{Coin, DeployError, Deployment};
use grail_types::{Bridge, Governance, MockAllowed, Network};
use support::{BRIDGE, FEE_RATE, coin, funding, keypair, output, prove, public, world};

const DEPLOYER: u16 = 500;

/// The funding output of the world's own deployment, of another value.
fn source(sats: u64) -> (Transaction, Coin) {
    let own = ScriptBuf::new_p2tr(&world().secp, public(&keypair(DEPLOYER)), None);
    let made = funding(3, vec![output(sats, own)]);
    let coin = coin(&made, 0);
    (made, coin)
}

/// The bridge that comes from that output.
fn bridge(funding: &Coin) -> Bridge {
    let mut bridge = world().bridge;
    bridge.app.identity = grail_spell::deployment_identity(funding.outpoint);
    bridge.app.vk = support::hash_of(BRIDGE);
    bridge
}

fn deploy(sats: u64, rate: FeeRate) -> Result<(Transaction, Coin, Bridge), DeployError> {
    let (made, coin) = source(sats);
    let bridge = bridge(&coin);
    let deployment = Deployment {
        bridge: &bridge,
        params: &world().params,
        roster: &world().roster,
        governance: &world().governance,
        funding: coin.clone(),
        fee_rate: rate,
    };
    let plan = deployment.plan(&world().secp)?;
    let proven = prove(BRIDGE, plan.spell.clone(), &[&made]);
    let transaction =
        deployment.finish(&world().secp, plan, proven.op_return, &keypair(DEPLOYER))?;
    Ok((transaction, coin, bridge))
}

#[test]
fn the_nft_is_deployed_at_the_vault_with_the_rosters_state() {
    let (transaction, _, bridge) = deploy(1_000_000, FEE_RATE).unwrap();
    let nft = &transaction.output[0];
    assert_eq!(nft.script_pubkey, world().vault.script_pubkey);
    assert_eq!(nft.value, world().params.nft_carrier);
    let spell = read_strict(&transaction, MockAllowed::on(Network::Regtest)).unwrap();
    let state = roster_state(&spell.charms_at(0), &nft_app(&bridge.app))
        .unwrap()
        .unwrap();
    let signers: Vec<_> = world()
        .roster
        .signers()
        .iter()
        .map(XOnlyPublicKey::serialize)
        .collect();
    assert_eq!(state.signers, signers);
    assert_eq!(
        (state.epoch, state.serial, state.threshold, state.supply),
        (0, 0, 12, 0)
    );
    assert_eq!(state.params_hash, world().params.hash(&bridge).0);
    assert_eq!(state.vault_script, world().vault.script_pubkey.to_bytes());
}

#[test]
fn the_funding_key_signed_the_whole_transaction() {
    let (transaction, coin, _) = deploy(1_000_000, FEE_RATE).unwrap();
    let sighash = reference::Spend {
        transaction: &transaction,
        prevouts: std::slice::from_ref(&coin.output),
        input_index: 0,
        hash_type: 0,
        leaf: None,
    }
    .sighash();
    let key = XOnlyPublicKey::from_slice(&coin.output.script_pubkey.as_bytes()[2..]).unwrap();
    let signature = Signature::from_slice(&transaction.input[0].witness[0]).unwrap();
    world()
        .secp
        .verify_schnorr(&signature, &Message::from_digest(sighash), &key)
        .unwrap();
}

#[test]
fn it_pays_its_rate_by_its_signed_weight() {
    for rate in [250, 1_000, 75_000].map(FeeRate::from_sat_per_kwu) {
        let (transaction, coin, _) = deploy(1_000_000, rate).unwrap();
        let paid: Amount = transaction.output.iter().map(|output| output.value).sum();
        let fee = coin.output.value - paid;
        assert_eq!(fee, rate.fee_wu(transaction.weight()).unwrap());
    }
}

/// A deployment whose spell's output is always as long: its length is not what is tried.
fn deploy_with_spell_of(bytes: u8, sats: u64) -> Result<Transaction, DeployError> {
    let (_, coin) = source(sats);
    let bridge = bridge(&coin);
    let deployment = Deployment {
        bridge: &bridge,
        params: &world().params,
        roster: &world().roster,
        governance: &world().governance,
        funding: coin,
        fee_rate: FEE_RATE,
    };
    let plan = deployment.plan(&world().secp)?;
    let op_return = ScriptBuf::from_bytes(vec![0x6a; bytes.into()]);
    deployment.finish(&world().secp, plan, op_return, &keypair(DEPLOYER))
}

#[test]
fn funding_that_just_suffices_is_taken_and_one_satoshi_less_is_not() {
    for bytes in [1, 100, 251] {
        let Err(DeployError::Underfunded { needed, .. }) = deploy_with_spell_of(bytes, 1_500)
        else {
            panic!("funded");
        };
        let enough = deploy_with_spell_of(bytes, needed.to_sat()).unwrap();
        assert_eq!(enough.output.last().unwrap().value.to_sat(), 330);
        let got = Amount::from_sat(needed.to_sat() - 1);
        assert_eq!(
            deploy_with_spell_of(bytes, got.to_sat()),
            Err(DeployError::Underfunded { needed, got })
        );
    }
}

#[test]
fn an_absurd_rate_is_underfunded_not_a_panic() {
    assert!(matches!(
        deploy(1_000_000, FeeRate::MAX),
        Err(DeployError::Underfunded { .. })
    ));
}

#[test]
fn another_output_deploys_another_bridge() {
    let (_, coin) = source(1_000_000);
    let bridge = bridge(&coin);
    let (_, other) = source(999_999);
    let deployment = Deployment {
        bridge: &bridge,
        params: &world().params,
        roster: &world().roster,
        governance: &world().governance,
        funding: other.clone(),
        fee_rate: FEE_RATE,
    };
    assert_eq!(
        deployment.plan(&world().secp).unwrap_err(),
        DeployError::WrongIdentity(other.outpoint)
    );
}

#[test]
fn administrators_of_a_smaller_share_than_the_rosters_are_refused() {
    let (_, coin) = source(1_000_000);
    let bridge = bridge(&coin);
    let few = &world().governance.administrators()[..3];
    let two_of_three = Governance::new(few.to_vec(), 2).unwrap();
    let deployment = Deployment {
        bridge: &bridge,
        params: &world().params,
        roster: &world().roster,
        governance: &two_of_three,
        funding: coin,
        fee_rate: FEE_RATE,
    };
    let refused = deployment.plan(&world().secp).unwrap_err();
    assert!(matches!(refused, DeployError::Share(_)));
    assert!(refused.to_string().starts_with("governance-share: 2 of 3"));
}

#[test]
fn another_key_does_not_fund_it() {
    let (_, coin) = source(1_000_000);
    let bridge = bridge(&coin);
    let deployment = Deployment {
        bridge: &bridge,
        params: &world().params,
        roster: &world().roster,
        governance: &world().governance,
        funding: coin,
        fee_rate: FEE_RATE,
    };
    let plan = deployment.plan(&world().secp).unwrap();
    let script =
        ScriptBuf::new_op_return(bitcoin::hashes::sha256::Hash::hash(b"spell").as_byte_array());
    assert_eq!(
        deployment.finish(&world().secp, plan, script, &keypair(501)),
        Err(DeployError::WrongKey)
    );
}
