//! What befalls the system, drawn from a seed.

use std::time::Duration;

use bitcoin::Amount;
use fastrand::Rng;

use crate::prover::ProverLie;

/// Longest pause after a disturbance: about as long as a settlement's life, so that each strikes
/// somewhere in it.
const PAUSE_MAX: Duration = Duration::from_millis(900);
/// Blocks taken back at a time, at most.
const REORG_DEPTH_MAX: u32 = 10;
/// Confirms any settlement of a full batch, and is above nobody's largest cap.
const SPIKE_SAT_PER_VB: [u32; 4] = [3, 10, 50, 200];

/// One thing that goes wrong, or on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// Users ask for so many peg-ins and pay them.
    PegIns(u32),
    /// A stranger pays the least amount to somebody's deposit address.
    StrangersDust,
    /// Blocks come.
    Blocks(u32),
    /// A block without any transaction comes.
    EmptyBlock,
    /// So many blocks are taken back, and replaced by one more; what was in them is mined again, or
    /// waits in the mempool.
    Reorg {
        /// Blocks taken back.
        depth: u32,
        /// Whether the new blocks are empty.
        is_empty: bool,
    },
    /// The backend is killed and started again.
    KillBackend,
    /// The backend ends in order and is started again.
    RestartBackend,
    /// The backend's database is copied.
    BackUp,
    /// The backend's database is replaced by the last copy.
    Restore,
    /// An operator's host is killed, and its enclave with it; it stays away until somebody starts
    /// it.
    KillHost(usize),
    /// An operator's enclave is killed; its host starts another.
    KillEnclave(usize),
    /// An operator's host stands still.
    PauseHost(usize),
    /// All operators are back.
    ReviveOperators,
    /// The node ends in order and comes back without its mempool.
    RestartNode,
    /// The node loses power: blocks that it had not written are gone, too.
    KillNode,
    /// The node tells the backend something that is not so.
    NodeLies(NodeLie),
    /// The node tells the truth again.
    NodeIsHonest,
    /// The prover refuses, stands still, lies or is gone.
    ProverLies(ProverLie),
    /// The prover proves again.
    ProverIsHonest,
    /// The node estimates this fee rate, sat/vB.
    FeeRate(u32),
    /// Messages are lost, doubled and reordered, or no more.
    Weather(bool),
}

/// What a node says that is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeLie {
    /// Nothing: it is gone.
    Vanished,
    /// That the tip is still the one of before.
    Lags,
    /// That no coin is there.
    NoCoin,
    /// That inputs of a transaction are missing or spent.
    InputsMissing,
    /// A word that nobody knows.
    UnknownReject,
    /// That its mempool is full.
    MempoolFull,
}

impl NodeLie {
    const ALL: [Self; 6] = [
        Self::Vanished,
        Self::Lags,
        Self::NoCoin,
        Self::InputsMissing,
        Self::UnknownReject,
        Self::MempoolFull,
    ];
}

/// Draws what happens.
#[derive(Debug)]
pub(super) struct Drawer {
    rng: Rng,
}

impl Drawer {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
        }
    }

    pub(super) fn disturbance(&mut self) -> Disturbance {
        match self.rng.u32(0..108) {
            0..14 => Disturbance::PegIns(self.rng.u32(1..=40)),
            14..17 => Disturbance::StrangersDust,
            17..32 => Disturbance::Blocks(self.rng.u32(1..=2)),
            32..34 => Disturbance::EmptyBlock,
            34..40 => Disturbance::Reorg {
                depth: self.rng.u32(1..=REORG_DEPTH_MAX),
                is_empty: self.rng.bool(),
            },
            40..56 => Disturbance::KillBackend,
            56..58 => Disturbance::RestartBackend,
            58..61 => Disturbance::BackUp,
            61..64 => Disturbance::Restore,
            64..71 => Disturbance::KillHost(self.rng.usize(..)),
            71..77 => Disturbance::KillEnclave(self.rng.usize(..)),
            77..80 => Disturbance::PauseHost(self.rng.usize(..)),
            80..85 => Disturbance::ReviveOperators,
            85..87 => Disturbance::RestartNode,
            87..88 => Disturbance::KillNode,
            88..92 => Disturbance::NodeLies(self.one_of(&NodeLie::ALL)),
            92..95 => Disturbance::NodeIsHonest,
            95..98 => Disturbance::FeeRate(self.one_of(&SPIKE_SAT_PER_VB)),
            98..100 => Disturbance::Weather(self.rng.bool()),
            100..105 => Disturbance::ProverLies(self.one_of(&ProverLie::ALL)),
            _ => Disturbance::ProverIsHonest,
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(..all.len())]
    }

    pub(super) fn pause(&mut self) -> Duration {
        PAUSE_MAX.mul_f64(self.rng.f64())
    }

    /// A user's number, of `count`.
    pub(super) fn user(&mut self, count: usize) -> usize {
        self.rng.usize(..count)
    }

    /// From one to `most`.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.rng.u64(1..=most)
    }

    /// From `least` to `most`, or `least`.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.rng.u64(least..=most.max(least))
    }

    /// What is deposited.
    pub(super) fn amount(&mut self) -> Amount {
        Amount::from_sat(self.rng.u64(250_000..2_000_000))
    }

    /// What a request may cost: above each spike but the last, for which nobody's fee suffices.
    pub(super) fn fee_cap(&mut self) -> Amount {
        Amount::from_sat(self.one_of(&[10_000, 30_000, 200_000]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_every_kind_is_drawn() {
        let draw = |seed| {
            let mut drawer = Drawer::new(seed);
            (0..2_000).map(|_| drawer.disturbance()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let kinds: HashSet<_> = draw(7).iter().map(discriminant).collect();
        assert_eq!(kinds.len(), 21);
    }
}
