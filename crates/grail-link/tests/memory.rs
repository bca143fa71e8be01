//! What a length alone costs (hazard 27): whoever claims a long message and sends none of it must
//! not make the other side reserve it.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_link::framing;
use grail_wire::ENCLAVE_MESSAGE_MAX_BYTES;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a claim may reserve, and something for the error.
const CLAIM_MAX_BYTES: usize = 64 * 1024 + 4 * 1024;

/// The most that reading `stream` takes at once, and whether it ended in an error.
fn peak(mut stream: &[u8]) -> (usize, bool) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let outcome = framing::read(&mut stream);
    let peak = MEMORY.peak_usage().saturating_sub(before);
    (peak, outcome.is_err())
}

/// One test: another thread would be counted as well.
#[test]
fn a_length_without_its_bytes_reserves_no_more_than_a_claim_may() {
    let longest = u32::try_from(ENCLAVE_MESSAGE_MAX_BYTES).unwrap();
    for claimed in [longest, longest + 1, u32::MAX] {
        let (peak, is_error) = peak(&claimed.to_le_bytes());
        assert!(is_error);
        assert!(peak <= CLAIM_MAX_BYTES, "{claimed}: {peak} bytes");
    }
    // With a few of its bytes no more than with none.
    let mut begun = longest.to_le_bytes().to_vec();
    begun.extend([7; 1_000]);
    let (peak, is_error) = peak(&begun);
    assert!(is_error);
    assert!(peak <= CLAIM_MAX_BYTES, "{peak} bytes");
}
