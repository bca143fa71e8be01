//! A wire to the server that can be cut where it hurts.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

/// Passes everything on until it is told to cut.
pub struct Proxy {
    url: String,
    cut: Arc<Mutex<Option<&'static str>>>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// A way to the database at `url` that leads through here.
    pub fn before(url: &str) -> Self {
        let (start, rest) = url.split_once('@').unwrap();
        let (host, end) = rest.split_once(':').unwrap();
        let socket = format!("{}/.s.PGSQL.5432", host.replace("%2F", "/"));
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let cut = Arc::new(Mutex::new(None));
        let when = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&when)));
            }
        });
        let here = folder.path().display().to_string().replace('/', "%2F");
        Self {
            url: format!("{start}@{here}:{end}"),
            cut,
            _folder: folder,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Once: lets a message with this word reach the server, and no answer come back.
    pub fn cut_after(&mut self, word: &'static str) {
        *self.cut.lock().unwrap() = Some(word);
    }
}

async fn pass(
    mut client: UnixStream,
    mut server: UnixStream,
    cut: Arc<Mutex<Option<&'static str>>>,
) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let message = &asked[..length];
                if server.write_all(message).await.is_err() {
                    return;
                }
                let is_last = {
                    let mut cut = cut.lock().unwrap();
                    let is_last = cut.is_some_and(|word| {
                        message.windows(word.len()).any(|part| part == word.as_bytes())
                    });
                    if is_last {
                        *cut = None;
                    }
                    is_last
                };
                if is_last {
                    // The answer shows that it is done, and goes nowhere.
                    let _answer = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
