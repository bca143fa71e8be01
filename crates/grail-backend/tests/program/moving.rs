//! From a file to a server.

use std::io::{BufRead as _, BufReader};

use grail_postgres_dev::Database;

use super::{Running, Site, node, up};

/// Starts it and waits until it serves.
fn serves(site: &Site, options: &[(&str, &str)]) -> Running {
    let mut running = site.run(node("regtest", &up()), options);
    let mut log = running.0.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let mut ready = String::new();
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    output.read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["ready"], true);
    running
}

/// `migrate`: exit code, standard output and standard error.
fn migrate(site: &Site, from: &str, to: &str) -> (Option<i32>, String, String) {
    let output = site.command("migrate", &[from, to]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_backend_goes_on_where_its_rows_were_moved_to_and_nowhere_else() {
    const FILE: &str = "sqlite:grail.db";
    let site = Site::new();
    let database = Database::new().unwrap();
    let url = database.url();
    let mut running = serves(&site, &[]);
    let (code, _, words) = migrate(&site, FILE, &url);
    assert_eq!(code, Some(7), "{words}");
    assert!(words.contains("backend-runs"), "{words}");
    assert_eq!(running.end().code(), Some(0));

    let (code, lines, words) = migrate(&site, FILE, &url);
    assert_eq!(code, Some(0), "{words}");
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.last().unwrap()["moved"], true);
    let facts = lines.iter().find(|line| line["table"] == "facts").unwrap();
    assert!(facts["rows"].as_u64().unwrap() >= 3, "{facts}");
    assert_eq!(facts["sha256"].as_str().unwrap().len(), 64);

    let mut old = site.run(node("regtest", &up()), &[]);
    assert_eq!(old.ended().code(), Some(4));
    let socket = ("--admin-socket", "admin.sock");
    let mut running = serves(&site, &[("--database", &url), socket]);
    // A second one has no operator on its hub.
    let mut second = site.run(node("regtest", &up()), &[("--database", &url)]);
    assert_eq!(second.ended().code(), Some(1));
    let words = ["--database", &url, socket.0, socket.1, "status"];
    let status = site.command("admin", &words).output().unwrap();
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    assert_eq!(running.end().code(), Some(0));

    for (from, to, code, word) in [
        (FILE, url.as_str(), 7, "not-empty"),
        (&url, FILE, 3, "direction"),
        (
            FILE,
            "postgres://grail:secret@localhost/grail",
            3,
            "direction",
        ),
    ] {
        let (ended, _, words) = migrate(&site, from, to);
        assert_eq!(ended, Some(code), "{words}");
        assert!(words.contains(word), "{words}");
        assert!(!words.contains("secret"), "{words}");
    }
}
