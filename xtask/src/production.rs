//! Builds the programs that ship, and reads their bytes: no part that is for development is in them
//! (ADR 10).
//!
//! The same search of the development builds finds the parts: so it would find them here.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::shell::{cargo, root, run};

/// Where production builds go, so that they never replace the development builds that tests start.
const FOLDER: &str = "target/production";
/// The text that every key of the simulated hardware comes from. Should it change there, the search
/// of the development builds fails.
const WORTHLESS_SECRET: &[u8] =
    b"the secret of grail's development hardware: published, worthless by design";
/// What `grail-enclave` ends with, and says, when it is asked for a TEE that is not in it.
const EXIT_TEE: i32 = 3;
const ABSENT: &str = "[development-absent]";

/// A program that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// The trusted one.
    Enclave,
    /// Its parent.
    Host,
    /// The backend.
    Backend,
    /// The wallet.
    Cli,
}

impl Program {
    /// All.
    pub const ALL: [Self; 4] = [Self::Enclave, Self::Host, Self::Backend, Self::Cli];

    fn package(self) -> &'static str {
        match self {
            Self::Enclave => "grail-enclave",
            Self::Host => "grail-host",
            Self::Backend => "grail-backend",
            Self::Cli => "grail-cli",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Enclave => "grail-enclave",
            Self::Host => "grail-host",
            Self::Backend => "grail-backend",
            Self::Cli => "grail",
        }
    }

    /// What its development build is made of.
    fn development_parts(self) -> &'static [Part] {
        match self {
            Self::Enclave => &[Part::Secret, Part::VerifyingKey],
            Self::Host => &[],
            Self::Backend | Self::Cli => &[Part::Root, Part::VerifyingKey, Part::ProvingKey],
        }
    }
}

/// Something that must not ship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The public key of the development root.
    Root,
    /// What every key of the simulated hardware comes from.
    Secret,
    /// By which mock proofs are checked.
    VerifyingKey,
    /// By which they are made.
    ProvingKey,
}

impl Part {
    const ALL: [Self; 4] = [
        Self::Root,
        Self::Secret,
        Self::VerifyingKey,
        Self::ProvingKey,
    ];

    fn bytes(self) -> Result<Vec<u8>> {
        let read =
            |path: &str| fs::read(root().join(path)).with_context(|| format!("reading {path}"));
        match self {
            Self::Root => {
                let certificate = read("crates/grail-attest/roots/development-root.der")?;
                public_key(&certificate).context("a point of P-384 in the development root")
            }
            Self::Secret => Ok(WORTHLESS_SECRET.to_vec()),
            Self::VerifyingKey => read("crates/grail-spell/vk/mock.bin"),
            // It begins with the verifying key, which is a part by itself.
            Self::ProvingKey => {
                let key = read("crates/grail-prover/keys/mock.bin")?;
                let own = key.strip_prefix(Self::VerifyingKey.bytes()?.as_slice());
                Ok(own.context("the mock keys are a pair")?.to_vec())
            }
        }
    }
}

/// Builds `programs` as they ship and as development builds, and searches both.
pub fn check(programs: &[Program]) -> Result<()> {
    let mut development = cargo();
    development.args(["build", "--bins"]);
    for program in programs {
        development.args(["--package", program.package()]);
    }
    // Said once for all: `grail-enclave/development` would be a feature of the enclave's dependency
    // of that name, which is itself, for its tests, and the program would be built without. The
    // host has nothing to add, and so no such feature.
    if programs
        .iter()
        .any(|program| !program.development_parts().is_empty())
    {
        development.args(["--features", "development"]);
    }
    run(&mut development)?;
    check_beside_development(programs)
}

/// The same, when the development builds lie beside the running program.
pub fn check_beside_development(programs: &[Program]) -> Result<()> {
    let own = std::env::current_exe().context("path of this program")?;
    let parts = Part::ALL.map(|part| Ok((part, Needle::new(&part.bytes()?))));
    let parts: Vec<_> = parts.into_iter().collect::<Result<_>>()?;
    for program in programs {
        let found = found(&own.with_file_name(program.file()), &parts)?;
        ensure!(
            found == program.development_parts(),
            "expected to find {:?} in the development build of {}, found {found:?}",
            program.development_parts(),
            program.file()
        );
        let shipped = build(*program)?;
        let found = self::found(&shipped, &parts)?;
        ensure!(
            found.is_empty(),
            "{} as it ships contains {found:?}",
            program.file()
        );
        if *program == Program::Enclave {
            refuses_development(&shipped)?;
        }
        eprintln!("{} as it ships has no development part", program.file());
    }
    Ok(())
}

/// One package alone, without features: the command that makes what ships, but for the profile.
fn build(program: Program) -> Result<PathBuf> {
    let folder = root().join(FOLDER);
    run(cargo()
        .args(["build", "--locked", "--package", program.package()])
        .env("CARGO_TARGET_DIR", &folder))?;
    Ok(folder.join("debug").join(program.file()))
}

fn found(program: &Path, parts: &[(Part, Needle)]) -> Result<Vec<Part>> {
    let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let found = parts.iter().filter(|(_, needle)| needle.is_in(&bytes));
    Ok(found.map(|(part, _)| *part).collect())
}

fn refuses_development(enclave: &Path) -> Result<()> {
    let serve = [
        "--listen",
        "unix:/nonexistent/socket",
        "--tee",
        "development",
        "--network",
        "regtest",
    ];
    for arguments in [serve.as_slice(), &["measurement"]] {
        let ended = Command::new(enclave)
            .args(arguments)
            .output()
            .with_context(|| format!("running {}", enclave.display()))?;
        let said = String::from_utf8_lossy(&ended.stderr);
        if ended.status.code() != Some(EXIT_TEE) || !said.contains(ABSENT) {
            bail!(
                "expected exit code {EXIT_TEE} and {ABSENT} of {arguments:?}, got {}: {said}",
                ended.status
            );
        }
    }
    Ok(())
}

/// The uncompressed point of a certificate of P-384: what its only bit string of 98 bytes holds.
fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    const HEAD: [u8; 4] = [0x03, 0x62, 0x00, 0x04];
    let at = certificate
        .windows(HEAD.len())
        .position(|window| window == HEAD)?;
    let point = certificate.get(at + 3..at + 3 + 97)?;
    Some(point.to_vec())
}

/// Bytes of which no run of [`Needle::RUN`] may occur.
struct Needle {
    bytes: Vec<u8>,
    /// Where each block of its bytes begins, by what it holds.
    places: HashMap<[u8; Self::BLOCK], Vec<usize>>,
}

impl Needle {
    /// A run that is this long is no accident.
    const RUN: usize = 32;
    /// A run contains at least one whole block that is aligned, wherever the run begins.
    const BLOCK: usize = Self::RUN / 2;
    /// Blocks of fewer different bytes (zeros, above all) say nothing.
    const DISTINCT_MIN: usize = 6;

    fn new(bytes: &[u8]) -> Self {
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        for (place, window) in bytes.windows(Self::BLOCK).enumerate() {
            let Ok(block) = <[u8; Self::BLOCK]>::try_from(window) else {
                continue;
            };
            let mut distinct = block;
            distinct.sort_unstable();
            if distinct.chunk_by(|a, b| a == b).count() >= Self::DISTINCT_MIN {
                places.entry(block).or_default().push(place);
            }
        }
        Self {
            bytes: bytes.to_vec(),
            places,
        }
    }

    fn is_in(&self, haystack: &[u8]) -> bool {
        let (blocks, _) = haystack.as_chunks::<{ Self::BLOCK }>();
        blocks.iter().enumerate().any(|(index, block)| {
            let here = index * Self::BLOCK;
            let places = self.places.get(block).map_or(&[][..], Vec::as_slice);
            places
                .iter()
                .any(|place| self.run(*place, haystack, here) >= Self::RUN)
        })
    }

    /// How long the equal run is that holds `self.bytes[place]` and `haystack[here]`.
    fn run(&self, place: usize, haystack: &[u8], here: usize) -> usize {
        let (needle_before, needle_after) = self.bytes.split_at(place);
        let (before, after) = haystack.split_at(here);
        let ahead = needle_after.iter().zip(after).take_while(|(a, b)| a == b);
        let behind = needle_before.iter().rev().zip(before.iter().rev());
        ahead.count() + behind.take_while(|(a, b)| a == b).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn needle() -> Vec<u8> {
        (0..200_u8).map(|byte| byte.wrapping_mul(37)).collect()
    }

    #[test]
    fn finds_every_run_of_32_bytes_at_every_offset() {
        let bytes = needle();
        let needle = Needle::new(&bytes);
        for (offset, run) in bytes.windows(Needle::RUN).enumerate() {
            let mut haystack = vec![0xee; offset + 5];
            haystack.extend_from_slice(run);
            haystack.extend_from_slice(&[0xdd; 40]);
            assert!(needle.is_in(&haystack), "{offset}");
        }
    }

    #[test]
    fn finds_no_run_of_31_bytes_and_nothing_in_zeros() {
        let bytes = needle();
        let needle = Needle::new(&bytes);
        for (offset, run) in bytes.windows(Needle::RUN - 1).enumerate() {
            // Around it, bytes that do not go on as the needle does.
            let mut haystack = vec![run[0]; offset + 5];
            haystack.extend_from_slice(run);
            haystack.extend_from_slice(&[run[run.len() - 1]; 40]);
            assert!(!needle.is_in(&haystack), "{offset}");
        }
        let with_zeros = [bytes, vec![0; 100]].concat();
        assert!(!Needle::new(&with_zeros).is_in(&[0; 4096]));
    }

    #[test]
    fn every_part_is_long_enough_to_be_searched_for() {
        for part in Part::ALL {
            let bytes = part.bytes().unwrap();
            let needle = Needle::new(&bytes);
            let blocks: usize = needle.places.values().map(Vec::len).sum();
            assert!(blocks >= Needle::RUN, "{part:?}: {blocks}");
            assert!(needle.is_in(&bytes), "{part:?}");
        }
    }

    #[test]
    fn the_root_of_aws_is_not_taken_for_the_development_root() {
        let aws = fs::read(root().join("crates/grail-attest/roots/aws-nitro-root-g1.der")).unwrap();
        let needle = Needle::new(&Part::Root.bytes().unwrap());
        assert!(!needle.is_in(&aws));
        let development =
            fs::read(root().join("crates/grail-attest/roots/development-root.der")).unwrap();
        assert!(needle.is_in(&development));
    }

    #[test]
    fn each_part_is_in_some_development_build() {
        for part in Part::ALL {
            let programs = Program::ALL.iter();
            let mut with = programs.filter(|program| program.development_parts().contains(&part));
            assert!(with.next().is_some(), "{part:?}");
        }
    }
}
