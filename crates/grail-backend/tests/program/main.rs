//! The program as whoever starts it sees it: what it waits for, and what it ends with.
#![allow(clippy::unwrap_used)]

#[path = "../support/bridge.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod bridge;
mod config;
mod moving;
#[path = "../support/operators.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod operators;
mod units;
#[path = "../support/wait.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod wait;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tempfile::TempDir;
use wait::PATIENCE;

/// What a backend needs, in files.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let deployment = serde_json::to_vec(&bridge::deployment()).unwrap();
        std::fs::write(folder.path().join("deployment.json"), deployment).unwrap();
        std::fs::write(folder.path().join("bridge.wasm"), bridge::WASM).unwrap();
        std::fs::write(folder.path().join("cookie"), "user:password").unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `run` against a node at `port`, with some options in place of the usual ones.
    fn run(&self, port: u16, options: &[(&str, &str)]) -> Running {
        let node = format!("http://127.0.0.1:{port}");
        let mut all = vec![
            ("--deployment", "deployment.json"),
            ("--database", "sqlite:grail.db"),
            ("--node-url", node.as_str()),
            ("--node-cookie", "cookie"),
            ("--wasm", "bridge.wasm"),
            ("--broker", "127.0.0.1:0"),
            ("--api", "127.0.0.1:0"),
            ("--metrics", "127.0.0.1:0"),
        ];
        for option in options {
            all.retain(|(name, _)| *name != option.0);
            all.push(*option);
        }
        let words = all.iter().flat_map(|(name, value)| [*name, *value]);
        let mut command = self.command("run", &words.collect::<Vec<_>>());
        Running(command.spawn().unwrap())
    }

    fn command(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grail-backend"));
        command
            .arg(name)
            .args(words)
            .current_dir(self.path())
            // As compose files pass what nobody set.
            .env("RUST_LOG", "")
            .env("GRAIL_NODE_PASSWORD", "")
            .env("GRAIL_BACKEND_CONFIG", "")
            .env("GRAIL_BACKEND_DATABASE", "")
            .env("GRAIL_BACKEND_BATCH_SECONDS", "")
            .env("GRAIL_BACKEND_NODE_USER", "")
            .env("NOTIFY_SOCKET", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same site, told by a file in place of flags.
    fn write_config(&self, more: &str) {
        let text = format!(
            "deployment = \"deployment.json\"\ndatabase = \"sqlite:grail.db\"\n\
             wasm = \"bridge.wasm\"\nbroker = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\
             metrics = \"127.0.0.1:0\"\n{more}"
        );
        std::fs::write(self.path().join("grail.toml"), text).unwrap();
    }
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Reads lines of the log until one has `text`.
    fn until_logged(&mut self, text: &str) -> BufReader<std::process::ChildStderr> {
        let mut lines = BufReader::new(self.0.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the log ended");
        }
        lines
    }

    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= deadline {
                self.0.kill().unwrap();
                let mut log = String::new();
                if let Some(mut stderr) = self.0.stderr.take() {
                    stderr.read_to_string(&mut log).unwrap();
                }
                panic!("it goes on: {log}");
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn end(&mut self) -> ExitStatus {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        self.ended()
    }
}

/// A node that knows its network's name and nothing else; it starts until `is_up`.
fn node(chain: &'static str, is_up: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_up = Arc::clone(is_up);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0_usize);
            while reader.read_line(&mut line).unwrap_or(0) > 0 && !line.trim().is_empty() {
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            // A connection that asks nothing is no call.
            let Ok(()) = reader.read_exact(&mut body) else {
                continue;
            };
            let Ok(call) = serde_json::from_slice::<serde_json::Value>(&body) else {
                continue;
            };
            let id = &call["id"];
            let state = serde_json::json!({
                "chain": chain, "blocks": 0, "headers": 0, "bestblockhash": "00".repeat(32),
                "initialblockdownload": false, "verificationprogress": 1.0, "pruned": false,
            });
            let answer = if !is_up.load(Ordering::SeqCst) {
                serde_json::json!({"id": id, "error": {"code": -28, "message": "Loading"}})
            } else if call["method"] == "getblockchaininfo" {
                serde_json::json!({"id": id, "result": state})
            } else {
                serde_json::json!({"id": id, "error": {"code": -1, "message": "a test"}})
            };
            let text = answer.to_string();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
            let _ = write!(reader.get_mut(), "{head} {}\r\n\r\n{text}", text.len());
        }
    });
    port
}

fn up() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

/// A port at which nobody listens.
fn nowhere() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Status and text of an answer.
fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

#[test]
fn it_waits_for_a_node_that_starts_and_then_serves() {
    let (site, is_up) = (Site::new(), Arc::new(AtomicBool::new(false)));
    let (api, metrics) = (nowhere(), nowhere());
    let [api_at, metrics_at] = [api, metrics].map(|port| format!("127.0.0.1:{port}"));
    let doors = [
        ("--api", api_at.as_str()),
        ("--metrics", metrics_at.as_str()),
    ];
    let mut running = site.run(node("regtest", &is_up), &doors);
    let mut log = running.until_logged("waiting for the node");
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    // It says so to whoever asks, too.
    assert_eq!(get(api, "/livez").0, 200);
    for path in ["/readyz", "/v1/status", "/"] {
        let (status, text) = get(api, path);
        assert_eq!(status, 503, "{text}");
        assert!(text.contains("waiting for the node (node-busy)"), "{text}");
    }
    let (status, text) = get(metrics, "/metrics");
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\ngrail_ready 0\n") && text.contains("\ngrail_node_up 0\n"));
    is_up.store(true, Ordering::SeqCst);
    let mut ready = String::new();
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    output.read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(get(api, "/readyz").0, 200);
    let (_, text) = get(metrics, "/metrics");
    assert!(text.contains("\ngrail_ready 1\n"), "{text}");
    for door in ["api", "metrics", "broker", "admin"] {
        assert!(ready[door].is_string(), "{ready}");
    }
    assert_eq!(running.end().code(), Some(0));
}

/// `admin` on the site's database: exit code, standard output and standard error.
fn admin(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grail-backend"))
        .args(["admin", "--database", "sqlite:grail.db"])
        .args(arguments)
        .current_dir(site.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_second_command_asks_the_one_that_runs_and_says_when_none_does() {
    let site = Site::new();
    let (code, _, words) = admin(&site, &["status"]);
    assert_eq!(code, Some(6));
    assert!(
        words.contains("no backend runs on this database"),
        "{words}"
    );

    let mut running = site.run(node("regtest", &up()), &[]);
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let mut log = running.0.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let (code, words, _) = admin(&site, &["pause", "--reason", "new disks"]);
    assert_eq!(code, Some(0));
    assert!(words.starts_with("done (number 1 in the log)"), "{words}");
    let (code, words, errors) = admin(&site, &["pause", "--reason", "again"]);
    assert_eq!((code, words.as_str()), (Some(7), ""));
    assert!(errors.contains("already-paused"), "{errors}");
    let (code, words, _) = admin(&site, &["log", "--json"]);
    let log: serde_json::Value = serde_json::from_str(&words).unwrap();
    assert_eq!((code, &log["answer"]), (Some(0), &"log".into()));
    assert_eq!(log["items"][0]["reason"], "new disks");
    for wrong in [&["pause"][..], &["pause", "--reason", ""], &["sign"]] {
        assert_eq!(admin(&site, wrong).0, Some(2), "{wrong:?}");
    }
    // It outlives the process, whose socket goes with it.
    assert_eq!(running.end().code(), Some(0));
    assert_eq!(admin(&site, &["status"]).0, Some(6));
    let mut running = site.run(node("regtest", &up()), &[]);
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let (_, words, _) = admin(&site, &["status"]);
    assert!(words.starts_with("paused "), "{words}");
    assert!(words.contains("new disks"), "{words}");
    assert_eq!(admin(&site, &["resume"]).0, Some(0));
}

#[test]
fn it_ends_well_when_asked_to_while_the_node_is_down() {
    let site = Site::new();
    let mut running = site.run(nowhere(), &[]);
    let _log = running.until_logged("node-unreachable");
    assert_eq!(running.end().code(), Some(0));
}

#[test]
fn what_a_person_must_mend_has_a_code_of_its_own() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let site = Site::new();
    std::fs::write(
        site.path().join("not.db"),
        "no database at all, but a text".repeat(99),
    )
    .unwrap();
    std::fs::write(site.path().join("busy.db.admin.sock"), "somebody's").unwrap();
    std::fs::write(site.path().join("other.wasm"), "no contract").unwrap();
    let regtest = node("regtest", &up());
    for (code, port, option) in [
        (2, regtest, ("--batch-seconds", "soon")),
        (3, regtest, ("--deployment", "missing.json")),
        (3, regtest, ("--wasm", "other.wasm")),
        (3, regtest, ("--node-url", "ftp://somewhere")),
        (3, node("main", &up()), ("--ask-seconds", "1")),
        (4, regtest, ("--database", "sqlite:not.db")),
        (3, regtest, ("--database", "nosql:grail.db")),
        (
            3,
            regtest,
            ("--database", "postgres://grail@db.example/grail"),
        ),
        (
            3,
            regtest,
            ("--database", "postgres://grail:secret@localhost/grail"),
        ),
        (5, regtest, ("--api", taken.as_str())),
        (5, regtest, ("--metrics", taken.as_str())),
        (5, regtest, ("--broker", taken.as_str())),
        (5, regtest, ("--database", "sqlite:busy.db")),
    ] {
        let ended = site.run(port, &[option]).ended();
        assert_eq!(ended.code(), Some(code), "{option:?}");
    }
}
