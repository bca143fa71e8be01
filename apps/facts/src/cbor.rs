//! The part of CBOR (RFC 8949) that facts and states are written in: definite lengths, each head in
//! its shortest form, so that one value has one encoding.

use alloc::vec::Vec;
use core::fmt;

/// Major types (RFC 8949, section 3.1).
pub mod major {
    /// An unsigned integer.
    pub const UINT: u8 = 0;
    /// A negative integer.
    pub const NEGATIVE: u8 = 1;
    /// A byte string.
    pub const BYTES: u8 = 2;
    /// A text string.
    pub const TEXT: u8 = 3;
    /// An array.
    pub const ARRAY: u8 = 4;
    /// A map.
    pub const MAP: u8 = 5;
    /// A tag.
    pub const TAG: u8 = 6;
    /// Simple values and floating-point numbers.
    pub const SIMPLE: u8 = 7;
}

const NULL: u8 = 0xf6;

/// Why bytes are not the canonical encoding of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They end too early.
    Cut,
    /// A head that is not in its shortest form, or has no definite length.
    Head,
    /// Another type or length than asked for.
    Type,
    /// A number beyond its range.
    Range,
    /// Something follows.
    Trailing,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "the bytes end too early",
            Self::Head => "a head is not in its shortest form",
            Self::Type => "another type or length than expected",
            Self::Range => "a number is beyond its range",
            Self::Trailing => "something follows the end",
        })
    }
}

impl core::error::Error for Fault {}

/// Reads forwards, in place.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes as they are.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Fault::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or(Fault::Cut)?;
        self.rest = rest;
        Ok(*first)
    }

    /// A head: its major type and its argument, in the shortest form (of a float, its bits).
    pub fn head(&mut self) -> Result<(u8, u64), Fault> {
        let initial = self.byte()?;
        let (major, info) = (initial >> 5, initial & 0x1f);
        let (value, least) = match info {
            0..=23 => return Ok((major, u64::from(info))),
            24 => (u64::from(self.byte()?), 24),
            25 => (self.big_endian(2)?, 1 << 8),
            26 => (self.big_endian(4)?, 1 << 16),
            27 => (self.big_endian(8)?, 1 << 32),
            _ => return Err(Fault::Head),
        };
        let is_float = major == major::SIMPLE && info > 24;
        if value < least && !is_float {
            return Err(Fault::Head);
        }
        Ok((major, value))
    }

    fn big_endian(&mut self, length: usize) -> Result<u64, Fault> {
        let bytes = self.take(length)?;
        Ok(bytes
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    fn argument(&mut self, expected: u8) -> Result<u64, Fault> {
        match self.head()? {
            (major, value) if major == expected => Ok(value),
            _ => Err(Fault::Type),
        }
    }

    /// An unsigned integer that fits `T`.
    pub fn uint<T: TryFrom<u64>>(&mut self) -> Result<T, Fault> {
        let value = self.argument(major::UINT)?;
        T::try_from(value).map_err(|_| Fault::Range)
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.argument(major::BYTES)?;
        self.take(usize::try_from(length).map_err(|_| Fault::Cut)?)
    }

    /// A byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.bytes()?.try_into().map_err(|_| Fault::Type)
    }

    /// A text, as its UTF-8 bytes, which are not looked at.
    pub fn text(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.argument(major::TEXT)?;
        self.take(usize::try_from(length).map_err(|_| Fault::Cut)?)
    }

    /// The head of an array: how many items follow.
    pub fn array(&mut self) -> Result<u64, Fault> {
        self.argument(major::ARRAY)
    }

    /// The head of an array of exactly `length` items.
    pub fn array_of(&mut self, length: u64) -> Result<(), Fault> {
        if self.array()? == length {
            Ok(())
        } else {
            Err(Fault::Type)
        }
    }

    /// The head of a map: how many entries follow.
    pub fn map(&mut self) -> Result<u64, Fault> {
        self.argument(major::MAP)
    }

    /// Whether null comes next; it is read then.
    pub fn null(&mut self) -> bool {
        match self.rest {
            [NULL, rest @ ..] => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// What `read` reads, or none where null stands.
    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        if self.null() {
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// Nothing may follow.
    pub fn end(self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Fault::Trailing)
        }
    }
}

/// Writes what [`Reader`] reads.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A head in its shortest form.
    pub fn head(&mut self, major: u8, value: u64) {
        let initial = major << 5;
        let wide = value.to_be_bytes();
        let [.., fifth, sixth, seventh, eighth] = wide;
        match value {
            0..=23 => self.bytes.push(initial | eighth),
            24..=0xff => self.bytes.extend([initial | 0x18, eighth]),
            0x100..=0xffff => self.bytes.extend([initial | 0x19, seventh, eighth]),
            0x1_0000..=0xffff_ffff => {
                let narrow = [initial | 0x1a, fifth, sixth, seventh, eighth];
                self.bytes.extend(narrow);
            }
            _ => {
                self.bytes.push(initial | 0x1b);
                self.bytes.extend(wide);
            }
        }
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: impl Into<u64>) {
        self.head(major::UINT, value.into());
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.head(major::BYTES, value.len() as u64);
        self.raw(value);
    }

    /// A text.
    pub fn text(&mut self, value: &str) {
        self.head(major::TEXT, value.len() as u64);
        self.raw(value.as_bytes());
    }

    /// The head of an array.
    pub fn array(&mut self, length: usize) {
        self.head(major::ARRAY, length as u64);
    }

    /// Null.
    pub fn null(&mut self) {
        self.bytes.push(NULL);
    }

    /// Bytes that are CBOR already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    /// All that was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
