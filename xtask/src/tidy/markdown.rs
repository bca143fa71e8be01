//! Texts for people: prose that can be read and compared line by line, decisions with their date.

/// Longest line of prose.
const COLUMNS_MAX: usize = 100;

/// A name of fewer words is no claim: a function, a field.
const CLAIM_SPACES_MIN: usize = 3;

/// Where decisions lie, one a file.
const DECISIONS: &str = "docs/adr/";
/// Their list.
const DECISIONS_INDEX: &str = "docs/adr/README.md";
/// What a new one is copied from; it has no date yet.
const DECISION_TEMPLATE: &str = "docs/adr/template.md";

/// Complains of each line of prose that is too long. Tables and code are exempt, and what cannot be
/// broken.
pub fn check(name: &str, content: &str) -> Vec<String> {
    if !is_markdown(name) {
        return Vec::new();
    }
    let mut in_code = false;
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !in_code && is_breakable(line) {
            complaints.push(format!(
                "{name}:{number}: {columns} columns; prose is wrapped at {COLUMNS_MAX}"
            ));
        }
    }
    complaints
}

/// Whether a line is prose of several words.
fn is_breakable(line: &str) -> bool {
    let is_code_or_table = line.starts_with("    ") || line.trim_start().starts_with('|');
    let is_title_or_image = line.starts_with('#') || line.starts_with("![");
    let text = line.trim_start_matches([' ', '-', '*', '>']);
    !is_code_or_table && !is_title_or_image && text.contains(' ')
}

/// Complains of a decision without status or date, and of one that the list does not name.
pub fn check_decisions(files: &[(&str, &str)]) -> Vec<String> {
    let index = files
        .iter()
        .find(|(name, _)| *name == DECISIONS_INDEX)
        .map_or("", |(_, content)| *content);
    let mut complaints = Vec::new();
    let decisions = files
        .iter()
        .filter(|(name, _)| name.starts_with(DECISIONS) && is_markdown(name))
        .filter(|(name, _)| ![DECISIONS_INDEX, DECISION_TEMPLATE].contains(name));
    for (name, content) in decisions {
        let has = |mark: &str| content.lines().find_map(|line| line.strip_prefix(mark));
        if has("**Status:** ").is_none() {
            complaints.push(format!("{name}: a decision has a line **Status:**"));
        }
        if !has("**Date:** ").is_some_and(is_date) {
            complaints.push(format!(
                "{name}: a decision has a line **Date:** YYYY-MM-DD"
            ));
        }
        let file = &name[DECISIONS.len()..];
        if !index.contains(&format!("]({file})")) {
            complaints.push(format!("{DECISIONS_INDEX} does not name {file}"));
        }
    }
    complaints
}

/// The page that names the tests which answer each hazard.
pub const HAZARDS: &str = "docs/spec/hazards.md";

/// Complains of each test that the page of hazards names and no source has. `sources` are all of
/// Rust's.
pub fn check_hazards(page: &str, sources: &[&str]) -> Vec<String> {
    let is_there = |name: &&str| {
        let function = format!("fn {name}(");
        sources.iter().any(|source| source.contains(&function))
    };
    named_tests(page)
        .filter(|name| !is_there(name))
        .map(|name| format!("{HAZARDS} names a test {name}, which is not there"))
        .collect()
}

/// What stands in backticks and reads like a claim.
fn named_tests(page: &str) -> impl Iterator<Item = &str> {
    let in_backticks = page.split('`').skip(1).step_by(2);
    in_backticks.filter(|text| {
        let is_name =
            |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
        text.bytes().all(is_name) && text.matches('_').count() >= CLAIM_SPACES_MIN
    })
}

fn is_date(text: &str) -> bool {
    let text = text.trim_end();
    text.len() == 10
        && text.bytes().enumerate().all(|(place, letter)| match place {
            4 | 7 => letter == b'-',
            _ => letter.is_ascii_digit(),
        })
}

fn is_markdown(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(columns: usize) -> String {
        format!("a {}", "b".repeat(columns - 2))
    }

    #[test]
    fn refuses_prose_of_one_column_too_many_and_names_the_line() {
        assert_eq!(check("a.md", &line(COLUMNS_MAX)), [""; 0]);
        let complaints = check("a.md", &format!("a\n{}\n", line(COLUMNS_MAX + 1)));
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("a.md:2:"), "{complaints:?}");
        for list in ["- ", "  ", "> "] {
            assert_eq!(
                check("a.md", &format!("{list}{}", line(99))).len(),
                1,
                "{list}"
            );
        }
        assert_eq!(check("a.txt", &line(COLUMNS_MAX + 1)), [""; 0]);
    }

    #[test]
    fn columns_are_letters_and_not_bytes() {
        assert_eq!(check("a.md", &"\u{e9} ".repeat(COLUMNS_MAX / 2)), [""; 0]);
    }

    #[test]
    fn leaves_tables_code_titles_and_what_cannot_be_broken_alone() {
        let long = line(COLUMNS_MAX + 50);
        for exempt in [
            format!("| {long} |"),
            format!("    {long}"),
            format!("# {long}"),
            format!("![{long}](a.svg)"),
            format!("```text\n{long}\n```"),
            format!("- {}", "b".repeat(150)),
        ] {
            assert_eq!(check("a.md", &exempt), [""; 0], "{exempt}");
        }
        assert_eq!(check("a.md", &format!("```\n```\n{long}")).len(), 1);
    }

    const WHOLE: &str = "# 1. A\n\n**Status:** accepted.\n**Date:** 2026-11-20\n";

    fn decisions(text: &str) -> Vec<String> {
        check_decisions(&[
            ("docs/adr/README.md", "- [1](0001-a.md)\n"),
            ("docs/adr/template.md", "**Date:** YYYY-MM-DD\n"),
            ("docs/adr/0001-a.md", text),
            ("docs/testing.md", ""),
        ])
    }

    #[test]
    fn a_decision_has_status_and_date() {
        assert_eq!(decisions(WHOLE), [""; 0]);
        for wrong in ["2026-11-2", "20.11.2026", "YYYY-MM-DD", "2026-11-20, later"] {
            let complaints = decisions(&WHOLE.replace("2026-11-20", wrong));
            assert_eq!(
                complaints,
                ["docs/adr/0001-a.md: a decision has a line **Date:** YYYY-MM-DD"]
            );
        }
        assert_eq!(decisions("# 1. A\n\n**Date:** 2026-11-20\n").len(), 1);
        assert_eq!(decisions("# 1. A\n").len(), 2);
    }

    #[test]
    fn a_decision_is_listed() {
        let files = [
            ("docs/adr/README.md", "- [1](0001-a.md)\n"),
            ("docs/adr/0002-b.md", WHOLE),
        ];
        assert_eq!(
            check_decisions(&files),
            ["docs/adr/README.md does not name 0002-b.md"]
        );
    }

    #[test]
    fn a_hazard_is_answered_by_tests_that_are_there() {
        let page = "- **1.** A. -> `a_test_that_is`, `a_test_that_was`, `block_hash`, `Type`, `a/file_with_long_name.rs`\n";
        let sources = [
            "#[test]\nfn a_test_that_is() {}\n",
            "fn a_test_that_was_not() {}",
        ];
        assert_eq!(
            check_hazards(page, &sources),
            [format!(
                "{HAZARDS} names a test a_test_that_was, which is not there"
            )]
        );
    }
}
