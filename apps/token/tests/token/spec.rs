//! Page, codes and tests name each other.

const PAGE: &str = include_str!("../../../../docs/spec/token.md");
const RULES: &str = include_str!("../../src/rules.rs");
const TESTS: &str = include_str!("single_fault.rs");

#[test]
fn every_rule_of_the_page_has_its_test_and_every_code_its_rule() {
    let rows: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| T"))
        .collect();
    assert_eq!(rows.len(), 14);
    for (row, number) in rows.iter().zip(1..) {
        assert!(row.starts_with(&format!("| T{number} |")), "{row}");
        assert!(
            TESTS.contains(&format!("fn t{number}_")),
            "T{number} has no test"
        );
        assert!(
            RULES.contains(&format!("/// T{number}")),
            "T{number} is in no code"
        );
    }
    let codes = RULES
        .lines()
        .filter(|line| line.contains("=> \"") && !line.contains("write!"));
    for line in codes {
        let code = line.split('"').nth(1).unwrap();
        assert!(
            PAGE.contains(&format!("`{code}`")),
            "{code} is not on the page"
        );
        assert!(TESTS.contains(&format!("\"{code}\"")), "{code} has no test");
    }
}
