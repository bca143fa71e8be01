//! Names that messages are published under.

use std::{borrow::Cow, fmt};

/// Longest subject.
pub const SUBJECT_MAX_BYTES: usize = 64;

/// A subject: words of lowercase letters, digits, `-` and `_`, joined by dots. No wildcards.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Cow<'static, str>);

/// The text is no subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected 1 to {SUBJECT_MAX_BYTES} bytes: words of lowercase letters, digits, - and _ joined by dots"
)]
pub struct SubjectError;

impl Subject {
    /// A subject known when compiling; in a constant, text that is not a subject does not compile.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(is_subject(text.as_bytes()), "not a subject");
        Self(Cow::Borrowed(text))
    }

    /// A subject from text.
    pub fn new(text: &str) -> Result<Self, SubjectError> {
        if is_subject(text.as_bytes()) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(SubjectError)
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({})", self.0)
    }
}

const fn is_subject(text: &[u8]) -> bool {
    if text.len() > SUBJECT_MAX_BYTES {
        return false;
    }
    let mut rest = text;
    let mut word_is_empty = true;
    while let [byte, tail @ ..] = rest {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => word_is_empty = false,
            b'.' if !word_is_empty => word_is_empty = true,
            _ => return false,
        }
        rest = tail;
    }
    !word_is_empty
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accepts_words_joined_by_dots_up_to_the_limit() {
        let longest = "a".repeat(SUBJECT_MAX_BYTES);
        for text in ["a", "grail.v1.asks", "0-_.9", longest.as_str()] {
            assert_eq!(Subject::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_everything_else() {
        let too_long = "a".repeat(SUBJECT_MAX_BYTES + 1);
        for text in [
            "", ".", "a.", ".a", "a..b", "A", "a b", "a.*", "a.>", "é", "a\0", &too_long,
        ] {
            assert_eq!(Subject::new(text), Err(SubjectError), "{text:?}");
        }
    }
}
