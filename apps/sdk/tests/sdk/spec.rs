//! Page, codes and tests name each other.

const PAGE: &str = include_str!("../../../../docs/spec/apps.md");
const CODES: &str = include_str!("../../src/violation.rs");
const TESTS: &str = concat!(
    include_str!("births.rs"),
    include_str!("clearings.rs"),
    include_str!("modes.rs"),
    include_str!("shares.rs"),
);

#[test]
fn every_code_is_on_the_page_and_has_a_test() {
    let mut count = 0;
    for line in CODES
        .lines()
        .filter(|line| line.contains("Self::") && line.contains("=> \""))
    {
        let code = line.split('"').nth(1).unwrap();
        count += 1;
        assert!(
            PAGE.contains(&format!("`{code}`")),
            "{code} is not on the page"
        );
        let is_tested = [format!("\"{code}\""), format!("\"{code}:")];
        assert!(
            is_tested.iter().any(|text| TESTS.contains(text.as_str())),
            "{code} has no test"
        );
    }
    assert!(count > 50, "{count}");
}

#[test]
fn every_rule_of_the_page_has_tests_that_are_there() {
    let rows: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| S"))
        .collect();
    for number in 1..=10 {
        let rule = format!("| S{number}.");
        assert!(
            rows.iter().any(|row| row.starts_with(&rule)),
            "S{number} is missing"
        );
        assert!(
            TESTS.contains(&format!("fn s{number}_")),
            "S{number} has no test"
        );
    }
    for code in rows.iter().filter_map(|row| row.rsplit('`').nth(1)) {
        assert!(
            CODES.contains(&format!("\"{code}\"")),
            "nothing answers {code}"
        );
    }
}
