//! Where `bitcoind` is.

use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Finds `bitcoind`: `BITCOIND_EXE`, then `PATH`, then the newest one that `cargo xtask bitcoind`
/// built.
///
/// # Panics
/// When there is none; the message says how to get one.
pub fn bitcoind_path() -> PathBuf {
    if let Some(exe) = env::var_os("BITCOIND_EXE").filter(|exe| !exe.is_empty()) {
        let exe = PathBuf::from(exe);
        assert!(
            exe.is_file(),
            "BITCOIND_EXE is {}, which is not a file",
            exe.display()
        );
        return exe;
    }
    on_path().or_else(cached).unwrap_or_else(|| {
        panic!("no bitcoind in BITCOIND_EXE, PATH or the cache: run `cargo xtask bitcoind` once")
    })
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join("bitcoind"))
        .find(|exe| exe.is_file())
}

fn cached() -> Option<PathBuf> {
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|home| !home.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => Path::new(&env::var_os("HOME")?).join(".cache"),
    };
    newest_build(&cache.join("grail"))
}

fn newest_build(cache: &Path) -> Option<PathBuf> {
    std::fs::read_dir(cache)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("bitcoind-"))
        .map(|entry| entry.path().join("bin/bitcoind"))
        .filter(|exe| exe.is_file())
        .max_by_key(|exe| {
            exe.metadata()
                .and_then(|meta| meta.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn takes_a_finished_build_and_no_other_folder() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(newest_build(cache.path()), None);
        fs::create_dir_all(cache.path().join("bitcoind-00.building/bin")).unwrap();
        fs::create_dir_all(cache.path().join("other/bin")).unwrap();
        fs::write(cache.path().join("other/bin/bitcoind"), "").unwrap();
        assert_eq!(newest_build(cache.path()), None);
        let exe = cache.path().join("bitcoind-0123/bin/bitcoind");
        fs::create_dir_all(exe.parent().unwrap()).unwrap();
        fs::write(&exe, "").unwrap();
        assert_eq!(newest_build(cache.path()), Some(exe));
    }
}
