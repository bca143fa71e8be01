//! Randomness that the shell hands in.

use std::convert::Infallible;

use grail_types::TaggedHasher;
use hpke::rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize as _, Zeroizing};

/// 32 fresh random bytes, for one use: neither `Clone` nor `Debug`, erased when dropped.
pub struct Seed(Box<Zeroizing<[u8; 32]>>);

impl Seed {
    /// From fresh randomness of the caller, which filled it where it lies.
    pub const fn from_random(bytes: Box<Zeroizing<[u8; 32]>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for a derivation.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As many bytes as are asked for: SHA-256 over seed and a counter.
    pub(crate) const fn into_draws(self) -> Draws {
        Draws {
            seed: self,
            drawn: 0,
        }
    }
}

/// A seed as a generator.
pub(crate) struct Draws {
    seed: Seed,
    drawn: u64,
}

impl Draws {
    /// Fills `into`.
    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(32) {
            let mut block = TaggedHasher::new("grail/mesh/draw/v1")
                .bytes(self.seed.bytes())
                .u64(self.drawn)
                .finish();
            self.drawn = self.drawn.wrapping_add(1);
            for (byte, drawn) in chunk.iter_mut().zip(block) {
                *byte = drawn;
            }
            block.zeroize();
        }
    }

    /// A number below `bound`, which is far below 2^32, so that its bias is too; zero below zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.fill(into);
        Ok(())
    }
}

impl TryCryptoRng for Draws {}
