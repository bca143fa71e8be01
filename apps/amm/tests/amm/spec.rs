//! Keeps the page true: its tests exist, its codes are the code's, its example is what happens.

use std::{collections::BTreeSet, fs, path::Path};

use grail_amm::{Amounts, Order, OrderRefusal, Pool, Terms, Verdict, plan, settle};

use crate::shares::{add, opened, remove, sell_a, sell_b};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/amm.md");
    fs::read_to_string(path).unwrap()
}

/// Cells of the rows `| P1 | .. |`.
fn rules(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| P"));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_rule_has_tests_that_exist() {
    let page = page();
    let rules = rules(&page);
    let names: Vec<String> = (1..=10).map(|number| format!("P{number}")).collect();
    let found: Vec<&str> = rules.iter().map(|cells| cells[0].as_str()).collect();
    assert_eq!(found, names);
    for cells in &rules {
        assert_eq!(cells.len(), 5, "{cells:?}");
        assert!(quoted(&cells[4]).count() > 0, "{} has no test", cells[0]);
    }
    let named = quoted(&page).filter_map(|name| name.split_once("::"));
    for (module, test) in named {
        let path = format!("{}/tests/amm/{module}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {path}"));
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let declared = format!("#[test]\nfn {test}(");
        assert!(
            lines.join("\n").contains(&declared),
            "no test {module}::{test}"
        );
    }
}

#[test]
fn page_and_code_know_the_same_codes() {
    let page = page();
    let known: BTreeSet<&str> = quoted(&page)
        .filter(|word| word.starts_with("amm-"))
        .collect();
    let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let sources: Vec<String> = sources
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let codes: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.split('"').filter(|word| word.starts_with("amm-")))
        .collect();
    assert_eq!(known, codes);
    let texts: BTreeSet<String> = OrderRefusal::ALL.map(|why| why.to_string()).into();
    assert_eq!(texts.len(), OrderRefusal::ALL.len());
}

fn unlimited_pair(orders: &[Order]) -> [Order; 2] {
    [orders[0], orders[1]].map(|order| Order {
        wants: Amounts::NONE,
        ..order
    })
}

#[test]
fn example_is_what_the_code_does() {
    let page = page();
    let says = |number: u64| {
        let digits = number.to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        assert!(page.contains(&grouped), "the page does not say {grouped}");
    };
    let terms = Terms::default();
    let pool = opened(1_000_000_000, 50_000_000);
    says(pool.holdings().shares);
    let mut orders = [
        sell_a(20_000_000),
        sell_b(600_000),
        sell_a(1_000_000),
        add(100_000_000, 5_000_000),
    ];
    orders[0].wants.b = 950_000;
    orders[1].wants.a = 12_000_000;
    orders[2].wants.b = 49_500;
    orders[3].wants.shares = 22_000_000;
    let plan = plan(terms, &pool, &orders, 190).unwrap();
    assert_eq!(
        plan.verdicts[2],
        Verdict::Refused(OrderRefusal::LimitNotMet)
    );
    assert_eq!(plan.chosen, [0, 1, 3]);
    let price = plan.outcome.price.unwrap();
    says(price.a_units);
    says(price.b_units);
    let [ada, ben, dee] = plan.outcome.payouts[..] else {
        panic!("three payouts");
    };
    for number in [ada.b, ben.a, dee.shares, dee.b] {
        says(number);
    }
    let mut unlimited = orders;
    unlimited[2].wants = Amounts::NONE;
    let all = settle(terms, &pool, &unlimited).unwrap();
    says(all.payouts[2].b);
    says(all.price.unwrap().a_units);
    for order in &unlimited_pair(&orders) {
        let alone = settle(terms, &pool, &[*order]).unwrap().payouts[0];
        says(alone.a + alone.b);
    }
    let swapped = settle(terms, &pool, &orders[..2]).unwrap().pool.holdings();
    says(swapped.a);
    says(swapped.b);
    let after = plan.outcome.pool.holdings();
    says(after.a);
    says(after.b);
    let Pool::Open(open) = plan.outcome.pool else {
        panic!("not opened");
    };
    says(open.total());
    let removed = settle(terms, &plan.outcome.pool, &[remove(10_000_000)])
        .unwrap()
        .payouts[0];
    says(removed.a);
    says(removed.b);
}
