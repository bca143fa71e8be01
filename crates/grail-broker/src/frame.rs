//! Frames on a TCP connection between hub and client.
//!
//! Either side starts with [`GREETING`]. Then: length (u32, little-endian) of what follows, one
//! byte of kind, and, but for a ping, one byte of subject length, the subject, and for a message
//! its payload up to the end.

use std::time::Duration;

use bytes::Bytes;
use grail_wire::WireMessage;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{
    port::Message,
    subject::{SUBJECT_MAX_BYTES, Subject, SubjectError},
};

/// Largest payload: the largest message, which asks about a proposal.
pub const PAYLOAD_MAX_BYTES: usize = grail_ask::Ask::ENCODED_MAX_BYTES;

/// Largest frame, its length excluded.
const FRAME_MAX_BYTES: usize = 2 + SUBJECT_MAX_BYTES + PAYLOAD_MAX_BYTES;

/// First bytes of either side: protocol and version.
pub(crate) const GREETING: [u8; 8] = *b"grailbr2";

/// Read at a time: a peer that only claims a large frame costs no large allocation.
const CHUNK_BYTES: usize = 64 * 1024;

const KIND_MESSAGE: u8 = 1;
const KIND_SUBSCRIBE: u8 = 2;
const KIND_PING: u8 = 3;

/// What one side tells the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// To the hub: publish this. From it: this was published.
    Message(Message),
    /// To the hub: send me what is published under this from now on.
    Subscribe(Subject),
    /// I am here.
    Ping,
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("the other side took longer than {0:?}")]
    Silent(Duration),
    #[error("expected the greeting of this protocol's version")]
    Greeting,
    #[error("frame of {got} bytes, expected 1 to {FRAME_MAX_BYTES}")]
    Length { got: usize },
    #[error("unknown kind of frame {0}")]
    Kind(u8),
    #[error("frame ends early")]
    Truncated,
    #[error("{0} bytes after the frame's fields")]
    Trailing(usize),
    #[error("subject: {0}")]
    Subject(#[from] SubjectError),
    #[error("payload of {0} bytes, at most {PAYLOAD_MAX_BYTES} fit")]
    Payload(usize),
}

/// Bounds a wait on the other side.
pub(crate) async fn patiently<T>(
    patience: Duration,
    wait: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, FrameError> {
    timeout(patience, wait)
        .await
        .unwrap_or(Err(FrameError::Silent(patience)))
}

/// Reads the other side's greeting.
pub(crate) async fn read_greeting(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), FrameError> {
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).await?;
    if greeting == GREETING {
        Ok(())
    } else {
        Err(FrameError::Greeting)
    }
}

/// Reads one frame: waits `patience` for its beginning, and again for its end. Not safe to cancel:
/// the rest of the frame would be taken for the next.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> Result<Frame, FrameError> {
    let claimed = patiently(patience, async { Ok(stream.read_u32_le().await?) }).await?;
    let length = usize::try_from(claimed).unwrap_or(usize::MAX);
    if length == 0 || length > FRAME_MAX_BYTES {
        return Err(FrameError::Length { got: length });
    }
    let mut bytes = Vec::with_capacity(length.min(CHUNK_BYTES));
    let mut body = stream.take(u64::from(claimed));
    let read = patiently(patience, async { Ok(body.read_to_end(&mut bytes).await?) }).await?;
    if read < length {
        return Err(FrameError::Truncated);
    }
    parse(bytes.into())
}

fn parse(mut bytes: Bytes) -> Result<Frame, FrameError> {
    let kind = take(&mut bytes, 1)?.first().copied();
    match kind {
        Some(KIND_PING) => {
            end(&bytes)?;
            Ok(Frame::Ping)
        }
        Some(KIND_SUBSCRIBE) => {
            let subject = take_subject(&mut bytes)?;
            end(&bytes)?;
            Ok(Frame::Subscribe(subject))
        }
        Some(KIND_MESSAGE) => {
            let subject = take_subject(&mut bytes)?;
            if bytes.len() > PAYLOAD_MAX_BYTES {
                return Err(FrameError::Payload(bytes.len()));
            }
            Ok(Frame::Message(Message {
                subject,
                payload: bytes,
            }))
        }
        other => Err(FrameError::Kind(other.unwrap_or_default())),
    }
}

fn take(bytes: &mut Bytes, count: usize) -> Result<Bytes, FrameError> {
    if bytes.len() < count {
        return Err(FrameError::Truncated);
    }
    Ok(bytes.split_to(count))
}

fn take_subject(bytes: &mut Bytes) -> Result<Subject, FrameError> {
    let length = take(bytes, 1)?.first().copied().unwrap_or_default();
    let text = take(bytes, usize::from(length))?;
    let text = std::str::from_utf8(&text).map_err(|_| SubjectError)?;
    Ok(Subject::new(text)?)
}

fn end(bytes: &Bytes) -> Result<(), FrameError> {
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(FrameError::Trailing(bytes.len()))
    }
}

/// Writes one frame and flushes it.
pub(crate) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &Frame,
) -> Result<(), FrameError> {
    let (kind, subject, payload) = match frame {
        Frame::Message(message) => (
            KIND_MESSAGE,
            Some(&message.subject),
            message.payload.as_ref(),
        ),
        Frame::Subscribe(subject) => (KIND_SUBSCRIBE, Some(subject), [].as_slice()),
        Frame::Ping => (KIND_PING, None, [].as_slice()),
    };
    let mut fields = vec![kind];
    if let Some(subject) = subject {
        let length = u8::try_from(subject.as_str().len()).map_err(|_| SubjectError)?;
        fields.push(length);
        fields.extend_from_slice(subject.as_str().as_bytes());
    }
    let length = fields.len() + payload.len();
    let claimed = u32::try_from(length)
        .ok()
        .filter(|_| length <= FRAME_MAX_BYTES)
        .ok_or(FrameError::Length { got: length })?;
    let mut head = claimed.to_le_bytes().to_vec();
    head.append(&mut fields);
    stream.write_all(&head).await?;
    stream.write_all(payload).await?;
    stream.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn message(payload: &'static [u8]) -> Frame {
        Frame::Message(Message {
            subject: Subject::from_static("grail.test"),
            payload: Bytes::from_static(payload),
        })
    }

    async fn written(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, frame).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn frames_read_back() {
        let frames = [
            message(b""),
            message(b"payload"),
            Frame::Subscribe(Subject::from_static("grail.test")),
            Frame::Ping,
        ];
        let mut stream = Vec::new();
        for frame in &frames {
            stream.extend(written(frame).await);
        }
        let mut reader = stream.as_slice();
        for frame in frames {
            assert_eq!(read_frame(&mut reader, PATIENCE).await.unwrap(), frame);
        }
        assert!(reader.is_empty());
    }

    #[tokio::test]
    async fn the_bytes_of_a_frame_are_fixed() {
        let bytes = written(&message(b"hi")).await;
        assert_eq!(bytes, b"\x0e\0\0\0\x01\x0agrail.testhi");
        assert_eq!(written(&Frame::Ping).await, b"\x01\0\0\0\x03");
    }

    #[tokio::test]
    async fn every_malformed_frame_is_refused() {
        let too_long = u32::try_from(FRAME_MAX_BYTES + 1).unwrap().to_le_bytes();
        let cases: [(&[u8], &str); 11] = [
            (b"\0\0\0\0", "0 bytes"),
            (&too_long, "expected 1 to"),
            (b"\xff\xff\xff\xff", "expected 1 to"),
            (b"\x01\0\0\0\x09", "unknown kind of frame 9"),
            (b"\x02\0\0\0\x03x", "1 bytes after"),
            (b"\x01\0\0\0\x01", "ends early"),
            (b"\x03\0\0\0\x01\x05a", "ends early"),
            (b"\x02\0\0\0\x01\0", "subject"),
            (b"\x03\0\0\0\x02\x01A", "subject"),
            (b"\x04\0\0\0\x02\x01ab", "1 bytes after"),
            (b"\x05\0\0\0\x03", "ends early"),
        ];
        for (bytes, expected) in cases {
            let mut reader = bytes;
            let error = read_frame(&mut reader, PATIENCE)
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_short_subject_does_not_make_room_for_a_larger_payload() {
        let payload = vec![0; PAYLOAD_MAX_BYTES + 1];
        let mut bytes = b"\x01\x01a".to_vec();
        bytes.extend(payload);
        let error = parse(bytes.into()).unwrap_err();
        assert!(matches!(error, FrameError::Payload(_)), "{error}");
    }

    #[tokio::test]
    async fn another_greeting_is_refused() {
        assert!(read_greeting(&mut GREETING.as_slice()).await.is_ok());
        let error = read_greeting(&mut b"GET / HTTP/1.1".as_slice())
            .await
            .unwrap_err();
        assert!(matches!(error, FrameError::Greeting));
    }
}
