//! The other end of the socket: asks, and reads the answer.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::protocol::{ANSWER_BYTES_MAX, Answer, Request};

/// Longest wait for an answer: the backend may wait for its database.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no backend runs on this database: nobody listens on {0}")]
    NotRunning(String),
    /// The socket is another user's.
    #[error("not allowed to ask: be the user that the backend runs as, or root")]
    NotAllowed,
    /// The conversation broke.
    #[error("the backend does not answer: {0}")]
    Broken(io::Error),
    /// The answer is none.
    #[error("the answer cannot be read; is the backend of another version? {0}")]
    Unreadable(String),
}

/// Asks the backend behind a socket.
pub async fn ask(socket: &Path, request: &Request) -> Result<Answer, AskError> {
    use io::ErrorKind;
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            AskError::NotRunning(socket.display().to_string())
        }
        ErrorKind::PermissionDenied => AskError::NotAllowed,
        _ => AskError::Broken(error),
    })?;
    let asking = exchange(stream, request);
    let answered = timeout(PATIENCE, asking).await;
    let bytes = answered
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
        .map_err(AskError::Broken)?;
    if bytes.len() > ANSWER_BYTES_MAX {
        let detail = format!("more than {ANSWER_BYTES_MAX} bytes");
        return Err(AskError::Unreadable(detail));
    }
    serde_json::from_slice(&bytes).map_err(|error| AskError::Unreadable(error.to_string()))
}

async fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let asked = stream.write_all(&line).await;
    let mut bytes = Vec::new();
    let most = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let mut answer = stream.take(most.saturating_add(1));
    let answered = answer.read_to_end(&mut bytes).await;
    // Who is not admitted is answered before he is heard, and what he said is thrown away: to him
    // the stream breaks behind the answer.
    if bytes.is_empty() {
        asked?;
        answered?;
    }
    Ok(bytes)
}
