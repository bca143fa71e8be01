use std::sync::LazyLock;

use grail_attest::verify;
use proptest::prelude::*;

use super::{AT, anchor};

static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(super::genuine);

#[test]
fn refuses_every_prefix() {
    let document = &*GENUINE;
    for length in 0..document.len() {
        let prefix = document.get(..length).unwrap();
        assert!(verify(prefix, &anchor(), AT).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn refuses_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(verify(&bytes, &anchor(), AT).is_err());
    }

    #[test]
    fn refuses_random_bytes_after_a_sound_start(
        bytes in proptest::collection::vec(any::<u8>(), 0..512),
        kept in 0_usize..4096,
    ) {
        let mut document = GENUINE.clone();
        document.truncate(kept);
        document.extend_from_slice(&bytes);
        if document != *GENUINE {
            prop_assert!(verify(&document, &anchor(), AT).is_err());
        }
    }

    /// No byte of a document is free: an envelope, a payload, a chain and two kinds of signature
    /// cover each other.
    #[test]
    fn refuses_any_one_byte_changed(position in any::<proptest::sample::Index>(), mask in 1_u8..) {
        let mut document = GENUINE.clone();
        *position.get_mut(&mut document) ^= mask;
        prop_assert!(verify(&document, &anchor(), AT).is_err());
    }
}
