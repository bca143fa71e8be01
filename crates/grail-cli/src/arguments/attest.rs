//! `grail attest`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use grail_attest_vm::Tcb;

/// `grail attest`.
#[derive(Debug, Subcommand)]
pub enum AttestCommand {
    /// Verify a document, report or quote: its form, its signatures up to the vendor's pinned root,
    /// and that the guest is neither in debug mode nor can be moved.
    Verify(VerifyEvidence),
}

/// `grail attest verify`.
#[derive(Debug, Args)]
pub struct VerifyEvidence {
    /// The kind of evidence.
    #[arg(long)]
    pub kind: EvidenceKind,
    /// The instant that it must be valid at, milliseconds since 1970 [default: now].
    #[arg(long, value_name = "MILLIS")]
    pub at: Option<u64>,
    /// A register and what it must be, as in PCR0=HEX, MEASUREMENT=HEX or MRTD=HEX; may be given
    /// several times.
    #[arg(long, value_name = "REGISTER=HEX")]
    pub expect: Vec<ExpectedRegister>,
    /// What `user_data` must be, hex [default: anything].
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    pub user_data: Option<Bytes>,
    /// The challenge that it must answer, hex [default: any or none, which says nothing about
    /// freshness].
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    pub nonce: Option<Bytes>,
    /// Of snp: file with the certificate of the chip's key (VCEK), DER.
    #[arg(long, value_name = "FILE", required_if_eq("kind", "snp"))]
    pub vcek: Option<PathBuf>,
    /// Of tdx: file with Intel's collateral for the platform, JSON.
    #[arg(long, value_name = "FILE", required_if_eq("kind", "tdx"))]
    pub collateral: Option<PathBuf>,
    /// Of snp: the lowest level of firmware, fmc.bootloader.tee.snp.microcode [default: any].
    #[arg(long, value_name = "LEVEL")]
    pub tcb_floor: Option<Tcb>,
    /// Of tdx: the lowest number of Intel's evaluation [default: any].
    #[arg(long, value_name = "NUMBER")]
    pub evaluation_floor: Option<u32>,
    /// File with the evidence, as bytes or hexadecimal; `-` is standard input.
    pub file: PathBuf,
}

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvidenceKind {
    /// A document of AWS Nitro Enclaves.
    Nitro,
    /// A report of AMD SEV-SNP.
    Snp,
    /// A quote of Intel TDX.
    Tdx,
    /// A document of the simulated TEE, which protects nothing.
    #[cfg(feature = "development")]
    Dev,
}

/// A register and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedRegister {
    /// In capitals.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// Bytes, given in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl EvidenceKind {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
            Self::Snp => "snp",
            Self::Tdx => "tdx",
            #[cfg(feature = "development")]
            Self::Dev => "dev",
        }
    }
}

impl FromStr for ExpectedRegister {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            .ok_or_else(|| format!("expected REGISTER=HEX, got {text:?}"))?;
        Ok(Self {
            name: name.to_ascii_uppercase(),
            value: hex::decode(value).map_err(|error| format!("{name}: {error}"))?,
        })
    }
}

fn parse_hex(text: &str) -> Result<Bytes, String> {
    hex::decode(text)
        .map(Bytes)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_register_has_a_name_and_a_value() {
        let expected = ExpectedRegister {
            name: "PCR0".to_owned(),
            value: vec![0xab],
        };
        assert_eq!("pcr0=AB".parse(), Ok(expected));
        for wrong in ["", "PCR0", "=ab", "PCR0=", "PCR0=a", "PCR0=xy"] {
            assert!(wrong.parse::<ExpectedRegister>().is_err(), "{wrong}");
        }
    }
}
