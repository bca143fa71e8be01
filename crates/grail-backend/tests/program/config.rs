//! What the program is told by file, variables and flags, and what it tells systemd.

use std::{os::unix::net::UnixDatagram, process::Output};

use super::*;

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let site = Site::new();
    site.write_config("batch-seconds = 1\nask-seconds = 2\nlease-seconds = 3\n");
    let words = ["--config", "grail.toml", "--lease-seconds", "9"];
    let mut command = site.command("config", &words);
    command
        .env("GRAIL_BACKEND_ASK_SECONDS", "8")
        .env("GRAIL_BACKEND_LEASE_SECONDS", "8")
        .env("GRAIL_BACKEND_ASK_SECOND", "7");
    let (code, printed, log) = output(&mut command);
    assert_eq!(code, Some(0), "{log}");
    for line in [
        "batch-seconds = 1 # grail.toml\n",
        "ask-seconds = 8 # GRAIL_BACKEND_ASK_SECONDS\n",
        "lease-seconds = 9 # --lease-seconds\n",
        "prove-workers = 2 # default\n",
        "# trusted-proxy is not set\n",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    // One that names no option is said aloud.
    assert!(log.contains("GRAIL_BACKEND_ASK_SECOND\""), "{log}");
}

#[test]
fn what_is_wrong_in_the_file_ends_it_with_the_configurations_code() {
    let site = Site::new();
    for (more, words) in [
        (
            "batch_seconds = 1\n",
            "is it batch-seconds?; code config-unknown-key",
        ),
        ("batch-seconds = \"1\"\n", "code config-wrong-type"),
        ("prove-workers = 0\n", "code config-bad-value"),
        ("batch-seconds\n", "code config-syntax"),
    ] {
        site.write_config(more);
        let (code, _, log) = output(&mut site.command("run", &["--config", "grail.toml"]));
        assert_eq!(code, Some(3), "{more}: {log}");
        assert!(log.contains(words), "{more}: {log}");
    }
    let (code, _, log) = output(&mut site.command("run", &["--config", "missing.toml"]));
    assert_eq!(
        (code, log.contains("config-unreadable")),
        (Some(3), true),
        "{log}"
    );
    // A variable is as good as a flag, and as bad.
    site.write_config("");
    let mut command = site.command("run", &["--config", "grail.toml"]);
    let (code, _, log) = output(command.env("GRAIL_BACKEND_BATCH_SECONDS", "soon"));
    assert_eq!(
        (code, log.contains("--batch-seconds")),
        (Some(2), true),
        "{log}"
    );
}

#[test]
fn it_runs_by_its_file_alone_and_tells_systemd_how_it_is() {
    let site = Site::new();
    let socket = UnixDatagram::bind(site.path().join("notify")).unwrap();
    let heard = || {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let is_up = Arc::new(AtomicBool::new(false));
    let port = node("regtest", &is_up);
    site.write_config(&format!(
        "[[node]]\nurl = \"http://127.0.0.1:{port}\"\ncookie = \"cookie\"\n"
    ));
    let mut command = site.command("run", &[]);
    command
        .env("GRAIL_BACKEND_CONFIG", "grail.toml")
        .env("NOTIFY_SOCKET", site.path().join("notify"));
    let mut running = Running(command.spawn().unwrap());
    while heard() != "STATUS=waiting for the node (node-busy)" {}
    is_up.store(true, Ordering::SeqCst);
    while !heard().starts_with("READY=1\n") {}
    assert_eq!(running.end().code(), Some(0));
    while heard() != "STOPPING=1" {}
    // Other commands take the database from there.
    let (code, _, log) = output(&mut site.command("alarms", &["--config", "grail.toml"]));
    assert_eq!(code, Some(0), "{log}");
}
