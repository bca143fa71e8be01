//! Databases of tests on one server, which all tests of a run share: starting one takes seconds.

use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result};

use crate::{Durability, Server};

/// Where nextest, which runs each test in a process of its own, tells which run it is.
const RUN_VARIABLE: &str = "NEXTEST_RUN_ID";

/// A database of one test, empty. Dropped, it is gone.
#[derive(Debug)]
pub struct Database {
    name: String,
    server: &'static Server,
}

impl Database {
    /// A new database.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let server = server()?;
        let name = format!("test_{process}_{count}");
        server.create(&name)?;
        Ok(Self { name, server })
    }

    /// Sets a setting for whoever connects to it from now on.
    pub fn set(&self, setting: &str) -> Result<()> {
        let name = &self.name;
        self.server
            .tell(&format!("ALTER DATABASE {name} SET {setting}"))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.server.drop_database(&self.name).ok();
    }
}

/// The server of this run: whoever needs it first starts it, and it ends with the run.
fn server() -> Result<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    SERVER
        .get_or_init(|| start_or_join().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn start_or_join() -> Result<Server> {
    let (run, owner) = match std::env::var(RUN_VARIABLE) {
        Ok(run) => (run, std::os::unix::process::parent_id()),
        Err(_) => (format!("of-{}", std::process::id()), std::process::id()),
    };
    let folder = std::env::temp_dir().join(format!("grail-postgres-{run}"));
    let lock = fs::File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock")?;
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(Server::join(&folder));
    }
    let server = Server::make(&folder, Durability::KeptWhilePowered, owner)?;
    fs::write(ready, "")?;
    Ok(server)
}
