//! Levels of a platform's firmware.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::error::SnpError;
use crate::anchor::Product;

/// The security version of each part of a platform's firmware; a part that a product lacks is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tcb {
    /// First mutable code: Turin.
    pub fmc: u8,
    /// The secure processor's bootloader.
    pub bootloader: u8,
    /// The secure processor's operating system.
    pub tee: u8,
    /// The SNP firmware.
    pub snp: u8,
    /// The lowest microcode of the cores.
    pub microcode: u8,
}

/// Which of a report's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcbName {
    /// What the key of the report is derived from.
    Reported,
    /// What the platform can no longer go below.
    Committed,
    /// What runs.
    Current,
    /// What ran when the guest was launched.
    Launch,
}

/// The lowest level that a verifier bears, for each product. There is no default: it is a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnpFloor {
    /// Of Milan.
    pub milan: Tcb,
    /// Of Genoa.
    pub genoa: Tcb,
    /// Of Turin.
    pub turin: Tcb,
}

impl SnpFloor {
    /// The same for every product.
    pub const fn same(floor: Tcb) -> Self {
        Self {
            milan: floor,
            genoa: floor,
            turin: floor,
        }
    }

    pub(crate) const fn of(&self, product: Product) -> Tcb {
        match product {
            Product::Milan => self.milan,
            Product::Genoa => self.genoa,
            Product::Turin => self.turin,
        }
    }
}

impl Tcb {
    /// From a report's eight bytes, which Turin arranges in another way (AMD 56860, `TCB_VERSION`).
    pub(crate) const fn of(product: Product, raw: [u8; 8]) -> Self {
        match product {
            Product::Milan | Product::Genoa => {
                let [bootloader, tee, _, _, _, _, snp, microcode] = raw;
                Self {
                    fmc: 0,
                    bootloader,
                    tee,
                    snp,
                    microcode,
                }
            }
            Product::Turin => {
                let [fmc, bootloader, tee, snp, _, _, _, microcode] = raw;
                Self {
                    fmc,
                    bootloader,
                    tee,
                    snp,
                    microcode,
                }
            }
        }
    }

    /// No part of it is below the floor's.
    pub(crate) fn check_floor(self, name: TcbName, floor: Self) -> Result<(), SnpError> {
        let is_high_enough = self
            .parts()
            .iter()
            .zip(floor.parts())
            .all(|(part, least)| *part >= least);
        if is_high_enough {
            return Ok(());
        }
        Err(SnpError::TcbFloor {
            name,
            floor,
            got: self,
        })
    }

    const fn parts(self) -> [u8; 5] {
        [
            self.fmc,
            self.bootloader,
            self.tee,
            self.snp,
            self.microcode,
        ]
    }
}

/// Text that is no level of firmware.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected five numbers up to 255, fmc.bootloader.tee.snp.microcode, as in 0.3.0.8.115")]
pub struct TcbMalformed;

impl FromStr for Tcb {
    type Err = TcbMalformed;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, TcbMalformed> {
        let parts: Vec<u8> = text
            .split('.')
            .map(|part| part.parse().map_err(|_| TcbMalformed))
            .collect::<Result<_, _>>()?;
        let [fmc, bootloader, tee, snp, microcode] = parts[..] else {
            return Err(TcbMalformed);
        };
        Ok(Self {
            fmc,
            bootloader,
            tee,
            snp,
            microcode,
        })
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fmc, bootloader, tee, snp, microcode] = self.parts();
        write!(f, "{fmc}.{bootloader}.{tee}.{snp}.{microcode}")
    }
}

impl fmt::Display for TcbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reported => "reported",
            Self::Committed => "committed",
            Self::Current => "current",
            Self::Launch => "launch",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_floor_counts() {
        let level = Tcb {
            fmc: 1,
            bootloader: 2,
            tee: 3,
            snp: 4,
            microcode: 5,
        };
        assert_eq!(level.check_floor(TcbName::Current, level), Ok(()));
        let above: [fn(&mut Tcb); 5] = [
            |floor| floor.fmc += 1,
            |floor| floor.bootloader += 1,
            |floor| floor.tee += 1,
            |floor| floor.snp += 1,
            |floor| floor.microcode += 1,
        ];
        for raise in above {
            let mut floor = level;
            raise(&mut floor);
            let refused = level.check_floor(TcbName::Current, floor);
            assert_eq!(refused.map_err(|error| error.code()), Err("snp-tcb-floor"));
            // A higher part does not make up for a lower one.
            assert_eq!(floor.check_floor(TcbName::Current, level), Ok(()));
        }
    }

    #[test]
    fn a_level_reads_back_and_nothing_else_is_one() {
        let level = Tcb::of(Product::Turin, [1, 2, 3, 4, 0, 0, 0, 255]);
        assert_eq!(level.to_string().parse(), Ok(level));
        for wrong in [
            "",
            "1.2.3.4",
            "1.2.3.4.5.6",
            "1.2.3.4.256",
            "1.2.3.4.-5",
            "a.2.3.4.5",
        ] {
            assert_eq!(wrong.parse::<Tcb>(), Err(TcbMalformed), "{wrong}");
        }
    }

    #[test]
    fn turin_arranges_its_levels_in_another_way() {
        let raw = [1, 2, 3, 4, 5, 6, 7, 8];
        let milan = Tcb::of(Product::Milan, raw);
        assert_eq!(milan.to_string(), "0.1.2.7.8");
        assert_eq!(Tcb::of(Product::Genoa, raw), milan);
        assert_eq!(Tcb::of(Product::Turin, raw).to_string(), "1.2.3.4.8");
    }
}
