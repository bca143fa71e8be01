//! Changes of the payload: of single CBOR items, of the entries of the spell, of what stands around
//! both.

use bitcoin::Transaction;
use charms_data::{NativeOutput, UtxoId, util};

use super::Base;
use super::cbor::{Item, Kind};

/// One change.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Of the item at a path.
    Item {
        /// Where it is.
        path: Vec<usize>,
        /// What happens to it.
        change: Change,
    },
    /// An entry of the spell's map, or of its `tx` map, set.
    Entry {
        /// In `tx`, not in the spell itself.
        in_tx: bool,
        /// Its key.
        key: &'static str,
        /// Its value.
        value: Item,
        /// Where it goes.
        put: Put,
    },
    /// Bytes before the item.
    Before(Vec<u8>),
    /// Bytes after the item.
    After(Vec<u8>),
    /// Cut to so many bytes.
    Cut(usize),
}

/// Where an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// In place of the one with the same key.
    Instead,
}

/// What happens to one item.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Its number or length takes at least so many bytes.
    Widen(usize),
    /// With an indefinite length, or without.
    Indefinite,
    /// Tagged.
    Tag(u64),
    /// Something else in its place.
    Replace(Item),
    /// A number, changed by so much.
    Add(i64),
    /// A string's first byte, changed.
    FlipFirst,
    /// A string's last byte, changed.
    FlipLast,
    /// A string without its last byte.
    Shorten,
    /// A string with one byte more.
    Lengthen,
    /// Bytes as text and text as bytes.
    OtherString,
    /// Bytes as an array of numbers, and such an array as bytes.
    OtherBytes,
    /// Without its first child.
    DropFirst,
    /// Without its last child.
    DropLast,
    /// Its first child twice.
    DoubleFirst,
    /// Its last child twice.
    DoubleLast,
    /// Its children in the opposite order.
    Reverse,
    /// With one more child.
    Append(Item),
    /// Alone in an array.
    Wrap,
    /// A map as an array of keys and values, and an array as a map of positions.
    OtherCollection,
}

/// Keys of the spell and of its `tx`, and one that is in neither.
const KEYS: [&str; 12] = [
    "version",
    "tx",
    "app_public_inputs",
    "versioned_apps",
    "mock",
    "ins",
    "refs",
    "outs",
    "beamed_outs",
    "coins",
    "scrolls",
    "unknown",
];

/// Versions around every boundary.
const VERSIONS: [u64; 22] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    99,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    u64::MAX,
];

impl Edit {
    /// Every change of the payload of `base`.
    pub fn all(base: &Base) -> Vec<Self> {
        let Some(carried) = &base.carried else {
            return vec![];
        };
        let mut all = vec![];
        if let Some(item) = &carried.item {
            let changes = changes();
            for path in item.paths() {
                all.extend(changes.iter().map(|change| Self::Item {
                    path: path.clone(),
                    change: change.clone(),
                }));
            }
        }
        let values = values(base);
        for in_tx in [false, true] {
            for put in [Put::First, Put::Last, Put::Instead] {
                for key in KEYS {
                    all.extend(values.iter().map(|value| Self::Entry {
                        in_tx,
                        key,
                        value: value.clone(),
                        put,
                    }));
                }
                all.extend(VERSIONS.map(|version| Self::Entry {
                    in_tx,
                    key: "version",
                    value: Item::number(version),
                    put,
                }));
            }
        }
        for bytes in [&[0xd9, 0xd9, 0xf7][..], &[0xc2], &[0x81], &[0x00], &[0xff]] {
            all.push(Self::Before(bytes.to_vec()));
        }
        for bytes in [
            vec![0],
            vec![0xff],
            vec![0x80; 100],
            carried.payload.clone(),
        ] {
            all.push(Self::After(bytes));
        }
        let length = carried.payload.len();
        let cuts = (0..length).filter(|at| at % 37 == 0 || at + 4 > length);
        all.extend(cuts.map(Self::Cut));
        all
    }

    /// The changed transaction.
    pub fn apply(&self, base: &Base) -> Option<Transaction> {
        let carried = base.carried.as_ref()?;
        let payload = match self {
            Self::Before(bytes) => [bytes.as_slice(), &carried.payload].concat(),
            Self::After(bytes) => [carried.payload.as_slice(), bytes].concat(),
            Self::Cut(length) => carried.payload.get(..*length)?.to_vec(),
            Self::Item { path, change } => {
                let mut item = carried.item.clone()?;
                change.apply(item.at(path)?)?;
                item.to_bytes()
            }
            Self::Entry {
                in_tx,
                key,
                value,
                put,
            } => {
                let mut item = carried.item.clone()?;
                let mut map = item.at(&[0])?;
                if *in_tx {
                    map = map.entry("tx")?;
                }
                put.apply(map, key, value)?;
                item.to_bytes()
            }
        };
        base.with_payload(&payload)
    }
}

impl Put {
    fn apply(self, map: &mut Item, key: &str, value: &Item) -> Option<()> {
        if self == Self::Instead {
            *map.entry(key)? = value.clone();
            return Some(());
        }
        let Kind::Map(entries) = &mut map.kind else {
            return None;
        };
        let entry = (Item::text(key), value.clone());
        match self {
            Self::First => entries.insert(0, entry),
            _ => entries.push(entry),
        }
        Some(())
    }
}

impl Change {
    fn apply(&self, item: &mut Item) -> Option<()> {
        match self {
            Self::Widen(width) => item.width = *width,
            Self::Indefinite => item.indefinite = !item.indefinite,
            Self::Tag(tag) => *item = Kind::Tag(*tag, Box::new(item.clone())).into(),
            Self::Replace(other) => *item = other.clone(),
            Self::Add(difference) => match &mut item.kind {
                Kind::Unsigned(value) | Kind::Negative(value) => {
                    *value = value.checked_add_signed(*difference)?;
                }
                _ => return None,
            },
            Self::FlipFirst => *string(item)?.first_mut()? ^= 1,
            Self::FlipLast => *string(item)?.last_mut()? ^= 1,
            Self::Shorten => {
                string(item)?.pop()?;
            }
            Self::Lengthen => string(item)?.push(b'a'),
            Self::Wrap => *item = Item::array([item.clone()]),
            Self::OtherString => match &item.kind {
                Kind::Bytes(bytes) => item.kind = Kind::Text(bytes.clone()),
                Kind::Text(bytes) => item.kind = Kind::Bytes(bytes.clone()),
                _ => return None,
            },
            Self::OtherBytes => other_bytes(item)?,
            Self::OtherCollection => match &item.kind {
                Kind::Map(entries) => {
                    let entries = entries.iter().cloned();
                    *item = Item::array(entries.flat_map(|(key, value)| [key, value]));
                }
                Kind::Array(items) => {
                    let items = items.iter().cloned().enumerate();
                    *item = Item::map(items.map(|(at, item)| (Item::number(at as u64), item)));
                }
                _ => return None,
            },
            Self::DropFirst
            | Self::DropLast
            | Self::DoubleFirst
            | Self::DoubleLast
            | Self::Reverse => match &mut item.kind {
                Kind::Array(items) => self.rearrange(items)?,
                Kind::Map(entries) => self.rearrange(entries)?,
                _ => return None,
            },
            Self::Append(child) => match &mut item.kind {
                Kind::Array(items) => items.push(child.clone()),
                Kind::Map(entries) => entries.push((child.clone(), child.clone())),
                _ => return None,
            },
        }
        Some(())
    }

    fn rearrange<T: Clone>(&self, children: &mut Vec<T>) -> Option<()> {
        let (first, last) = (children.first()?.clone(), children.last()?.clone());
        match self {
            Self::DropFirst => {
                children.remove(0);
            }
            Self::DropLast => {
                children.pop();
            }
            Self::DoubleFirst => children.insert(0, first),
            Self::DoubleLast => children.push(last),
            _ => children.reverse(),
        }
        Some(())
    }
}

fn string(item: &mut Item) -> Option<&mut Vec<u8>> {
    match &mut item.kind {
        Kind::Bytes(bytes) | Kind::Text(bytes) => Some(bytes),
        _ => None,
    }
}

fn other_bytes(item: &mut Item) -> Option<()> {
    *item = match &item.kind {
        Kind::Bytes(bytes) => Item::array(bytes.iter().map(|&byte| Item::number(u64::from(byte)))),
        Kind::Array(items) => {
            let bytes = items.iter().map(|item| match item.kind {
                Kind::Unsigned(value) => u8::try_from(value).ok(),
                _ => None,
            });
            Kind::Bytes(bytes.collect::<Option<_>>()?).into()
        }
        _ => return None,
    };
    Some(())
}

fn changes() -> Vec<Change> {
    let others = [
        &[0xf4][..],
        &[0xf5],
        &[0xf6],
        &[0xf7],
        &[0xf9, 0x3c, 0x00],
        &[0xf8, 0x20],
        &[0xff],
        &[0x1c],
    ]
    .map(|bytes| Kind::Other(bytes.to_vec()).into());
    let replacements = others.into_iter().chain([
        Item::number(0),
        Item::number(1),
        Item::number(u64::MAX),
        Kind::Negative(0).into(),
        Item::text(""),
        Kind::Text(vec![0xff]).into(),
        Kind::Bytes(vec![]).into(),
        Kind::Bytes(vec![7; 32]).into(),
        Item::array([]),
        Item::map([]),
        Kind::Tag(2, Box::new(Kind::Bytes(vec![1; 9]).into())).into(),
    ]);
    let mut changes = vec![
        Change::Indefinite,
        Change::FlipFirst,
        Change::FlipLast,
        Change::Shorten,
        Change::Lengthen,
        Change::OtherString,
        Change::OtherBytes,
        Change::DropFirst,
        Change::DropLast,
        Change::DoubleFirst,
        Change::DoubleLast,
        Change::Reverse,
        Change::Append(Item::null()),
        Change::Append(Item::number(0)),
        Change::Wrap,
        Change::OtherCollection,
    ];
    changes.extend([1, 2, 4, 8].map(Change::Widen));
    changes.extend([0, 2, 24, 55_799, u64::MAX].map(Change::Tag));
    changes.extend([-1, 1, 256].map(Change::Add));
    changes.extend(replacements.map(Change::Replace));
    changes
}

/// Values that an entry may get: each of its type for some key.
fn values(base: &Base) -> Vec<Item> {
    let utxo_ids: Vec<UtxoId> = base
        .tx
        .input
        .iter()
        .map(|input| grail_spell::utxo_id_from_outpoint(input.previous_output))
        .collect();
    let coins: Vec<NativeOutput> = base
        .tx
        .output
        .iter()
        .map(|output| NativeOutput {
            amount: output.value.to_sat(),
            dest: output.script_pubkey.to_bytes(),
            content: None,
        })
        .collect();
    let hash = Item::from(Kind::Bytes(vec![7; 32]));
    let beamed = Item::map([(Item::number(0), hash)]);
    let encoded = [util::write(&utxo_ids), util::write(&coins)]
        .map(|bytes| bytes.ok().and_then(|bytes| Item::read(&bytes)));
    let mut values = vec![
        Item::null(),
        Kind::Other(vec![0xf4]).into(),
        Kind::Other(vec![0xf5]).into(),
        Item::array([]),
        Item::map([]),
        Item::array([Item::number(0)]),
        Item::array([Item::map([])]),
        beamed,
    ];
    values.extend(encoded.into_iter().flatten());
    values
}
