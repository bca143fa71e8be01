//! What is wrong with text that should be hexadecimal, in the words of who copied it.

/// A hint at the usual accidents: byte-order marks, quotes, `0x`, and text of two bytes a letter.
pub fn hint(text: &[u8]) -> Option<&'static str> {
    let begin: &[u8] = text.trim_ascii_start();
    match begin {
        [0xef, 0xbb, 0xbf, ..] => {
            Some("the text begins with a byte-order mark: save it as UTF-8 without one")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Some("the text is UTF-16: save it as UTF-8 without a byte-order mark")
        }
        [b'0', b'x' | b'X', ..] => Some("the text begins with 0x: leave that out"),
        [b'"' | b'\'' | b'`', ..] => Some("the text is in quotes: leave them out"),
        [0xe2, 0x80, 0x98..=0x9f, ..] => Some("the text is in typographic quotes: leave them out"),
        [b'{' | b'[', ..] => Some("the text is JSON: only the transaction's hex is wanted"),
        _ => None,
    }
}

/// An error, and the hint where there is one.
pub fn explained(error: impl std::fmt::Display, text: &[u8]) -> String {
    hint(text).map_or_else(|| error.to_string(), |hint| format!("{error}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn the_usual_accidents_have_a_hint_and_hex_has_none() {
        for text in [
            "\u{feff}02",
            "0x02",
            " 0X02",
            "\"02\"",
            "'02'",
            "\u{201c}02\u{201d}",
            "{\"hex\":\"02\"}",
        ] {
            assert!(hint(text.as_bytes()).is_some(), "{text}");
        }
        assert!(hint(b"\xff\xfe0\x002\x00").is_some());
        assert!(hint(b"0200").is_none());
        assert!(hint(b"").is_none());
    }
}
