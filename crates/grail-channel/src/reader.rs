//! Frames out of a stream of bytes.

use crate::{limits::LENGTH_BYTES, reason::Reason};

/// Keeps the beginning of a frame until the rest has come: never more than one frame.
#[derive(Default)]
pub(crate) struct Reader {
    /// Its length, and what there is of it.
    begun: Vec<u8>,
}

impl Reader {
    /// The next whole frame, without its length; `bytes` moves on to what follows it. One longer
    /// than `max` is refused as soon as its length is known, before anything is kept of it.
    pub(crate) fn take(
        &mut self,
        bytes: &mut &[u8],
        max: usize,
    ) -> Result<Option<Vec<u8>>, Reason> {
        let Some(length) = self.length(bytes) else {
            return Ok(None);
        };
        if length > max {
            return Err(Reason::FrameTooLong);
        }
        let whole = LENGTH_BYTES.saturating_add(length);
        self.extend(bytes, whole);
        if self.begun.len() < whole {
            return Ok(None);
        }
        let mut frame = std::mem::take(&mut self.begun);
        frame.drain(..LENGTH_BYTES);
        Ok(Some(frame))
    }

    /// Forgets what was begun.
    pub(crate) fn clear(&mut self) {
        self.begun = Vec::new();
    }

    fn length(&mut self, bytes: &mut &[u8]) -> Option<usize> {
        if self.begun.len() < LENGTH_BYTES {
            self.extend(bytes, LENGTH_BYTES);
        }
        let length = self.begun.first_chunk::<LENGTH_BYTES>()?;
        Some(usize::from(u16::from_be_bytes(*length)))
    }

    /// Takes from `bytes` until `whole` bytes are there.
    fn extend(&mut self, bytes: &mut &[u8], whole: usize) {
        let missing = whole.saturating_sub(self.begun.len());
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.begun.extend_from_slice(taken);
        *bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn frames(chunks: &[&[u8]], max: usize) -> Result<Vec<Vec<u8>>, Reason> {
        let mut reader = Reader::default();
        let mut found = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some(frame) = reader.take(&mut rest, max)? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let stream = b"\0\x03abc\0\0\0\x02de";
        let expected: [&[u8]; 3] = [b"abc", b"", b"de"];
        for cut in 0..=stream.len() {
            let (one, other) = stream.split_at(cut);
            assert_eq!(frames(&[one, other], 3).unwrap(), expected, "{cut}");
        }
        let single: Vec<_> = stream.chunks(1).collect();
        assert_eq!(frames(&single, 3).unwrap(), expected);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
        assert_eq!(frames(&[b"\0\x04"], 3), Err(Reason::FrameTooLong));
        assert_eq!(frames(&[b"\xff\xff"], 3), Err(Reason::FrameTooLong));
        assert!(frames(&[b"\0\x03"], 3).unwrap().is_empty());
    }
}
