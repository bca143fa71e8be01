//! A server: its folder, its life.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, fs::chown, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

/// Where the programs of PostgreSQL are, if they are not where Debian has them.
const PROGRAMS_VARIABLE: &str = "GRAIL_POSTGRES_BIN";
/// Oldest version that will do.
const VERSION_MIN: u32 = 15;
/// Debian's user and group of what has no rights.
const NOBODY: u32 = 65_534;
/// Longest wait for a server.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// The one role, who may do everything.
const ROLE: &str = "grail";
/// Part of the socket's name, and nothing else while nobody is listened to but there.
const PORT: u16 = 5432;
/// What is asked of `openssl`: a certificate of the name that this machine has for itself.
const CERTIFICATE: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
";

/// Ends the server when its owner has ended, however that was, and clears its folder away.
const WATCH: &str = r#"
owner=$1 folder=$2; shift 2
"$@" &
server=$!
while kill -0 "$owner" 2> /dev/null; do
    kill -0 "$server" 2> /dev/null || exit 0
    sleep 0.5
done
kill -INT "$server"
wait "$server"
rm -rf "$folder" "$folder.lock"
"#;

/// What a server keeps when it is ended in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was committed, also without the power.
    Kept,
    /// What was committed, but not without the power: much faster.
    KeptWhilePowered,
}

/// A server of a test's own. Dropped, it is ended and its folder gone.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    durability: Durability,
    owner: u32,
    port: u16,
    speaks_tls: bool,
}

impl Server {
    /// A new server, which runs.
    pub fn start(durability: Durability) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("grail-postgres-{process}-{count}");
        Self::make(&std::env::temp_dir().join(name), durability, process)
    }

    /// A new server in `folder`, which ends with the process `owner`.
    pub(crate) fn make(folder: &Path, durability: Durability, owner: u32) -> Result<Self> {
        // What a process of the same number left.
        fs::remove_dir_all(folder).ok();
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        if is_root()? {
            chown(folder, Some(NOBODY), Some(NOBODY))?;
        }
        let made = Self {
            folder: folder.to_owned(),
            durability,
            owner,
            port: PORT,
            speaks_tls: false,
        };
        let data = made.data();
        // Text is ordered as people do, so that a statement which relies on an order of its own
        // is seen to ask for it.
        Self::program("initdb")?
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8"])
            .args([
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en",
            ])
            .args(["--username", ROLE, "--pgdata"])
            .arg(&data)
            .succeeds()?;
        made.start_again()?;
        Ok(made)
    }

    /// One that another process made.
    pub(crate) fn join(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            durability: Durability::KeptWhilePowered,
            owner: 0,
            port: PORT,
            speaks_tls: false,
        }
    }

    /// Starts it after it was stopped.
    pub fn start_again(&self) -> Result<()> {
        let mut server = Self::program("postgres")?;
        server
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder);
        server.args(["-p", &self.port.to_string()]);
        let tcp: [&str; 2] = if self.speaks_tls {
            ["listen_addresses=localhost", "ssl=on"]
        } else {
            ["listen_addresses=", "ssl=off"]
        };
        for setting in [
            tcp[0],
            tcp[1],
            "max_connections=200",
            "shared_buffers=64MB",
            "log_destination=stderr",
        ] {
            server.args(["-c", setting]);
        }
        if self.durability == Durability::KeptWhilePowered {
            server.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let log = fs::File::create(self.log())?;
        let started = Command::new("setsid")
            .args([
                "--fork",
                "sh",
                "-c",
                WATCH,
                "watch",
                &self.owner.to_string(),
            ])
            .arg(&self.folder)
            .arg(server.get_program())
            .args(server.get_args())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .status()
            .context("cannot start a server")?;
        ensure!(started.success(), "cannot start a server: {started}");
        self.wait_until_it_answers()
    }

    /// Stops it at once: it keeps what it has written, and ends nothing that is under way.
    pub fn stop_immediately(&self) -> Result<()> {
        Self::program("pg_ctl")?
            .args(["stop", "--mode=immediate", "--wait", "--silent", "--pgdata"])
            .arg(self.data())
            .succeeds()
    }

    /// Starts it again with a door on the loopback that speaks TLS; the certificate that it shows
    /// there.
    pub fn speak_tls(&mut self) -> Result<PathBuf> {
        let certificate = self.data().join("server.crt");
        let request = self.folder.join("request");
        fs::write(&request, CERTIFICATE)?;
        Self::unprivileged(Path::new("openssl"))?
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config"])
            .arg(request)
            .arg("-keyout")
            .arg(self.data().join("server.key"))
            .arg("-out")
            .arg(&certificate)
            .succeeds()?;
        self.stop_immediately()?;
        self.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        self.speaks_tls = true;
        self.start_again()?;
        Ok(certificate)
    }

    /// The URL of one of its databases over the loopback, by a name of this machine.
    pub fn tcp_url(&self, host: &str, database: &str) -> String {
        format!("postgres://{ROLE}@{host}:{}/{database}", self.port)
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{ROLE}@{folder}:{}/{database}", self.port)
    }

    /// Makes a database, empty.
    pub fn create(&self, database: &str) -> Result<()> {
        // Copying files takes a fifth of the time of writing them to the log.
        self.tell(&format!("CREATE DATABASE {database} STRATEGY file_copy"))
    }

    /// Drops a database, whoever is connected to it.
    pub fn drop_database(&self, database: &str) -> Result<()> {
        self.tell(&format!("DROP DATABASE {database} WITH (FORCE)"))
    }

    /// Runs a statement outside of every test's database.
    pub fn tell(&self, statement: &str) -> Result<()> {
        self.psql(statement).map(|_| ())
    }

    fn psql(&self, statement: &str) -> Result<String> {
        Self::program("psql")?
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--username", ROLE, "--dbname", "postgres", "--port"])
            .arg(self.port.to_string())
            .arg("--host")
            .arg(&self.folder)
            .args(["--command", statement])
            .output_of()
    }

    fn answers(&self) -> bool {
        let socket = self.folder.join(format!(".s.PGSQL.{}", self.port));
        UnixStream::connect(socket).is_ok() && self.psql("SELECT 1").is_ok()
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        let began = Instant::now();
        while !self.answers() {
            if began.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                bail!("PostgreSQL does not answer within {PATIENCE:?}:\n{log}");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// One of PostgreSQL's programs, without rights.
    fn program(name: &str) -> Result<Program> {
        Self::unprivileged(&programs()?.join(name))
    }

    fn unprivileged(path: &Path) -> Result<Program> {
        let mut command = if is_root()? {
            let mut command = Command::new("setpriv");
            let nobody = NOBODY.to_string();
            command
                .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/").stdin(Stdio::null());
        Ok(Program(command))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            self.stop_immediately().ok();
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

struct Program(Command);

impl Program {
    fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.0.args(args);
        self
    }

    fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.0.arg(arg);
        self
    }

    fn get_program(&self) -> &OsStr {
        self.0.get_program()
    }

    fn get_args(&self) -> impl Iterator<Item = &OsStr> {
        self.0.get_args()
    }

    fn succeeds(&mut self) -> Result<()> {
        self.output_of().map(|_| ())
    }

    fn output_of(&mut self) -> Result<String> {
        let output = self.0.output().with_context(|| format!("{:?}", self.0))?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{:?}: {words}", self.0);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = uid.and_then(|ids| ids.split_whitespace().nth(1));
    Ok(effective == Some("0"))
}

/// Where the programs are: the newest version that is there.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS_VARIABLE) {
        return Ok(folder.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max();
    match newest {
        Some(version) if version >= VERSION_MIN => {
            Ok(format!("/usr/lib/postgresql/{version}/bin").into())
        }
        _ => bail!(
            "tests need PostgreSQL {VERSION_MIN} or later: `cargo xtask test` installs it, as does \
             `apt-get install postgresql-15`; {PROGRAMS_VARIABLE} says where it is else"
        ),
    }
}
