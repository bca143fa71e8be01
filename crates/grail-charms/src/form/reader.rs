//! A reader of CBOR that takes each value in one encoding only.
//!
//! Owns what "canonical" means for a spell's payload: definite lengths, every integer and length in
//! its shortest head, no tags, floats or simple values beyond `false`, `true` and `null`, text that
//! is UTF-8, no key twice in a map, bounded nesting. Says of each breach what it is, at which byte
//! and on which path. Trusts nothing of the bytes; reads each once, besides comparing map keys,
//! keeps no copy of them and never nests deeper than [`DEPTH_MAX`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use grail_spell::DEPTH_MAX;

use super::fault::{FormError, FormFault};

/// A text key that is shown in a path is cut at so many characters.
const PATH_KEY_MAX_CHARS: usize = 24;

/// The head of a value: its kind and its integer, length or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Unsigned(u64),
    Negative,
    Bytes(u64),
    Text(u64),
    Array(u64),
    Map(u64),
    Bool(bool),
    Null,
}

impl Head {
    fn kind(self) -> &'static str {
        match self {
            Self::Unsigned(_) => "an unsigned integer",
            Self::Negative => "a negative integer",
            Self::Bytes(_) => "a byte string",
            Self::Text(_) => "a text",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Bool(false) => "false",
            Self::Bool(true) => "true",
            Self::Null => "null",
        }
    }
}

/// One step from a value to a value inside it.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Field(&'static str),
    /// An element of an array, or the value of an entry with this integer for a key.
    Index(u64),
    /// The key of an entry.
    Key(u64),
    /// The value of an entry whose key is this text.
    TextEntry(&'a str),
    /// The value of an entry with another key.
    Entry(u64),
}

/// Reads a payload front to back. Whatever begins an array or map enters it by [`Self::within`],
/// which bounds the depth.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    path: Vec<Step<'a>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            path: Vec::with_capacity(DEPTH_MAX),
        }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), FormError> {
        match self.bytes.len().saturating_sub(self.offset) {
            0 => Ok(()),
            count => Err(self.fault(self.offset, FormFault::Trailing { count })),
        }
    }

    /// The error for a value that began at `offset`.
    pub(super) fn fault(&self, offset: usize, fault: FormFault) -> FormError {
        FormError {
            offset,
            path: self.render_path(),
            fault,
        }
    }

    /// The error for a value of the wrong kind that began at `offset`.
    pub(super) fn kind_fault(&self, offset: usize, expected: &'static str, got: Head) -> FormError {
        let got = got.kind();
        self.fault(offset, FormFault::Kind { expected, got })
    }

    /// Reads the head of the next value.
    pub(super) fn head(&mut self) -> Result<Head, FormError> {
        let start = self.offset;
        let [initial] = *self.take::<1>()?;
        let (major, info) = (initial >> 5, initial & 0b1_1111);
        if major == 7 {
            return match info {
                20 => Ok(Head::Bool(false)),
                21 => Ok(Head::Bool(true)),
                22 => Ok(Head::Null),
                25..=27 => Err(self.fault(start, FormFault::Float)),
                _ => Err(self.fault(start, FormFault::Simple { initial })),
            };
        }
        let value = self.argument(start, initial)?;
        match major {
            0 => Ok(Head::Unsigned(value)),
            1 => Ok(Head::Negative),
            2 => Ok(Head::Bytes(value)),
            3 => Ok(Head::Text(value)),
            4 => Ok(Head::Array(value)),
            5 => Ok(Head::Map(value)),
            _ => Err(self.fault(start, FormFault::Tag { tag: value })),
        }
    }

    /// The integer after an initial byte, in its shortest form.
    fn argument(&mut self, start: usize, initial: u8) -> Result<u64, FormError> {
        let info = initial & 0b1_1111;
        let (value, got_bytes, least) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (u64::from(u8::from_be_bytes(*self.take()?)), 1, 24),
            25 => (u64::from(u16::from_be_bytes(*self.take()?)), 2, 1 << 8),
            26 => (u64::from(u32::from_be_bytes(*self.take()?)), 4, 1 << 16),
            27 => (u64::from_be_bytes(*self.take()?), 8, 1 << 32),
            31 if (2..=5).contains(&(initial >> 5)) => {
                return Err(self.fault(start, FormFault::Indefinite));
            }
            _ => return Err(self.fault(start, FormFault::Simple { initial })),
        };
        if value < least {
            return Err(self.fault(start, FormFault::NotMinimal { value, got_bytes }));
        }
        Ok(value)
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], FormError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let Some(head) = rest.first_chunk::<N>() else {
            let missing = N.saturating_sub(rest.len()) as u64;
            return Err(self.fault(self.offset, FormFault::Truncated { missing }));
        };
        self.offset = self.offset.saturating_add(N);
        Ok(head)
    }

    /// The next `length` bytes: the content of a string.
    fn content(&mut self, length: u64) -> Result<&'a [u8], FormError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let content = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length));
        let Some(content) = content else {
            let missing = length.saturating_sub(rest.len() as u64);
            return Err(self.fault(self.offset, FormFault::Truncated { missing }));
        };
        self.offset = self.offset.saturating_add(content.len());
        Ok(content)
    }

    /// Reads an unsigned integer of at most `max`.
    pub(super) fn unsigned(&mut self, max: u64) -> Result<u64, FormError> {
        let start = self.offset;
        match self.head()? {
            Head::Unsigned(value) if value <= max => Ok(value),
            Head::Unsigned(got) => Err(self.fault(start, FormFault::Range { max, got })),
            other => Err(self.kind_fault(start, "an unsigned integer", other)),
        }
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<&'a str, FormError> {
        let start = self.offset;
        match self.head()? {
            Head::Text(length) => self.text_content(length),
            other => Err(self.kind_fault(start, "a text", other)),
        }
    }

    fn text_content(&mut self, length: u64) -> Result<&'a str, FormError> {
        let start = self.offset;
        let content = self.content(length)?;
        std::str::from_utf8(content)
            .map_err(|error| self.fault(start.saturating_add(error.valid_up_to()), FormFault::Utf8))
    }

    /// Reads an array: `element` is called before each element with its index. A fixed length is
    /// checked.
    pub(super) fn array(
        &mut self,
        expected_count: Option<u64>,
        mut element: impl FnMut(&mut Self, u64) -> Result<(), FormError>,
    ) -> Result<(), FormError> {
        let start = self.offset;
        let count = match (self.head()?, expected_count) {
            (Head::Array(got), Some(expected)) if got != expected => {
                return Err(self.fault(start, FormFault::Count { expected, got }));
            }
            (Head::Array(count), _) => count,
            (other, _) => return Err(self.kind_fault(start, "an array", other)),
        };
        self.elements(start, count, &mut element)
    }

    fn elements(
        &mut self,
        start: usize,
        count: u64,
        element: &mut dyn FnMut(&mut Self, u64) -> Result<(), FormError>,
    ) -> Result<(), FormError> {
        // Each element takes a byte at least: a count beyond the bytes ends at the first that is
        // missing.
        for index in 0..count {
            self.within(start, Step::Index(index), |reader| element(reader, index))?;
        }
        Ok(())
    }

    /// Reads the head of a map: the number of its entries.
    pub(super) fn map(&mut self) -> Result<u64, FormError> {
        let start = self.offset;
        match self.head()? {
            Head::Map(count) => Ok(count),
            other => Err(self.kind_fault(start, "a map", other)),
        }
    }

    /// Reads the key of the entry `index` of a map that began at `start`.
    pub(super) fn key<T>(
        &mut self,
        start: usize,
        index: u64,
        read: impl FnOnce(&mut Self) -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        self.within(start, Step::Key(index), read)
    }

    /// Reads the value of an entry, spoken of by `position`, of a map that began at `start`.
    pub(super) fn entry<T>(
        &mut self,
        start: usize,
        position: u64,
        read: impl FnOnce(&mut Self) -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        self.within(start, Step::Index(position), read)
    }

    /// Reads the value of the field `name` of a map that began at `start`.
    pub(super) fn field<T>(
        &mut self,
        start: usize,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        self.within(start, Step::Field(name), read)
    }

    /// Reads a value of any kind.
    pub(super) fn any(&mut self) -> Result<(), FormError> {
        let start = self.offset;
        match self.head()? {
            Head::Unsigned(_) | Head::Negative | Head::Bool(_) | Head::Null => Ok(()),
            Head::Bytes(length) => self.content(length).map(|_| ()),
            Head::Text(length) => self.text_content(length).map(|_| ()),
            Head::Array(count) => self.elements(start, count, &mut |reader, _| reader.any()),
            Head::Map(count) => self.any_entries(start, count),
        }
    }

    /// The entries of a map of unknown meaning. Since every value has one encoding, equal keys are
    /// equal bytes.
    fn any_entries(&mut self, start: usize, count: u64) -> Result<(), FormError> {
        let mut keys = BTreeMap::new();
        for index in 0..count {
            let key_start = self.offset;
            self.within(start, Step::Key(index), Self::any)?;
            let key = self.bytes.get(key_start..self.offset).unwrap_or_default();
            if let Some(&first) = keys.get(key) {
                self.path.push(Step::Key(index));
                return Err(self.fault(key_start, FormFault::RepeatedKey { first }));
            }
            keys.insert(key, key_start);
            let step = entry_step(index, key);
            self.within(start, step, Self::any)?;
        }
        Ok(())
    }

    /// Reads what lies one level deeper in the array or map that began at `start`.
    fn within<T>(
        &mut self,
        start: usize,
        step: Step<'a>,
        read: impl FnOnce(&mut Self) -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        if self.path.len() >= DEPTH_MAX {
            return Err(self.fault(start, FormFault::TooDeep));
        }
        self.path.push(step);
        let value = read(self)?;
        self.path.pop();
        Ok(value)
    }

    fn render_path(&self) -> String {
        if self.path.is_empty() {
            return "the payload".into();
        }
        let mut path = String::new();
        for step in &self.path {
            let written = match *step {
                Step::Field(name) => write!(path, ".{name}"),
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(index) => write!(path, ".key({index})"),
                Step::TextEntry(key) => write!(path, "[{:?}]", cut(key)),
                Step::Entry(index) => write!(path, ".value({index})"),
            };
            // Writing to a string cannot fail.
            let _ = written;
        }
        path
    }
}

/// How to speak of the value of an entry with this (whole, canonical) key.
fn entry_step(index: u64, key: &[u8]) -> Step<'_> {
    let mut reader = Reader::new(key);
    match reader.head() {
        Ok(Head::Unsigned(key)) => Step::Index(key),
        Ok(Head::Text(length)) => reader
            .text_content(length)
            .map_or(Step::Entry(index), Step::TextEntry),
        _ => Step::Entry(index),
    }
}

/// Foreign text for a message: its beginning.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(PATH_KEY_MAX_CHARS).collect()
}
