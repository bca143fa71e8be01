//! Forms of what is stored whole: JSON of domain types, bytes that callers encode.
//!
//! Owns their version. What is written carries it; what was written one version before, without
//! any, is still read. A form of a newer version is no damage: whoever wrote it can read it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::StoreError;

/// Version that is written. The one before had no mark.
const VERSION: u8 = 2;

#[derive(Serialize)]
struct Written<'a, T> {
    v: u8,
    is: &'a T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    v: u8,
    is: Value,
}

/// A domain value as JSON text with its version.
pub(crate) fn write_json<T: Serialize>(
    what: &'static str,
    value: &T,
) -> Result<String, StoreError> {
    let written = Written {
        v: VERSION,
        is: value,
    };
    serde_json::to_string(&written).map_err(|error| StoreError::corrupt(what, error))
}

/// A domain value from JSON text of this version or the one before.
pub(crate) fn read_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    let corrupt = |error| StoreError::corrupt(what, error);
    let value: Value = serde_json::from_str(text).map_err(corrupt)?;
    // No domain type has a field `v`, so it marks the form.
    if value.get("v").is_none() {
        return serde_json::from_value(value).map_err(corrupt);
    }
    let read: Read = serde_json::from_value(value).map_err(corrupt)?;
    if read.v > VERSION {
        return Err(StoreError::Newer {
            what,
            version: read.v,
        });
    }
    serde_json::from_value(read.is).map_err(corrupt)
}

/// Encoded bytes with their version in front.
pub(crate) fn write_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(bytes.len().saturating_add(1));
    written.push(VERSION);
    written.extend_from_slice(bytes);
    written
}

/// Bytes of this version or the one before, which were a CBOR map or list and so began with a byte
/// from 0x80 on.
pub(crate) fn read_bytes(what: &'static str, mut stored: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    match stored.first() {
        Some(&VERSION) => {
            stored.remove(0);
            Ok(stored)
        }
        Some(0x80..) | None => Ok(stored),
        Some(&version) if version > VERSION => Err(StoreError::Newer { what, version }),
        Some(version) => Err(StoreError::corrupt(
            what,
            format!("unknown version {version}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_flow::SettlementState;

    use super::*;

    const ASKED: SettlementState = SettlementState::Asked { round: 3 };

    #[test]
    fn json_of_this_version_and_the_one_before_is_read() {
        let written = write_json("x", &ASKED).unwrap();
        assert_eq!(written, r#"{"v":2,"is":{"state":"asked","round":3}}"#);
        for text in [written.as_str(), r#"{"state":"asked","round":3}"#] {
            assert_eq!(read_json::<SettlementState>("x", text).unwrap(), ASKED);
        }
    }

    #[test]
    fn json_of_a_newer_version_is_not_called_corrupt() {
        let code = |text| read_json::<SettlementState>("x", text).unwrap_err().code();
        assert_eq!(code(r#"{"v":3,"is":{"state":"asked","turn":3}}"#), "newer");
        for text in [
            r#"{"v":2,"is":{"state":"asked"}}"#,
            r#"{"v":2,"is":{"state":"asked","round":3},"more":1}"#,
            r#"{"v":"2","is":{"state":"asked","round":3}}"#,
            "",
            "{",
        ] {
            assert_eq!(code(text), "corrupt", "{text}");
        }
    }

    #[test]
    fn bytes_of_this_version_and_the_one_before_are_read() {
        for bytes in [&b""[..], &[0xa4, 1], &[0x02, 0x02]] {
            assert_eq!(read_bytes("x", write_bytes(bytes)).unwrap(), bytes);
        }
        assert_eq!(read_bytes("x", vec![0xa4, 1]).unwrap(), [0xa4, 1]);
        assert_eq!(read_bytes("x", vec![3, 1]).unwrap_err().code(), "newer");
        assert_eq!(read_bytes("x", vec![1, 1]).unwrap_err().code(), "corrupt");
    }
}
