//! Why a person asks a program for something.

use serde::{Deserialize, Serialize};

/// A reason of 1 to `CHARS_MAX` characters, none of control and not blank alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason<const CHARS_MAX: usize>(String);

/// The text is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a reason of 1 to {chars_max} printable characters")]
pub struct ReasonError {
    /// Most characters.
    pub chars_max: usize,
}

impl<const CHARS_MAX: usize> Reason<CHARS_MAX> {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const CHARS_MAX: usize> TryFrom<String> for Reason<CHARS_MAX> {
    type Error = ReasonError;

    fn try_from(text: String) -> Result<Self, ReasonError> {
        let is_short = text.chars().count() <= CHARS_MAX;
        if text.trim().is_empty() || !is_short || text.chars().any(char::is_control) {
            let chars_max = CHARS_MAX;
            return Err(ReasonError { chars_max });
        }
        Ok(Self(text))
    }
}

impl<const CHARS_MAX: usize> std::str::FromStr for Reason<CHARS_MAX> {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        text.to_owned().try_into()
    }
}

impl<const CHARS_MAX: usize> From<Reason<CHARS_MAX>> for String {
    fn from(reason: Reason<CHARS_MAX>) -> Self {
        reason.0
    }
}
