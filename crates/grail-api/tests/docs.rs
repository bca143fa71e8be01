//! The guide's tables of codes are the code's.
#![allow(clippy::unwrap_used)]

use grail_api::{ProblemCode, StatusCode};

#[test]
fn the_guide_lists_every_problem_as_it_is() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/README.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let expected: Vec<_> = ProblemCode::ALL
        .iter()
        .map(|code| format!("| `{code}` | {} | {} |", code.status(), code.title()))
        .collect();
    let listed: Vec<_> = guide
        .lines()
        .skip_while(|line| !line.starts_with("| Code | Status |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(
        listed,
        expected,
        "the table of docs/api/README.md should be:\n{}",
        expected.join("\n")
    );
}

#[test]
fn the_guide_lists_every_reason_with_its_state() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/README.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let listed: Vec<_> = guide
        .lines()
        .skip_while(|line| !line.starts_with("| Code | State |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(listed.len(), StatusCode::ALL.len());
    for (line, code) in listed.iter().zip(StatusCode::ALL) {
        let expected = format!("| `{code}` | {} |", code.state());
        assert!(line.starts_with(&expected), "{line}: {expected}");
    }
}
