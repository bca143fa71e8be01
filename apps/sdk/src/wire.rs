//! How configurations, states, cells and orders are written: CBOR with one encoding for each value.

use grail_app_facts::{
    AppId,
    cbor::{Fault, Reader, Writer},
};

/// A value with exactly one encoding.
///
/// Implement it with [`wire_struct!`](crate::wire_struct) and [`wire_enum!`](crate::wire_enum): an
/// implementation of one's own must read only what it writes.
pub trait Wire: Sized {
    /// Writes one CBOR item.
    fn write(&self, writer: &mut Writer);
    /// Reads what [`Self::write`] writes, and nothing else.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault>;

    /// The bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.finish()
    }

    /// Reads bytes to their end.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

macro_rules! wire_uint {
    ($($uint:ty),*) => {$(
        impl Wire for $uint {
            fn write(&self, writer: &mut Writer) {
                writer.uint(*self);
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
                reader.uint()
            }
        }
    )*};
}

wire_uint!(u8, u16, u32, u64);

impl Wire for u128 {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.to_be_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.fixed().map(Self::from_be_bytes)
    }
}

impl Wire for bool {
    fn write(&self, writer: &mut Writer) {
        writer.uint(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        match reader.uint::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Range),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.fixed()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.write(writer),
            None => writer.null(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.optional(T::read)
    }
}

/// A list, in order. How long it may be is for the app to bound: states have
/// [`BODY_BYTES_MAX`](crate::BODY_BYTES_MAX) in all.
impl<T: Wire> Wire for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        writer.array(self.len());
        for item in self {
            item.write(writer);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let length = usize::try_from(reader.array()?).map_err(|_| Fault::Cut)?;
        // Each item takes a byte at least: a longer list is a lie, which nothing is reserved for.
        if length > reader.rest().len() {
            return Err(Fault::Cut);
        }
        (0..length).map(|_| T::read(reader)).collect()
    }
}

impl Wire for AppId {
    fn write(&self, writer: &mut Writer) {
        writer.array(3);
        writer.uint(u32::from(self.tag));
        writer.bytes(&self.identity);
        writer.bytes(&self.vk);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.array_of(3)?;
        Ok(Self {
            tag: char::from_u32(reader.uint()?).ok_or(Fault::Range)?,
            identity: reader.fixed()?,
            vk: reader.fixed()?,
        })
    }
}

/// For an app that has no cells, no configuration or no orders of its own: an empty array.
impl Wire for () {
    fn write(&self, writer: &mut Writer) {
        writer.array(0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.array_of(0)
    }
}

/// [`Wire`] for a struct: an array of its format number and of the fields, in the order given.
#[macro_export]
macro_rules! wire_struct {
    ($name:ident, $format:literal, { $($field:ident),* $(,)? }) => {
        impl $crate::Wire for $name {
            fn write(&self, writer: &mut $crate::cbor::Writer) {
                let fields: &[&str] = &[$(stringify!($field)),*];
                writer.head($crate::cbor::major::ARRAY, (fields.len() as u64).saturating_add(1));
                writer.uint($format as u64);
                $($crate::Wire::write(&self.$field, writer);)*
            }

            fn read(reader: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Fault> {
                let fields: &[&str] = &[$(stringify!($field)),*];
                reader.array_of((fields.len() as u64).saturating_add(1))?;
                if reader.uint::<u64>()? != $format {
                    return Err($crate::cbor::Fault::Range);
                }
                Ok(Self { $($field: $crate::Wire::read(reader)?),* })
            }
        }
    };
}

/// [`Wire`] for an enum of struct-like variants: an array of the variant's number and its fields,
/// in the order given.
#[macro_export]
macro_rules! wire_enum {
    ($name:ident { $($number:literal => $variant:ident { $($field:ident),* $(,)? }),* $(,)? }) => {
        impl $crate::Wire for $name {
            fn write(&self, writer: &mut $crate::cbor::Writer) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        let fields: &[&str] = &[$(stringify!($field)),*];
                        let length = (fields.len() as u64).saturating_add(1);
                        writer.head($crate::cbor::major::ARRAY, length);
                        writer.uint($number as u64);
                        $($crate::Wire::write($field, writer);)*
                    })*
                }
            }

            fn read(reader: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Fault> {
                let length = reader.array()?;
                match reader.uint::<u64>()? {
                    $($number => {
                        let fields: &[&str] = &[$(stringify!($field)),*];
                        if length != (fields.len() as u64).saturating_add(1) {
                            return Err($crate::cbor::Fault::Type);
                        }
                        Ok(Self::$variant { $($field: $crate::Wire::read(reader)?),* })
                    })*
                    _ => Err($crate::cbor::Fault::Range),
                }
            }
        }
    };
}
