//! CBOR as it is written: a tree that keeps what encoders may choose freely, and edits of it.
//!
//! Owns reading and writing of any well-formed item, canonical or not. Knows nothing of spells.

/// Deepest nesting that [`Item::read`] follows; real payloads need 6.
const DEPTH_MAX: usize = 64;

/// One item with the freedoms of its encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Fewest bytes that its number or length takes: 0 for the shortest form, else 1, 2, 4 or 8.
    pub width: usize,
    /// Strings, arrays and maps: without a length, ended by a break.
    pub indefinite: bool,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// An unsigned number.
    Unsigned(u64),
    /// `-1 - n`.
    Negative(u64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string, maybe not UTF-8.
    Text(Vec<u8>),
    /// An array.
    Array(Vec<Item>),
    /// A map, in the order in which it is written.
    Map(Vec<(Item, Item)>),
    /// A tagged item.
    Tag(u64, Box<Item>),
    /// Floats and simple values, as bytes.
    Other(Vec<u8>),
}

impl From<Kind> for Item {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            width: 0,
            indefinite: false,
        }
    }
}

impl Item {
    /// An unsigned number.
    pub fn number(value: u64) -> Self {
        Kind::Unsigned(value).into()
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Kind::Text(text.as_bytes().to_vec()).into()
    }

    /// `null`.
    pub fn null() -> Self {
        Kind::Other(vec![0xf6]).into()
    }

    /// An array.
    pub fn array(items: impl IntoIterator<Item = Self>) -> Self {
        Kind::Array(items.into_iter().collect()).into()
    }

    /// A map.
    pub fn map(entries: impl IntoIterator<Item = (Self, Self)>) -> Self {
        Kind::Map(entries.into_iter().collect()).into()
    }

    /// Reads the first item; `None` when it is not well-formed. Forgets how long the chunks of
    /// strings were.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        read(&mut &*bytes, DEPTH_MAX)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Unsigned(value) => head(out, 0, *value, self.width),
            Kind::Negative(value) => head(out, 1, *value, self.width),
            Kind::Bytes(bytes) => self.write_string(out, 2, bytes),
            Kind::Text(bytes) => self.write_string(out, 3, bytes),
            Kind::Array(items) => {
                self.open(out, 4, items.len());
                for item in items {
                    item.write(out);
                }
                self.close(out);
            }
            Kind::Map(entries) => {
                self.open(out, 5, entries.len());
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
                self.close(out);
            }
            Kind::Tag(tag, item) => {
                head(out, 6, *tag, self.width);
                item.write(out);
            }
            Kind::Other(bytes) => out.extend(bytes),
        }
    }

    fn write_string(&self, out: &mut Vec<u8>, major: u8, bytes: &[u8]) {
        if self.indefinite {
            out.push(major << 5 | 31);
            let (front, back) = bytes.split_at(bytes.len() / 2);
            for chunk in [front, back] {
                head(out, major, chunk.len() as u64, self.width);
                out.extend(chunk);
            }
            out.push(0xff);
        } else {
            head(out, major, bytes.len() as u64, self.width);
            out.extend(bytes);
        }
    }

    fn open(&self, out: &mut Vec<u8>, major: u8, length: usize) {
        if self.indefinite {
            out.push(major << 5 | 31);
        } else {
            head(out, major, length as u64, self.width);
        }
    }

    fn close(&self, out: &mut Vec<u8>) {
        if self.indefinite {
            out.push(0xff);
        }
    }

    /// The item at `path`: positions in arrays, `2i` and `2i + 1` for key and value of a map's
    /// entry, 0 in a tag.
    pub fn at(&mut self, path: &[usize]) -> Option<&mut Self> {
        let Some((&first, rest)) = path.split_first() else {
            return Some(self);
        };
        let child = match &mut self.kind {
            Kind::Array(items) => items.get_mut(first)?,
            Kind::Map(entries) => {
                let (key, value) = entries.get_mut(first / 2)?;
                if first % 2 == 0 { key } else { value }
            }
            Kind::Tag(_, item) if first == 0 => item,
            _ => return None,
        };
        child.at(rest)
    }

    /// The value of a text key in a map.
    pub fn entry(&mut self, key: &str) -> Option<&mut Self> {
        let Kind::Map(entries) = &mut self.kind else {
            return None;
        };
        let wanted = Kind::Text(key.as_bytes().to_vec());
        entries
            .iter_mut()
            .find_map(|(key, value)| (key.kind == wanted).then_some(value))
    }

    /// Paths of this item and of all inside it, of long arrays only the ends.
    pub fn paths(&self) -> Vec<Vec<usize>> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, path: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
        paths.push(path.clone());
        let mut visit = |index: usize, item: &Self| {
            path.push(index);
            item.collect_paths(path, paths);
            path.pop();
        };
        match &self.kind {
            Kind::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if !(3..items.len().saturating_sub(2)).contains(&index) || items.len() <= 32 {
                        visit(index, item);
                    }
                }
            }
            Kind::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    visit(2 * index, key);
                    visit(2 * index + 1, value);
                }
            }
            Kind::Tag(_, item) => visit(0, item),
            _ => {}
        }
    }
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64, width: usize) {
    let shortest = match argument {
        0..24 => 0,
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    let bytes = argument.to_be_bytes();
    let width = width.max(shortest);
    let low = match width {
        0 => bytes[7],
        1 => 24,
        2 => 25,
        4 => 26,
        _ => 27,
    };
    out.push(major << 5 | low);
    out.extend(&bytes[8 - width..]);
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn read(rest: &mut &[u8], depth: usize) -> Option<Item> {
    let depth = depth.checked_sub(1)?;
    let start = *rest;
    let initial = *take(rest, 1)?.first()?;
    let (major, low) = (initial >> 5, initial & 31);
    let width = match low {
        0..24 | 31 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let argument = take(rest, width)?
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    let argument = if width == 0 { u64::from(low) } else { argument };
    let indefinite = low == 31;
    let length = if indefinite {
        usize::MAX
    } else {
        usize::try_from(argument).ok()?
    };
    let kind = match (major, indefinite) {
        (0, false) => Kind::Unsigned(argument),
        (1, false) => Kind::Negative(argument),
        (2 | 3, false) => string(major, take(rest, length)?.to_vec()),
        (2 | 3, true) => {
            let mut bytes = Vec::new();
            while !ends(rest) {
                match read(rest, depth)?.kind {
                    Kind::Bytes(chunk) | Kind::Text(chunk) => bytes.extend(chunk),
                    _ => return None,
                }
            }
            string(major, bytes)
        }
        (4, _) => {
            let mut items = Vec::new();
            while items.len() < length && !(indefinite && ends(rest)) {
                items.push(read(rest, depth)?);
            }
            Kind::Array(items)
        }
        (5, _) => {
            let mut entries = Vec::new();
            while entries.len() < length && !(indefinite && ends(rest)) {
                entries.push((read(rest, depth)?, read(rest, depth)?));
            }
            Kind::Map(entries)
        }
        (6, false) => Kind::Tag(argument, Box::new(read(rest, depth)?)),
        (7, false) => Kind::Other(start.get(..=width)?.to_vec()),
        _ => return None,
    };
    Some(Item {
        kind,
        width,
        indefinite,
    })
}

fn string(major: u8, bytes: Vec<u8>) -> Kind {
    if major == 2 {
        Kind::Bytes(bytes)
    } else {
        Kind::Text(bytes)
    }
}

/// Takes the break, if it is next.
fn ends(rest: &mut &[u8]) -> bool {
    let found = rest.first() == Some(&0xff);
    if found {
        *rest = &rest[1..];
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        for bytes in [
            &[0x00][..],
            &[0x18, 0x05],
            &[0x1b, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0x3a, 0, 1, 0, 0],
            &[0x43, 1, 2, 3],
            &[0x5f, 0x41, 1, 0x41, 2, 0xff],
            &[0x9f, 0x01, 0x82, 0x02, 0x03, 0xff],
            &[0xbf, 0x61, b'a', 0xf6, 0xff],
            &[0xa1, 0x01, 0xc2, 0x41, 0x05],
            &[0x83, 0xf4, 0xf9, 0x3c, 0x00, 0xf8, 0x20],
        ] {
            assert_eq!(Item::read(bytes).unwrap().to_bytes(), bytes);
        }
        for bytes in [
            &[][..],
            &[0x18],
            &[0x1c],
            &[0x42, 0],
            &[0x9f, 0],
            &[0xff],
            &[0x81; 200],
        ] {
            assert_eq!(Item::read(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn every_path_leads_somewhere() {
        let mut item = Item::map([
            (Item::text("a"), Item::array((0..40).map(Item::number))),
            (Item::number(1), Kind::Tag(2, Box::new(Item::null())).into()),
        ]);
        let paths = item.paths();
        assert_eq!(paths.len(), 5 + 5 + 1);
        for path in paths {
            assert!(item.at(&path).is_some(), "{path:?}");
        }
        assert!(item.entry("a").is_some());
        assert!(item.at(&[4]).is_none());
    }
}
