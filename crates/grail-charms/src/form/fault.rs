//! What can be wrong with a spell's output, and where.

use std::fmt;

use grail_spell::{DEPTH_MAX, PROTOCOL_VERSION};
use thiserror::Error;

/// Where a spell's output leaves its one form, and how.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StrictFault {
    /// In its script.
    #[error("spell output {output_index}, script byte {offset}: expected {expected}, got {got}")]
    Script {
        /// The output.
        output_index: usize,
        /// Offset in its script.
        offset: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        got: ScriptByte,
    },
    /// In the payload.
    #[error(transparent)]
    Payload(#[from] FormError),
}

/// A byte of a script, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptByte {
    /// This byte.
    Byte(u8),
    /// None: the script is over.
    End,
}

impl fmt::Display for ScriptByte {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(formatter, "{byte:#04x}"),
            Self::End => formatter.write_str("the end"),
        }
    }
}

/// Where a payload leaves its one form, and how.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("payload byte {offset}, at {path}: {fault}")]
pub struct FormError {
    /// Offset in the payload of the head or byte at fault.
    pub offset: usize,
    /// The value at fault, seen from the payload: `[0].tx.outs[2]`.
    pub path: String,
    /// What is wrong.
    pub fault: FormFault,
}

/// How a payload leaves its one form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormFault {
    /// The bytes end inside a value.
    #[error("expected {missing} more bytes, got the end")]
    Truncated {
        /// At least so many are missing.
        missing: u64,
    },
    /// Bytes follow the payload's one value.
    #[error("expected the end, got {count} more bytes")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A value of another kind.
    #[error("expected {expected}, got {got}")]
    Kind {
        /// What belongs here.
        expected: &'static str,
        /// What is here.
        got: &'static str,
    },
    /// An integer or length in more bytes than it needs.
    #[error("expected {value} in its shortest form, got it in {got_bytes} bytes")]
    NotMinimal {
        /// The integer.
        value: u64,
        /// Bytes after the initial one.
        got_bytes: usize,
    },
    /// A string, array or map without a length.
    #[error("expected a length, got a value of indefinite length")]
    Indefinite,
    /// A tag.
    #[error("expected no tags, got tag {tag}")]
    Tag {
        /// Its number.
        tag: u64,
    },
    /// A floating-point number.
    #[error("expected no floating-point numbers, got one")]
    Float,
    /// A simple value or an initial byte that has no meaning here.
    #[error("expected false, true or null, got initial byte {initial:#04x}")]
    Simple {
        /// The initial byte.
        initial: u8,
    },
    /// Text that is not UTF-8.
    #[error("expected UTF-8 text")]
    Utf8,
    /// Arrays and maps nest too deep.
    #[error("expected at most {DEPTH_MAX} levels of arrays and maps")]
    TooDeep,
    /// A map has a key twice.
    #[error("key of byte {first} repeated")]
    RepeatedKey {
        /// Offset of the first.
        first: usize,
    },
    /// The keys of a map do not ascend.
    #[error("expected keys in ascending order")]
    KeyOrder,
    /// An array of another length.
    #[error("expected {expected} elements, got {got}")]
    Count {
        /// How many belong here.
        expected: u64,
        /// How many are announced.
        got: u64,
    },
    /// An integer that is too large for its place.
    #[error("expected at most {max}, got {got}")]
    Range {
        /// The largest.
        max: u64,
        /// The integer.
        got: u64,
    },
    /// A spell of another protocol version.
    #[error("expected a spell of version {PROTOCOL_VERSION}, got {got}")]
    Version {
        /// Its version.
        got: u64,
    },
    /// A field that Charms knows and that no Grail spell has.
    #[error("the spell uses {feature}, which a Grail spell never does")]
    Feature {
        /// The field.
        feature: &'static str,
    },
    /// A field that no spell has.
    #[error("expected a field of a spell, got {got:?}")]
    UnknownField {
        /// Its name, cut.
        got: String,
    },
    /// A field before its turn.
    #[error("expected field {expected:?}, got {got:?}")]
    FieldOrder {
        /// The field that belongs here.
        expected: &'static str,
        /// The field that is here.
        got: &'static str,
    },
    /// A field whose turn has passed.
    #[error("field {got:?} twice or too late")]
    RepeatedField {
        /// The field.
        got: &'static str,
    },
    /// A field is missing.
    #[error("expected field {expected:?}, got the end of the map")]
    MissingField {
        /// Its name.
        expected: &'static str,
    },
}
