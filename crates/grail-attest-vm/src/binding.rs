//! What a confidential VM has its hardware say for it: 64 bytes, made of `user_data` and nonce.

use grail_types::TaggedHasher;

/// Where the first hash ends and the second begins.
const HASH_BYTES: usize = 32;

/// The report data of evidence that is made for `user_data` and answers `nonce`: a hash of each,
/// under tags of their own, with what is absent apart from what is empty (ADR 31).
pub fn report_data(user_data: Option<&[u8]>, nonce: Option<&[u8]>) -> [u8; 64] {
    let mut data = [0; 2 * HASH_BYTES];
    let (first, second) = data.split_at_mut(HASH_BYTES);
    first.copy_from_slice(&user_data_hash(user_data));
    second.copy_from_slice(&nonce_hash(nonce));
    data
}

/// The half that stands for `user_data`.
pub(crate) fn user_data_hash(user_data: Option<&[u8]>) -> [u8; HASH_BYTES] {
    hash("grail/vm-user-data/v1", user_data)
}

/// The half that stands for the nonce.
pub(crate) fn nonce_hash(nonce: Option<&[u8]>) -> [u8; HASH_BYTES] {
    hash("grail/vm-nonce/v1", nonce)
}

/// Both halves of what a report carries.
pub(crate) fn halves(data: &[u8; 64]) -> (&[u8], &[u8]) {
    data.split_at(HASH_BYTES)
}

fn hash(tag: &str, value: Option<&[u8]>) -> [u8; HASH_BYTES] {
    let hasher = TaggedHasher::new(tag).u8(u8::from(value.is_some()));
    hasher.bytes(value.unwrap_or_default()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_depends_on_its_own_part_alone() {
        let base = report_data(Some(b"a"), Some(b"b"));
        let (user_data, nonce) = halves(&base);
        for other in [Some(&b"b"[..]), Some(&[]), None] {
            let changed = report_data(other, Some(b"b"));
            assert_ne!(halves(&changed).0, user_data);
            assert_eq!(halves(&changed).1, nonce);
        }
        for other in [Some(&b"a"[..]), Some(&[]), None] {
            let changed = report_data(Some(b"a"), other);
            assert_eq!(halves(&changed).0, user_data);
            assert_ne!(halves(&changed).1, nonce);
        }
        assert_ne!(report_data(None, None), report_data(Some(&[]), Some(&[])));
        // Equal values in both places are not told apart by place alone.
        assert_ne!(user_data, halves(&report_data(None, Some(b"a"))).1);
    }

    #[test]
    fn what_guests_have_had_signed_stays_verifiable() {
        assert_eq!(
            hex::encode(report_data(Some(b"user data"), Some(b"nonce"))),
            PINNED
        );
    }

    const PINNED: &str = "46d8f803fa2cf29895a4715194167301128c4697e31b2cc443f127cc301c3ddf8ab558373902727d756fd4f7f1b28f21ee9a47e793dea1efe6bd12b3b0300f11";
}
