//! The one form of a spell's output that Grail writes and operators sign, to the byte: its script,
//! and the payload's CBOR of `(spell, proof)`, field by field.
//!
//! Owns the grammar: which fields, in which order, of which kind and range, with keys in which
//! order. Reads the bytes once, front to back, and decodes nothing. Whether a spell is signed is
//! for [`grail_spell::read_strict`] to say, which compares what it decodes with what that encodes
//! to; the tests hold both to the same verdict. This says what is wrong, and where.

mod fault;
mod reader;

use bitcoin::Transaction;
use bitcoin::opcodes::all::{OP_PUSHBYTES_75, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4, OP_RETURN};
use charms_data::{App, B32};
use grail_spell::{PROTOCOL_VERSION, SPELL_MARKER, SpellError, StrictError, marked_outputs};

pub use fault::{FormError, FormFault, ScriptByte, StrictFault};
use reader::{Head, Reader, cut};

/// Bytes of an identity or a verification key, each an array of so many integers.
const HASH_BYTES: usize = 32;

/// Whether a field is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Always,
    Sometimes,
    /// Charms knows the field, Grail never writes it. With its name for people.
    Never(&'static str),
}

type Field = (&'static str, Presence);

/// A spell's fields in the order in which they are encoded.
const SPELL_FIELDS: &[Field] = &[
    ("version", Presence::Always),
    ("tx", Presence::Always),
    ("app_public_inputs", Presence::Always),
    ("versioned_apps", Presence::Never("versioned_apps")),
    ("mock", Presence::Sometimes),
];

/// The fields of its `tx`.
const TX_FIELDS: &[Field] = &[
    ("ins", Presence::Never("tx.ins")),
    ("refs", Presence::Never("tx.refs")),
    ("outs", Presence::Always),
    ("beamed_outs", Presence::Never("tx.beamed_outs")),
    ("coins", Presence::Never("tx.coins")),
    ("scrolls", Presence::Never("tx.scrolls")),
];

/// Where the output of the transaction's spell leaves its one form. Of the first, where there are
/// several, which is another fault; none where there is none.
pub fn strict_fault(tx: &Transaction) -> Option<StrictFault> {
    let (output_index, script) = marked_outputs(tx).next()?;
    let script = script.as_bytes();
    match payload_of(script) {
        Ok(payload) => check(payload).err().map(StrictFault::Payload),
        Err((offset, expected)) => Some(StrictFault::Script {
            output_index,
            offset,
            expected,
            got: script
                .get(offset)
                .map_or(ScriptByte::End, |byte| ScriptByte::Byte(*byte)),
        }),
    }
}

/// Why the strict reading refuses `tx`, in words: to the byte, where its one form is left.
pub fn explain_strict(tx: &Transaction, refusal: &SpellError) -> String {
    let fault = match refusal {
        SpellError::Strict(
            StrictError::Script { .. }
            | StrictError::Payload(_)
            | StrictError::Content(_)
            | StrictError::Encoding,
        ) => strict_fault(tx),
        _ => None,
    };
    fault.map_or_else(|| refusal.to_string(), |fault| fault.to_string())
}

/// Where a script leaves its form: offset, and what was expected there.
type ScriptFault = (usize, &'static str);

/// The payload of `OP_RETURN <marker> <payload>`, each pushed in the shortest way and nothing after
/// them.
fn payload_of(script: &[u8]) -> Result<&[u8], ScriptFault> {
    let rest = script
        .strip_prefix(&[OP_RETURN.to_u8()])
        .ok_or((0, "OP_RETURN"))?;
    let marker = (1, "the marker \"spell\" pushed by its length, 0x05");
    let rest = rest.strip_prefix(&[5]).ok_or(marker)?;
    let rest = rest.strip_prefix(SPELL_MARKER).ok_or(marker)?;
    let push_offset = script.len().saturating_sub(rest.len());
    let push = (push_offset, "the payload pushed in the shortest way");
    let (&opcode, rest) = rest.split_first().ok_or(push)?;
    let (length, least, rest) = push_length(opcode, rest).ok_or(push)?;
    if length < least {
        return Err(push);
    }
    let Some((payload, after)) = rest.split_at_checked(length) else {
        return Err((script.len(), "all bytes of the payload's push"));
    };
    if !after.is_empty() {
        let end = script.len().saturating_sub(after.len());
        return Err((end, "the end of the script"));
    }
    Ok(payload)
}

/// The length of a push, the least that its opcode is needed for, and the bytes after.
fn push_length(opcode: u8, rest: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (length, least, rest) = if (1..=OP_PUSHBYTES_75.to_u8()).contains(&opcode) {
        (u32::from(opcode), 1, rest)
    } else if opcode == OP_PUSHDATA1.to_u8() {
        let (length, rest) = rest.split_first_chunk()?;
        (u8::from_le_bytes(*length).into(), 76, rest)
    } else if opcode == OP_PUSHDATA2.to_u8() {
        let (length, rest) = rest.split_first_chunk()?;
        (u16::from_le_bytes(*length).into(), 1 << 8, rest)
    } else if opcode == OP_PUSHDATA4.to_u8() {
        let (length, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*length), 1 << 16, rest)
    } else {
        return None;
    };
    Some((usize::try_from(length).ok()?, least, rest))
}

/// Checks a payload. Linear in it, save that the keys of a map within an app's data are sorted.
fn check(payload: &[u8]) -> Result<(), FormError> {
    let mut reader = Reader::new(payload);
    reader.array(Some(2), |reader, index| match index {
        0 => read_fields(reader, SPELL_FIELDS, read_spell_field),
        _ => reader.array(None, |reader, _| {
            reader.unsigned(u8::MAX.into()).map(|_| ())
        }),
    })?;
    reader.end()
}

fn read_spell_field(reader: &mut Reader<'_>, name: &str) -> Result<(), FormError> {
    match name {
        "version" => read_version(reader),
        "tx" => read_fields(reader, TX_FIELDS, |reader, _| {
            reader.array(None, |reader, _| read_charms(reader))
        }),
        "app_public_inputs" => read_apps(reader),
        _ => read_mock(reader),
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<(), FormError> {
    let start = reader.offset();
    match reader.unsigned(u32::MAX.into())? {
        got if got == u64::from(PROTOCOL_VERSION) => Ok(()),
        got => Err(reader.fault(start, FormFault::Version { got })),
    }
}

/// `mock` is left out when it is false.
fn read_mock(reader: &mut Reader<'_>) -> Result<(), FormError> {
    let start = reader.offset();
    match reader.head()? {
        Head::Bool(true) => Ok(()),
        other => Err(reader.kind_fault(start, "true or no such field", other)),
    }
}

/// The charms of one output: positions of apps, ascending, and the data of each.
fn read_charms(reader: &mut Reader<'_>) -> Result<(), FormError> {
    let mut last = None;
    read_entries(reader, |reader, key_start| {
        let app = reader.unsigned(u32::MAX.into())?;
        ascend(reader, &mut last, app, key_start)?;
        Ok(app)
    })
}

/// The spell's apps, ascending, and the public input of each.
fn read_apps(reader: &mut Reader<'_>) -> Result<(), FormError> {
    let mut last = None;
    let mut position = 0_u64;
    read_entries(reader, |reader, key_start| {
        let app = read_app(reader)?;
        ascend(reader, &mut last, app, key_start)?;
        let this = position;
        position = position.saturating_add(1);
        Ok(this)
    })
}

fn read_app(reader: &mut Reader<'_>) -> Result<App, FormError> {
    let mut app = App::default();
    reader.array(Some(3), |reader, index| {
        match index {
            0 => app.tag = read_tag(reader)?,
            1 => app.identity = read_hash(reader)?,
            _ => app.vk = read_hash(reader)?,
        }
        Ok(())
    })?;
    Ok(app)
}

fn read_tag(reader: &mut Reader<'_>) -> Result<char, FormError> {
    let start = reader.offset();
    let mut characters = reader.text()?.chars();
    match (characters.next(), characters.next()) {
        (Some(tag), None) => Ok(tag),
        _ => Err(reader.kind_fault(start, "a text of one character", Head::Text(0))),
    }
}

fn read_hash(reader: &mut Reader<'_>) -> Result<B32, FormError> {
    let mut hash = Vec::with_capacity(HASH_BYTES);
    reader.array(Some(HASH_BYTES as u64), |reader, _| {
        let byte = reader.unsigned(u8::MAX.into())?;
        hash.extend(u8::try_from(byte));
        Ok(())
    })?;
    let hash = hash
        .try_into()
        .expect("as many elements as the array was checked to have");
    Ok(B32(hash))
}

/// A map to data of any kind, from what `read_key` reads; that returns the position of the app that
/// the key stands for.
fn read_entries(
    reader: &mut Reader<'_>,
    mut read_key: impl FnMut(&mut Reader<'_>, usize) -> Result<u64, FormError>,
) -> Result<(), FormError> {
    let start = reader.offset();
    for index in 0..reader.map()? {
        let position = reader.key(start, index, |reader| {
            let key_start = reader.offset();
            read_key(reader, key_start)
        })?;
        reader.entry(start, position, Reader::any)?;
    }
    Ok(())
}

fn ascend<K: Ord>(
    reader: &Reader<'_>,
    last: &mut Option<K>,
    key: K,
    key_start: usize,
) -> Result<(), FormError> {
    if last.as_ref().is_some_and(|last| key <= *last) {
        return Err(reader.fault(key_start, FormFault::KeyOrder));
    }
    *last = Some(key);
    Ok(())
}

/// A map of the given fields in their order; `read` is called before the value of each.
fn read_fields(
    reader: &mut Reader<'_>,
    fields: &'static [Field],
    mut read: impl FnMut(&mut Reader<'_>, &'static str) -> Result<(), FormError>,
) -> Result<(), FormError> {
    let start = reader.offset();
    let mut expected = fields;
    for index in 0..reader.map()? {
        let name = reader.key(start, index, |reader| {
            let key_start = reader.offset();
            let got = reader.text()?;
            next_field(fields, &mut expected, got).map_err(|fault| reader.fault(key_start, fault))
        })?;
        reader.field(start, name, |reader| read(reader, name))?;
    }
    match first_required(expected) {
        Some(expected) => Err(reader.fault(start, FormFault::MissingField { expected })),
        None => Ok(()),
    }
}

/// The field `got`, if it may come now; `expected` are those that may, in order.
fn next_field(
    fields: &'static [Field],
    expected: &mut &'static [Field],
    got: &str,
) -> Result<&'static str, FormFault> {
    let Some(&(got, presence)) = fields.iter().find(|(name, _)| *name == got) else {
        return Err(FormFault::UnknownField { got: cut(got) });
    };
    if let Presence::Never(feature) = presence {
        return Err(FormFault::Feature { feature });
    }
    let Some(turn) = expected.iter().position(|(name, _)| *name == got) else {
        return Err(FormFault::RepeatedField { got });
    };
    let (passed, rest) = expected.split_at(turn);
    if let Some(expected) = first_required(passed) {
        return Err(FormFault::FieldOrder { expected, got });
    }
    *expected = rest.get(1..).unwrap_or_default();
    Ok(got)
}

fn first_required(fields: &[Field]) -> Option<&'static str> {
    fields
        .iter()
        .find(|(_, presence)| *presence == Presence::Always)
        .map(|(name, _)| *name)
}
