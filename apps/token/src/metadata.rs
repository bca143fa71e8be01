//! What a token is: the charm of tag `m`.

use std::fmt;

use grail_app::cbor::{Fault, Reader, Writer};

/// First item of the charm.
pub const METADATA_FORMAT: u64 = 1;
/// Longest name.
pub const NAME_BYTES_MAX: usize = 32;
/// Longest ticker.
pub const TICKER_BYTES_MAX: usize = 8;
/// Most decimals: 64 bits have 19 digits.
pub const DECIMALS_MAX: u8 = 18;

/// `[1, name, ticker, decimals, supply]`. Fixed at birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// 1 to 32 printable ASCII characters, no space at either end: what looks alike is alike.
    pub name: String,
    /// 1 to 8 of `A-Z0-9`.
    pub ticker: String,
    /// Units are shown with so many decimals.
    pub decimals: u8,
    /// Units in existence, for ever.
    pub supply: u64,
}

/// Why a charm is no metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// The bytes are not the encoding of such.
    Encoding(Fault),
    /// Another format.
    Format,
    /// The name.
    Name,
    /// The ticker.
    Ticker,
    /// The decimals.
    Decimals,
    /// A supply of nothing.
    Supply,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(fault) => fault.fmt(f),
            Self::Format => write!(f, "expected format {METADATA_FORMAT}"),
            Self::Name => write!(
                f,
                "expected a name of 1 to {NAME_BYTES_MAX} printable characters"
            ),
            Self::Ticker => write!(
                f,
                "expected a ticker of 1 to {TICKER_BYTES_MAX} of A-Z and 0-9"
            ),
            Self::Decimals => write!(f, "expected at most {DECIMALS_MAX} decimals"),
            Self::Supply => f.write_str("expected a supply of at least one unit"),
        }
    }
}

impl std::error::Error for MetadataError {}

impl From<Fault> for MetadataError {
    fn from(fault: Fault) -> Self {
        Self::Encoding(fault)
    }
}

impl Metadata {
    /// The charm, as CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(5);
        writer.uint(METADATA_FORMAT);
        writer.text(&self.name);
        writer.text(&self.ticker);
        writer.uint(self.decimals);
        writer.uint(self.supply);
        writer.finish()
    }

    /// Reads what [`Self::encode`] writes, within the limits, and nothing else.
    pub fn decode(charm: &[u8]) -> Result<Self, MetadataError> {
        let mut reader = Reader::new(charm);
        reader.array_of(5)?;
        if reader.uint::<u64>()? != METADATA_FORMAT {
            return Err(MetadataError::Format);
        }
        let is_name = |byte: &u8| matches!(byte, b' '..=b'~');
        let name = ascii(reader.text()?, NAME_BYTES_MAX, is_name).ok_or(MetadataError::Name)?;
        if name.trim() != name {
            return Err(MetadataError::Name);
        }
        let is_ticker = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9');
        let ticker =
            ascii(reader.text()?, TICKER_BYTES_MAX, is_ticker).ok_or(MetadataError::Ticker)?;
        let decimals = reader.uint()?;
        if decimals > DECIMALS_MAX {
            return Err(MetadataError::Decimals);
        }
        let supply = reader.uint()?;
        if supply == 0 {
            return Err(MetadataError::Supply);
        }
        reader.end()?;
        Ok(Self {
            name,
            ticker,
            decimals,
            supply,
        })
    }
}

/// A text of 1 to `most` bytes, each of which is allowed.
fn ascii(text: &[u8], most: usize, is_allowed: impl Fn(&u8) -> bool) -> Option<String> {
    let fits = (1..=most).contains(&text.len()) && text.iter().all(is_allowed);
    fits.then(|| String::from_utf8(text.to_vec()).ok())?
}
