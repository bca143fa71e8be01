//! Homes of zk-apps and addresses of orders.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;

use bitcoin::{Amount, ScriptBuf, Weight, hex::FromHex, secp256k1::Secp256k1};
use grail_fixtures::script::{
    governance, p2wpkh, public, reference, roster, roster_with, terms, user,
};
use grail_script::{DepositTree, HomeTree, InternalKey, VaultTree, nums_key};
use grail_types::{
    Bridge, CharmApp, Network, OrderCoin, OrderTerms, Payload, Roster, Wants, ZkApp,
};

fn app() -> CharmApp {
    CharmApp {
        tag: 'p',
        identity: [5; 32],
        vk: [6; 32],
    }
}

fn bridge() -> Bridge {
    Bridge {
        network: terms().network,
        app: terms().bridge,
    }
}

fn home(app: CharmApp, bridge: &Bridge, roster: &Roster) -> HomeTree {
    let app = ZkApp::try_from(app).unwrap();
    HomeTree::new(&Secp256k1::new(), InternalKey::Nums, &app, bridge, roster)
}

fn order() -> OrderTerms {
    let pegged = terms();
    OrderTerms {
        bridge: bridge(),
        app: app().try_into().unwrap(),
        destination: p2wpkh(3).try_into().unwrap(),
        coin: OrderCoin::Keep,
        wants: Wants::default(),
        fee_cap: Amount::from_sat(5_000),
        epoch: pegged.epoch,
        reclaim_key: public(&user()),
        reclaim_delay: 144,
        authored: false,
        payload: Payload::try_from(vec![1]).unwrap(),
        nonce: pegged.nonce,
    }
}

fn order_tree(terms: &OrderTerms, roster: &Roster) -> DepositTree {
    DepositTree::of_order(&Secp256k1::new(), InternalKey::Nums, terms, roster)
}

#[test]
fn app_bridge_and_roster_each_change_the_home() {
    let (_, sixteen) = roster();
    let (_, seventeen) = roster_with(0, 17, 12);
    let (_, lower) = roster_with(0, 16, 11);
    let base = (app(), bridge(), &sixteen);
    let mut scripts = BTreeSet::new();
    let mut add = |(app, bridge, roster): (CharmApp, Bridge, &Roster)| {
        scripts.insert(home(app, &bridge, roster).script_pubkey);
    };
    add(base);
    add((CharmApp { tag: 'q', ..base.0 }, base.1, base.2));
    add((
        CharmApp {
            vk: [7; 32],
            ..base.0
        },
        base.1,
        base.2,
    ));
    add((
        CharmApp {
            identity: [7; 32],
            ..base.0
        },
        base.1,
        base.2,
    ));
    add((
        base.0,
        Bridge {
            network: Network::Signet,
            ..base.1
        },
        base.2,
    ));
    add((base.0, base.1, &seventeen));
    add((base.0, base.1, &lower));
    assert_eq!(scripts.len(), 7);
}

#[test]
fn a_home_is_the_one_leaf_that_the_bips_say() {
    let (_, roster) = roster();
    let tree = home(app(), &bridge(), &roster);
    let leaf = tree.leaf.script();
    let commitment = ZkApp::try_from(app()).unwrap().home(&bridge());
    assert_eq!(leaf.as_bytes()[0], 0x20);
    assert_eq!(leaf.as_bytes()[1..33], commitment.0);
    assert_eq!(leaf.as_bytes()[33], bitcoin::opcodes::all::OP_DROP.to_u8());
    assert_eq!(
        leaf.as_bytes()[34..],
        *grail_script::quorum_leaf(&roster).as_bytes()
    );
    let root = reference::leaf_hash(0xc0, leaf);
    let (key, _) = reference::output_key(&nums_key().serialize(), Some(root)).unwrap();
    assert_eq!(tree.script_pubkey, reference::p2tr(&key));
    assert!(tree.key.is_none());
}

#[test]
fn an_input_at_home_weighs_what_the_design_reckons() {
    let (_, roster) = roster();
    let tree = home(app(), &bridge(), &roster);
    assert_eq!(tree.leaf.script().len(), 580);
    assert_eq!(tree.leaf.control_block().size(), 33);
    // An input's 41 bytes that are no witness count four times: 391.5 vB in all.
    let input = Weight::from_non_witness_data_size(41) + tree.leaf.witness_weight();
    assert_eq!(input.to_wu(), 1_566);
}

#[test]
fn an_order_a_peg_a_home_and_the_vault_never_share_an_address() {
    let secp = Secp256k1::new();
    let (_, roster) = roster();
    let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
    let peg = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster);
    let scripts = BTreeSet::from([
        vault.script_pubkey,
        peg.script_pubkey,
        order_tree(&order(), &roster).script_pubkey,
        home(app(), &bridge(), &roster).script_pubkey,
    ]);
    assert_eq!(scripts.len(), 4);
}

#[test]
fn an_orders_tree_is_a_deposits() {
    let (_, roster) = roster();
    let tree = order_tree(&order(), &roster);
    assert_eq!(tree.request, order().id());
    let named = grail_script::deposit_request(tree.leaf.script(), &roster);
    assert_eq!(named, Some(order().id()));
    let mut other = order();
    other.reclaim_delay += 1;
    let other = order_tree(&other, &roster);
    assert_ne!(tree.script_pubkey, other.script_pubkey);
    assert_ne!(tree.reclaim.script(), other.reclaim.script());
}

#[test]
fn homes_and_orders_addresses_are_stable() {
    // Snapshots: a change of these values strands what lies there.
    let (_, roster) = roster();
    let script = |hex: &str| ScriptBuf::from_bytes(Vec::from_hex(hex).unwrap());
    let home = home(app(), &bridge(), &roster).script_pubkey;
    assert_eq!(
        home,
        script("5120d3a1ad077d9c533ff18fab37bfcca5eb8e5e9fb2634a0599816e633f4a1bfc6a")
    );
    assert_eq!(
        order_tree(&order(), &roster).script_pubkey,
        script("51205eb6aa990417e23d2b6472ac113d016bf51fd32b29498227904684c83dc21a1a")
    );
}
