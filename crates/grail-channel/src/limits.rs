//! Every limit of a channel, with its reason.

use std::time::Duration;

use grail_wire::DOCUMENT_MAX_BYTES;

/// Longest frame on the wire, its length included: what vsock carries in one packet (hazard 61),
/// and all that is ever kept of a peer that has proven nothing.
pub const FRAME_MAX_BYTES: usize = 32 * 1024;

/// Bytes of a frame's length.
pub(crate) const LENGTH_BYTES: usize = 2;

/// Bytes of Poly1305's tag.
pub(crate) const TAG_BYTES: usize = 16;

/// Most bytes of a message in one frame: what is left beside length, kind and tag.
pub const FRAME_BODY_MAX_BYTES: usize = FRAME_MAX_BYTES - LENGTH_BYTES - 1 - TAG_BYTES;

/// Longest message: a page of the roster log, or one member's part of a key ceremony among a
/// hundred, several times over. Put together from authenticated frames alone.
pub const MESSAGE_MAX_BYTES: usize = 1024 * 1024;

/// Longest message before keys are agreed on: X-Wing's 1,216 bytes, and who is who.
pub const HELLO_MAX_BYTES: usize = 2 * 1024;

/// Longest proof: a document as verifiers take it, two signatures and their names.
pub const PROOF_MAX_BYTES: usize = DOCUMENT_MAX_BYTES + 512;

/// Frames under one key, 32 MiB. The cipher would bear far more; a key that leaks tells nothing
/// about what came before it.
pub const REKEY_FRAMES: u64 = 1_024;

/// Longest handshake: two round trips around the world, and a slow device making evidence.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A channel on which nothing was sent for so long says that it is there.
pub const PING_AFTER: Duration = Duration::from_secs(10);

/// A channel on which nothing authentic was heard for so long is closed: three pings were lost, or
/// somebody holds them back.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Age at which a channel is closed: the next one has fresh keys, and evidence of today.
pub const LIFE_MAX: Duration = Duration::from_hours(24);

const _: () = assert!(PROOF_MAX_BYTES <= FRAME_BODY_MAX_BYTES);
const _: () = assert!(HELLO_MAX_BYTES <= FRAME_MAX_BYTES);
const _: () = assert!(FRAME_MAX_BYTES <= u16::MAX as usize);
