//! The part of CBOR (RFC 8949) that attestation documents need.
//!
//! Owns a reader that takes one encoding of each value: shortest heads, definite lengths, no tags,
//! no floats, nothing left over. It never recurses and never allocates: the caller knows the shape
//! and asks for it item by item, so nesting that the caller does not ask for cannot occur.

use thiserror::Error;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const NULL: u8 = 0xf6;
const INDEFINITE_MAP: u8 = 0xbf;
const BREAK: u8 = 0xff;

/// Why bytes are not the CBOR that was expected.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CborError {
    /// The input ends inside an item.
    #[error("cbor ends inside an item")]
    Truncated,
    /// Bytes follow the last item.
    #[error("{count} bytes follow the cbor item")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A length or number is not in its shortest form.
    #[error("cbor number {value} is not in its shortest form")]
    NotShortest {
        /// The number.
        value: u64,
    },
    /// An indefinite length, where none is allowed, or a reserved head.
    #[error("cbor head {initial:#04x} has an indefinite or reserved length")]
    NotDefinite {
        /// The first byte of the item.
        initial: u8,
    },
    /// Another type than expected.
    #[error("expected cbor {expected}, got an item that starts with {initial:#04x}")]
    Type {
        /// The expected type.
        expected: &'static str,
        /// The first byte of the item.
        initial: u8,
    },
    /// A text string that is not UTF-8.
    #[error("cbor text is not utf-8")]
    NotUtf8,
}

/// How many entries a map says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapLength {
    Definite(u64),
    UntilBreak,
}

/// Reads CBOR items from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn finish(self) -> Result<(), CborError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(CborError::Trailing { count }),
        }
    }

    pub(crate) fn peek(&self) -> Result<u8, CborError> {
        self.rest.first().copied().ok_or(CborError::Truncated)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, CborError> {
        self.head(UNSIGNED, "unsigned integer")
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.head(BYTES, "byte string")?;
        self.take(length)
    }

    pub(crate) fn bytes_or_null(&mut self) -> Result<Option<&'a [u8]>, CborError> {
        if self.peek()? == NULL {
            self.take(1)?;
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CborError> {
        let length = self.head(TEXT, "text string")?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::NotUtf8)
    }

    pub(crate) fn array(&mut self) -> Result<u64, CborError> {
        self.head(ARRAY, "array")
    }

    pub(crate) fn map(&mut self) -> Result<u64, CborError> {
        self.head(MAP, "map")
    }

    /// The one place where AWS itself is indefinite: since September 2025 some hosts open the
    /// document's outer map with `bf` and end it with a break.
    pub(crate) fn map_definite_or_not(&mut self) -> Result<MapLength, CborError> {
        if self.peek()? == INDEFINITE_MAP {
            self.take(1)?;
            return Ok(MapLength::UntilBreak);
        }
        self.map().map(MapLength::Definite)
    }

    /// Takes a break, if one is next.
    pub(crate) fn at_break(&mut self) -> Result<bool, CborError> {
        if self.peek()? == BREAK {
            self.take(1)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, CborError> {
        let initial = self.peek()?;
        if initial >> 5 != major {
            return Err(CborError::Type { expected, initial });
        }
        self.take(1)?;
        let short = initial & 0x1f;
        let (size, least) = match short {
            0..=23 => return Ok(u64::from(short)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(CborError::NotDefinite { initial }),
        };
        let value = self
            .take(size)?
            .iter()
            .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        if value < least {
            return Err(CborError::NotShortest { value });
        }
        Ok(value)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_| CborError::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Writes shortest-form CBOR.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    /// The head of an array of `length` items.
    pub fn array(&mut self, length: usize) -> &mut Self {
        self.head(ARRAY, length as u64)
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let [.., b3, b2, b1, b0] = value.to_be_bytes();
        match value {
            0..=23 => self.out.push(major | b0),
            24..=0xff => self.out.extend_from_slice(&[major | 0x18, b0]),
            0x100..=0xffff => self.out.extend_from_slice(&[major | 0x19, b1, b0]),
            0x1_0000..=0xffff_ffff => {
                self.out.extend_from_slice(&[major | 0x1a, b3, b2, b1, b0]);
            }
            _ => {
                self.out.push(major | 0x1b);
                self.out.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }
}

/// What only whoever makes documents writes.
#[cfg(feature = "development")]
impl Writer {
    /// An unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(UNSIGNED, value)
    }

    /// A byte string, or null.
    pub fn bytes_or_null(&mut self, value: Option<&[u8]>) -> &mut Self {
        let Some(value) = value else {
            return self.encoded(&[NULL]);
        };
        self.bytes(value)
    }

    /// The head of a map of `length` entries.
    pub fn map(&mut self, length: usize) -> &mut Self {
        self.head(MAP, length as u64)
    }

    /// An item that is CBOR already.
    pub fn encoded(&mut self, item: &[u8]) -> &mut Self {
        self.out.extend_from_slice(item);
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_writer_writes_the_reader_reads() {
        for value in [
            0,
            23,
            24,
            255,
            256,
            65_535,
            65_536,
            u64::from(u32::MAX),
            1 << 32,
            u64::MAX,
        ] {
            let mut writer = Writer::default();
            writer.unsigned(value);
            let mut reader = Reader::new(&writer.out);
            assert_eq!(reader.unsigned(), Ok(value));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn refuses_numbers_longer_than_they_need_be() {
        for (bytes, value) in [
            (&[0x18, 23][..], 23),
            (&[0x19, 0, 255][..], 255),
            (&[0x1a, 0, 0, 255, 255][..], 65_535),
            (
                &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255][..],
                u64::from(u32::MAX),
            ),
        ] {
            assert_eq!(
                Reader::new(bytes).unsigned(),
                Err(CborError::NotShortest { value })
            );
        }
    }

    #[test]
    fn refuses_indefinite_and_reserved_lengths() {
        assert_eq!(
            Reader::new(&[0x5f, 0x41, 0, 0xff]).bytes(),
            Err(CborError::NotDefinite { initial: 0x5f })
        );
        assert_eq!(
            Reader::new(&[0x9f, 0xff]).array(),
            Err(CborError::NotDefinite { initial: 0x9f })
        );
        assert_eq!(
            Reader::new(&[0xbf, 0xff]).map(),
            Err(CborError::NotDefinite { initial: 0xbf })
        );
        assert_eq!(
            Reader::new(&[0x1c]).unsigned(),
            Err(CborError::NotDefinite { initial: 0x1c })
        );
    }

    #[test]
    fn refuses_a_length_beyond_the_input_without_allocating_it() {
        let huge = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Reader::new(&huge).bytes(), Err(CborError::Truncated));
        assert_eq!(Reader::new(&[]).unsigned(), Err(CborError::Truncated));
        assert_eq!(
            Reader::new(&[0x19, 1]).unsigned(),
            Err(CborError::Truncated)
        );
    }

    #[test]
    fn refuses_text_that_is_not_utf8_and_a_wrong_type() {
        assert_eq!(Reader::new(&[0x61, 0xff]).text(), Err(CborError::NotUtf8));
        assert_eq!(
            Reader::new(&[0xf6]).text(),
            Err(CborError::Type {
                expected: "text string",
                initial: 0xf6
            })
        );
    }
}
