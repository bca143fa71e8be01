//! Facts: one encoding each, every field under the hash, limits on everything.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use grail_app_facts::{
    AppId, Asset, Coin, Destination, FACTS_BYTES_MAX, Facts, FactsError, ORDERS_MAX, Order,
    PAYLOAD_MAX, PRICES_MAX, Price, WANTS_MAX, Want, cbor::Fault, hash, public_input,
};
use proptest::prelude::*;

fn destination(seed: u8) -> Destination {
    let script = [&[0x51, 0x20][..], &[seed; 32]].concat();
    Destination::try_from(script.as_slice()).unwrap()
}

fn app(seed: u8) -> AppId {
    AppId {
        tag: 'f',
        identity: [seed; 32],
        vk: [0xfe; 32],
    }
}

fn order(seed: u8) -> Order {
    Order {
        outpoint: [seed; 36],
        id: [seed ^ 0xff; 32],
        destination: destination(seed),
        coin: Coin::Offer { keep: 1_330 },
        fee_share: 700,
        author: Some([seed ^ 0x0f; 32]),
        wants: vec![
            Want {
                asset: Asset::Btc,
                amount: 5,
            },
            Want {
                asset: Asset::Charm(app(9)),
                amount: 70_000,
            },
        ],
        payload: vec![0x82, 1, seed],
    }
}

fn facts() -> Facts {
    let mut home = [7; 34];
    home[..2].copy_from_slice(&[0x51, 0x20]);
    Facts {
        home: Some(home),
        lock_height: 840_000,
        age: 3,
        cells_in: 2,
        prices: vec![Price {
            pair: [1; 32],
            feeds: [2; 32],
            price: 1 << 40,
            height: 839_999,
        }],
        orders: vec![order(1), order(2)],
    }
}

fn plain() -> Facts {
    Facts {
        home: None,
        lock_height: 0,
        age: 0,
        cells_in: 1,
        prices: vec![],
        orders: vec![],
    }
}

/// One vector a line: name, bytes, hash.
const VECTORS: &str = include_str!("vectors.txt");

#[test]
fn the_bytes_and_hashes_are_those_of_the_vectors() {
    let mut keep = order(3);
    keep.coin = Coin::Keep;
    keep.author = None;
    keep.wants.clear();
    keep.payload.clear();
    let cases = [
        ("empty", plain()),
        ("full", facts()),
        (
            "keep",
            Facts {
                orders: vec![keep],
                ..plain()
            },
        ),
    ];
    let mut lines = VECTORS.lines();
    for (name, facts) in cases {
        let line = format!(
            "{name} {} {}",
            hex::encode(facts.encode()),
            hex::encode(facts.hash())
        );
        assert_eq!(lines.next(), Some(line.as_str()));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn the_hash_is_tagged_as_bip_340_says() {
    // SHA-256 of the tag twice, then the bytes: taken from the definition, not from the code.
    use sha2::{Digest, Sha256};
    let tag = Sha256::digest(b"grail/facts/v1");
    let bytes = [tag.as_slice(), tag.as_slice(), b"abc"].concat();
    assert_eq!(hash(b"abc"), <[u8; 32]>::from(Sha256::digest(bytes)));
}

#[test]
fn the_public_input_is_the_format_and_the_hash() {
    let input = public_input(&[5; 32]);
    assert_eq!(input, [&[0x82, 0x01, 0x58, 0x20][..], &[5; 32]].concat());
}

/// Facts with one field changed, each field of the format once or more.
fn changed() -> Vec<(&'static str, Facts)> {
    type Change = fn(&mut Facts);
    let changes: Vec<(&'static str, Change)> = vec![
        ("no home", |it| it.home = None),
        ("another home", |it| it.home.as_mut().unwrap()[33] ^= 1),
        ("lock height", |it| it.lock_height += 1),
        ("age", |it| it.age += 1),
        ("cells in", |it| it.cells_in += 1),
        ("no price", |it| it.prices.clear()),
        ("pair", |it| it.prices[0].pair[0] ^= 1),
        ("feeds", |it| it.prices[0].feeds[0] ^= 1),
        ("price", |it| it.prices[0].price += 1),
        ("price's height", |it| it.prices[0].height += 1),
        ("one order less", |it| it.orders.truncate(1)),
        ("orders swapped", |it| it.orders.swap(0, 1)),
        ("outpoint", |it| it.orders[0].outpoint[35] ^= 1),
        ("id", |it| it.orders[0].id[0] ^= 1),
        ("destination", |it| {
            it.orders[0].destination = destination(8);
        }),
        ("keep", |it| it.orders[0].coin = Coin::Offer { keep: 1_331 }),
        ("coin", |it| it.orders[0].coin = Coin::Keep),
        ("fee share", |it| it.orders[0].fee_share += 1),
        ("no author", |it| it.orders[0].author = None),
        ("author", |it| it.orders[0].author = Some([0; 32])),
        ("no want", |it| it.orders[0].wants.clear()),
        ("want's amount", |it| it.orders[0].wants[1].amount += 1),
        ("want's asset", |it| {
            it.orders[0].wants[1].asset = Asset::Charm(app(10));
        }),
        ("want's tag", |it| {
            it.orders[0].wants[1].asset = Asset::Charm(app(9).with_tag('g'));
        }),
        ("payload", |it| it.orders[0].payload.push(0)),
    ];
    changes
        .into_iter()
        .map(|(name, change)| {
            let mut facts = facts();
            change(&mut facts);
            (name, facts)
        })
        .collect()
}

#[test]
fn every_field_is_read_back_and_is_under_the_hash() {
    let mut hashes = vec![facts().hash(), plain().hash()];
    for (name, facts) in changed() {
        assert_eq!(Facts::decode(&facts.encode()), Ok(facts.clone()), "{name}");
        assert!(!hashes.contains(&facts.hash()), "{name}");
        hashes.push(facts.hash());
    }
}

#[test]
fn what_is_decoded_encodes_to_the_same_bytes_whatever_byte_is_flipped() {
    let honest = facts().encode();
    for index in 0..honest.len() {
        for bit in 0..8 {
            let mut bytes = honest.clone();
            bytes[index] ^= 1 << bit;
            if let Ok(other) = Facts::decode(&bytes) {
                assert_eq!(other.encode(), bytes);
                assert_ne!(other, facts());
            }
        }
    }
}

#[test]
fn refuses_bytes_that_are_cut_or_followed_by_others() {
    let honest = facts().encode();
    for length in 0..honest.len() {
        assert!(Facts::decode(&honest[..length]).is_err());
    }
    let longer = [&honest[..], &[0]].concat();
    let trailing = FactsError::Encoding(Fault::Trailing);
    assert_eq!(Facts::decode(&longer), Err(trailing));
}

fn refused(change: impl FnOnce(&mut Facts), error: FactsError) {
    let mut facts = facts();
    change(&mut facts);
    assert_eq!(Facts::decode(&facts.encode()), Err(error));
}

#[test]
fn the_limits_hold_and_one_more_is_refused() {
    let mut most = facts();
    most.prices.truncate(PRICES_MAX);
    most.orders = vec![order(1); ORDERS_MAX];
    for order in &mut most.orders {
        order.payload = vec![0; PAYLOAD_MAX];
        order.wants = (0..4)
            .map(|seed| Want {
                asset: Asset::Charm(AppId {
                    tag: '\u{10ffff}',
                    ..app(seed)
                }),
                amount: u64::MAX,
            })
            .collect();
        order.coin = Coin::Offer { keep: u64::MAX };
        order.fee_share = u64::MAX;
        assert_eq!(order.wants.len(), WANTS_MAX);
    }
    most.lock_height = 499_999_999;
    most.age = u16::MAX;
    most.cells_in = u16::MAX;
    let encoded = most.encode();
    assert!(encoded.len() <= FACTS_BYTES_MAX, "{}", encoded.len());
    assert_eq!(Facts::decode(&encoded), Ok(most.clone()));

    let too_many = FactsError::TooMany;
    refused(|it| it.orders = vec![order(1); ORDERS_MAX + 1], too_many);
    refused(|it| it.prices.push(it.prices[0].clone()), too_many);
    refused(
        |it| it.orders[0].payload = vec![0; PAYLOAD_MAX + 1],
        too_many,
    );
    refused(
        |it| it.orders[0].wants = vec![it.orders[0].wants[0].clone(); 5],
        too_many,
    );
    refused(|it| it.lock_height = 500_000_000, FactsError::LockHeight);
    refused(|it| it.cells_in = 0, FactsError::NoCell);
    assert_eq!(Facts::decode(&vec![0; FACTS_BYTES_MAX + 1]), Err(too_many));
}

#[test]
fn refuses_a_home_that_is_not_taproot_and_wants_out_of_order() {
    refused(|it| it.home.as_mut().unwrap()[0] = 0, FactsError::Home);
    refused(|it| it.orders[1].wants.swap(0, 1), FactsError::WantsOrder);
    let double = |it: &mut Facts| it.orders[1].wants[1] = it.orders[1].wants[0].clone();
    refused(double, FactsError::WantsOrder);
}

#[test]
fn refuses_another_format_tags_that_are_none_and_long_heads() {
    let honest = plain().encode();
    assert_eq!(honest[..3], [0x87, 0x01, 0xf6]);
    let mut other = honest.clone();
    other[1] = 2;
    assert_eq!(Facts::decode(&other), Err(FactsError::Format));
    let long = [&[0x87, 0x18, 0x01], &honest[2..]].concat();
    assert_eq!(Facts::decode(&long), Err(FactsError::Encoding(Fault::Head)));
    let mut tagged = facts();
    tagged.orders[0].wants[1].asset = Asset::Charm(app(9).with_tag('\u{d7ff}'));
    let encoded = tagged.encode();
    let at = encoded
        .windows(3)
        .position(|window| window == [0x19, 0xd7, 0xff])
        .unwrap();
    let mut surrogate = encoded.clone();
    surrogate[at + 1] = 0xd8;
    assert_eq!(Facts::decode(&surrogate), Err(FactsError::Tag));
}

#[test]
fn destinations_are_of_the_five_standard_types() {
    let standard: [Vec<u8>; 5] = [
        [&[0x76, 0xa9, 0x14][..], &[1; 20], &[0x88, 0xac]].concat(),
        [&[0xa9, 0x14][..], &[1; 20], &[0x87]].concat(),
        [&[0x00, 0x14][..], &[1; 20]].concat(),
        [&[0x00, 0x20][..], &[1; 32]].concat(),
        [&[0x51, 0x20][..], &[1; 32]].concat(),
    ];
    for script in &standard {
        let destination = Destination::try_from(script.as_slice());
        assert_eq!(destination.unwrap().script(), script);
        assert!(Destination::try_from(&script[1..]).is_err());
        assert!(Destination::try_from([&script[..], &[0]].concat().as_slice()).is_err());
        let mut other = script.clone();
        other[0] ^= 0x40;
        assert!(Destination::try_from(other.as_slice()).is_err());
    }
    for script in [&[][..], &[0x6a], &[0x51, 0x14], &[0x52, 0x20]] {
        assert!(Destination::try_from(script).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_it_reads_it_writes(bytes: Vec<u8>) {
        if let Ok(facts) = Facts::decode(&bytes) {
            prop_assert_eq!(facts.encode(), bytes);
        }
    }
}
