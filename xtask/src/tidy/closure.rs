//! The enclave's dependencies against the committed list.

use std::collections::BTreeSet;

/// The first lines of the committed list.
const HEADER: &str = "# Every crate that is compiled into the enclave. Rewritten by `cargo xtask tidy --bless`;\n\
                      # a change of this file is a change of what operators trust.\n";

/// Reads `cargo tree --prefix none`: name and version of each line.
pub fn from_tree(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            let version = rest.split(' ').next()?.strip_prefix('v')?;
            Some(format!("{name} {version}"))
        })
        .collect()
}

/// Reads the committed list.
pub fn from_text(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Writes the committed list.
pub fn to_text(closure: &BTreeSet<String>) -> String {
    let mut text = HEADER.to_owned();
    for line in closure {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Complains of each difference.
pub fn check(committed: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let new = now
        .difference(committed)
        .map(|line| format!("the enclave now contains {line}"));
    let gone = committed
        .difference(now)
        .map(|line| format!("the enclave no longer contains {line}"));
    let mut complaints: Vec<_> = new.chain(gone).collect();
    if !complaints.is_empty() {
        complaints.push("review that, then: cargo xtask tidy --bless".into());
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "grail-enclave v0.1.0 (/somewhere/grail-enclave)\nhex v0.4.3\nserde v1.0.228\n\
                        serde_derive v1.0.228 (proc-macro)\nhex v0.4.3 (*)\nhex v0.5.0\n\n";

    #[test]
    fn reads_names_and_versions_without_places_and_repetitions() {
        let expected = [
            "grail-enclave 0.1.0",
            "hex 0.4.3",
            "hex 0.5.0",
            "serde 1.0.228",
            "serde_derive 1.0.228",
        ];
        assert_eq!(from_tree(TREE).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_list_written_and_read_is_the_same() {
        assert_eq!(from_text(&to_text(&from_tree(TREE))), from_tree(TREE));
    }

    #[test]
    fn complains_of_what_came_what_went_and_what_changed_version() {
        let now = from_tree(TREE);
        assert_eq!(check(&now, &now), [""; 0]);
        let mut other = now.clone();
        other.remove("hex 0.5.0");
        assert_eq!(check(&other, &now)[0], "the enclave now contains hex 0.5.0");
        assert_eq!(
            check(&now, &other)[0],
            "the enclave no longer contains hex 0.5.0"
        );
        other.insert("hex 0.5.1".into());
        assert_eq!(check(&other, &now).len(), 3);
    }
}
