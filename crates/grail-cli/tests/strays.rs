//! Files among the wallet's own that are something else.
#![allow(clippy::unwrap_used)]

mod common;

use common::scene::{Scene, reclaim};
use grail_cli::commands;
use grail_cli::home::read_receipt;
use grail_cli::progress::{Note, Notes};

#[test]
fn other_files_among_the_receipts_are_named_and_stop_nothing() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    let folder = scene.user.settings.home.join("receipts");
    let stored = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    std::fs::write(folder.join("._x.json"), b"\0\x05\x16\x07\0\x02").unwrap();
    std::fs::write(folder.join("empty.json"), b"").unwrap();
    std::fs::create_dir(folder.join("folder.json")).unwrap();
    let bare = serde_json::to_vec(stored.receipt()).unwrap();
    std::fs::write(folder.join("bare.json"), &bare).unwrap();

    let mut notes = Notes::default();
    let receipts = commands::receipts(&scene.user.open(), &mut notes).unwrap();
    assert_eq!(receipts.receipts.len(), 1);
    let mut named: Vec<&str> = ["._x.json", "bare.json", "empty.json", "folder.json"].into();
    named.retain(|name| {
        let is_named = |note: &Note| note.code == "stray-file" && note.message.contains(name);
        !notes.0.iter().any(is_named)
    });
    assert!(named.is_empty(), "{named:?} are not named in {notes:?}");
    let second = scene.peg_in(100_000).unwrap();
    scene.peg_out(10_000).unwrap();
    let second = read_receipt(second.receipt_file.as_ref()).unwrap();
    assert_ne!(second.terms().reclaim_key, stored.terms().reclaim_key);

    // A receipt as the API gives it, in the place of the wallet's own, is as good for a reclaim.
    std::fs::write(&pegged.receipt_file, &bare).unwrap();
    scene.chain.node.mine(24);
    scene.user.synced();
    assert!(
        !scene
            .reclaim(&reclaim(&pegged.id))
            .unwrap()
            .raw_transaction
            .is_empty()
    );
}
