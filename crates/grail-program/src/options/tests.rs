#![allow(clippy::unwrap_used)]
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, Subcommand)]
enum Sub {
    Run(Run),
    Other {
        #[arg(long)]
        database: String,
        #[arg(long)]
        acknowledge: Option<u64>,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Run {
    #[arg(long)]
    database: String,
    #[arg(long)]
    deployment: PathBuf,
    #[arg(long, default_value_t = 30)]
    batch_seconds: u64,
    #[arg(long)]
    trusted_proxy: Vec<String>,
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    node: Node,
    #[arg(long, hide = true)]
    node_table: Vec<Table<Node>>,
}

#[derive(Clone, Debug, clap::Args)]
struct Node {
    #[arg(long)]
    node_url: Option<String>,
    #[arg(long, requires = "node_url")]
    node_cookie: Option<PathBuf>,
    #[arg(long, default_value_t = 30)]
    node_timeout: u32,
}

/// Variables of this prefix are `CARGO_PKG_NAME` and its like: set whenever tests run.
const NAMING: Naming = Naming {
    subcommand: "run",
    prefix: "GRAIL_OPTIONS_TEST_",
    file: "/nowhere/grail.toml",
    paths_behind: &[("database", "sqlite:")],
};

const FULL: &str = r#"
database = "sqlite:grail.db"
deployment = "deployment.json"
batch-seconds = 5
trusted-proxy = ["127.0.0.1", "10.0.0.0/8"]
quiet = true

[[node]]
url = "http://one"
cookie = "/cookie"

[[node]]
url = "http://two"
timeout = 7
"#;

struct Site(tempfile::TempDir);

impl Site {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("grail.toml"), text).unwrap();
        Self(folder)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, words: &[&str]) -> Result<Told, OptionsError> {
        let file = self.folder().join("grail.toml").into_os_string();
        let mut all: Vec<OsString> = vec!["program".into()];
        all.extend(words.iter().map(OsString::from));
        all.extend(["--config".into(), file]);
        read(Cli::command(), NAMING, all)
    }

    fn run(&self, words: &[&str]) -> Run {
        let mut told = self.read(words).unwrap();
        match Cli::from_arg_matches_mut(&mut told.matches)
            .unwrap()
            .command
        {
            Sub::Run(run) => run,
            Sub::Other { .. } => panic!("another command"),
        }
    }

    /// The fault of the file.
    fn fault(&self) -> FileError {
        match self.read(&["run"]).unwrap_err() {
            OptionsError::File(error) => error,
            OptionsError::Usage(error) => panic!("not the file's fault: {error}"),
        }
    }
}

#[test]
fn a_file_says_what_flags_would_say() {
    let site = Site::with(FULL);
    let run = site.run(&["run"]);
    let database = format!("sqlite:{}/grail.db", site.folder().display());
    assert_eq!(run.database, database);
    assert_eq!(run.deployment, site.folder().join("deployment.json"));
    assert_eq!(run.batch_seconds, 5);
    assert_eq!(run.trusted_proxy, ["127.0.0.1", "10.0.0.0/8"]);
    assert!(run.quiet);
    let nodes: Vec<_> = run.node_table.into_iter().map(|it| it.0).collect();
    assert_eq!(nodes[0].node_url.as_deref(), Some("http://one"));
    assert_eq!(nodes[0].node_cookie.as_deref(), Some(Path::new("/cookie")));
    assert_eq!((nodes[0].node_timeout, nodes[1].node_timeout), (30, 7));
    assert_eq!(run.node.node_url, None);
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let site = Site::with(FULL);
    let words = ["run", "--batch-seconds", "9", "--database", "sqlite:x"];
    let run = site.run(&words);
    assert_eq!((run.batch_seconds, run.database.as_str()), (9, "sqlite:x"));
    let site = Site::with("database = \"d\"\ndeployment = \"/d\"\n");
    assert_eq!(site.run(&["run"]).batch_seconds, 30);
}

#[test]
fn other_commands_take_from_the_file_what_they_have_too() {
    let site = Site::with(FULL);
    let mut told = site.read(&["other"]).unwrap();
    let read = Cli::from_arg_matches_mut(&mut told.matches).unwrap();
    let Sub::Other { database, .. } = read.command else {
        panic!("another command");
    };
    assert!(database.ends_with("grail.db"), "{database}");
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_named() {
    for (text, nearest) in [
        ("batch_seconds = 1", "is it batch-seconds?"),
        ("batchseconds = 1", "is it batch-seconds?"),
        ("databas = \"d\"", "is it database?"),
        ("node-url = \"u\"", "is it url in a table [[node]]?"),
        ("[[nodes]]", "is it node?"),
        ("[[node]]\nurll = \"u\"", "urll in [[node]]: is it url?"),
        ("[[node]]\nnode-url = \"u\"", "node-url in [[node]]"),
        // Of another command.
        ("acknowledge = 1", "unknown key acknowledge"),
        ("config = \"c\"", "unknown key config"),
        ("node-table = []", "unknown key node-table"),
        ("zzzz = 1", "unknown key zzzz; code"),
    ] {
        let error = Site::with(text).fault();
        assert_eq!(error.fault.code(), "config-unknown-key", "{text}");
        let words = error.to_string();
        assert!(words.contains(nearest), "{text}: {words}");
        assert!(words.contains("grail.toml"), "{words}");
    }
}

#[test]
fn what_is_no_configuration_has_a_code_of_its_own() {
    for (text, code) in [
        ("batch-seconds", "config-syntax"),
        ("batch-seconds = 1\nbatch-seconds = 2", "config-syntax"),
        ("batch-seconds = \"1\"", "config-wrong-type"),
        ("batch-seconds = 1.5", "config-wrong-type"),
        ("batch-seconds = [1]", "config-wrong-type"),
        ("database = 1", "config-wrong-type"),
        ("quiet = \"yes\"", "config-wrong-type"),
        ("trusted-proxy = [1]", "config-wrong-type"),
        ("node = 1", "config-wrong-type"),
        ("node = [1]", "config-wrong-type"),
        ("[node]\nurl = \"u\"", "config-wrong-type"),
        ("batch-seconds = -1", "config-bad-value"),
        // By the options' own rules.
        ("[[node]]\ncookie = \"c\"", "config-bad-value"),
        ("[[node]]\nurl = \"u\"\ntimeout = -1", "config-bad-value"),
    ] {
        assert_eq!(Site::with(text).fault().fault.code(), code, "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = Site(folder).fault();
    assert_eq!(missing.fault.code(), "config-unreadable");
}

#[test]
fn a_bad_flag_is_not_the_files_fault() {
    let site = Site::with(FULL);
    for words in [&["run", "--batch-seconds", "soon"][..], &["run", "--no"]] {
        let error = site.read(words).unwrap_err();
        assert!(matches!(error, OptionsError::Usage(_)), "{error}");
    }
    let nothing = Site::with("").read(&["run"]).unwrap_err();
    assert!(nothing.to_string().contains("--deployment"), "{nothing}");
}

#[test]
fn what_is_printed_reads_as_the_same_and_says_where_it_came_from() {
    let site = Site::with(FULL);
    let told = site.read(&["run", "--batch-seconds", "9"]).unwrap();
    let printed = effective(&told);
    let file = site.folder().join("grail.toml");
    let file = file.display();
    for line in [
        "batch-seconds = 9 # --batch-seconds\n".to_owned(),
        format!("quiet = true # {file}\n"),
        format!("trusted-proxy = [\"127.0.0.1\", \"10.0.0.0/8\"] # {file}\n"),
        format!("[[node]]\nurl = \"http://one\" # {file}\n"),
        "timeout = 30 # default\n".to_owned(),
        format!("timeout = 7 # {file}\n"),
        "# cookie is not set\n".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line} in {printed}");
    }
    let again = Site::with(&printed);
    let (run, before) = (again.run(&["run"]), site.run(&["run"]));
    assert_eq!(run.batch_seconds, 9);
    assert_eq!(
        (run.database, run.node_table.len()),
        (before.database, before.node_table.len())
    );
}

#[test]
fn flags_describe_one_in_place_of_all_tables() {
    let site = Site::with(FULL);
    let told = site.read(&["run", "--node-url", "http://three"]).unwrap();
    let printed = effective(&told);
    assert_eq!(printed.matches("[[node]]").count(), 1, "{printed}");
    assert!(printed.contains("url = \"http://three\" # --node-url\n"));
    // Half of one is not mixed with what the file says.
    let error = site.read(&["run", "--node-cookie", "c"]).unwrap_err();
    assert!(error.to_string().contains("--node-url"), "{error}");
}

#[test]
fn a_password_within_an_address_is_not_shown() {
    let site = Site::with("deployment = \"d\"\ndatabase = \"db://user:secret@host/name\"");
    let printed = effective(&site.read(&["run"]).unwrap());
    assert!(printed.contains("db://(hidden)@host/name"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
}
