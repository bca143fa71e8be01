//! Text from somewhere else, made fit to be stored, logged and shown.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// Longest details of a refusal or a fault.
pub const DETAILS_MAX_BYTES: usize = 1_024;

/// At most `MAX` bytes of text without control characters. The one constructor that foreign text
/// passes: PostgreSQL refuses a NUL, terminals obey escape sequences, and a message that one
/// database takes and another does not would stop whoever stores it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The longest beginning of `text` that fits, each control character replaced by a space.
    pub fn cut(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len().min(MAX));
        for character in text.chars() {
            let character = if character.is_control() {
                ' '
            } else {
                character
            };
            if clean.len().saturating_add(character.len_utf8()) > MAX {
                break;
            }
            clean.push(character);
        }
        Self(clean)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > MAX {
            return Err(D::Error::custom(format_args!(
                "text of {} bytes, expected at most {MAX}",
                text.len()
            )));
        }
        if text.chars().any(char::is_control) {
            return Err(D::Error::custom("text holds a control character"));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cuts_between_characters_and_replaces_controls() {
        assert_eq!(Text::<4>::cut("abcde").as_str(), "abcd");
        assert_eq!(Text::<4>::cut("abcé").as_str(), "abc");
        assert_eq!(Text::<5>::cut("abcé").as_str(), "abcé");
        assert_eq!(Text::<9>::cut("a\0b\x1b[31m").as_str(), "a b [31m");
        assert_eq!(Text::<9>::cut("").as_str(), "");
    }

    #[test]
    fn reads_what_was_cut_and_refuses_the_rest() {
        let read = |text: &str| {
            let mut bytes = Vec::new();
            ciborium::into_writer(&text, &mut bytes).unwrap();
            ciborium::from_reader::<Text<4>, _>(bytes.as_slice())
        };
        assert_eq!(read("abcd").unwrap().as_str(), "abcd");
        for refused in ["abcde", "a\0", "\n", "\u{7f}"] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }
}
