//! A network of instances that run this crate's code, over links that lose, delay and reorder, with
//! partitions, crashes, old bytes, copies of a running instance, clocks that run apart, takeovers
//! and a rotation. All of it follows from a seed, which a failure names.
//!
//! One operator (`r` is one) may have its bytes rolled back, its instances doubled or copied; the
//! others crash and come back with what they kept. In the end so many stay away as the log bears.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use crate::testing::{Keys, anchor, genesis, handover, moved, pair, pairs, public, succession};
use crate::{
    Alarm, Anchor, Body, Duty, Entry, EntryHash, EntryRefusal, Event, Genesis, Message, Node, Peer,
    PeerFault, To,
};
use grail_types::{BoundedVec, Epoch};
use grail_wire::{decode, encode};

/// How long there is turmoil, and how long there is peace to recover in.
const TURMOIL_MS: u64 = 180_000;
const PEACE_MS: u64 = 150_000;
const STEP_MS: u64 = 250;

/// A machine of an operator, whose host keeps everything it was ever given to keep.
struct Machine {
    operator: usize,
    keys: Keys,
    node: Option<Node>,
    kept: Vec<Vec<u8>>,
    lines: Vec<Vec<u8>>,
    proofs: Vec<Vec<u8>>,
    /// Its clock's pace, in thousandths.
    pace: u64,
    side: usize,
}

struct World {
    seed: u64,
    rng: Rng,
    genesis: Genesis,
    machines: Vec<Machine>,
    /// Messages on their way, by when they arrive.
    queue: BTreeMap<(u64, u64), (usize, Peer, Vec<u8>)>,
    number: u64,
    now_ms: u64,
    instances: u16,
    sides: usize,
    peace: bool,
    /// What the NFT says after the rotation.
    rotation: Option<(Anchor, Body)>,
    /// Every entry that anybody counted.
    counted: BTreeMap<u64, EntryHash>,
    executed: BTreeMap<Epoch, EntryHash>,
    accused: BTreeSet<usize>,
}

/// What a seed came to.
struct Report {
    heights: usize,
    rotated: bool,
    accused: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let members = rng.u16(4..=6);
        let mut world = Self {
            seed,
            genesis: genesis(members, 1),
            machines: Vec::new(),
            queue: BTreeMap::new(),
            number: 0,
            now_ms: 1_000,
            instances: 0,
            sides: 1,
            peace: false,
            rotation: None,
            counted: BTreeMap::new(),
            executed: BTreeMap::new(),
            accused: BTreeSet::new(),
            rng,
        };
        // The roster to come: one of today goes, a newcomer takes its place.
        for operator in 0..=usize::from(members) {
            world.add(operator);
        }
        match world.rng.u8(0..3) {
            // A second instance of the faulty operator, or a copy of the first that runs besides.
            0 => world.add(0),
            1 => {
                world.add(0);
                let keys = world.machines[0].keys.clone();
                let copy = world.machines.last_mut().unwrap();
                copy.keys = keys;
                let at = world.machines.len() - 1;
                world.start(at, None);
            }
            _ => {}
        }
        world
    }

    fn signers(&self) -> Vec<bitcoin::secp256k1::Keypair> {
        let members = u16::try_from(self.genesis.succession.members.len()).unwrap();
        let mut signers = pairs(b's', members);
        let newcomer = (members + 1..).map(|number| pair(b's', number));
        signers.extend(newcomer.take(1));
        signers
    }

    fn add(&mut self, operator: usize) {
        let signer = self.signers()[operator];
        let pace = self.rng.u64(970..=1_030);
        self.machines.push(Machine {
            operator,
            keys: Keys {
                signer,
                instance: pair(b'i', 0x7fff),
            },
            node: None,
            kept: Vec::new(),
            lines: Vec::new(),
            proofs: Vec::new(),
            pace,
            side: 0,
        });
        let at = self.machines.len() - 1;
        self.restart(at, 0);
    }

    fn clock(&self, at: usize) -> u64 {
        self.now_ms * self.machines[at].pace / 1_000
    }

    /// Starts a machine with a new instance's key, and bytes of `back` steps ago.
    fn restart(&mut self, at: usize, back: usize) {
        self.instances += 1;
        self.machines[at].keys.instance = pair(b'i', self.instances);
        self.start(at, Some(back));
    }

    fn start(&mut self, at: usize, back: Option<usize>) {
        let now_ms = self.clock(at);
        let machine = &mut self.machines[at];
        let back = back.unwrap_or_default();
        let kept = machine.kept.len().checked_sub(1 + back);
        let kept = kept.map(|place| machine.kept[place].clone());
        let lines = machine.lines.len().saturating_sub(back);
        machine.lines.truncate(lines);
        let lines = machine.lines.iter().map(Vec::as_slice);
        let peer = machine.keys.peer();
        let node = Node::start(peer, &self.genesis, kept.as_deref(), lines, now_ms);
        machine.node = Some(node.unwrap());
        for bytes in machine.proofs.clone() {
            self.give(at, Event::Message { from: peer, bytes });
        }
        let first = anchor(&self.genesis.succession, 0);
        self.give(at, Event::Anchor(first));
    }

    fn give(&mut self, at: usize, event: Event) {
        let machine = &mut self.machines[at];
        let Some(node) = &mut machine.node else {
            return;
        };
        let duties = node.handle(&machine.keys, event);
        let from = machine.keys.peer();
        // Sometimes the machine stops with its duties half done.
        let done = if self.peace || self.rng.u16(0..2_000) > 0 {
            duties.len()
        } else {
            self.rng.usize(0..=duties.len())
        };
        if done < duties.len() {
            self.machines[at].node = None;
        }
        for duty in duties.into_iter().take(done) {
            self.carry_out(at, from, duty);
        }
    }

    fn carry_out(&mut self, at: usize, from: Peer, duty: Duty) {
        let seed = self.seed;
        match duty {
            Duty::Keep(bytes) => self.machines[at].kept.push(bytes),
            Duty::KeepProof(bytes) => self.machines[at].proofs.push(bytes),
            Duty::KeepEntry { height, bytes } => {
                let lines = &mut self.machines[at].lines;
                lines.truncate(usize::try_from(height).unwrap() - 1);
                lines.push(bytes);
                assert_eq!(lines.len() as u64, height, "seed {seed}: a line is missing");
            }
            Duty::Send { to, bytes } => self.post(at, from, to, &bytes),
            Duty::Serve { to, from: first } => {
                let skip = usize::try_from(first).unwrap() - 1;
                let lines = self.machines[at].lines.iter().skip(skip).take(16);
                let lines = lines.map(|line| decode(line).unwrap().message).collect();
                let message = Message::Entries(BoundedVec::new(lines).unwrap());
                let bytes = encode(Epoch(0), &message).unwrap();
                self.post(at, from, To::One(to), &bytes);
            }
            Duty::Counted(named) => self.see_counted(named.hash(), named.entry()),
            Duty::Alarm(Alarm::Equivocation(peer)) => {
                let operator = self.machines.iter().find(|it| it.keys.peer() == peer);
                let operator = operator.map_or(0, |it| it.operator);
                assert_eq!(operator, 0, "seed {seed}: an honest operator is accused");
                self.accused.insert(operator);
            }
            Duty::Alarm(alarm) => panic!("seed {seed}: {alarm:?} of machine {at}"),
            Duty::Fault { peer, fault } => {
                // An entry that was next when it was sent may be behind by now.
                let late = matches!(&fault, PeerFault::Entry(EntryRefusal::Previous));
                assert!(late, "seed {seed}: machine {at} blames {peer:?}: {fault}");
            }
        }
    }

    fn see_counted(&mut self, hash: EntryHash, entry: &Entry) {
        let seed = self.seed;
        let known = *self.counted.entry(entry.height).or_insert(hash);
        assert_eq!(known, hash, "seed {seed}: two entries at {}", entry.height);
        if let Body::Executed(handover) = &entry.body {
            let known = *self
                .executed
                .entry(handover.succession.epoch)
                .or_insert(hash);
            assert_eq!(known, hash, "seed {seed}: two rosters of one epoch");
        }
    }

    fn post(&mut self, at: usize, from: Peer, to: To, bytes: &[u8]) {
        for other in 0..self.machines.len() {
            let machine = &self.machines[other];
            let is_for_it = match to {
                To::All => other != at,
                To::One(peer) => machine.keys.peer() == peer,
            };
            let cut = machine.side != self.machines[at].side;
            let lost = !self.peace && self.rng.u8(0..100) < 8;
            if !is_for_it || cut || lost {
                continue;
            }
            let delay = self.rng.u64(5..=if self.peace { 100 } else { 900 });
            self.number += 1;
            let place = (self.now_ms + delay, self.number);
            self.queue.insert(place, (other, from, bytes.to_vec()));
        }
    }

    fn deliver(&mut self) {
        while let Some(first) = self.queue.first_entry() {
            if first.key().0 > self.now_ms {
                return;
            }
            let (at, from, bytes) = first.remove();
            if from != self.machines[at].keys.peer() {
                self.give(at, Event::Message { from, bytes });
            }
        }
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        self.deliver();
        for at in 0..self.machines.len() {
            let now_ms = self.clock(at);
            self.give(at, Event::Tick { now_ms });
        }
        if let Some((anchor, executed)) = self.rotation.clone() {
            // Each hears of it at some time.
            for at in 0..self.machines.len() {
                if self.rng.u8(0..100) < 3 || self.peace {
                    self.give(at, Event::Anchor(anchor.clone()));
                }
                let behind = |node: &Node| node.state().epoch() == Epoch(0);
                let behind = self.machines[at].node.as_ref().is_some_and(behind);
                if behind && self.rng.u8(0..100) < 3 {
                    self.give(at, Event::Wish(executed.clone()));
                }
            }
        }
    }

    /// A change of addresses of an operator that is there.
    fn wish(&mut self, at: usize) {
        let text = format!("10.0.0.{}:{}", self.machines[at].operator, self.now_ms);
        let machine = &self.machines[at];
        let Some(node) = &machine.node else {
            return;
        };
        let signer = machine.keys.signer;
        let sequences = 1..=1 + node.state().height();
        // The next number, found as a person would: by trying.
        let wish = sequences
            .map(|sequence| moved(node.state(), &signer, sequence, &text))
            .find(|body| {
                let named = crate::NamedEntry::new(node.state().next(body.clone())).unwrap();
                node.state().check(&crate::testing::secp(), named).is_ok()
            });
        if let Some(body) = wish {
            self.give(at, Event::Wish(body));
        }
    }

    fn disturb(&mut self) {
        let at = self.rng.usize(0..self.machines.len());
        match self.rng.u8(0..30) {
            0 => {
                self.sides = self.rng.usize(1..=3);
                for machine in &mut self.machines {
                    machine.side = self.rng.usize(0..self.sides);
                }
            }
            1 | 8 => self.machines.iter_mut().for_each(|it| it.side = 0),
            2 => self.machines[at].node = None,
            3 | 4 | 9 | 10 if self.machines[at].node.is_none() => self.restart(at, 0),
            5 if self.machines[at].operator == 0 => {
                let back = self.rng.usize(1..=4);
                self.restart(at, back);
            }
            6 if self.rng.bool() => {
                for at in 0..self.machines.len() {
                    self.restart(at, 0);
                }
            }
            7 if self.rotation.is_none() && self.now_ms > TURMOIL_MS / 3 => {
                let mut next = self.signers();
                next.remove(self.rng.usize(0..next.len()));
                next.sort_by_key(|pair| public(pair).serialize());
                let threshold = u16::try_from(next.len() / 2 + 1).unwrap();
                let next = succession(1, &next, threshold);
                let executed = Body::Executed(handover(1, next.clone(), 9));
                self.rotation = Some((anchor(&next, 9), executed));
            }
            _ => self.wish(at),
        }
    }

    /// Turmoil, then peace in which `n - q` of the roster stay away; the rest has to go on.
    fn run(mut self) -> Report {
        while self.now_ms < TURMOIL_MS {
            if self.rng.u8(0..100) < 20 {
                self.disturb();
            }
            self.step();
        }
        self.peace = true;
        self.machines.iter_mut().for_each(|it| it.side = 0);
        for at in 0..self.machines.len() {
            if self.machines[at].node.is_none() {
                self.restart(at, 0);
            }
        }
        self.retire();
        let settled = self.counted.len();
        let end = self.now_ms + PEACE_MS;
        let mut wished = false;
        while self.now_ms < end && !(wished && self.is_settled(settled)) {
            self.step();
            let ready = self.now_ms > end - PEACE_MS + 30_000;
            if ready && !wished {
                wished = true;
                for at in 0..self.machines.len() {
                    self.wish(at);
                }
            }
        }
        let seed = self.seed;
        let stuck = self.machines.iter().filter_map(|it| it.node.as_ref());
        let stuck: Vec<_> = stuck
            .map(|node| (node.state().height(), node.votes(), node.anchoring()))
            .collect();
        assert!(
            self.is_settled(settled),
            "seed {seed} does not go on: {stuck:?}"
        );
        Report {
            heights: self.counted.len(),
            rotated: !self.executed.is_empty(),
            accused: !self.accused.is_empty(),
        }
    }

    /// Takes away as many as the log bears: of the roster that is to vote in the end, and of the
    /// one that has to hand over before.
    fn retire(&mut self) {
        let first = &self.genesis.succession;
        let members = first.members.len();
        let away = members - (members / 2 + 1).max(members.midpoint(1) + 1);
        let gone: Vec<usize> = (0..away).collect();
        for machine in &mut self.machines {
            if gone.contains(&machine.operator) {
                machine.node = None;
            }
        }
    }

    /// Whether all who are there have the same log, with something new, at the NFT's epoch.
    fn is_settled(&self, before: usize) -> bool {
        let nodes = self.machines.iter().filter_map(|it| it.node.as_ref());
        let tips: BTreeSet<_> = nodes.clone().map(|node| node.state().tip()).collect();
        let epoch = Epoch(self.rotation.is_some().into());
        let mut nodes = nodes;
        tips.len() == 1
            && self.counted.len() > before
            && nodes.all(|node| node.state().epoch() == epoch)
    }
}

fn run(seeds: impl Iterator<Item = u64>) {
    let (mut count, mut heights, mut rotated, mut accused) = (0_u32, 0, 0_u32, 0_u32);
    for seed in seeds {
        let report = World::new(seed).run();
        count += 1;
        heights += report.heights;
        rotated += u32::from(report.rotated);
        accused += u32::from(report.accused);
    }
    println!(
        "{count} seeds: {heights} entries counted, {rotated} rotations, {accused} with a proof of \
         equivocation"
    );
}

#[test]
fn a_network_in_turmoil_has_one_log_and_goes_on() {
    let seed = std::env::var("GRAIL_ROSTER_SEED").ok();
    match seed.and_then(|seed| seed.parse().ok()) {
        Some(seed) => run(std::iter::once(seed)),
        None => run(0..10),
    }
}

#[test]
#[ignore = "a thousand seeds take minutes"]
fn a_thousand_networks_in_turmoil_have_one_log_each() {
    run(1_000..2_000);
}
