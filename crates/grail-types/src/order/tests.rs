#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use bitcoin::{
    ScriptBuf, Txid, WPubkeyHash,
    hashes::Hash,
    secp256k1::{Keypair, Secp256k1},
};

use super::*;
use crate::{BridgeApp, Network};

fn key(byte: u8) -> XOnlyPublicKey {
    let pair = Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap();
    pair.x_only_public_key().0
}

fn charm(byte: u8) -> CharmApp {
    CharmApp {
        tag: 'f',
        identity: [byte; 32],
        vk: [2; 32],
    }
}

fn pay_to(byte: u8) -> Destination {
    let hash = WPubkeyHash::from_byte_array([byte; 20]);
    ScriptBuf::new_p2wpkh(&hash).try_into().unwrap()
}

fn wants(wants: &[(Asset, u64)]) -> Result<Wants, WantsError> {
    let wants = wants.iter().map(|&(asset, amount)| Want { asset, amount });
    Wants::try_from(BoundedVec::new(wants.collect()).unwrap())
}

fn terms() -> OrderTerms {
    OrderTerms {
        bridge: Bridge {
            network: Network::Regtest,
            app: BridgeApp {
                identity: [1; 32],
                vk: [2; 32],
            },
        },
        app: CharmApp {
            tag: 'p',
            ..charm(9)
        }
        .try_into()
        .unwrap(),
        destination: pay_to(0),
        coin: OrderCoin::Offer {
            keep: Amount::from_sat(1_000),
        },
        wants: wants(&[(Asset::Btc, 5), (Asset::Charm(charm(3)), 7)]).unwrap(),
        fee_cap: Amount::from_sat(5_000),
        epoch: Epoch(0),
        reclaim_key: key(7),
        reclaim_delay: 144,
        authored: false,
        payload: Payload::try_from(vec![1, 2, 3]).unwrap(),
        nonce: [3; 16],
    }
}

#[test]
fn every_field_changes_the_orders_name() {
    let changes: [fn(&mut OrderTerms); 21] = [
        |t| t.bridge.network = Network::Signet,
        |t| t.bridge.app.identity[0] ^= 1,
        |t| t.bridge.app.vk[0] ^= 1,
        |t| {
            t.app = CharmApp {
                tag: 'q',
                ..charm(9)
            }
            .try_into()
            .unwrap();
        },
        |t| {
            t.app = CharmApp {
                tag: 'p',
                ..charm(8)
            }
            .try_into()
            .unwrap();
        },
        |t| t.destination = pay_to(1),
        |t| t.coin = OrderCoin::Keep,
        |t| {
            t.coin = OrderCoin::Offer {
                keep: Amount::from_sat(1_001),
            }
        },
        |t| t.wants = Wants::default(),
        |t| t.wants = wants(&[(Asset::Btc, 5)]).unwrap(),
        |t| t.wants = wants(&[(Asset::Btc, 5), (Asset::Charm(charm(3)), 8)]).unwrap(),
        |t| t.wants = wants(&[(Asset::Btc, 6), (Asset::Charm(charm(3)), 7)]).unwrap(),
        |t| t.wants = wants(&[(Asset::Btc, 5), (Asset::Charm(charm(4)), 7)]).unwrap(),
        |t| t.fee_cap += Amount::ONE_SAT,
        |t| t.epoch.0 += 1,
        |t| t.reclaim_key = key(8),
        |t| t.reclaim_delay += 1,
        |t| t.authored = true,
        |t| t.payload = Payload::try_from(vec![1, 2]).unwrap(),
        |t| t.payload = Payload::try_from(vec![1, 2, 4]).unwrap(),
        |t| t.nonce[0] ^= 1,
    ];
    let base = terms();
    let mut ids = BTreeSet::from([base.id()]);
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        ids.insert(other.id());
    }
    assert_eq!(ids.len(), changes.len() + 1);
}

#[test]
fn the_orders_name_is_stable() {
    // A snapshot: a change of this value strands every open order.
    assert_eq!(
        terms().id().to_string(),
        "e129a7cdfae1a79a0d772d73de92c1f8f339c69e76934dcc76c4d895d9636ade"
    );
}

#[test]
fn wants_have_one_form() {
    let token = Asset::Charm(charm(3));
    assert_eq!(wants(&[(token, 7), (Asset::Btc, 5)]), Err(WantsError));
    assert_eq!(wants(&[(token, 7), (token, 8)]), Err(WantsError));
    assert!(wants(&[(token, 0)]).unwrap().names(&token));
    let asked = wants(&[(Asset::Btc, 5), (token, 7)]).unwrap();
    assert_eq!((asked.of(&Asset::Btc), asked.of(&token)), (5, 7));
    let other = Asset::Charm(charm(4));
    assert_eq!((asked.of(&other), asked.names(&other)), (0, false));
}

#[test]
fn wants_from_outside_have_one_form_too() {
    let mut json = serde_json::to_value(terms()).unwrap();
    assert_eq!(
        serde_json::from_value::<OrderTerms>(json.clone()).unwrap(),
        terms()
    );
    json["wants"].as_array_mut().unwrap().reverse();
    assert!(serde_json::from_value::<OrderTerms>(json.clone()).is_err());
    json["wants"] = serde_json::Value::Array(Vec::new());
    json["extra"] = 1.into();
    assert!(serde_json::from_value::<OrderTerms>(json).is_err());
}

#[test]
fn no_more_is_kept_than_there_is() {
    let offer = OrderCoin::Offer {
        keep: Amount::from_sat(1_000),
    };
    let sat = Amount::from_sat;
    assert_eq!(offer.kept(sat(1_000)), Some(sat(1_000)));
    assert_eq!(offer.kept(sat(999)), None);
    assert_eq!(OrderCoin::Keep.kept(sat(999)), Some(sat(999)));
}

#[test]
fn an_author_signs_one_coin_of_one_order() {
    let coin = |vout| OutPoint::new(Txid::all_zeros(), vout);
    let digests = [
        author_digest(RequestId([1; 32]), coin(0)),
        author_digest(RequestId([1; 32]), coin(1)),
        author_digest(RequestId([2; 32]), coin(0)),
    ];
    let distinct: BTreeSet<_> = digests.iter().map(|digest| *digest.as_ref()).collect();
    assert_eq!(distinct.len(), 3);
}

#[test]
fn a_payload_is_bounded_and_reads_as_hex() {
    let longest = Payload::try_from(vec![7; PAYLOAD_MAX_BYTES]).unwrap();
    assert!(Payload::try_from(vec![7; PAYLOAD_MAX_BYTES + 1]).is_err());
    let json = serde_json::to_string(&longest).unwrap();
    assert_eq!(json.len(), 2 * PAYLOAD_MAX_BYTES + 2);
    assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), longest);
    let longer = format!("\"{}\"", "07".repeat(PAYLOAD_MAX_BYTES + 1));
    assert!(serde_json::from_str::<Payload>(&longer).is_err());
    assert!(serde_json::from_str::<Payload>("\"0\"").is_err());
}
