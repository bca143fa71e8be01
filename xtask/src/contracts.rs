//! Builds contracts to wasm, the same bytes on every machine: the bridge's, and the apps'.
//!
//! Owns the recipe: an app's `vk` is the hash of its wasm, so the wasm is protocol and the
//! committed one is what counts. Debian's packages are the toolchain because their versions are
//! pinned and signed; every path that differs between machines is remapped; nothing of the caller's
//! environment reaches the compiler.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
pub const LINKER: &str = "/usr/bin/wasm-ld-19";
/// Another compiler makes another wasm, hence another `vk`.
const RUSTC_VERSION: &str = "rustc 1.96.0";
const TARGET: &str = "wasm32-wasip1";
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi";
/// The standard library's sources: `rustc` reports them under the first, which is a link to the
/// second.
pub const RUST_SOURCES: [&str; 2] = ["/usr/lib/rustlib/src/rust", "/usr/src/rustc-1.96.0"];

/// A file of each package that the recipe needs.
const TOOLS: [(&str, &str); 5] = [
    (RUSTC, "rustc-web"),
    (CARGO, "cargo-web"),
    (
        "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
        "rust-web-src",
    ),
    (LINKER, "lld-19"),
    ("/usr/lib/wasm32-wasi/crt1-command.o", "wasi-libc"),
];

/// Variables that say where crates come from, not what is compiled.
const KEPT_VARIABLES: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
];

/// A program that Charms runs.
struct Program {
    /// The workspace that it is built in, and where its wasm and `vk` are committed.
    workspace: &'static str,
    package: &'static str,
    /// Name of the binary, and of the committed files.
    name: &'static str,
    /// What a difference from the committed wasm means.
    difference: &'static str,
}

const APP_DIFFERENCE: &str = "a new vk is a new app";

const PROGRAMS: [Program; 5] = [
    Program {
        workspace: "contracts",
        package: "grail-bridge-wasm",
        name: "bridge",
        difference: "a new vk is a new bridge",
    },
    Program {
        workspace: "apps",
        package: "grail-token",
        name: "token",
        difference: APP_DIFFERENCE,
    },
    Program {
        workspace: "apps",
        package: "grail-amm",
        name: "amm",
        difference: APP_DIFFERENCE,
    },
    Program {
        workspace: "apps",
        package: "grail-app-examples",
        name: "tip-jar",
        difference: APP_DIFFERENCE,
    },
    Program {
        workspace: "apps",
        package: "grail-app-examples",
        name: "escrow",
        difference: APP_DIFFERENCE,
    },
];

/// Builds every program's wasm; with `verify`, compares it bit for bit with the committed one
/// instead of writing it and its `vk`.
pub fn build(verify: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent folder")?;
    PROGRAMS
        .iter()
        .try_for_each(|program| build_one(root, program, verify))
}

fn build_one(root: &Path, program: &Program, verify: bool) -> Result<()> {
    let Program {
        workspace, name, ..
    } = program;
    let folder = root.join(workspace);
    let built = compile(program, &folder, &root.join("target").join(workspace))?;
    let vk = hex::encode(Sha256::digest(&built));
    let wasm_path = folder.join(format!("{name}.wasm"));
    let vk_path = folder.join(format!("{name}.vk"));

    if !verify {
        fs::write(&wasm_path, &built)
            .with_context(|| format!("writing {}", wasm_path.display()))?;
        fs::write(&vk_path, format!("{vk}\n"))
            .with_context(|| format!("writing {}", vk_path.display()))?;
        println!("{name}.wasm: {} bytes, vk {vk}", built.len());
        return Ok(());
    }
    let committed =
        fs::read(&wasm_path).with_context(|| format!("reading {}", wasm_path.display()))?;
    let stated =
        fs::read_to_string(&vk_path).with_context(|| format!("reading {}", vk_path.display()))?;
    let committed_vk = hex::encode(Sha256::digest(&committed));
    ensure!(
        stated.trim() == committed_vk,
        "{workspace}/{name}.vk says {}, but {workspace}/{name}.wasm hashes to {committed_vk}",
        stated.trim()
    );
    ensure!(
        built == committed,
        "{workspace}/{name} builds to vk {vk}, the committed wasm has vk {committed_vk}: either its sources changed \
         without `cargo xtask contracts` ({}), or the packages differ from those listed in contracts/README.md",
        program.difference
    );
    println!("{name}.wasm reproduced: vk {vk}");
    Ok(())
}

fn compile(program: &Program, folder: &Path, target_dir: &Path) -> Result<Vec<u8>> {
    check_toolchain()?;
    // Fetched first: the folders to remap exist only then.
    run(cargo(folder).args(["fetch", "--locked"]))?;
    let flags = rustflags(program.workspace, folder, target_dir, &registry_sources()?);
    run(cargo(folder)
        .args(["build", "--locked", "--release"])
        .args(["--package", program.package, "--bin", program.name])
        .args([
            "--target",
            TARGET,
            "-Zbuild-std=std,panic_abort",
            "--target-dir",
        ])
        .arg(target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_WASIP1_LINKER", LINKER)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\u{1f}"))))?;

    let path = target_dir
        .join(TARGET)
        .join("release")
        .join(format!("{}.wasm", program.name));
    let wasm = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    for folder in [folder, target_dir, &cargo_home()?] {
        let needle = folder.as_os_str().as_encoded_bytes();
        ensure!(
            !wasm.windows(needle.len()).any(|window| window == needle),
            "the wasm names {}, a path of this machine: the recipe misses a remapping",
            folder.display()
        );
    }
    Ok(wasm)
}

/// Whether Debian's compiler for wasm is there, in the one version that counts.
pub fn check_toolchain() -> Result<()> {
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        bail!(
            "missing Debian packages; install them with: apt-get install -y --no-install-recommends {}",
            missing.join(" ")
        );
    }
    let output = Command::new(RUSTC)
        .arg("--version")
        .output()
        .context("running rustc")?;
    let version = String::from_utf8_lossy(&output.stdout);
    ensure!(
        version.starts_with(&format!("{RUSTC_VERSION} ")),
        "expected {RUSTC_VERSION} at {RUSTC}, got {}",
        version.trim()
    );
    Ok(())
}

/// Debian's cargo, in `folder`, deaf to the caller's toolchain and flags.
pub fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(CARGO);
    command.current_dir(folder);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let steers = text == "LD_LIBRARY_PATH"
            || text == "CARGO"
            || text.starts_with("CARGO_")
            || text.starts_with("RUST");
        if steers && !KEPT_VARIABLES.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command.env("RUSTC", RUSTC);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    ensure!(status.success(), "building the contract failed: {status}");
    Ok(())
}

fn rustflags(
    workspace: &str,
    folder: &Path,
    target_dir: &Path,
    registries: &[PathBuf],
) -> Vec<OsString> {
    let mut flags: Vec<OsString> = [
        "-Clink-self-contained=no",
        &format!("-Lnative={WASI_LIBC}"),
        &format!("-Clink-arg={WASI_LIBC}/crt1-command.o"),
    ]
    .map(OsString::from)
    .to_vec();
    let mut remap = |from: &Path, to: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push(format!("={to}"));
        flags.push(flag);
    };
    remap(folder, &format!("/{workspace}"));
    remap(target_dir, "/target");
    for sources in registries {
        remap(sources, "/registry");
    }
    for sources in RUST_SOURCES {
        remap(Path::new(sources), "/rust");
    }
    flags
}

pub fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(home));
    }
    let home = env::home_dir().context("neither CARGO_HOME nor a home folder")?;
    Ok(home.join(".cargo"))
}

/// The folders under which cargo unpacks crates, one per registry, in a fixed order.
pub fn registry_sources() -> Result<Vec<PathBuf>> {
    let sources = cargo_home()?.join("registry/src");
    let mut folders = fs::read_dir(&sources)
        .with_context(|| format!("reading {}", sources.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}
