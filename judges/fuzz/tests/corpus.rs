//! The committed corpus, replayed without libFuzzer.

#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use grail_fuzz::TARGETS;

/// What a clone may cost: a corpus starts a search, it does not store one.
const CORPUS_MAX_BYTES: u64 = 300_000;

#[test]
fn every_target_bears_every_input_of_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut total = 0;
    for (name, target) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(name)).expect("each target has a corpus") {
            let path = entry.expect("a readable folder").path();
            let input = fs::read(&path).expect("a readable input");
            total += input.len() as u64;
            println!("{}", path.display());
            target(&input);
            count += 1;
        }
        assert!(count >= 5, "{name} has {count} inputs");
    }
    assert!(total <= CORPUS_MAX_BYTES, "the corpus has {total} bytes");
}

#[test]
fn every_target_bears_little_and_nothing() {
    for (_, target) in TARGETS {
        for length in 0..40 {
            for byte in [0, 1, 0x81, 0x9f, 0xa1, 0xbf, 0xff] {
                target(&vec![byte; length]);
            }
        }
    }
}
