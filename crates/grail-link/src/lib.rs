//! The stream between a host and its enclave: where it is listened for, and how messages are told
//! apart on it.
//!
//! Used by both ends, so that neither program depends on the other. Knows nothing of what the
//! messages say; bounds what a length can make it allocate. Authenticates nothing: the host is
//! untrusted, and the stream is the host's.

pub mod framing;
pub mod stream;
