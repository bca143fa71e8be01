//! A wallet's folder is its owner's alone: what others could look into is closed, and said.
//!
//! Closes only what the wallet itself puts there, and follows no link: the folder may hold other
//! things of its owner's. What lies in a folder that is closed needs no closing of its own. The
//! mnemonic is left as it is: one that others could read is refused when it is needed, and not
//! quietly mended.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::lock::LOCK;
use super::{ADDRESSES, CONFIG, MEMPOOL_SEEN, PROTOCOL, RECEIPTS, SENT, VAULTS, WALLET};
use crate::progress::{Note, Progress};

/// What a file of somebody's own allows to others: nothing.
const OTHERS: u32 = 0o077;

/// Closes what others can look into, if there is a wallet there.
pub fn keep_private(folder: &Path, progress: &mut dyn Progress) {
    if !folder.join(CONFIG).exists() {
        return;
    }
    let names: [PathBuf; 9] = [
        ADDRESSES,
        CONFIG,
        LOCK,
        MEMPOOL_SEEN,
        PROTOCOL,
        RECEIPTS,
        SENT,
        VAULTS,
        WALLET,
    ]
    .map(|name| folder.join(name));
    // The folder itself may be reached by a link, and is its owner's all the same.
    let is_folder_open = fs::metadata(folder).is_ok_and(|found| is_open(&found));
    let open = names
        .iter()
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|found| is_open(&found)))
        .map(PathBuf::as_path)
        .chain(is_folder_open.then_some(folder));
    let (mut closed, mut failed) = (0_usize, None);
    for path in open {
        match close(path) {
            Ok(()) => closed = closed.saturating_add(1),
            Err(error) => failed = Some(format!("{}: {error}", path.display())),
        }
    }
    if closed > 0 {
        progress.note(Note::new(
            "made-private",
            format!(
                "{} could be looked into by others ({closed} files and folders): it is its owner's alone now",
                folder.display()
            ),
        ));
    }
    if let Some(reason) = failed {
        progress.note(Note::new(
            "not-private",
            format!("others can look into the wallet's folder, and it cannot be closed: {reason}"),
        ));
    }
}

fn is_open(found: &fs::Metadata) -> bool {
    !found.is_symlink() && found.permissions().mode() & OTHERS != 0
}

fn close(path: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode & 0o777 & !OTHERS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::progress::Notes;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn codes(folder: &Path) -> Vec<&'static str> {
        let mut notes = Notes::default();
        keep_private(folder, &mut notes);
        notes.0.iter().map(|note| note.code).collect()
    }

    #[test]
    fn what_others_could_look_into_is_closed_once_and_said() {
        let folder = tempfile::TempDir::new().unwrap();
        let home = folder.path();
        fs::create_dir(home.join(RECEIPTS)).unwrap();
        let (config, own) = (home.join(CONFIG), home.join("script.sh"));
        for file in [&config, &own] {
            fs::write(file, "{}").unwrap();
            set(file, 0o755);
        }
        set(&home.join(RECEIPTS), 0o755);
        set(home, 0o755);
        assert_eq!(codes(home), ["made-private"]);
        assert_eq!((mode(home), mode(&home.join(RECEIPTS))), (0o700, 0o700));
        assert_eq!(mode(&config), 0o700);
        // What else lies there is not the wallet's.
        assert_eq!(mode(&own), 0o755);
        assert_eq!(codes(home), [""; 0]);
    }

    #[test]
    fn links_are_not_followed_and_other_folders_are_left_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "{}").unwrap();
        set(&elsewhere, 0o644);
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        set(&home, 0o755);
        assert_eq!(codes(&home), [""; 0]);
        assert_eq!(mode(&home), 0o755);
        fs::write(home.join(CONFIG), "{}").unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.join(VAULTS)).unwrap();
        assert_eq!(codes(&home), ["made-private"]);
        assert_eq!(mode(&elsewhere), 0o644);
    }
}
