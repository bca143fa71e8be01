//! Names and paths in Rust sources that only readers and other crates trip over.

/// The name of a test is its claim, and has to fit into a line of the runner's summary.
const NAME_MAX: usize = 69;

/// Complains of each function in `crates/` whose name is too long.
pub fn check(name: &str, content: &str) -> Vec<String> {
    if !name.starts_with("crates/") || !is_rust(name) {
        return Vec::new();
    }
    (1..)
        .zip(content.lines())
        .filter_map(|(number, line)| Some((number, function(line)?)))
        .filter(|(_, function)| function.chars().count() > NAME_MAX)
        .map(|(number, function)| {
            let length = function.chars().count();
            format!(
                "{name}:{number}: {function} has {length} letters, at most {NAME_MAX} fit: the \
                 rest goes into its doc"
            )
        })
        .collect()
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let words = line.trim_start();
    // Neither in a comment nor in the middle of a sentence.
    let (before, rest) = words.split_once("fn ")?;
    let is_qualified = before.split_whitespace().all(|word| {
        [
            "pub",
            "pub(crate)",
            "pub(super)",
            "async",
            "const",
            "unsafe",
        ]
        .contains(&word)
    });
    let end = rest.find(['(', '<'])?;
    is_qualified.then(|| &rest[..end])
}

/// Complains of each module that a file takes from another crate's folder: a move there breaks who
/// is not asked.
pub fn check_modules(name: &str, content: &str) -> Vec<String> {
    if !is_rust(name) {
        return Vec::new();
    }
    let is_foreign = |line: &str| {
        let path = line.trim_start().strip_prefix("#[path = \"");
        path.is_some_and(|path| path.contains("../../"))
    };
    (1..)
        .zip(content.lines())
        .filter(|(_, line)| is_foreign(line))
        .map(|(number, _)| {
            format!("{name}:{number}: a module of another crate's folder: share it by a crate")
        })
        .collect()
}

/// Whether a file is a Rust source, by its name.
pub fn is_rust(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_of_one_letter_too_many() {
        let named = |length| format!("    #[test]\n    async fn {}() {{\n", "a".repeat(length));
        assert_eq!(check("crates/a/src/b.rs", &named(NAME_MAX)), [""; 0]);
        let complaints = check("crates/a/src/b.rs", &named(NAME_MAX + 1));
        assert_eq!(complaints.len(), 1);
        assert!(
            complaints[0].starts_with("crates/a/src/b.rs:2:"),
            "{complaints:?}"
        );
        // Other folders and other kinds of files have names of their own.
        assert_eq!(check("contracts/b.rs", &named(NAME_MAX + 1)), [""; 0]);
        assert_eq!(check("crates/a/README.md", &named(NAME_MAX + 1)), [""; 0]);
    }

    #[test]
    fn functions_are_told_from_sentences() {
        assert_eq!(function("pub(crate) const fn some<T>(a: T)"), Some("some"));
        assert_eq!(function("    fn some("), Some("some"));
        assert_eq!(function("// a fn some("), None);
        assert_eq!(function("let a: fn (u8) = b"), None);
        assert_eq!(function("let a = 1;"), None);
    }

    #[test]
    fn refuses_modules_of_other_crates_alone() {
        let source = |path: &str| format!("    #[path = \"{path}\"]\nmod a;\n");
        for path in [
            "../../grail-a/tests/support/mod.rs",
            "../../../crates/grail-a/tests/a.rs",
        ] {
            let [complaint] = &check_modules("a.rs", &source(path))[..] else {
                panic!("one complaint of {path}");
            };
            assert!(complaint.starts_with("a.rs:1:"), "{complaint}");
            assert_eq!(check_modules("a.md", &source(path)), [""; 0], "{path}");
        }
        for path in ["../support.rs", "support.rs"] {
            assert_eq!(check_modules("a.rs", &source(path)), [""; 0], "{path}");
        }
    }
}
