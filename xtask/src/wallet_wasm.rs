//! Builds the wallet's core for a browser.
//!
//! Proves only that it can be: nothing of it is kept. Debian's packages are the toolchain, as for
//! the contracts; clang compiles libsecp256k1, whose crate brings the C headers that wasm needs.

use anyhow::{Context as _, Result, ensure};

use crate::contracts::{self, LINKER};
use crate::setup;
use crate::shell::root;

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds and links `grail-wallet`.
pub fn build() -> Result<()> {
    setup::install(setup::CONTRACTS)?;
    setup::install(setup::WALLET_WASM)?;
    contracts::check_toolchain()?;
    let root = root();
    let target_dir = root.join("target/wallet-wasm");
    let status = contracts::cargo(root)
        .args(["rustc", "--locked", "--package", "grail-wallet", "--lib"])
        // Linked, so that a symbol that no crate has is found here and not by whoever makes the
        // page.
        .args(["--crate-type", "cdylib"])
        .args(["--target", TARGET, "-Zbuild-std=std,panic_abort"])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER)
        .env("CC_wasm32_unknown_unknown", "clang")
        .status()
        .context("running Debian's cargo")?;
    ensure!(
        status.success(),
        "grail-wallet does not build for {TARGET}: {status}"
    );
    println!("grail-wallet builds for {TARGET}");
    Ok(())
}
