//! The tables of `docs/reliability.md`: what they name as held by a test is.

use std::collections::BTreeSet;
use std::path::Path;

/// Where the tables stand.
pub const PAGE: &str = "docs/reliability.md";
/// Shorter words between backquotes are values, codes and commands.
const NAME_LETTERS_MIN: usize = 20;

/// Complains of each test, file and folder that the page names and that is not there. `files` are
/// the repository's: names and contents.
pub fn check(page: &str, files: &[(&str, &str)]) -> Vec<String> {
    let tests: BTreeSet<&str> = files
        .iter()
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|end| end == "rs"))
        .flat_map(|(_, content)| functions(content))
        .collect();
    let is_file = |path: &str| {
        let path = format!("crates/{path}");
        let folder = format!("{path}/");
        files
            .iter()
            .any(|(name, _)| *name == path || name.starts_with(&folder))
    };
    let named = page.split('`').skip(1).step_by(2);
    named
        .filter_map(|word| {
            if is_test_name(word) {
                (!tests.contains(word)).then(|| format!("{PAGE}: there is no test {word}"))
            } else if word.starts_with("grail-") && word.contains('/') {
                (!is_file(word)).then(|| format!("{PAGE}: there is no crates/{word}"))
            } else {
                None
            }
        })
        .collect()
}

fn is_test_name(word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    word.len() >= NAME_LETTERS_MIN
        && word.contains('_')
        && word.chars().all(|letter| letter == '_' || is_part(letter))
}

/// Names of functions that a file declares.
fn functions(content: &str) -> impl Iterator<Item = &str> {
    let declared = content.split("fn ").skip(1);
    declared.filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 2] = [
        (
            "crates/grail-a/tests/roles/b.rs",
            "#[test]\nfn what_is_right_is_held_by_this() {}",
        ),
        ("docs/c.md", "fn what_is_in_no_program_at_all() {}"),
    ];

    #[test]
    fn what_is_there_is_no_complaint() {
        let page = "| a `sat` | `what_is_right_is_held_by_this` (`grail-a/tests/roles/b.rs`, \
                    `grail-a/tests/roles`), `grail auditor`, `--batch-seconds` |";
        assert_eq!(check(page, &FILES), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (word, complaint) in [
            (
                "what_is_right_is_held_by_that",
                "there is no test what_is_right_is_held_by_that",
            ),
            (
                "what_is_in_no_program_at_all",
                "there is no test what_is_in_no_program_at_all",
            ),
            (
                "grail-a/tests/b.rs",
                "there is no crates/grail-a/tests/b.rs",
            ),
            ("grail-a/tests/rol", "there is no crates/grail-a/tests/rol"),
        ] {
            let complaints = check(&format!("| `{word}` |"), &FILES);
            assert_eq!(complaints, [format!("{PAGE}: {complaint}")]);
        }
    }
}
