//! Where Grail's own programs are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// Packages of the programs that a running system consists of, and the programs' names.
const PROGRAMS: [(&str, &str); 4] = [
    ("grail-enclave", "grail-enclave"),
    ("grail-host", "grail-host"),
    ("grail-backend", "grail-backend"),
    ("grail-cli", "grail"),
];

/// Set by whoever has just built the programs, so that tests need not look.
const BUILT: &str = "GRAIL_PROGRAMS_BUILT";

/// The programs, as files that stay what they are: a build beside a running system replaces those
/// in `target`, and an operator's key opens only to the very enclave that sealed it.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Takes the programs that lie beside the running one into `folder`.
    pub fn take(folder: &Path) -> Result<Self> {
        let built = beside_us()?;
        std::fs::create_dir_all(folder)?;
        for (package, program) in PROGRAMS {
            let from = built.join(program);
            ensure!(
                from.is_file(),
                "{} is missing: cargo build -p {package} --features development",
                from.display()
            );
            let to = folder.join(program);
            if to.exists() {
                continue;
            }
            if std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to)
                    .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// `grail-enclave`.
    pub fn enclave(&self) -> PathBuf {
        self.folder.join("grail-enclave")
    }

    /// `grail-host`.
    pub fn host(&self) -> PathBuf {
        self.folder.join("grail-host")
    }

    /// `grail-backend`.
    pub fn backend(&self) -> PathBuf {
        self.folder.join("grail-backend")
    }

    /// `grail`.
    pub fn cli(&self) -> PathBuf {
        self.folder.join("grail")
    }
}

/// Builds the programs as they are in the sources now, as development builds, once per process. For
/// tests; the demo's task builds them before.
///
/// # Panics
/// When they do not build.
pub fn build_programs() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if std::env::var_os(BUILT).is_some() {
            return;
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
            "build",
            "--quiet",
            "--bins",
            "--features",
            "development",
        ]);
        for (package, _) in PROGRAMS {
            command.args(["--package", package]);
        }
        // Into the folder that the running program lies in: a benchmark's is not a test's.
        if beside_us().is_ok_and(|folder| folder.ends_with("release")) {
            command.arg("--release");
        }
        let status = command.status().expect("running cargo");
        assert!(status.success(), "the programs do not build");
    });
}

/// The contract that the repository commits.
pub fn bridge_wasm() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/bridge.wasm")
}

/// Where cargo put the running program; a test lies one folder deeper.
fn beside_us() -> Result<PathBuf> {
    let own = std::env::current_exe().context("path of this program")?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.file_name().is_some_and(|name| name != "deps"));
    let Some(folder) = found else {
        bail!("{} lies in no folder of cargo's", own.display());
    };
    Ok(folder.to_owned())
}
