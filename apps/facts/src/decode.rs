//! Bytes to facts: only the canonical encoding, only within the limits.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    AppId, Asset, Coin, Destination, FACTS_BYTES_MAX, FORMAT, Facts, LOCK_HEIGHT_LIMIT, ORDERS_MAX,
    Order, PAYLOAD_MAX, PRICES_MAX, Price, WANTS_MAX, Want,
    cbor::{Fault, Reader},
};

/// Why bytes are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactsError {
    /// They are not canonical CBOR of the layout.
    Encoding(Fault),
    /// Another format.
    Format,
    /// More bytes, orders, prices, wants or payload than the limits allow.
    TooMany,
    /// The home is not P2TR.
    Home,
    /// The lock time is no height.
    LockHeight,
    /// No cell of the app is among the inputs.
    NoCell,
    /// The destination is of no standard type.
    Destination,
    /// A tag is no character.
    Tag,
    /// Wants are not in strictly ascending order.
    WantsOrder,
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(fault) => fault.fmt(f),
            Self::Format => write!(f, "expected facts of format {FORMAT}"),
            Self::TooMany => f.write_str("facts beyond their limits"),
            Self::Home => f.write_str("expected a P2TR script as home"),
            Self::LockHeight => f.write_str("expected a height as lock time"),
            Self::NoCell => f.write_str("expected at least the main cell among the inputs"),
            Self::Destination => f.write_str("expected a standard script as destination"),
            Self::Tag => f.write_str("expected a character as tag"),
            Self::WantsOrder => f.write_str("expected each want once, in ascending order"),
        }
    }
}

impl core::error::Error for FactsError {}

impl From<Fault> for FactsError {
    fn from(fault: Fault) -> Self {
        Self::Encoding(fault)
    }
}

impl Facts {
    /// Reads what [`Facts::encode`] writes, and nothing else.
    pub fn decode(encoded: &[u8]) -> Result<Self, FactsError> {
        if encoded.len() > FACTS_BYTES_MAX {
            return Err(FactsError::TooMany);
        }
        let mut reader = Reader::new(encoded);
        reader.array_of(7)?;
        if reader.uint::<u64>()? != FORMAT {
            return Err(FactsError::Format);
        }
        let home = reader.optional(Reader::fixed::<34>)?;
        if home.is_some_and(|script| !script.starts_with(&[0x51, 0x20])) {
            return Err(FactsError::Home);
        }
        let lock_height = reader.uint()?;
        if lock_height >= LOCK_HEIGHT_LIMIT {
            return Err(FactsError::LockHeight);
        }
        let age = reader.uint()?;
        let cells_in = reader.uint()?;
        if cells_in == 0 {
            return Err(FactsError::NoCell);
        }
        let prices = list(&mut reader, PRICES_MAX, read_price)?;
        let orders = list(&mut reader, ORDERS_MAX, read_order)?;
        reader.end()?;
        Ok(Self {
            home,
            lock_height,
            age,
            cells_in,
            prices,
            orders,
        })
    }
}

/// An array of at most `most` items: the length is believed only within the limit.
fn list<T>(
    reader: &mut Reader<'_>,
    most: usize,
    read: fn(&mut Reader<'_>) -> Result<T, FactsError>,
) -> Result<Vec<T>, FactsError> {
    let length = usize::try_from(reader.array()?).map_err(|_| FactsError::TooMany)?;
    if length > most {
        return Err(FactsError::TooMany);
    }
    (0..length).map(|_| read(reader)).collect()
}

fn read_price(reader: &mut Reader<'_>) -> Result<Price, FactsError> {
    reader.array_of(4)?;
    Ok(Price {
        pair: reader.fixed()?,
        feeds: reader.fixed()?,
        price: reader.uint()?,
        height: reader.uint()?,
    })
}

fn read_order(reader: &mut Reader<'_>) -> Result<Order, FactsError> {
    reader.array_of(8)?;
    let outpoint = reader.fixed()?;
    let id = reader.fixed()?;
    let script = reader.bytes()?;
    let destination = Destination::try_from(script).map_err(|_| FactsError::Destination)?;
    let coin = match reader.optional(Reader::uint)? {
        None => Coin::Keep,
        Some(keep) => Coin::Offer { keep },
    };
    let fee_share = reader.uint()?;
    let author = reader.optional(Reader::fixed)?;
    let wants = list(reader, WANTS_MAX, read_want)?;
    let ascends = |pair: &[Want]| matches!(pair, [one, next] if one.asset < next.asset);
    if !wants.windows(2).all(ascends) {
        return Err(FactsError::WantsOrder);
    }
    let payload = reader.bytes()?;
    if payload.len() > PAYLOAD_MAX {
        return Err(FactsError::TooMany);
    }
    Ok(Order {
        outpoint,
        id,
        destination,
        coin,
        fee_share,
        author,
        wants,
        payload: payload.to_vec(),
    })
}

fn read_want(reader: &mut Reader<'_>) -> Result<Want, FactsError> {
    reader.array_of(2)?;
    let asset = if reader.null() {
        Asset::Btc
    } else {
        reader.array_of(3)?;
        let tag = char::from_u32(reader.uint()?).ok_or(FactsError::Tag)?;
        Asset::Charm(AppId {
            tag,
            identity: reader.fixed()?,
            vk: reader.fixed()?,
        })
    };
    Ok(Want {
        asset,
        amount: reader.uint()?,
    })
}
