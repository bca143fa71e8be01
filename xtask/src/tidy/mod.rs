//! Rules that no compiler knows.
//!
//! Each rule is a pure function from what it looks at to the complaints it has; this module gathers
//! what they look at.

mod bans;
mod cases;
mod closure;
mod enclave_lines;
mod markdown;
mod names;
mod order;
mod production;
mod suites;
mod text;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell::{cargo, output_of, root};
use crate::suites::SUITES;

pub use production::PROGRAMS;

/// The enclave's dependencies, committed so that a change of them is seen and reviewed.
const CLOSURE: &str = "docs/enclave-closure.txt";
/// Why the enclave's own crates ask for what they ask for.
const CLOSURE_REASONS: &str = "docs/enclave-closure-reasons.txt";
const ENCLAVE: &str = "grail-enclave";

/// Checks all rules and prints every complaint; `bless` accepts the enclave's dependencies as they
/// are.
pub fn run(bless: bool) -> Result<()> {
    let metadata: Value = serde_json::from_str(&output_of(cargo().args([
        "metadata",
        "--format-version=1",
        "--filter-platform",
        PLATFORM,
    ]))?)?;
    let order = order::declared(&read("Cargo.toml")?);
    let mut complaints = order::check(&order::crates(&metadata)?, &order);
    complaints.extend(order::check_page(&read("ARCHITECTURE.md")?, &order));
    complaints.extend(bans::check(&bans::names(&metadata)?));
    complaints.extend(enclave_closure(&metadata, bless)?);
    for program in PROGRAMS {
        complaints.extend(production::check(program, &tree(program, "{p} {f}")?));
    }
    complaints.extend(bans::check_without_io(&closure::from_tree(&tree(
        bans::WITHOUT_IO,
        "{p}",
    )?)));
    let files = files()?;
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_str()))
        .collect();
    complaints.extend(texts(&files)?);
    complaints.extend(cases::check(&read(cases::PAGE)?, &files));
    let closure = closure::from_tree(&tree(ENCLAVE, "{p}")?);
    let enclave_lines = enclave_lines::count(&enclave_lines::sources(&metadata, &closure)?, &files);
    complaints.extend(enclave_lines::check(enclave_lines));
    println!("{}", enclave_lines::report(enclave_lines));
    complaints.extend(suites::check(&read(suites::PAGE)?, SUITES));
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        count => bail!("{count} breaches of the project's rules"),
    }
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(root().join(name)).with_context(|| format!("reading {name}"))
}

/// What the enclave is built for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn enclave_closure(metadata: &Value, bless: bool) -> Result<Vec<String>> {
    let exists = bans::names(metadata)?.iter().any(|name| name == ENCLAVE);
    if !exists {
        return Ok(vec![format!("there is no crate {ENCLAVE}")]);
    }
    let now = closure::from_tree(&tree(ENCLAVE, "{p}")?);
    let reasons = fs::read_to_string(root().join(CLOSURE_REASONS)).unwrap_or_default();
    let mut complaints = closure::check_reasons(&reasons, &closure::direct(metadata, &now)?);
    let path = root().join(CLOSURE);
    if bless {
        fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        fs::write(&path, closure::to_text(&now)).with_context(|| format!("writing {CLOSURE}"))?;
        return Ok(complaints);
    }
    match fs::read_to_string(&path) {
        Ok(committed) => {
            complaints.extend(closure::check(&closure::from_text(&committed), &now));
        }
        Err(_) => complaints.push(format!("{CLOSURE} is missing: cargo xtask tidy --bless")),
    }
    Ok(complaints)
}

/// What is compiled into a package that is built alone, a crate a line. `tree` and not `metadata`:
/// the latter mixes in features that only other members ask for.
fn tree(package: &str, format: &str) -> Result<String> {
    output_of(cargo().args([
        "tree",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        format,
        "--target",
        PLATFORM,
    ]))
}

/// The repository's texts, committed or not: names and contents.
fn files() -> Result<Vec<(String, String)>> {
    let list = Command::new("git")
        .current_dir(root())
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("running git")?;
    if !list.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&list.stderr)
        );
    }
    let names = String::from_utf8(list.stdout)?;
    Ok(names
        .split_terminator('\0')
        // Deleted but not yet staged, or no text: nothing to read.
        .filter_map(|name| {
            let content = fs::read_to_string(root().join(name)).ok()?;
            Some((name.to_owned(), content))
        })
        .collect())
}

fn texts(files: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (name, content) in files {
        complaints.extend(text::check(name, content));
        complaints.extend(names::check(name, content));
        complaints.extend(markdown::check(name, content));
        complaints.extend(names::check_modules(name, content));
        if name.starts_with(&format!("crates/{}/src/", bans::WITHOUT_IO)) {
            complaints.extend(bans::check_source(name, content));
        }
    }
    complaints.extend(markdown::check_decisions(files));
    let sources: Vec<&str> = files
        .iter()
        .filter(|(name, _)| names::is_rust(name))
        .map(|(_, content)| *content)
        .collect();
    complaints.extend(markdown::check_hazards(&read(markdown::HAZARDS)?, &sources));
    Ok(complaints)
}
