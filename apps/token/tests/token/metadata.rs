//! What the metadata can say.

use grail_app::cbor::Fault;
use grail_token::{Metadata, MetadataError};

use crate::spells::metadata;

fn refused(change: impl FnOnce(&mut Metadata), error: MetadataError) {
    let mut changed = metadata();
    change(&mut changed);
    assert_eq!(Metadata::decode(&changed.encode()), Err(error));
}

#[test]
fn its_bytes_are_these() {
    let bytes = metadata().encode();
    let expected = b"\x85\x01\x70Grail Test Token\x63GTT\x08\x1a\x00\x0f\x42\x40";
    assert_eq!(bytes, expected);
    assert_eq!(Metadata::decode(&bytes), Ok(metadata()));
}

#[test]
fn names_and_tickers_have_limits_and_look_like_nothing_else() {
    let name = MetadataError::Name;
    refused(|it| it.name.clear(), name);
    refused(|it| it.name = "n".repeat(33), name);
    refused(|it| it.name = "Grail ".into(), name);
    refused(|it| it.name = " Grail".into(), name);
    refused(|it| it.name = "Gra\u{0456}l".into(), name);
    refused(|it| it.name = "Gra\nil".into(), name);
    let ticker = MetadataError::Ticker;
    refused(|it| it.ticker.clear(), ticker);
    refused(|it| it.ticker = "T".repeat(9), ticker);
    refused(|it| it.ticker = "gtt".into(), ticker);
    refused(|it| it.ticker = "G T".into(), ticker);
    let longest = Metadata {
        name: "n".repeat(32),
        ticker: "T".repeat(8),
        decimals: 18,
        supply: u64::MAX,
    };
    assert_eq!(Metadata::decode(&longest.encode()), Ok(longest));
}

#[test]
fn decimals_and_supply_have_limits() {
    refused(|it| it.decimals = 19, MetadataError::Decimals);
    refused(|it| it.supply = 0, MetadataError::Supply);
    let mut other = metadata().encode();
    other[1] = 2;
    assert_eq!(Metadata::decode(&other), Err(MetadataError::Format));
    let longer = [metadata().encode(), vec![0]].concat();
    let trailing = MetadataError::Encoding(Fault::Trailing);
    assert_eq!(Metadata::decode(&longer), Err(trailing));
}
