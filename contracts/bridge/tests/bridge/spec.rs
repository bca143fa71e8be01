//! Keeps the specification true: its rules are numbered, its tests exist, and it knows every code
//! of the contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

const VIOLATIONS: &str = include_str!("../../src/violation.rs");
const STATE: &str = include_str!("../../src/state.rs");

/// The specification; none in a copy of `contracts/` alone, in which mutation testing works.
fn specification() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/bridge-contract.md");
    if env::var_os("GRAIL_NATIVE_ALONE").is_some() && !path.exists() {
        println!("skipped: {} is not in this copy", path.display());
        return None;
    }
    Some(fs::read_to_string(path).expect("the specification beside the contract"))
}

/// A row of a table of rules: `| R7 | statement | reason | codes | tests |`.
struct Rule {
    id: String,
    codes: Vec<String>,
    tests: Vec<String>,
}

/// Every code that the contract's sources can answer with.
pub fn codes() -> BTreeSet<String> {
    variants().into_keys().collect()
}

/// The variant behind each code: the arms of `fn code`, `Self::Variant.. => "code",`.
fn variants() -> BTreeMap<String, String> {
    let arms = [("Violation", VIOLATIONS), ("StateError", STATE)].map(|(kind, source)| {
        let (_, after) = source
            .split_once("pub fn code(&self)")
            .expect("a function `code`");
        let (body, _) = after.split_once("\n    }\n").expect("the end of `code`");
        let arm = |line: &str| {
            let (variant, code) = line.split_once("=> \"")?;
            let name = variant.trim().trim_start_matches("Self::");
            let end = name
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(name.len());
            let code = code.split('"').next()?;
            Some((code.to_owned(), format!("{kind}::{}", &name[..end])))
        };
        body.lines().filter_map(arm).collect::<Vec<_>>()
    });
    arms.into_iter().flatten().collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn rules(specification: &str) -> Vec<Rule> {
    let rows = specification
        .lines()
        .filter(|line| line.starts_with("| R") && !line.starts_with("| Rule"));
    rows.map(|row| {
        let cells: Vec<&str> = row
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ']))
            .collect();
        let [id, statement, reason, codes, tests] = cells.as_slice() else {
            panic!("a rule has five cells: {row}");
        };
        assert!(!statement.is_empty() && !reason.is_empty(), "{row}");
        Rule {
            id: (*id).to_owned(),
            codes: quoted(codes),
            tests: quoted(tests),
        }
    })
    .collect()
}

/// The source of each test function, by `file::name`.
fn tests() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bridge");
    let mut tests = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (path, name) = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some(name) if path.is_dir() => (path.join("mod.rs"), name.to_owned()),
            Some(name) => (path.clone(), name.to_owned()),
            None => continue,
        };
        let source = fs::read_to_string(path).unwrap();
        for part in source.split("#[test]\nfn ").skip(1) {
            let (test, _) = part.split_once('(').unwrap();
            let body = part.split("\n}\n").next().unwrap().to_owned();
            tests.insert(format!("{name}::{test}"), body);
        }
    }
    tests
}

#[test]
fn rules_are_numbered_from_one_without_a_gap() {
    let Some(specification) = specification() else {
        return;
    };
    let rules = rules(&specification);
    assert!(rules.len() > 30, "only {} rules were read", rules.len());
    for (number, rule) in (1..).zip(&rules) {
        assert_eq!(rule.id, format!("R{number}"));
    }
}

#[test]
fn every_test_that_the_specification_names_exists() {
    let Some(specification) = specification() else {
        return;
    };
    let tests = tests();
    let names = specification.lines().flat_map(quoted);
    let named: Vec<String> = names.filter(|name| is_a_test(name)).collect();
    assert!(named.len() > 100, "only {} names were read", named.len());
    for name in named {
        assert!(tests.contains_key(&name), "there is no test {name}");
    }
}

/// `file::test`, both in small letters.
fn is_a_test(name: &str) -> bool {
    let small = |part: &str| {
        part.chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    name.split_once("::")
        .is_some_and(|(file, test)| small(file) && small(test))
}

#[test]
fn every_rule_has_a_single_fault_and_tests_that_expect_its_codes() {
    let Some(specification) = specification() else {
        return;
    };
    let (tests, variants) = (tests(), variants());
    for Rule {
        id,
        codes,
        tests: named,
    } in rules(&specification)
    {
        let number = id.trim_start_matches('R');
        let single = ["single_fault", "steps"].map(|file| format!("{file}::r{number}_"));
        assert!(
            single.iter().any(|single| named[0].starts_with(single)),
            "{id} begins with another test than its own"
        );
        assert!(!codes.is_empty(), "{id} has no code");
        for code in codes {
            let variant = &variants[&code];
            let expected = named.iter().any(|name| expects(&tests, name, variant));
            assert!(expected, "no test of {id} expects {variant}");
        }
    }
}

/// Whether the test says the variant, or calls the one helper that says it.
fn expects(tests: &BTreeMap<String, String>, name: &str, variant: &str) -> bool {
    let body = &tests[name];
    body.contains(variant) || variant == "Violation::NftCount" && body.contains("nft_count(")
}

#[test]
fn every_code_belongs_to_a_rule_and_every_rule_has_codes_of_the_contract() {
    let Some(specification) = specification() else {
        return;
    };
    let contract = codes();
    assert!(
        contract.len() > 30,
        "only {} codes were read",
        contract.len()
    );
    let specified: BTreeSet<String> = rules(&specification)
        .into_iter()
        .flat_map(|rule| rule.codes)
        .collect();
    let missing: Vec<_> = contract.difference(&specified).collect();
    assert!(missing.is_empty(), "the specification lacks {missing:?}");
    let invented: Vec<_> = specified.difference(&contract).collect();
    assert!(invented.is_empty(), "the contract lacks {invented:?}");
}
