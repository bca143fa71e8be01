//! Clearings of a zk-app.

use bitcoin::Amount;
use grail_types::{Asset, BoundedVec, CharmApp, OrderCoin, Payload, Want, Wants};
use grail_wire::{
    Action, AuthorSignature, ClearingRequest, PlacedOrder, Proposal, ShownRoster, decode_proposal,
    encode_proposal,
};

use super::{key, signature, succession, terms};

/// A clearing of two orders, of every form that an order has.
pub fn proposal() -> Proposal {
    let charm = |tag| CharmApp {
        tag,
        identity: [12; 32],
        vk: [13; 32],
    };
    let wants = |assets: &[Asset]| {
        let wants = assets.iter().map(|&asset| Want { asset, amount: 7 });
        Wants::try_from(BoundedVec::new(wants.collect()).unwrap()).unwrap()
    };
    let order = |coin, wants, author| PlacedOrder {
        destination: terms(1).destination,
        coin,
        wants,
        fee_cap: Amount::from_sat(5_000),
        reclaim_key: key(),
        reclaim_delay: 144,
        payload: Payload::try_from(b"swap".to_vec()).unwrap(),
        nonce: [4; 16],
        author,
        fee_share: Amount::from_sat(3_000),
    };
    let keep = Amount::from_sat(1_000);
    let orders = vec![
        order(OrderCoin::Keep, wants(&[]), None),
        order(
            OrderCoin::Offer { keep },
            wants(&[Asset::Btc, Asset::Charm(charm('f'))]),
            Some(AuthorSignature(signature())),
        ),
    ];
    Proposal {
        action: Action::Clearing(Box::new(ClearingRequest {
            app: charm('p').try_into().unwrap(),
            roster: ShownRoster(succession().roster),
            orders: BoundedVec::new(orders).unwrap(),
        })),
        ..super::proposal()
    }
}

#[test]
fn a_clearing_reads_back() {
    let bytes = encode_proposal(&proposal()).unwrap();
    assert_eq!(decode_proposal(&bytes), Ok(proposal()));
}

#[test]
fn an_app_under_a_reserved_tag_is_no_clearing() {
    let bytes = encode_proposal(&proposal()).unwrap();
    // The text of one letter after the field's name: the app comes before the orders' wants.
    let at = bytes.windows(5).position(|it| it == b"tag\x61p").unwrap() + 4;
    for (tag, is_app) in [(b'q', true), (b't', false), (b'r', false), (b'P', false)] {
        let mut other = bytes.clone();
        other[at] = tag;
        assert_eq!(decode_proposal(&other).is_ok(), is_app, "{tag}");
    }
}
