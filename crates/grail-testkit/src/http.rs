//! As much of HTTP/1.1 as stand-ins need that speak between two programs of a test.

use std::io::{self, BufRead, Write};

/// Larger than any call or answer of a test.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A message whose length is declared, as its sender wrote it.
pub(crate) struct HttpMessage {
    head: Vec<u8>,
    pub body: Vec<u8>,
}

impl HttpMessage {
    /// An answer with this status.
    pub(crate) fn answer(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let head = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self {
            head: head.into_bytes(),
            body,
        }
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.head)?;
        to.write_all(&self.body)?;
        to.flush()
    }
}

/// The next message; none at the end of the stream.
pub(crate) fn read_message(from: &mut impl BufRead) -> io::Result<Option<HttpMessage>> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        head.extend_from_slice(&line);
        if text.trim().is_empty() {
            break;
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(HttpMessage { head, body }))
}
