//! The table of suites in `docs/testing.md`: what is listed there is what xtask runs.

use crate::suites::Suite;

/// Where the table stands.
pub const PAGE: &str = "docs/testing.md";
/// Its heading: up to the next section.
const HEADING: &str = "## Suites";
/// What stands for the minutes of a suite that nobody has timed yet.
const UNMEASURED: &str = "-";

/// Complains of each difference between the page's table and the list.
pub fn check(page: &str, suites: &[Suite]) -> Vec<String> {
    let rows: Vec<Vec<&str>> = page
        .lines()
        .skip_while(|line| *line != HEADING)
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut complaints = Vec::new();
    for (place, suite) in suites.iter().enumerate() {
        let expected = [
            format!("`{}`", suite.name),
            suite.tier.name().to_owned(),
            suite.shards.to_string(),
            suite.budget_minutes.to_string(),
        ];
        let Some(row) = rows.get(place) else {
            complaints.push(format!("{PAGE} does not list the suite {}", suite.name));
            continue;
        };
        if row.get(..expected.len()).is_none_or(|row| row != expected) {
            complaints.push(format!(
                "{PAGE}: expected a row of {}, got {}",
                expected.join(" | "),
                row.join(" | ")
            ));
        }
        let measured = row.get(expected.len()).copied().unwrap_or("");
        if measured != UNMEASURED && measured.parse::<f64>().is_err() {
            complaints.push(format!(
                "{PAGE}: the suite {} took {measured:?} minutes: expected a number, or {UNMEASURED}",
                suite.name
            ));
        }
    }
    for row in rows.iter().skip(suites.len()) {
        complaints.push(format!(
            "{PAGE} lists {}, which is no suite",
            row.join(" | ")
        ));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::suites::SUITES;

    /// A page with a row for each suite, changed by `change`.
    fn page(change: impl Fn(usize, &mut Vec<String>)) -> String {
        let mut page =
            "# Tests\n| `no` | default | 1 | 1 | 1 | |\n## Suites\n\n| Suite |\n|---|\n".to_owned();
        for (place, suite) in SUITES.iter().enumerate() {
            let mut row = vec![
                format!("`{}`", suite.name),
                suite.tier.name().to_owned(),
                suite.shards.to_string(),
                suite.budget_minutes.to_string(),
                "1.5".to_owned(),
                "everything".to_owned(),
            ];
            change(place, &mut row);
            writeln!(page, "| {} |", row.join(" | ")).expect("a string takes all");
        }
        page + "\n## Next\n| `no` | default | 1 | 1 | 1 | |\n"
    }

    fn complaints(change: impl Fn(usize, &mut Vec<String>)) -> usize {
        check(&page(change), SUITES).len()
    }

    #[test]
    fn a_table_of_the_very_suites_is_accepted() {
        assert_eq!(check(&page(|_, _| {}), SUITES), [""; 0]);
        assert_eq!(complaints(|_, row| row[4] = UNMEASURED.into()), 0);
    }

    #[test]
    fn each_value_of_a_row_is_compared() {
        for column in 0..5 {
            let changed = complaints(|place, row| {
                if place == 1 {
                    row[column] = "`other`".into();
                }
            });
            assert_eq!(changed, 1, "column {column}");
        }
    }

    #[test]
    fn suites_missing_and_made_up_are_named() {
        let whole = page(|_, _| {});
        let last = SUITES.len() - 1;
        let row = whole
            .lines()
            .find(|line| line.starts_with(&format!("| `{}`", SUITES[last].name)))
            .unwrap_or_default();
        let without = whole.replace(&format!("{row}\n"), "");
        assert_eq!(
            check(&without, SUITES),
            [format!(
                "{PAGE} does not list the suite {}",
                SUITES[last].name
            )]
        );
        let more = whole.replace("\n## Next", "| `more` | slow | 1 | 1 | - | |\n\n## Next");
        let complaints = check(&more, SUITES);
        assert!(
            complaints.len() == 1 && complaints[0].contains("`more`"),
            "{complaints:?}"
        );
    }
}
