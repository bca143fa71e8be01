//! Histories of fees with spikes, pins and branches, on a lane made of numbers alone.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    request::tests_support::params,
    surcharge::{Payer, deficit, surcharges},
};

/// Weight of what all requests of a settlement share.
const SHARED: u64 = 8_000;
/// Settlements that wait for one another at most.
const LANE_MAX: usize = 3;

#[derive(Clone, Copy, Debug)]
struct User {
    weight: u64,
    cap: u64,
    /// From here on too close to its reclaim.
    sweep_end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Ready,
    Settling,
    Paid,
    Reclaimable,
}

/// What a block brings.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The estimate, sat/vB.
    target: u64,
    /// What strangers add to what waits: fee and size.
    pin: Option<(u64, u64)>,
    /// Whether the node is there to take a replacement.
    takes: bool,
    /// Which of the signed transactions that exclude each other some miner has, if not the node's.
    branch: Option<u8>,
}

#[derive(Clone, Debug)]
struct Settlement {
    users: Vec<usize>,
    bundle: Bundle,
    at: u32,
}

struct World {
    users: Vec<User>,
    standing: Vec<Standing>,
    lane: Vec<Settlement>,
    strangers: Bundle,
    /// In the making, with what strangers had when it was planned.
    replacement: Option<(Settlement, Bundle)>,
    /// Signed, and not in the node's mempool.
    others: Vec<Settlement>,
    begun: u32,
    begun_at: Option<u32>,
    height: u32,
    told: bool,
}

impl World {
    fn new(users: Vec<User>) -> Self {
        Self {
            standing: vec![Standing::Ready; users.len()],
            users,
            lane: Vec::new(),
            strangers: Bundle::default(),
            replacement: None,
            others: Vec::new(),
            begun: 0,
            begun_at: None,
            height: 100,
            told: false,
        }
    }

    fn is_late(&self, user: usize) -> bool {
        self.height >= self.users[user].sweep_end
    }

    fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.lane.iter().map(|settlement| Waiting {
            bundle: settlement.bundle,
            age: u64::from(self.height - settlement.at) * 600,
            is_late: settlement.users.iter().any(|user| self.is_late(*user)),
        });
        waiting.collect()
    }

    /// What each pays, in order.
    fn shares(&self, users: &[usize], rate: FeeRate) -> Vec<u64> {
        let base = SHARED / u64::try_from(users.len()).unwrap() + 1;
        let weights = users.iter().map(|user| self.users[*user].weight + base);
        let fees = weights.map(|weight| rate.fee_wu(Weight::from_wu(weight)).unwrap());
        fees.map(Amount::to_sat).collect()
    }

    /// Serves those whose caps bear it, at a rate; drops all others at once, until nobody is left.
    fn plan(&self, mut users: Vec<usize>, rate: FeeRate) -> Option<(Settlement, Planned)> {
        loop {
            if users.is_empty() {
                return None;
            }
            let shares = self.shares(&users, rate);
            let before = users.len();
            let mut share = shares.iter();
            users.retain(|user| *share.next().unwrap() <= self.users[*user].cap);
            if users.len() < before {
                continue;
            }
            let fee = Amount::from_sat(shares.iter().sum());
            let own: u64 = users.iter().map(|user| self.users[*user].weight).sum();
            let weight = Weight::from_wu(own + SHARED);
            let bundle = Bundle {
                fee,
                vsize: weight.to_vbytes_ceil(),
            };
            let at = self.height;
            return Some((Settlement { users, bundle, at }, Planned { fee, weight }));
        }
    }

    fn ready(&self) -> impl Iterator<Item = usize> {
        let all = 0..self.users.len();
        all.filter(|user| self.standing[*user] == Standing::Ready && !self.is_late(*user))
    }

    fn set(&mut self, users: &[usize], standing: Standing) {
        for user in users {
            self.standing[*user] = standing;
        }
    }

    /// Those of the lane are free again: what they waited for takes no place in the chain.
    fn release(&mut self) {
        for settlement in std::mem::take(&mut self.lane) {
            self.set(&settlement.users, Standing::Ready);
        }
    }

    /// Every node's rules for a replacement, said otherwise than by what is tried.
    fn relays(&self, replacement: &Bundle, strangers: &Bundle, floor: u64) -> bool {
        let fees: u64 = self.lane.iter().map(|old| old.bundle.fee.to_sat()).sum();
        let pays = replacement.fee.to_sat();
        let dearer = self.lane.iter().all(|old| {
            let old = old.bundle;
            u128::from(pays) * u128::from(old.vsize)
                > u128::from(old.fee.to_sat()) * u128::from(replacement.vsize)
        });
        dearer
            && pays >= fees + strangers.fee.to_sat() + replacement.vsize
            && pays >= floor * replacement.vsize
    }

    fn pay(&mut self, mined: &Settlement) {
        for user in &mined.users {
            assert_ne!(self.standing[*user], Standing::Paid, "paid twice");
        }
        self.set(&mined.users, Standing::Paid);
        (self.begun, self.begun_at) = (0, None);
        self.strangers = Bundle::default();
        self.others.clear();
        self.replacement = None;
    }

    fn mine(&mut self, block: &Block) {
        // Some miner has another one of those that exclude each other: the chain decides.
        let mut rivals = self.others.clone();
        rivals.extend(self.replacement.iter().map(|(made, _)| made.clone()));
        if let Some(branch) = block.branch
            && let Some(mined) = rivals.get(usize::from(branch))
        {
            let mined = mined.clone();
            self.release();
            self.pay(&mined);
            return;
        }
        while let Some(oldest) = self.lane.first().cloned() {
            let waiting = self.waiting();
            let lane = self.view(&waiting, &[]);
            if front_rate(&lane) < sat_per_vb(block.target) {
                return;
            }
            self.lane.remove(0);
            self.pay(&oldest);
        }
    }

    fn view<'a>(&self, waiting: &'a [Waiting], rivals: &'a [Bundle]) -> Lane<'a> {
        Lane {
            waiting,
            is_dropped: false,
            strangers: self.strangers,
            rivals,
            begun: self.begun,
            begun_at: self.begun_at,
        }
    }

    /// The node is handed the replacement.
    fn offer(&mut self, block: &Block) {
        let Some((made, known)) = self.replacement.take() else {
            return;
        };
        if !block.takes || !self.relays(&made.bundle, &self.strangers, 1) {
            let same = self.strangers == known;
            assert!(!same || !block.takes, "a replacement that relay refuses");
            self.others.push(made);
            return;
        }
        let old = std::mem::take(&mut self.lane);
        for settlement in old {
            self.set(&settlement.users, Standing::Ready);
            self.others.push(settlement);
        }
        self.strangers = Bundle::default();
        self.set(&made.users, Standing::Settling);
        self.lane.push(made);
    }

    fn look(&mut self, block: &Block) {
        let waiting = self.waiting();
        let rivals: Vec<_> = self.others.iter().map(|other| other.bundle).collect();
        let lane = self.view(&waiting, &rivals);
        let market = Market {
            target: sat_per_vb(block.target),
            floor: sat_per_vb(1),
            tip_height: self.height,
        };
        let tried = self.begun_at == Some(self.height);
        let bid = match decide(&lane, &market, &params()) {
            Decision::Keep => {
                assert!(cause(&lane, &market).is_none() || tried, "kept in silence");
                return;
            }
            Decision::Wait(_) => {
                self.told = true;
                return;
            }
            Decision::Replace(bid) => bid,
        };
        let settling = self.lane.iter().flat_map(|old| old.users.clone());
        let mut users: Vec<usize> = settling.filter(|user| !self.is_late(*user)).collect();
        users.extend(self.ready());
        let made = bid
            .settle(
                |rate| Ok::<_, Infallible>(self.plan(users.clone(), rate)),
                |(_, planned)| *planned,
            )
            .unwrap();
        let Ok((made, _)) = made else {
            self.told = true;
            return;
        };
        assert!(
            made.bundle.rate()
                <= FeeRate::from_sat_per_kwu(params().fee_rate_max.to_sat_per_kwu() + 250)
        );
        assert!(made.bundle.rate() <= sat_per_vb(2 * block.target + 1));
        assert!(made.users.iter().all(|user| !self.is_late(*user)));
        let strangers = self.strangers;
        let relays = self.relays(&made.bundle, &strangers, 1);
        assert!(relays, "{made:?} for {:?} and {strangers:?}", self.lane);
        for other in &self.others {
            let least = other.bundle.fee.to_sat() + made.bundle.vsize;
            assert!(made.bundle.fee.to_sat() >= least);
        }
        self.replacement = Some((made, strangers));
        (self.begun, self.begun_at) = (self.begun + 1, Some(self.height));
        assert!(self.begun <= REPLACEMENTS_MAX);
    }

    fn build(&mut self, block: &Block) {
        if self.replacement.is_some() || self.lane.len() >= LANE_MAX {
            return;
        }
        let users: Vec<usize> = self.ready().collect();
        let target = sat_per_vb(block.target);
        if let Some((mut made, _)) = self.plan(users, target) {
            self.help(&mut made, target);
            self.set(&made.users, Standing::Settling);
            self.lane.push(made);
        }
    }

    /// A new one pays for those under it, if it can.
    fn help(&self, made: &mut Settlement, target: FeeRate) {
        let waiting = self.waiting();
        let mut lane = self.view(&waiting, &[]);
        let owed = deficit(&lane, target);
        let shares = self.shares(&made.users, target);
        let payers: Vec<Payer> = made
            .users
            .iter()
            .zip(&shares)
            .map(|(user, share)| Payer {
                share: Amount::from_sat(*share),
                room: Amount::from_sat(self.users[*user].cap - share),
            })
            .collect();
        let Some(parts) = surcharges(owed, &payers) else {
            return;
        };
        for ((user, share), part) in made.users.iter().zip(&shares).zip(&parts) {
            assert!(2 * part.to_sat() <= *share);
            assert!(share + part.to_sat() <= self.users[*user].cap);
        }
        made.bundle.fee += parts.iter().copied().sum();
        assert!(made.bundle.fee.to_sat() * 2 <= shares.iter().sum::<u64>() * 3);
        // Whoever comes next finds nothing left to pay for, and no miner a reason to wait.
        let mut waiting = waiting.clone();
        waiting.push(Waiting {
            bundle: made.bundle,
            age: 0,
            is_late: false,
        });
        lane.waiting = &waiting;
        assert_eq!(deficit(&lane, target), Amount::ZERO);
        for oldest in 0..waiting.len() {
            let rest = waiting[oldest..].iter().map(|waiting| waiting.bundle);
            let rest = rest.fold(Bundle::default(), Bundle::with);
            assert!(rest.fee >= target.fee_vb(rest.vsize).unwrap());
        }
    }

    fn step(&mut self, block: &Block) {
        self.height += 1;
        self.told = false;
        self.mine(block);
        for user in 0..self.users.len() {
            if self.standing[user] == Standing::Ready && self.is_late(user) {
                self.standing[user] = Standing::Reclaimable;
            }
        }
        if let Some((fee, vsize)) = block.pin.filter(|_| !self.lane.is_empty()) {
            let fee = Amount::from_sat(fee);
            self.strangers = self.strangers.with(Bundle { fee, vsize });
        }
        self.offer(block);
        if self.replacement.is_none() && !self.lane.is_empty() {
            self.look(block);
        }
        self.build(block);
        self.check();
    }

    /// Each request is in one place, and whoever settles is in the lane.
    fn check(&self) {
        let mut settling: Vec<usize> = self.lane.iter().flat_map(|old| old.users.clone()).collect();
        settling.sort_unstable();
        let expected = 0..self.users.len();
        let expected: Vec<usize> = expected
            .filter(|user| self.standing[*user] == Standing::Settling)
            .collect();
        assert_eq!(settling, expected);
    }
}

const fn sat_per_vb(rate: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate * 250)
}

fn user() -> impl Strategy<Value = User> {
    (1_000..2_000_u64, 500..60_000_u64, 101..200_u32).prop_map(|(weight, cap, sweep_end)| User {
        weight,
        cap,
        sweep_end,
    })
}

/// Blocks of calm, and one in eight at fifty times the rate.
fn block() -> impl Strategy<Value = Block> {
    let pin = prop::option::weighted(0.2, (100..300_000_u64, 100..54_000_u64));
    let branch = prop::option::weighted(0.1, 0..4_u8);
    (1..6_u64, 0..8_u8, pin, prop::bool::weighted(0.8), branch).prop_map(
        |(calm, spike, pin, takes, branch)| Block {
            target: if spike == 0 { calm * 50 } else { calm },
            pin,
            takes,
            branch,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_fees_and_strangers_do_everybody_is_paid_or_free_again(
        users in vec(user(), 1..40),
        blocks in vec(block(), 1..60),
    ) {
        let mut world = World::new(users);
        for block in &blocks {
            world.step(block);
        }
        // Quiet times: what waits is mined, whatever strangers hung onto it.
        let calm = Block { target: 1, pin: None, takes: true, branch: None };
        for _ in 0..120 {
            world.step(&calm);
        }
        prop_assert!(world.lane.is_empty());
        prop_assert!(!world.told);
        for standing in &world.standing {
            prop_assert_ne!(*standing, Standing::Settling);
        }
    }

    #[test]
    fn a_lane_that_should_not_wait_is_replaced_or_told_of(
        users in vec(user(), 1..40),
        height in 1..12_u32,
        target in 60..200_u64,
    ) {
        let mut world = World::new(users);
        let calm = Block { target: 1, pin: None, takes: true, branch: None };
        world.step(&calm);
        prop_assume!(!world.lane.is_empty());
        let before = world.lane.clone();
        world.height += height + 6;
        let spike = Block { target, ..calm };
        world.step(&spike);
        let begun = world.replacement.is_some();
        prop_assert!(begun || world.told);
        // Until a node takes it, those that it replaces stay where they are.
        prop_assert_eq!(before.len(), world.lane.len());
        if begun {
            world.step(&spike);
            world.step(&spike);
            prop_assert!(world.standing.contains(&Standing::Paid));
        }
    }
}
