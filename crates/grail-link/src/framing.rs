//! Messages on the stream between host and enclave: length (u32, little-endian), then so many
//! bytes.
//!
//! Not authenticated: the host is untrusted, and whatever it does to this stream it can do anyway.

use std::io::{self, ErrorKind, Read, Write};

use grail_wire::ENCLAVE_MESSAGE_MAX_BYTES as MESSAGE_MAX_BYTES;

/// Most bytes per write: what vsock carries in one packet (hazard 61).
const WRITE_MAX_BYTES: usize = 32 * 1024;

/// Allocated before the bytes are there: a claimed length costs no more than this.
const CLAIM_MAX_BYTES: usize = 64 * 1024;

/// Why no message was read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed, or ended inside a message.
    #[error("stream: {0}")]
    Io(#[from] io::Error),
    /// More than a message may have. Nothing after the length was read.
    #[error("message of {got} bytes, expected at most {MESSAGE_MAX_BYTES}")]
    TooLarge {
        /// Its length.
        got: usize,
    },
}

/// Reads one message; none if the stream ends before it.
pub fn read(stream: &mut impl Read) -> Result<Option<Vec<u8>>, FrameError> {
    let mut head = [0; 4];
    if !read_head(stream, &mut head)? {
        return Ok(None);
    }
    let claimed = u32::from_le_bytes(head);
    let length = usize::try_from(claimed).unwrap_or(usize::MAX);
    if length > MESSAGE_MAX_BYTES {
        return Err(FrameError::TooLarge { got: length });
    }
    let mut message = Vec::with_capacity(length.min(CLAIM_MAX_BYTES));
    let read = stream.take(u64::from(claimed)).read_to_end(&mut message)?;
    if read < length {
        return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(message))
}

/// Fills `head`; false if the stream ends before its first byte.
fn read_head(stream: &mut impl Read, head: &mut [u8; 4]) -> io::Result<bool> {
    let (first, rest) = head.split_at_mut(1);
    loop {
        match stream.read(first) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.read_exact(rest)?;
    Ok(true)
}

/// Writes one message and flushes it.
pub fn write(stream: &mut impl Write, message: &[u8]) -> Result<(), FrameError> {
    let got = message.len();
    let claimed = u32::try_from(got)
        .ok()
        .filter(|_| got <= MESSAGE_MAX_BYTES)
        .ok_or(FrameError::TooLarge { got })?;
    stream.write_all(&claimed.to_le_bytes())?;
    for chunk in message.chunks(WRITE_MAX_BYTES) {
        stream.write_all(chunk)?;
    }
    stream.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Takes everything and remembers the largest write.
    #[derive(Default)]
    struct Wire {
        bytes: Vec<u8>,
        largest_write: usize,
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.largest_write = self.largest_write.max(bytes.len());
            self.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn messages_read_back_up_to_the_limit_in_writes_that_vsock_carries() {
        for length in [
            0,
            1,
            WRITE_MAX_BYTES,
            WRITE_MAX_BYTES + 1,
            MESSAGE_MAX_BYTES,
        ] {
            let message = vec![7; length];
            let mut wire = Wire::default();
            write(&mut wire, &message).unwrap();
            assert!(wire.largest_write <= WRITE_MAX_BYTES);
            let mut reader = wire.bytes.as_slice();
            assert_eq!(read(&mut reader).unwrap(), Some(message));
            assert!(read(&mut reader).unwrap().is_none());
        }
    }

    #[test]
    fn a_message_over_the_limit_is_neither_written_nor_read() {
        let too_long = vec![0; MESSAGE_MAX_BYTES + 1];
        let mut wire = Wire::default();
        assert!(matches!(
            write(&mut wire, &too_long),
            Err(FrameError::TooLarge { .. })
        ));
        assert!(wire.bytes.is_empty());
        let claimed = u32::try_from(MESSAGE_MAX_BYTES + 1).unwrap().to_le_bytes();
        for head in [claimed, [0xff; 4]] {
            assert!(matches!(
                read(&mut head.as_slice()),
                Err(FrameError::TooLarge { .. })
            ));
        }
    }

    #[test]
    fn a_message_cut_off_anywhere_is_an_error() {
        let whole = b"\x03\0\0\0abc";
        for end in 1..whole.len() {
            let mut reader = whole.get(..end).unwrap();
            assert!(matches!(read(&mut reader), Err(FrameError::Io(_))), "{end}");
        }
        assert_eq!(read(&mut whole.as_slice()).unwrap().unwrap(), b"abc");
    }
}
