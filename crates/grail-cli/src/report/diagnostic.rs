//! CBOR for people: the diagnostic notation of RFC 8949, section 8, on one line.
//!
//! What is shown was written by strangers: text is escaped, so that it cannot steer a terminal.

use std::fmt::Write as _;

use charms_data::Data;
use ciborium::Value;

/// Charms' data in diagnostic notation.
pub fn diagnostic(data: &Data) -> String {
    let mut out = String::new();
    match data.value::<Value>() {
        Ok(value) => write_value(&value, &mut out),
        // Not a failure of the data but of the conversion: its bytes are the truth.
        Err(_) => write_bytes(&data.bytes(), &mut out),
    }
    out
}

/// Text in quotes, with everything escaped that is not plainly visible.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            _ if character.is_control() || is_invisible(character) => {
                out.extend(character.escape_unicode());
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// Marks that reorder or hide text.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// The decoder bounds the nesting, and so this recursion.
fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Integer(number) => {
            let _ = write!(out, "{}", i128::from(*number));
        }
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Float(number) => write_float(*number, out),
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::Bool(truth) => {
            let _ = write!(out, "{truth}");
        }
        Value::Null => out.push_str("null"),
        Value::Tag(tag, inner) => {
            let _ = write!(out, "{tag}(");
            write_value(inner, out);
            out.push(')');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, out);
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(index, out);
                write_value(key, out);
                out.push_str(": ");
                write_value(value, out);
            }
            out.push('}');
        }
        // The library may learn more kinds.
        _ => out.push_str("undefined"),
    }
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    let _ = write!(out, "h'{}'", hex::encode(bytes));
}

fn write_float(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    } else {
        let _ = write!(out, "{number:?}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(cbor: &str) -> String {
        diagnostic(&Data::try_from_bytes(&hex::decode(cbor).unwrap()).unwrap())
    }

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn writes_what_the_rfc_writes() {
        for (cbor, expected) in [
            ("00", "0"),
            ("1903e8", "1000"),
            ("1bffffffffffffffff", "18446744073709551615"),
            ("3903e7", "-1000"),
            ("f93c00", "1.0"),
            ("f97e00", "NaN"),
            ("f9fc00", "-Infinity"),
            ("f4", "false"),
            ("f6", "null"),
            ("4401020304", "h'01020304'"),
            ("6449455446", "\"IETF\""),
            ("62225c", "\"\\\"\\\\\""),
            ("8301820203820405", "[1, [2, 3], [4, 5]]"),
            ("a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}"),
            ("c11a514b67b0", "1(1363896240)"),
        ] {
            assert_eq!(shown(cbor), expected, "{cbor}");
        }
    }

    #[test]
    fn text_cannot_steer_a_terminal() {
        assert_eq!(quoted("\u{1b}[31m"), "\"\\u{1b}[31m\"");
        assert_eq!(quoted("a\u{202e}b\u{9b}"), "\"a\\u{202e}b\\u{9b}\"");
        assert_eq!(quoted("zażółć\n"), "\"zażółć\\n\"");
    }
}
