//! The folder outside `target/` where what is costly to build is kept, so that a clean tree does
//! not build it again.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Where it is; it may not exist yet.
pub fn folder() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|base| !base.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => std::env::home_dir()
            .context("neither XDG_CACHE_HOME nor a home folder")?
            .join(".cache"),
    };
    Ok(base.join("grail"))
}

/// A name that changes with everything that decides the result.
pub fn name<'a>(what: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let digest = hex::encode(hash.finalize());
    format!("{what}-{}", &digest[..16])
}

/// One build at a time; released when dropped or when we die.
pub fn lock(folder: &Path, what: &str) -> Result<File> {
    let file = File::create(folder.join("lock")).context("the cache's lock")?;
    if file.try_lock().is_err() {
        eprintln!("another run is building (we want {what}): waiting for it");
        file.lock().context("the cache's lock")?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_sixteen_hex_digits_of_all_parts() {
        let named = name("thing", [b"a".as_slice(), b"b"]);
        let digits = named.strip_prefix("thing-").unwrap_or_default();
        assert!(
            digits.len() == 16 && digits.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{named}"
        );
        assert_ne!(named, name("thing", [b"ab".as_slice()]));
        assert_ne!(named, name("thing", [b"a".as_slice(), b"c"]));
    }
}
