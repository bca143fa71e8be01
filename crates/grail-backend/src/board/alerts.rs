//! Rules of alerts: one for each alarm, each stage of the lane and each reason that pauses, and the
//! section of `docs/operators/alarms.md` that says what to do.

use std::fmt::Write as _;

use grail_api::{ServingState, StatusCode};
use grail_flow::{AlarmCode, SettlementStage, Severity};

use crate::{api::metric, roles::lane};

/// The page that a person on call reads.
const PAGE: &str = "docs/operators/alarms.md";
/// Its section on what pauses without an alarm.
pub(super) const PAUSES: &str = "what-pauses-without-an-alarm";

/// One rule.
struct Rule {
    name: String,
    expression: String,
    /// For how long it must hold.
    patience: &'static str,
    severity: &'static str,
    summary: String,
    section: &'static str,
}

/// All rules, as Prometheus reads them.
pub fn alerts() -> String {
    let mut text = String::from(
        "# Written by `cargo xtask board` from the program's alarms, deadlines and metrics.\n\
         groups:\n  - name: grail\n    rules:\n",
    );
    for rule in rules() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          \
             severity: {}\n        annotations:\n          summary: {:?}\n          \
             runbook_url: {PAGE}#{}\n",
            rule.name, rule.expression, rule.patience, rule.severity, rule.summary, rule.section
        );
    }
    text
}

fn rules() -> Vec<Rule> {
    let mut rules: Vec<_> = AlarmCode::ALL.iter().copied().map(of_alarm).collect();
    rules.extend(SettlementStage::ALL.iter().copied().filter_map(of_stage));
    let pausing = StatusCode::ALL
        .iter()
        .copied()
        .filter(|code| code.state() == ServingState::Paused);
    rules.extend(pausing.map(of_reason));
    rules.push(Rule {
        name: "GrailRoleDown".to_owned(),
        expression: format!("{} == 0", metric::ROLE_UP.name),
        patience: "2m",
        severity: "page",
        summary: "a role of the backend fails again and again".to_owned(),
        section: PAUSES,
    });
    rules.push(Rule {
        name: "GrailBackendDown".to_owned(),
        expression: "up{job=\"grail\"} == 0".to_owned(),
        patience: "2m",
        severity: "page",
        summary: "a backend does not answer".to_owned(),
        section: PAUSES,
    });
    rules
}

/// Open until somebody acknowledges it.
fn of_alarm(code: AlarmCode) -> Rule {
    Rule {
        name: format!("GrailAlarm{}", camel(code.name())),
        expression: format!(
            "{}{{code=\"{code}\"}} > 0",
            metric::ALARMS_OPEN_BY_CODE.name
        ),
        patience: "0m",
        severity: match code.severity() {
            Severity::Stop => "page",
            Severity::Look => "ticket",
        },
        summary: format!("the alarm {code} is open"),
        section: code.name(),
    }
}

/// Before the deadline at which the program itself raises an alarm.
fn of_stage(stage: SettlementStage) -> Option<Rule> {
    let usual = lane::usual(stage)?;
    Some(Rule {
        name: format!("GrailLaneSlow{}", camel(stage.name())),
        expression: format!(
            "{}{{state=\"{stage}\"}} > {usual}",
            metric::SETTLEMENT_AGE.name
        ),
        patience: "1m",
        severity: "ticket",
        summary: format!("a settlement has been {stage} for longer than usual"),
        section: AlarmCode::LaneOverdue.name(),
    })
}

fn of_reason(code: StatusCode) -> Rule {
    Rule {
        name: format!("GrailPaused{}", camel(code.name())),
        expression: format!("{}{{code=\"{code}\"}} == 1", metric::BRIDGE_REASONS.name),
        patience: "5m",
        // Who paused it by hand knows.
        severity: if code == StatusCode::PausedByHand {
            "ticket"
        } else {
            "page"
        },
        summary: format!("the bridge takes no requests: {code}"),
        section: PAUSES,
    }
}

fn camel(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALARMS: &str = include_str!("../../../../docs/operators/alarms.md");

    #[test]
    fn every_rule_leads_to_a_section_that_there_is() {
        let sections: BTreeSet<_> = ALARMS
            .lines()
            .filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")))
            .map(|heading| heading.to_ascii_lowercase().replace(' ', "-"))
            .collect();
        let mut names = BTreeSet::new();
        for rule in rules() {
            assert!(sections.contains(rule.section), "{}", rule.section);
            assert!(names.insert(rule.name.clone()), "{}", rule.name);
        }
        for code in AlarmCode::ALL {
            assert!(names.contains(&format!("GrailAlarm{}", camel(code.name()))));
        }
    }

    #[test]
    fn the_page_says_of_every_reason_that_pauses_what_to_do() {
        let section = ALARMS.split("### What pauses without an alarm\n").nth(1);
        let section = section.and_then(|rest| rest.split("\n## ").next());
        for code in StatusCode::ALL {
            if code.state() == ServingState::Paused {
                let row = format!("\n| `{code}` | ");
                assert!(section.is_some_and(|text| text.contains(&row)), "{code}");
            }
        }
    }

    #[test]
    fn names_of_rules_are_one_word() {
        assert_eq!(camel("lane-overdue"), "LaneOverdue");
        assert_eq!(camel("draft"), "Draft");
    }
}
