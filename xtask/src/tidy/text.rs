//! What must not stand in a file.

/// Longer files are split.
const LINES_MAX: usize = 800;

/// Kinds of files written by hand. Lock files, vectors and generated descriptions are not.
const WRITTEN: &[&str] = &[
    "css", "html", "js", "md", "rs", "sh", "sql", "toml", "ts", "wat", "yml",
];

/// Longest line that is a comment: as wide as prose, and as code that the formatter folds.
const COMMENT_COLUMNS_MAX: usize = 100;

/// Comments there stay as they are: a line more or less moves the places that a panic names, and
/// with them the wasm, which is protocol.
const FROZEN: &str = "contracts/bridge/src/";

/// Marks of unfinished work; split so that this file passes.
const MARKERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimpl", "emented!"),
    concat!("db", "g!"),
];

/// Beginnings of paths that exist on one machine only; split likewise.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

/// Complains of each breach in the file `name`.
pub fn check(name: &str, content: &str) -> Vec<String> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_written =
        WRITTEN.contains(&extension) || !name.contains('.') || name.starts_with(".ci/");
    if !is_written {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let lines = content.lines().count();
    if lines > LINES_MAX {
        complaints.push(format!(
            "{name}: {lines} lines; split files of over {LINES_MAX}"
        ));
    }
    let is_wrapped = extension == "rs" && !name.starts_with(FROZEN);
    for (number, line) in (1..).zip(content.lines()) {
        let columns = line.chars().count();
        if is_wrapped && columns > COMMENT_COLUMNS_MAX && line.trim_start().starts_with("//") {
            complaints.push(format!(
                "{name}:{number}: {columns} columns; comments are wrapped at {COMMENT_COLUMNS_MAX}"
            ));
        }
        for marker in MARKERS.iter().filter(|marker| contains_word(line, marker)) {
            complaints.push(format!(
                "{name}:{number}: {marker} is unfinished work: finish it, or open an issue"
            ));
        }
        for path in MACHINE_PATHS
            .iter()
            .filter(|path| contains_path(line, path))
        {
            complaints.push(format!("{name}:{number}: {path} is a path of one machine"));
        }
    }
    complaints
}

/// Whether `word` occurs and is not a part of a longer word.
fn contains_word(line: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_letter) && (word.ends_with('!') || !after.is_some_and(is_letter))
    })
}

/// Whether `path` occurs as the beginning of a path, and not inside one or in an address.
fn contains_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|before| " \t\"'`(=:<>[,@".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_unfinished_work_and_only_that() {
        for marker in MARKERS {
            assert_eq!(
                check("a.rs", &format!("x; {marker}(later)")).len(),
                1,
                "{marker}"
            );
            assert_eq!(check("a.rs", &format!("X_{marker}X")).len(), 0, "{marker}");
        }
        assert_eq!(check("a.rs", "let todos = mastodon;").len(), 0);
    }

    #[test]
    fn refuses_files_of_one_line_too_many() {
        assert_eq!(check("a.rs", &"\n".repeat(LINES_MAX)).len(), 0);
        assert_eq!(check("a.rs", &"\n".repeat(LINES_MAX + 1)).len(), 1);
        assert_eq!(check("vectors.json", &"\n".repeat(LINES_MAX + 1)).len(), 0);
        assert_eq!(check("Cargo.lock", &"\n".repeat(LINES_MAX + 1)).len(), 0);
    }

    #[test]
    fn refuses_comments_of_one_column_too_many() {
        let comment = |columns: usize| format!("    //! {}", "a".repeat(columns - 8));
        assert_eq!(check("a.rs", &comment(COMMENT_COLUMNS_MAX)).len(), 0);
        assert_eq!(check("a.rs", &comment(COMMENT_COLUMNS_MAX + 1)).len(), 1);
        let frozen = format!("{FROZEN}a.rs");
        assert_eq!(check(&frozen, &comment(COMMENT_COLUMNS_MAX + 1)).len(), 0);
        let code = format!("let a = \"{}\";", "a".repeat(COMMENT_COLUMNS_MAX));
        assert_eq!(check("a.rs", &code).len(), 0);
    }

    #[test]
    fn refuses_paths_of_one_machine_and_names_the_line() {
        for path in MACHINE_PATHS {
            let complaints = check(".ci/run", &format!("cd here\ncd {path}x"));
            assert_eq!(complaints.len(), 1, "{path}");
            assert!(complaints[0].starts_with(".ci/run:2:"), "{complaints:?}");
            assert_eq!(
                check("a.md", &format!("https://example.org{path}x")).len(),
                0,
                "{path}"
            );
        }
    }
}
