//! The encoding that version 0 of the protocol committed to: fixed-width little-endian integers,
//! eight-byte lengths, no names, as the crate `bincode` 1 writes with its defaults. That crate is
//! no longer maintained, and nothing else here needs it, so the few lines that write it are here.
//!
//! Owns the writing of values in that encoding; nothing reads it. It does not tell apart what CBOR
//! does (an absent field is no bytes at all): one more reason why no charm of such a spell is ever
//! believed by the bridge.

use std::fmt;

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use thiserror::Error;

/// Why a value has no such encoding.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct EncodeError(String);

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The bytes of `value`.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer(Vec::new());
    value.serialize(&mut writer)?;
    Ok(writer.0)
}

struct Writer(Vec<u8>);

impl Writer {
    fn length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let length = length.ok_or_else(|| EncodeError::custom("a sequence of unknown length"))?;
        self.0.extend((length as u64).to_le_bytes());
        Ok(())
    }

    fn variant(&mut self, index: u32) {
        self.0.extend(index.to_le_bytes());
    }
}

/// Integers and floats: their bytes, least significant first.
macro_rules! write_numbers {
    ($($method:ident $number:ty),+ $(,)?) => {
        $(fn $method(self, value: $number) -> Result<(), EncodeError> {
            self.0.extend(value.to_le_bytes());
            Ok(())
        })+
    };
}

impl Serializer for &mut Writer {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    write_numbers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
        serialize_f32 f32, serialize_f64 f64,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.serialize_u8(value.into())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.0.extend(value.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        self.length(Some(value.len()))?;
        self.0.extend(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.0.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), EncodeError> {
        self.variant(index);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant(index);
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, EncodeError> {
        self.length(length)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, EncodeError> {
        self.variant(index);
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, EncodeError> {
        self.length(length)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, EncodeError> {
        self.variant(index);
        Ok(self)
    }
}

/// Parts follow each other without anything between them.
macro_rules! write_parts {
    ($($kind:ident $method:ident ($($name:ty)?)),+ $(,)?) => {
        $(impl $kind for &mut Writer {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result<(), EncodeError> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        })+
    };
}

write_parts! {
    SerializeSeq serialize_element (),
    SerializeTuple serialize_element (),
    SerializeTupleStruct serialize_field (),
    SerializeTupleVariant serialize_field (),
    SerializeStruct serialize_field (&'static str),
    SerializeStructVariant serialize_field (&'static str),
}

impl SerializeMap for &mut Writer {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use charms_data::{App, B32, Data, NativeOutput, TxId, UtxoId};
    use ciborium::Value;

    use super::*;
    use crate::spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction};

    fn hex_of<T: Serialize>(value: &T) -> String {
        hex::encode(encode(value).unwrap())
    }

    /// Written by hand from bincode's specification.
    #[test]
    fn encoding_of_a_spell_is_pinned() {
        let app = App {
            tag: 'é',
            identity: B32([1; 32]),
            vk: B32([2; 32]),
        };
        let mut spell = NormalizedSpell {
            version: 0,
            tx: NormalizedTransaction {
                ins: Some(vec![UtxoId(TxId([3; 32]), 4)]),
                outs: vec![NormalizedCharms::from([(5, Data::from(&"ab"))])],
                ..NormalizedTransaction::default()
            },
            app_public_inputs: [(app, Data::empty())].into(),
            ..NormalizedSpell::default()
        };
        let ins = format!(
            "01{}{}{}04000000",
            "0100000000000000",
            "2400000000000000",
            "03".repeat(32)
        );
        let outs =
            "0100000000000000 0100000000000000 05000000 0200000000000000 6162".replace(' ', "");
        let apps = format!("0100000000000000c3a9{}{}", "01".repeat(32), "02".repeat(32));
        let expected = format!("00000000{ins}{outs}{apps}");
        assert_eq!(hex_of(&spell), expected);
        // The flag is one byte; coins come between outs and apps.
        spell.mock = true;
        spell.tx.coins = Some(vec![NativeOutput {
            amount: 6,
            dest: vec![0x51],
            content: None,
        }]);
        let coins = "01 0100000000000000 0600000000000000 0100000000000000 51".replace(' ', "");
        assert_eq!(
            hex_of(&spell),
            format!("00000000{ins}{outs}{coins}{apps}01")
        );
        assert_eq!(
            hex_of(&("0xab", 7_u8)),
            format!("0400000000000000{}07", "30786162")
        );
    }

    #[test]
    fn encodings_of_app_data_are_pinned() {
        for (value, expected) in [
            (Value::Null, ""),
            (Value::Bool(true), "01"),
            (Value::from(255), "ff"),
            (Value::from(-2), "fe"),
            (Value::from(256), "0001"),
            (Value::from(-300), "d4fe"),
            (Value::from(65_536), "00000100"),
            (Value::from(u64::MAX), "ffffffffffffffff"),
            (Value::from(i64::MIN), "0000000000000080"),
            (Value::from(1.5), "0000c03f"),
            (Value::from(0.1), "9a9999999999b93f"),
            (Value::Bytes(vec![9]), "010000000000000009"),
            (
                Value::Tag(2, Box::new(Value::Bool(false))),
                "00000000020000000000000000",
            ),
            (Value::Array(vec![Value::from(1)]), "010000000000000001"),
            (
                Value::Map(vec![(Value::from(1), Value::from(2))]),
                "01000000000000000102",
            ),
        ] {
            assert_eq!(hex_of(&Data::from(&value)), expected, "{value:?}");
        }
    }
}
