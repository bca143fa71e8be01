//! The socket: who may come in, and what they may cost. One caller at a time, within seconds.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::{
    perform,
    protocol::{AdminCode, Answer, REQUEST_BYTES_MAX, Refusal, Request},
};
use crate::backend::Backend;

/// Longest that a caller may take to ask, and to take its answer.
const CALLER_PATIENCE: Duration = Duration::from_secs(5);
/// Pause before the socket is looked at again that another process has, or that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Root may do to the backend what it likes anyway.
const ROOT: u32 = 0;

/// Where the backend is asked. Of several processes on one database one has it; another one takes
/// it over when that one ends.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    socket: Option<Socket>,
}

/// A socket that is ours. Its file goes with it.
#[derive(Debug)]
struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Whom it answers.
    allowed: Vec<u32>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // What is left behind is found to be nobody's by the next process.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Door {
    /// Takes the socket at `path`, unless another process answers there.
    ///
    /// # Errors
    /// The path is too long, not ours to write to, or of another file.
    pub async fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            socket: Socket::bind(path).await?,
        })
    }

    /// The same for these users alone.
    #[must_use]
    pub fn for_users(mut self, allowed: &[u32]) -> Self {
        if let Some(socket) = &mut self.socket {
            socket.allowed = allowed.to_vec();
        }
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers for as long as it is polled.
    pub async fn serve(mut self, backend: Arc<Backend>) {
        loop {
            match self.socket.take() {
                Some(socket) => socket.serve(&backend).await,
                None => tokio::time::sleep(AGAIN).await,
            }
            match Socket::bind(&self.path).await {
                Ok(socket) => self.socket = socket,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "no admin socket");
                }
            }
        }
    }
}

impl Socket {
    async fn bind(path: &Path) -> io::Result<Option<Self>> {
        match UnixStream::connect(path).await {
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Of a process that is gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                std::fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        }
        let listener = match UnixListener::bind(path) {
            Ok(listener) => listener,
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
            Err(error) => return Err(error),
        };
        // Who comes before this is asked for his credentials like everybody.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let owner = std::fs::symlink_metadata(path)?.uid();
        Ok(Some(Self {
            listener,
            path: path.to_owned(),
            allowed: vec![owner, ROOT],
        }))
    }

    async fn serve(&self, backend: &Backend) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => self.answer(backend, stream).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an admin's call");
                    return tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// One request. How its connection ends is the caller's affair.
    async fn answer(&self, backend: &Backend, mut stream: UnixStream) {
        let answer = match self.admit(&stream) {
            Err(refusal) => Answer::Refused(refusal),
            Ok(uid) => match timeout(CALLER_PATIENCE, read(&mut stream)).await {
                Ok(Ok(Some(request))) => {
                    let done = perform(backend, uid, request).await;
                    done.unwrap_or_else(Answer::Refused)
                }
                // Only looked whether somebody is there.
                Ok(Ok(None)) => return,
                Ok(Err(refusal)) => Answer::Refused(refusal),
                Err(_) => {
                    let detail = format!("expected a request within {CALLER_PATIENCE:?}");
                    Answer::Refused(Refusal::new(AdminCode::BadRequest, detail))
                }
            },
        };
        if let Answer::Refused(Refusal { code, detail }) = &answer {
            tracing::warn!(%code, detail, "an admin's request was refused");
        }
        let writing = async {
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            stream.write_all(&line).await?;
            stream.shutdown().await
        };
        let _ = timeout(CALLER_PATIENCE, writing).await;
    }

    /// The user at the other end, by the kernel's word.
    fn admit(&self, stream: &UnixStream) -> Result<u32, Refusal> {
        let refused = |detail: String| Refusal::new(AdminCode::NotAllowed, detail);
        let credentials = stream.peer_cred();
        let uid = credentials
            .map_err(|error| refused(format!("the caller has no credentials: {error}")))?
            .uid();
        if !self.allowed.contains(&uid) {
            let allowed = &self.allowed;
            return Err(refused(format!(
                "expected one of users {allowed:?}, got {uid}"
            )));
        }
        Ok(uid)
    }
}

/// A request; none when the caller said nothing.
async fn read(stream: &mut UnixStream) -> Result<Option<Request>, Refusal> {
    let refused = |detail: String| Refusal::new(AdminCode::BadRequest, detail);
    let most = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(most.saturating_add(1));
    let read = reader.read_until(b'\n', &mut line).await;
    if read.is_ok_and(|bytes| bytes == 0) {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        let detail = format!("expected a line of at most {REQUEST_BYTES_MAX} bytes");
        return Err(refused(detail));
    }
    let request = serde_json::from_slice(&line);
    request
        .map(Some)
        .map_err(|error| refused(error.to_string()))
}
