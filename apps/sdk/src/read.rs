//! Reads what the Charms runner shows a contract, in place.
//!
//! The runner writes `(app, tx, x, w)` of `charms_data`'s types with one encoder (`ciborium`), so
//! that each value has one encoding. Only that encoding is read here: shortest heads, definite
//! lengths, fields in their order, maps ascending. Charms, scripts and previous transactions stay
//! the bytes that they are; whoever needs a value decodes that one.

use std::{fmt, str};

use grail_app_facts::{
    AppId, OUTPOINT_BYTES,
    cbor::{Fault, Reader, major},
};

/// CBOR's null: an empty public or private input.
pub const NULL: &[u8] = &[0xf6];
/// Simple values and floats that the runner's encoder knows, by their first byte.
const SIMPLE: [u8; 6] = [0xf4, 0xf5, 0xf6, 0xf9, 0xfa, 0xfb];
/// Lengths are believed for reserving memory up to here; more items than bytes there cannot be.
const RESERVED_MAX: usize = 512;

/// The bytes are not as the runner writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not as the Charms runner writes it")
    }
}

impl std::error::Error for Unreadable {}

impl From<Fault> for Unreadable {
    fn from(_: Fault) -> Self {
        Self
    }
}

type Read<T> = Result<T, Unreadable>;

/// Charms of one input or output: apps as [`raw_app`](crate::raw_app) writes them, and CBOR data,
/// by ascending app.
pub type Charms<'a> = Vec<(&'a [u8], &'a [u8])>;

/// What a contract is shown.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The app that is judged.
    pub app: &'a [u8],
    /// Its tag.
    pub tag: char,
    /// What is spent.
    pub ins: Vec<Input<'a>>,
    /// How many outputs are referred to.
    pub refs: usize,
    /// Charms that are made.
    pub outs: Vec<Charms<'a>>,
    /// Coins of inputs, if given.
    pub coin_ins: Option<Vec<ShownCoin<'a>>>,
    /// Coins of outputs, if given.
    pub coin_outs: Option<Vec<ShownCoin<'a>>>,
    /// Previous transactions by ascending id: CBOR data.
    pub prev_txs: Vec<(&'a [u8], &'a [u8])>,
    /// Every app of the spell with its public input.
    pub public_inputs: Charms<'a>,
    /// The judged app's public input, CBOR data.
    pub x: &'a [u8],
    /// Its private input, CBOR data.
    pub w: &'a [u8],
}

/// An input.
#[derive(Debug)]
pub struct Input<'a> {
    /// Transaction id in wire order, and index, little-endian.
    pub outpoint: &'a [u8; OUTPOINT_BYTES],
    /// Its charms.
    pub charms: Charms<'a>,
}

/// A coin.
#[derive(Clone, Copy, Debug)]
pub struct ShownCoin<'a> {
    /// Satoshis.
    pub amount: u64,
    /// As [`raw_script`](crate::raw_script) writes it.
    pub script: &'a [u8],
    /// Whether it is of another ledger, whose addresses could equal a script.
    pub is_foreign: bool,
}

impl<'a> Shown<'a> {
    /// Reads all of `bytes`.
    pub fn read(bytes: &'a [u8]) -> Read<Self> {
        let mut source = Source {
            reader: Reader::new(bytes),
            seen: Vec::new(),
        };
        source.reader.array_of(4)?;
        let app = source.app()?;
        let mut tag = Reader::new(app);
        tag.array()?;
        let tag = str::from_utf8(tag.text()?).map_err(|_| Unreadable)?;
        let tag = tag.chars().next().ok_or(Unreadable)?;
        let fields = source.reader.map()?;
        source.field("ins")?;
        let ins = source.list(Source::input)?;
        source.field("refs")?;
        let refs = source.list(Source::input)?.len();
        source.field("outs")?;
        let outs = source.list(Source::charms)?;
        let coin_ins = source.coins("coin_ins")?;
        let coin_outs = source.coins("coin_outs")?;
        source.field("prev_txs")?;
        let prev_txs = source.ascending(|source| {
            let txid = source.reader.bytes()?;
            if txid.len() == 32 {
                Ok(txid)
            } else {
                Err(Unreadable)
            }
        })?;
        source.field("app_public_inputs")?;
        let public_inputs = source.charms()?;
        let given = [coin_ins.is_some(), coin_outs.is_some()];
        let optional = given.into_iter().filter(|is_given| *is_given).count() as u64;
        if fields.checked_sub(optional) != Some(5) {
            return Err(Unreadable);
        }
        let (x, w) = (source.data()?, source.data()?);
        source.reader.end()?;
        Ok(Self {
            app,
            tag,
            ins,
            refs,
            outs,
            coin_ins,
            coin_outs,
            prev_txs,
            public_inputs,
            x,
            w,
        })
    }
}

impl Shown<'_> {
    /// The app that is judged, decoded.
    pub fn judged(&self) -> Read<AppId> {
        let mut reader = Reader::new(self.app);
        reader.array_of(3)?;
        reader.text()?;
        let mut hash = || -> Read<[u8; 32]> {
            let bytes = byte_numbers(&mut reader)?;
            bytes.try_into().map_err(|_| Unreadable)
        };
        Ok(AppId {
            tag: self.tag,
            identity: hash()?,
            vk: hash()?,
        })
    }
}

struct Source<'a> {
    reader: Reader<'a>,
    /// Apps that were read: most charms of a spell are of few.
    seen: Vec<&'a [u8]>,
}

impl<'a> Source<'a> {
    fn field(&mut self, name: &str) -> Read<()> {
        if self.reader.text()? == name.as_bytes() {
            Ok(())
        } else {
            Err(Unreadable)
        }
    }

    fn list<T>(&mut self, read: fn(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let length = usize::try_from(self.reader.array()?).map_err(|_| Unreadable)?;
        let mut items = Vec::with_capacity(length.min(RESERVED_MAX));
        for _ in 0..length {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A map with strictly ascending keys, to data.
    fn ascending(&mut self, key: impl Fn(&mut Self) -> Read<&'a [u8]>) -> Read<Charms<'a>> {
        let length = usize::try_from(self.reader.map()?).map_err(|_| Unreadable)?;
        let mut entries: Charms<'a> = Vec::with_capacity(length.min(RESERVED_MAX));
        for _ in 0..length {
            let key = key(self)?;
            if entries.last().is_some_and(|(last, _)| *last >= key) {
                return Err(Unreadable);
            }
            entries.push((key, self.data()?));
        }
        Ok(entries)
    }

    fn charms(&mut self) -> Read<Charms<'a>> {
        self.ascending(Self::app)
    }

    fn input(&mut self) -> Read<Input<'a>> {
        self.reader.array_of(2)?;
        let outpoint = self.reader.bytes()?;
        Ok(Input {
            outpoint: outpoint.try_into().map_err(|_| Unreadable)?,
            charms: self.charms()?,
        })
    }

    /// The coins of one side, where the field comes next.
    fn coins(&mut self, name: &str) -> Read<Option<Vec<ShownCoin<'a>>>> {
        let before = self.reader;
        if self.reader.text()? != name.as_bytes() {
            self.reader = before;
            return Ok(None);
        }
        self.list(Self::coin).map(Some)
    }

    fn coin(&mut self) -> Read<ShownCoin<'a>> {
        let fields = self.reader.map()?;
        self.field("amount")?;
        let amount = self.reader.uint()?;
        self.field("dest")?;
        let script = self.numbers(None)?;
        let is_foreign = match fields {
            2 => false,
            3 => {
                self.field("content")?;
                self.data()? != NULL
            }
            _ => return Err(Unreadable),
        };
        Ok(ShownCoin {
            amount,
            script,
            is_foreign,
        })
    }

    fn app(&mut self) -> Read<&'a [u8]> {
        let rest = self.reader.rest();
        if let Some(known) = self.seen.iter().find(|known| rest.starts_with(known)) {
            return Ok(self.reader.take(known.len())?);
        }
        self.reader.array_of(3)?;
        let tag = str::from_utf8(self.reader.text()?).map_err(|_| Unreadable)?;
        if tag.chars().count() != 1 {
            return Err(Unreadable);
        }
        for _ in 0..2 {
            self.numbers(Some(32))?;
        }
        let app = read_since(rest, &self.reader)?;
        self.seen.push(app);
        Ok(app)
    }

    /// An array of bytes, a number each.
    fn numbers(&mut self, length: Option<u64>) -> Read<&'a [u8]> {
        let start = self.reader.rest();
        let found = self.reader.array()?;
        if length.is_some_and(|length| length != found) {
            return Err(Unreadable);
        }
        let mut rest = self.reader.rest();
        for _ in 0..found {
            // By hand: this is the innermost loop of all that a contract is shown.
            rest = match rest {
                [0..=0x17, rest @ ..] | [0x18, 0x18..=0xff, rest @ ..] => rest,
                _ => return Err(Unreadable),
            };
        }
        self.reader = Reader::new(rest);
        read_since(start, &self.reader)
    }

    /// Any value of CBOR, stepped over.
    fn data(&mut self) -> Read<&'a [u8]> {
        let start = self.reader.rest();
        let mut pending = 1_u64;
        while let Some(left) = pending.checked_sub(1) {
            pending = left;
            let first = *self.reader.rest().first().ok_or(Unreadable)?;
            let (kind, value) = self.reader.head()?;
            let items = match kind {
                major::UINT | major::NEGATIVE => 0,
                major::BYTES | major::TEXT => {
                    let length = usize::try_from(value).map_err(|_| Unreadable)?;
                    let string = self.reader.take(length)?;
                    if kind == major::TEXT && str::from_utf8(string).is_err() {
                        return Err(Unreadable);
                    }
                    0
                }
                major::ARRAY => value,
                major::MAP => value.checked_mul(2).ok_or(Unreadable)?,
                major::TAG => 1,
                _ if SIMPLE.contains(&first) => 0,
                _ => return Err(Unreadable),
            };
            pending = pending.checked_add(items).ok_or(Unreadable)?;
        }
        read_since(start, &self.reader)
    }
}

/// What lies between `start` and where the reader stands now.
fn read_since<'a>(start: &'a [u8], reader: &Reader<'a>) -> Read<&'a [u8]> {
    let length = start.len().checked_sub(reader.rest().len());
    start.get(..length.ok_or(Unreadable)?).ok_or(Unreadable)
}

/// The data of `app` among charms.
pub(crate) fn find<'a>(charms: &Charms<'a>, app: &[u8]) -> Option<&'a [u8]> {
    let found = charms.iter().find(|(key, _)| *key == app);
    found.map(|(_, data)| *data)
}

/// The bytes of a script as [`raw_script`](crate::raw_script) writes it.
pub(crate) fn script_of(raw: &[u8]) -> Read<Vec<u8>> {
    byte_numbers(&mut Reader::new(raw))
}

fn byte_numbers(reader: &mut Reader<'_>) -> Read<Vec<u8>> {
    let length = reader.array()?;
    (0..length).map(|_| Ok(reader.uint()?)).collect()
}

/// A positive amount of a charm, as CBOR data.
pub fn amount_of(data: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(data);
    let amount = reader.uint().ok()?;
    reader.end().ok()?;
    (amount > 0).then_some(amount)
}
