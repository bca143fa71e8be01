//! The page's files, in memory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use axum::{
    body::{Body, Bytes},
    http::{Response, header},
};

use super::headers;

/// Written by `cargo xtask web` beside the files: names, and their bytes.
const EMBEDDED: &[(&str, &[u8])] = include!("../../../../../web/dist/files.rs");

/// Most files of a folder, and their bytes in all. Ten times what the page has.
const FILES_MAX: usize = 64;
const BYTES_MAX: u64 = 16 << 20;
/// What makes a folder of it that holds the page, and is no part of it.
const TABLE: &str = "files.rs";

/// Every file by the path that asks for it, without the slash in front.
#[derive(Debug)]
pub(super) struct Files(BTreeMap<String, File>);

/// A file as it is sent.
#[derive(Debug)]
pub(super) struct File {
    bytes: Bytes,
    kind: &'static str,
    is_gzip: bool,
    /// Its name carries the hash of its content.
    is_immutable: bool,
}

impl Files {
    /// Those that the program was built with.
    pub(super) fn embedded() -> Self {
        let files = EMBEDDED.iter().filter_map(|(name, bytes)| {
            let (path, file) = File::of(name, Bytes::from_static(bytes))?;
            Some((path, file))
        });
        Self(files.collect())
    }

    /// Those of a folder. Links are not followed.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut names = Vec::new();
        list(folder, Path::new(""), &mut names)?;
        let (mut files, mut room) = (BTreeMap::new(), BYTES_MAX);
        for name in names {
            let path = folder.join(&name);
            let reading = || format!("reading {}", path.display());
            let length = fs::metadata(&path).with_context(reading)?.len();
            room = room
                .checked_sub(length)
                .with_context(|| format!("--web: expected at most {BYTES_MAX} bytes in all"))?;
            let bytes = fs::read(&path).with_context(reading)?;
            let name = name.to_string_lossy();
            if let Some((path, file)) = File::of(&name, bytes.into()) {
                files.insert(path, file);
            }
        }
        ensure!(
            files.contains_key("index.html"),
            "--web: {} holds no index.html",
            folder.display()
        );
        Ok(Self(files))
    }

    pub(super) fn get(&self, name: &str) -> Option<&File> {
        self.0.get(name)
    }
}

/// The files under `folder`, two folders deep.
fn list(folder: &Path, within: &Path, names: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let here = folder.join(within);
    let reading = || format!("reading {}", here.display());
    for entry in fs::read_dir(&here).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = within.join(entry.file_name());
        let kind = entry.file_type().with_context(reading)?;
        if kind.is_dir() && within.as_os_str().is_empty() {
            list(folder, &name, names)?;
        } else if kind.is_file() {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            bail!(
                "--web: expected at most {FILES_MAX} files in {}",
                folder.display()
            );
        }
    }
    Ok(())
}

impl File {
    /// With the path that asks for it; nothing for a file of a kind that the page has none of.
    fn of(name: &str, bytes: Bytes) -> Option<(String, Self)> {
        let (path, is_gzip) = match name.strip_suffix(".gz") {
            Some(path) => (path, true),
            None => (name, false),
        };
        if path == TABLE {
            return None;
        }
        let kind = match path.rsplit_once('.')?.1 {
            "css" => "text/css; charset=utf-8",
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "json" => "application/json",
            "svg" => "image/svg+xml",
            "wasm" => "application/wasm",
            _ => return None,
        };
        let file = Self {
            bytes,
            kind,
            is_gzip,
            is_immutable: path.starts_with("assets/"),
        };
        Some((path.to_owned(), file))
    }

    /// How long it may be kept.
    pub(super) const fn caching(&self) -> &'static str {
        if self.is_immutable {
            headers::IMMUTABLE
        } else {
            headers::NO_CACHE
        }
    }

    /// The answer. Every browser that runs the page reads gzip.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.bytes.clone()));
        headers::set(&mut response, header::CONTENT_TYPE, self.kind);
        if self.is_gzip {
            headers::set(&mut response, header::CONTENT_ENCODING, "gzip");
        }
        response
    }
}
