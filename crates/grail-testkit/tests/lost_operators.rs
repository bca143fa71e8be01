//! Operators whose keys are gone for good: while a quorum is left it replaces them; when none is,
//! deposits go back to their users, and the rest is its administrators' after a year.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Transaction, TxOut, absolute::LockTime, key::Keypair,
    secp256k1::Secp256k1, transaction::Version,
};
use common::rotating::{consented, sponsor, until_stage};
use grail_api::{Kind, RotationStage};
use grail_chain::{Chain as _, RejectReason, Verdict, View};
use grail_script::{InternalKey, LAST_RESORT_AGE};
use grail_testkit::{Cluster, ClusterConfig, Node, User, administrator_secret};
use grail_witness::{LastResort, LastResortError};

/// Of sixteen, of whom twelve must agree.
const LOST_AT_THE_EDGE: usize = 4;
const LOST_TOO_MANY: usize = 5;

fn sixteen() -> ClusterConfig {
    ClusterConfig {
        signers: 16,
        threshold: 12,
        ..ClusterConfig::default()
    }
}

#[test]
fn the_last_quorum_that_is_left_replaces_who_is_lost() {
    let mut cluster = Cluster::start(&sixteen());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    // The first signers of the roster, who are not the first operators.
    let lost = cluster.deployment.roster.signers()[..LOST_AT_THE_EDGE].to_vec();
    for key in &lost {
        cluster.operator_of(key).unwrap().kill();
    }
    let added = lost.iter().map(|_| cluster.add_operator().unwrap());
    let added: Vec<_> = added.collect();
    cluster
        .until("the newcomers to be candidates", || {
            let told = cluster.api().rotations()?;
            let told: Vec<_> = told.candidates.iter().map(|it| it.public_key).collect();
            Ok(added.iter().all(|key| told.contains(key)).then_some(()))
        })
        .unwrap();
    let document = consented(&cluster, LOST_AT_THE_EDGE);
    cluster.api().submit_rotation(&document).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    cluster.node.mine(1);
    let told = until_stage(&cluster, RotationStage::Announced);
    let execute = sponsor(&cluster, &payer, Kind::SponsorExecute);
    cluster.node.mine(told.blocks_left.unwrap());
    cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    cluster.node.mine(cluster.params().settlement_confirmations);
    until_stage(&cluster, RotationStage::Executed);

    // As many are there again as there were, so as many more may be lost.
    let basis = cluster.api().rotations().unwrap().basis;
    assert_eq!(basis.roster.epoch().0, 1);
    let signers = basis.roster.signers();
    assert!(added.iter().all(|key| signers.contains(key)));
    assert!(lost.iter().all(|key| !signers.contains(key)));
    for next in &signers[..LOST_AT_THE_EDGE] {
        cluster.operator_of(next).unwrap().kill();
    }
    let (asked, _) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
}

fn nobody() -> ScriptBuf {
    grail_fixtures::script::p2wpkh(2)
}

/// Mines so many blocks to nobody's key: some 16 s for a year of them.
fn age(node: &Node, count: u32) {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for part in 0..=count / BLOCKS_AT_ONCE {
        // A block is a second later than the median of eleven, so many would be hours ahead of the
        // clock, and invalid.
        let now = clock.as_secs() + u64::from(part) * 60 * 60;
        let _: serde_json::Value = node.rpc().call("setmocktime", &[now.into()]).unwrap();
        let left = count - part * BLOCKS_AT_ONCE;
        node.mine_to(left.min(BLOCKS_AT_ONCE), &nobody());
    }
}

const BLOCKS_AT_ONCE: u32 = 10_000;

fn output(node: &Node, outpoint: OutPoint) -> (TxOut, u32) {
    let coin = node.chain().tx_out(&outpoint, View::Confirmed);
    let coin = coin.unwrap().unwrap();
    (coin.output, coin.confirmations)
}

#[test]
fn without_a_quorum_deposits_go_back_and_the_last_resort_is_left() {
    let mut cluster = Cluster::start(&sixteen());
    let alice = User::new("alice");
    let (asked, _) = common::deposit(&cluster, &alice, 150_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let books = common::books(&cluster);

    for operator in cluster.operators.iter_mut().take(LOST_TOO_MANY) {
        operator.kill();
    }
    // Those who are left are asked, and are too few.
    let (late, deposit) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);
    cluster.rows().unwrap().until_state("asked").unwrap();
    cluster.backend.stop().unwrap();
    assert_eq!(cluster.node.chain().mempool_txids().unwrap(), []);
    // In a year everything can happen to them.
    cluster.operators.clear();

    let nft = books.nft;
    let vault = OutPoint::new(nft.txid, 1);
    let node = &cluster.node;
    let (spent, confirmations): (Vec<TxOut>, Vec<u32>) =
        [nft, vault].map(|it| output(node, it)).into_iter().unzip();
    let supply = books.state.supply;
    assert_eq!(spent[1].value.to_sat(), supply);
    let secp = Secp256k1::new();
    let governance = cluster.protocol().governance();
    let roster = &cluster.deployment.roster;
    let resort = LastResort::new(&secp, InternalKey::Nums, roster, governance);
    // Where the administrators have agreed in public that all of it goes. Of the vault nothing
    // goes to the miners: what lay under the NFT pays for the transaction.
    let agreed = User::new("agreed").script();
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![resort.input(nft), resort.input(vault)],
        output: vec![TxOut {
            value: spent[1].value,
            script_pubkey: agreed.clone(),
        }],
    };
    let mut keys = [0, 1, 2, 3]
        .map(|number| Keypair::from_seckey_slice(&secp, &administrator_secret(number)).unwrap());
    keys.sort_by_key(|key| key.x_only_public_key().0.serialize());
    for input in 0..2 {
        let digest = resort.digest(&transaction, &spent, input).unwrap();
        let sign = |key: &Keypair| secp.sign_schnorr_no_aux_rand(&digest, key);
        let mut signatures: BTreeMap<_, _> = keys.iter().map(sign).enumerate().collect();
        let last = signatures.pop_last().unwrap();
        let too_few = LastResortError::TooFew {
            expected: 4,
            got: 3,
        };
        assert_eq!(
            resort.complete(&secp, &mut transaction, &spent, input, &signatures),
            Err(too_few)
        );
        signatures.extend([last]);
        resort
            .complete(&secp, &mut transaction, &spent, input, &signatures)
            .unwrap();
    }

    age(node, u32::from(LAST_RESORT_AGE) - 1 - confirmations[0]);
    let verdict = node.test_accept(&transaction);
    assert!(
        matches!(
            &verdict,
            Verdict::Rejected {
                reason: RejectReason::NonFinal,
                ..
            }
        ),
        "{verdict:?}"
    );
    node.mine_to(1, &nobody());
    let txid = node.send(&transaction);
    // The deposit was its user's long before, without anybody.
    let value = Amount::from_sat(100_000);
    let reclaimed = node.send(&alice.reclaim(&late, deposit, value).unwrap());
    node.mine_to(1, &nobody());
    let (taken, _) = output(node, OutPoint::new(txid, 0));
    assert_eq!(
        (taken.value.to_sat(), taken.script_pubkey),
        (supply, agreed)
    );
    let (back, _) = output(node, OutPoint::new(reclaimed, 0));
    assert_eq!(back.script_pubkey, alice.script());
    for gone in [nft, vault] {
        assert!(
            node.chain()
                .tx_out(&gone, View::Confirmed)
                .unwrap()
                .is_none()
        );
    }
}
