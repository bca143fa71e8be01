//! Simulated meshes, and who gets in under a flood.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use bitcoin::secp256k1::{Keypair, Secp256k1};
use zeroize::Zeroizing;

use super::*;

fn key(number: u16) -> XOnlyPublicKey {
    let mut secret = [1; 32];
    let (head, _) = secret.split_at_mut(2);
    head.copy_from_slice(&number.to_be_bytes());
    let pair = Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap();
    pair.x_only_public_key().0
}

fn address(number: u16) -> Address {
    let mut bytes = [0; 16];
    let (head, _) = bytes.split_at_mut(2);
    head.copy_from_slice(&number.to_be_bytes());
    Address(bytes)
}

fn seed(number: u8) -> Seed {
    Seed::from_random(Box::new(Zeroizing::new([number; 32])))
}

fn id(signer: u16, instance: u16) -> PeerId {
    PeerId {
        signer: key(signer),
        instance: key(10_000 + instance),
    }
}

/// Instance `number` of operator `signer` is at address `number`.
fn place(signer: u16, number: u16) -> Place {
    Place {
        signer: key(signer),
        address: address(number),
    }
}

/// Meshes whose streams all work, and the shells around them.
struct Net {
    meshes: Vec<Mesh>,
    members: Vec<(u16, u16)>,
    /// Two ends of each stream.
    streams: Vec<[(usize, LinkId); 2]>,
    now: Millis,
    dials: usize,
    /// Streams of one round are established only after all of them were begun, so that dials cross.
    is_slow: bool,
    down: BTreeSet<usize>,
}

impl Net {
    /// One operator per pair of operator and instance.
    fn new(members: &[(u16, u16)]) -> Self {
        let now = Millis(1_000_000);
        let meshes = members
            .iter()
            .enumerate()
            .map(|(index, &(signer, number))| {
                let seed = seed(u8::try_from(index).unwrap());
                let mut mesh = Mesh::new(id(signer, number), seed);
                let others = members.iter().filter(|&&other| other != (signer, number));
                let places = others
                    .map(|&(signer, number)| place(signer, number))
                    .collect();
                assert_eq!(mesh.set_places(now, &places), Ok(Vec::new()));
                mesh
            })
            .collect();
        Self {
            meshes,
            members: members.to_vec(),
            streams: Vec::new(),
            now,
            dials: 0,
            is_slow: false,
            down: BTreeSet::new(),
        }
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = Millis(self.now.0 + 1_000);
            let mut duties = VecDeque::new();
            for index in 0..self.meshes.len() {
                if !self.down.contains(&index) {
                    let todo = self.meshes[index].tick(self.now);
                    duties.extend(todo.into_iter().map(|duty| (index, duty)));
                }
            }
            self.carry_out(duties);
        }
    }

    fn carry_out(&mut self, mut duties: VecDeque<(usize, Duty)>) {
        let mut begun = Vec::new();
        while let Some((index, duty)) = duties.pop_front() {
            match duty {
                Duty::Dial { link, place } => {
                    self.dials += 1;
                    match self.connect(index, link, place) {
                        Some(stream) if self.is_slow => begun.push(stream),
                        Some(stream) => duties.extend(self.establish(stream)),
                        None => self.meshes[index].closed(self.now, link),
                    }
                }
                Duty::Close { link, .. } => self.cut(index, link),
            }
        }
        for stream in begun {
            let more = self.establish(stream);
            self.carry_out(more.into());
        }
    }

    fn connect(
        &mut self,
        index: usize,
        link: LinkId,
        place: Place,
    ) -> Option<[(usize, LinkId); 2]> {
        let at = |&(_, number): &(u16, u16)| address(number) == place.address;
        let other = self.members.iter().position(at)?;
        if self.down.contains(&other) {
            return None;
        }
        let from = address(self.members[index].1);
        match self.meshes[other].incoming(self.now, from) {
            Admission::Admitted { link: theirs, .. } => Some([(index, link), (other, theirs)]),
            Admission::TooOften | Admission::TooMany => None,
        }
    }

    fn establish(&mut self, stream: [(usize, LinkId); 2]) -> Vec<(usize, Duty)> {
        self.streams.push(stream);
        let [(one, ours), (other, theirs)] = stream;
        let ids = [one, other].map(|index| self.meshes[index].me);
        let mut duties = Vec::new();
        for (index, link, peer) in [(one, ours, ids[1]), (other, theirs, ids[0])] {
            let todo = self.meshes[index].established(self.now, link, peer);
            duties.extend(todo.into_iter().map(|duty| (index, duty)));
        }
        duties
    }

    /// A stream ends at both ends.
    fn cut(&mut self, index: usize, link: LinkId) {
        let is_it = |stream: &[(usize, LinkId); 2]| stream.contains(&(index, link));
        let Some(found) = self.streams.iter().position(is_it) else {
            return;
        };
        for (end, link) in self.streams.swap_remove(found) {
            self.meshes[end].closed(self.now, link);
        }
    }

    /// How many different peers each has.
    fn degrees(&self) -> Vec<usize> {
        self.meshes
            .iter()
            .map(|mesh| {
                let peers: Vec<_> = mesh.peers().map(|(_, peer)| peer).collect();
                let different: BTreeSet<_> = peers.iter().copied().collect();
                assert_eq!(peers.len(), different.len(), "two links to one instance");
                different.len()
            })
            .collect()
    }
}

fn operators(count: u16) -> Vec<(u16, u16)> {
    (1..=count).map(|number| (number, number)).collect()
}

#[test]
fn sixteen_operators_have_each_other_within_two_seconds_by_120_dials() {
    let mut net = Net::new(&operators(16));
    net.wait(2);
    assert_eq!(net.degrees(), vec![15; 16]);
    assert_eq!(net.dials, 16 * 15 / 2);
}

#[test]
fn the_lower_key_dials_and_the_higher_one_only_after_a_while() {
    let members = [(1, 1), (2, 2)];
    let mut net = Net::new(&members);
    let (lower, higher) = if key(1) < key(2) { (0, 1) } else { (1, 0) };
    net.down.insert(lower);
    net.wait(14);
    assert_eq!(net.dials, 0);
    net.wait(1);
    assert_eq!(net.dials, 1);
    // It is back, but does not dial by itself: the higher one's next try finds it.
    let now = Millis(net.now.0 + 1_000);
    let dialled = net.meshes[lower].tick(now);
    assert_eq!(dialled.len(), 1, "the lower one dials at once");
    let _ = higher;
}

#[test]
fn crossing_dials_leave_one_channel_and_both_ends_agree_which() {
    for (one, other) in [(1, 2), (2, 1), (3, 9)] {
        let mut net = Net::new(&[(one, one), (other, other)]);
        net.is_slow = true;
        let now = net.now;
        // Both dial at once, as for a broadcast.
        let mut duties = VecDeque::new();
        for index in 0..2 {
            let todo = net.meshes[index].broadcast(now);
            duties.extend(todo.into_iter().map(|duty| (index, duty)));
        }
        assert_eq!(duties.len(), 2);
        net.carry_out(duties);
        assert_eq!(net.degrees(), [1, 1]);
        assert_eq!(net.streams.len(), 1);
        let [(dialled, _), _] = net.streams[0];
        let lowest = net
            .meshes
            .iter()
            .map(|mesh| mesh.me.instance)
            .min()
            .unwrap();
        assert_eq!(net.meshes[dialled].me.instance, lowest);
        // And nobody dials again.
        let dials = net.dials;
        net.wait(120);
        assert_eq!((net.dials, net.degrees()), (dials, vec![1, 1]));
    }
}

#[test]
fn an_instance_that_comes_again_the_same_way_replaces_its_older_channel() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let places = BTreeSet::from([place(2, 2)]);
    let now = Millis(1_000);
    let _none = mesh.set_places(now, &places).unwrap();
    let mut links = Vec::new();
    for _ in 0..2 {
        let Admission::Admitted { link, .. } = mesh.incoming(now, address(2)) else {
            panic!("a member is let in");
        };
        links.push(link);
    }
    assert!(mesh.established(now, links[0], id(2, 2)).is_empty());
    let duties = mesh.established(now, links[1], id(2, 2));
    let replaced = Duty::Close {
        link: links[0],
        why: Unlinked::Replaced,
    };
    assert_eq!(duties, [replaced]);
    // Another instance of that operator is another peer.
    let Admission::Admitted { link, .. } = mesh.incoming(now, address(3)) else {
        panic!("a stranger is let in");
    };
    assert!(mesh.established(now, link, id(2, 3)).is_empty());
    assert_eq!(mesh.peers().count(), 2);
}

#[test]
fn an_operator_with_ever_new_instances_has_eight_channels_at_most() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let start = Millis(1_000_000);
    let _none = mesh
        .set_places(start, &BTreeSet::from([place(2, 2)]))
        .unwrap();
    let mut given_up = Vec::new();
    for number in 0..20_u16 {
        let now = Millis(start.0 + u64::from(number) * 2_000);
        let Admission::Admitted { link, .. } = mesh.incoming(now, address(2)) else {
            panic!("one at a time is let in");
        };
        given_up.extend(mesh.established(now, link, id(2, number)));
    }
    assert_eq!(mesh.peers().count(), PLACES_MAX);
    let why = Unlinked::TooMany;
    let oldest = (0..12).map(LinkId).map(|link| Duty::Close { link, why });
    assert_eq!(given_up, oldest.collect::<Vec<_>>());
}

#[test]
fn clones_have_channels_to_each_other_and_to_everybody() {
    let members = [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5)];
    let mut net = Net::new(&members);
    net.wait(60);
    assert_eq!(net.degrees(), vec![4; 5]);
}

#[test]
fn who_fell_away_is_dialled_with_waits_that_double_up_to_five_minutes() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let start = Millis(1_000_000);
    let _none = mesh
        .set_places(start, &BTreeSet::from([place(2, 2)]))
        .unwrap();
    let mut now = start;
    let mut dialled = Vec::new();
    while dialled.len() < 20 {
        now = Millis(now.0 + 100);
        for duty in mesh.tick(now) {
            let Duty::Dial { link, .. } = duty else {
                panic!("nothing else is to do");
            };
            dialled.push(now);
            mesh.closed(now, link);
        }
    }
    let waits: Vec<_> = dialled
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    for (failures, wait) in (0_u32..).zip(&waits).skip(1) {
        let longest = BACKOFF_MIN
            .saturating_mul(1 << failures.min(20))
            .min(BACKOFF_MAX);
        let tick = Duration::from_millis(100);
        assert!(
            *wait >= longest / 2 && *wait <= longest + tick,
            "{failures}: {wait:?}"
        );
    }
    // Once it was there, it begins anew.
    let Some(Duty::Dial { link, .. }) = mesh.tick(Millis(now.0 + 600_000)).pop() else {
        panic!("it is due");
    };
    let now = Millis(now.0 + 600_000);
    assert!(mesh.established(now, link, id(2, 2)).is_empty());
    mesh.closed(now, link);
    assert_eq!(mesh.tick(now.after(BACKOFF_MIN)).len(), 1);
}

#[test]
fn the_full_mesh_ends_at_32_operators() {
    let mut net = Net::new(&operators(31));
    net.wait(30);
    assert_eq!(net.degrees(), vec![30; 31]);
    let mut net = Net::new(&operators(32));
    net.wait(30);
    let degrees = net.degrees();
    assert!(degrees.iter().all(|&degree| degree >= FEW), "{degrees:?}");
    assert!(net.streams.len() <= 32 * FEW, "{}", net.streams.len());
    assert!(net.streams.len() < 32 * 31 / 2);
}

#[test]
fn a_hundred_are_connected_by_their_few_and_reached_by_a_broadcast() {
    let mut net = Net::new(&operators(100));
    net.wait(10);
    // News from one reaches all over standing channels, in how many steps?
    let mut reached = BTreeSet::from([0]);
    let mut steps = 0;
    while reached.len() < 100 {
        let pairs = net
            .streams
            .iter()
            .map(|[(one, _), (other, _)]| (*one, *other));
        let next: Vec<_> = pairs
            .filter(|(one, other)| reached.contains(one) != reached.contains(other))
            .collect();
        assert!(!next.is_empty(), "the mesh falls apart");
        reached.extend(next.iter().flat_map(|&(one, other)| [one, other]));
        steps += 1;
    }
    assert!(steps <= 3, "{steps}");
    // Directly: whoever has no channel is dialled.
    let now = net.now;
    let duties = net.meshes[0].broadcast(now);
    let duties = duties.into_iter().map(|duty| (0, duty)).collect();
    net.carry_out(duties);
    net.wait(10);
    assert_eq!(net.degrees()[0], 99);
    // And given up again, but for the few that anybody chose.
    net.wait(60);
    assert!(net.degrees()[0] < 50, "{:?}", net.degrees()[0]);
}

#[test]
fn the_few_are_drawn_anew_by_the_seed_that_was_handed_in() {
    let few = |number: u8, minutes: u64| {
        let mut mesh = Mesh::new(id(1, 1), seed(number));
        let places = (2..=60).map(|number| place(number, number)).collect();
        let start = Millis(1_000_000);
        let _none = mesh.set_places(start, &places).unwrap();
        for minute in 0..=minutes {
            let _duties = mesh.tick(Millis(start.0 + minute * 60_000));
        }
        mesh.few
    };
    assert_eq!(few(1, 0).len(), FEW);
    assert_eq!(few(1, 9), few(1, 0));
    assert_ne!(few(1, 10), few(1, 0));
    assert_ne!(few(2, 0), few(1, 0));
    assert_eq!(few(1, 30), few(1, 30));
}

#[test]
fn dials_under_way_are_sixteen_at_most() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let places = (2..=30).map(|number| place(number, number)).collect();
    let now = Millis(1_000_000);
    let _none = mesh.set_places(now, &places).unwrap();
    assert_eq!(mesh.broadcast(now).len(), DIALS_MAX);
    assert!(mesh.tick(now).is_empty());
}

#[test]
fn a_flood_of_strangers_keeps_no_member_out() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let places = (2..=16).map(|number| place(number, number)).collect();
    let now = Millis(1_000_000);
    let _none = mesh.set_places(now, &places).unwrap();
    let mut evicted = 0;
    let mut gated = 0;
    for number in 1_000..6_000 {
        if let Admission::Admitted {
            is_gated,
            evicted: gone,
            ..
        } = mesh.incoming(now, address(number))
        {
            evicted += usize::from(gone.is_some());
            gated += usize::from(is_gated);
        }
    }
    let waiting = mesh.links.values().filter(|link| link.peer.is_none());
    assert_eq!(waiting.count(), STRANGERS_MAX);
    assert!(evicted > 4_000 && gated > 4_000, "{evicted} {gated}");
    for number in 2..=16 {
        let admitted = mesh.incoming(now, address(number));
        let Admission::Admitted {
            link,
            is_gated: false,
            evicted: None,
        } = admitted
        else {
            panic!("{number}: {admitted:?}");
        };
        assert!(mesh.established(now, link, id(number, number)).is_empty());
    }
    assert_eq!(mesh.peers().count(), 15);
}

#[test]
fn one_address_has_a_bucket_and_a_member_two_handshakes_at_once() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let now = Millis(1_000_000);
    let _none = mesh
        .set_places(now, &BTreeSet::from([place(2, 2)]))
        .unwrap();
    let said: Vec<_> = (0..4).map(|_| mesh.incoming(now, address(2))).collect();
    assert!(matches!(said[1], Admission::Admitted { .. }));
    assert_eq!(said[2], Admission::TooMany);
    let said: Vec<_> = (0..9).map(|_| mesh.incoming(now, address(3))).collect();
    assert!(matches!(said[7], Admission::Admitted { .. }));
    assert_eq!(said[8], Admission::TooOften);
}

#[test]
fn who_is_no_member_any_more_loses_its_channels() {
    let mut net = Net::new(&operators(4));
    net.wait(2);
    let places = BTreeSet::from([place(2, 2), place(3, 3)]);
    let duties = net.meshes[0].set_places(net.now, &places).unwrap();
    let [Duty::Close { why, .. }] = duties.as_slice() else {
        panic!("{duties:?}");
    };
    assert_eq!(*why, Unlinked::NotAMember);
    net.carry_out(duties.into_iter().map(|duty| (0, duty)).collect());
    assert_eq!(net.degrees(), [2, 3, 3, 2]);
    // And is not let in again, whatever its channel thought.
    let now = net.now;
    let Admission::Admitted { link, .. } = net.meshes[0].incoming(now, address(4)) else {
        panic!("a stranger is let in to prove itself");
    };
    let duties = net.meshes[0].established(now, link, id(4, 4));
    let refused = Duty::Close {
        link,
        why: Unlinked::NotAMember,
    };
    assert_eq!(duties, [refused]);
}

#[test]
fn more_members_or_places_than_any_mesh_has_are_refused() {
    let mut mesh = Mesh::new(id(1, 1), seed(1));
    let many = (1..=201).map(|number| place(number, number)).collect();
    assert_eq!(mesh.set_places(Millis(0), &many), Err(TooMany));
    let clones = (1..=9).map(|number| place(2, number)).collect();
    assert_eq!(mesh.set_places(Millis(0), &clones), Err(TooMany));
    assert!(mesh.places.is_empty());
}

#[test]
fn drawn_peers_are_different_and_no_more_than_there_are() {
    let mut net = Net::new(&operators(8));
    net.wait(2);
    let drawn = net.meshes[0].some_peers(3);
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(net.meshes[0].some_peers(100).len(), 7);
}
