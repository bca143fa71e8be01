//! Room for builds and tests. Whatever runs out of it fails somewhere in the middle, by a message
//! of its own: a node that cannot start says nothing of a build folder that filled the disk.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{output_of, root};

/// What all suites of CI take from nothing: builds without incremental compilation, wasm, judges
/// and the folders of the tests that run at a time.
const USUAL_GIB: u64 = 14;
/// With less not even what is built already can be tested.
const LEAST_GIB: u64 = 2;

/// Says how much room there is, and fails where it cannot do.
pub fn check() -> Result<()> {
    let shown = output_of(Command::new("df").arg("-Pk").arg(root()))?;
    let free = free_gib(&shown)?;
    if free < LEAST_GIB {
        bail!("the disk has {free} GiB free, and tests need {LEAST_GIB} at the least");
    }
    if free < USUAL_GIB {
        eprintln!("the disk has {free} GiB free: a build from nothing takes up to {USUAL_GIB}");
    }
    Ok(())
}

/// From the POSIX format of `df` in KiB: the fourth column of its second line.
fn free_gib(shown: &str) -> Result<u64> {
    let line = shown.lines().nth(1);
    let column = line.and_then(|line| line.split_whitespace().nth(3));
    let kib: u64 = column
        .context("df shows no free space")?
        .parse()
        .context("free space that df shows")?;
    Ok(kib >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_what_df_shows() {
        let shown = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                     /dev/vda 263174212 53000000 3145728 85% /\n";
        assert_eq!(free_gib(shown).expect("a line of df"), 3);
        assert!(free_gib("Filesystem\n").is_err());
        assert!(free_gib("head\n/dev/vda 1 2 none 3% /\n").is_err());
    }
}
