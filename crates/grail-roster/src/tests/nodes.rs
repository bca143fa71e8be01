//! What an instance does, and what it does not.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};

use grail_types::{BoundedVec, Epoch, ParamsHash};
use grail_wire::{WireError, decode, encode};

use crate::testing::{
    Keys, anchor, ballot, genesis, handover, images, moved, pair, pairs, succession, txid, valid,
};
use crate::{
    Alarm, Anchoring, Ballot, Body, Counted, Duty, EntryHash, Event, Fact, Fork, Health, LogState,
    Message, Node, PeerFault, Phase, Standing, Summary, To, View, Votes,
};

const STEP_MS: u64 = 250;

/// Instances of four operators, whose messages all arrive at once.
struct Net {
    keys: Vec<Keys>,
    nodes: Vec<Node>,
    /// Who is there.
    up: Vec<bool>,
    duties: Vec<Vec<Duty>>,
    now_ms: u64,
}

fn keys(at: usize, instance: u16) -> Keys {
    Keys {
        signer: pairs(b's', 4)[at],
        instance: pair(b'i', instance),
    }
}

fn start(keys: &Keys, kept: Option<&[u8]>, lines: &[Vec<u8>], now_ms: u64) -> Node {
    let lines = lines.iter().map(Vec::as_slice);
    Node::start(keys.peer(), &genesis(4, 1), kept, lines, now_ms).unwrap()
}

fn message(message: &Message) -> Vec<u8> {
    encode(Epoch(0), message).unwrap()
}

impl Net {
    fn new() -> Self {
        let keys: Vec<_> = (0..4)
            .zip(1..)
            .map(|(at, number)| keys(at, number))
            .collect();
        let mut net = Self {
            nodes: keys.iter().map(|keys| start(keys, None, &[], 0)).collect(),
            keys,
            up: vec![true; 4],
            duties: vec![Vec::new(); 4],
            now_ms: 0,
        };
        for at in 0..4 {
            net.give(at, Event::Anchor(anchor(&genesis(4, 1).succession, 0)));
        }
        net
    }

    /// One that votes.
    fn voting() -> Self {
        let mut net = Self::new();
        net.pass(20_000);
        assert!(net.nodes.iter().all(Node::votes));
        net
    }

    fn give(&mut self, at: usize, event: Event) {
        let mut queue = VecDeque::from([(at, event)]);
        while let Some((at, event)) = queue.pop_front() {
            if !self.up[at] {
                continue;
            }
            let duties = self.nodes[at].handle(&self.keys[at], event);
            for duty in &duties {
                if let Duty::Send { to, bytes } = duty {
                    let from = self.keys[at].peer();
                    let is_for = |other: &usize| match to {
                        To::All => *other != at,
                        To::One(peer) => self.keys[*other].peer() == *peer,
                    };
                    let others = (0..self.nodes.len()).filter(is_for);
                    let bytes = bytes.clone();
                    queue.extend(others.map(|other| {
                        let bytes = bytes.clone();
                        (other, Event::Message { from, bytes })
                    }));
                }
            }
            self.duties[at].extend(duties);
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += STEP_MS;
            for at in 0..self.nodes.len() {
                let now_ms = self.now_ms;
                self.give(at, Event::Tick { now_ms });
            }
        }
    }

    fn wish(&mut self, at: usize, text: &str) {
        let body = moved(self.nodes[at].state(), &self.keys[at].signer, 1, text);
        self.give(at, Event::Wish(body));
    }

    fn heights(&self) -> Vec<u64> {
        self.nodes
            .iter()
            .map(|node| node.state().height())
            .collect()
    }

    fn kept(&self, at: usize) -> Option<Vec<u8>> {
        let duties = self.duties[at].iter().rev();
        duties.clone().find_map(|duty| match duty {
            Duty::Keep(bytes) => Some(bytes.clone()),
            _ => None,
        })
    }

    fn lines(&self, at: usize) -> Vec<Vec<u8>> {
        let lines = self.duties[at].iter().filter_map(|duty| match duty {
            Duty::KeepEntry { bytes, .. } => Some(bytes.clone()),
            _ => None,
        });
        lines.collect()
    }

    fn alarms(&self, at: usize) -> Vec<Alarm> {
        let alarms = self.duties[at].iter().filter_map(|duty| match duty {
            Duty::Alarm(alarm) => Some(alarm.clone()),
            _ => None,
        });
        alarms.collect()
    }

    fn votes(&self, at: usize) -> Vec<Ballot> {
        let sent = self.duties[at].iter().filter_map(|duty| match duty {
            Duty::Send { bytes, .. } => Some(decode::<Message>(bytes).unwrap().message),
            _ => None,
        });
        let votes = sent.filter_map(|message| match message {
            Message::Vote(vote) => Some(vote.ballot),
            _ => None,
        });
        votes.collect()
    }
}

#[test]
fn four_instances_count_an_entry_and_three_of_them_another() {
    let mut net = Net::voting();
    net.wish(0, "a:1");
    net.pass(10_000);
    assert_eq!(net.heights(), [1; 4]);
    net.up[3] = false;
    net.wish(1, "b:1");
    net.pass(30_000);
    assert_eq!(net.heights(), [2, 2, 2, 1]);
    net.up[2] = false;
    net.wish(0, "c:1");
    net.pass(60_000);
    assert_eq!(net.heights(), [2, 2, 2, 1]);
    net.up = vec![true; 4];
    net.pass(20_000);
    let tips: BTreeSet<_> = net.nodes.iter().map(|node| node.state().tip()).collect();
    assert_eq!(tips.len(), 1);
}

#[test]
fn a_vote_is_kept_before_it_is_sent() {
    let mut net = Net::voting();
    net.wish(0, "a:1");
    net.pass(10_000);
    for duties in &net.duties {
        let mut kept = None;
        for duty in duties {
            match duty {
                Duty::Keep(bytes) => kept = Some(decode::<crate::Kept>(bytes).unwrap().message),
                Duty::Send { bytes, .. } => {
                    let Message::Vote(vote) = decode(bytes).unwrap().message else {
                        continue;
                    };
                    let kept = kept.as_ref().expect("nothing was kept before");
                    assert_eq!((kept.height, kept.round), (1, vote.ballot.round));
                    match vote.ballot.phase {
                        Phase::Prepare => assert_eq!(kept.prepared, Some(vote.ballot.entry)),
                        Phase::Commit => {
                            assert!(kept.committed);
                            let lock = kept.lock.as_ref().unwrap();
                            assert_eq!(lock.votes.0[0].ballot.round, vote.ballot.round);
                        }
                    }
                }
                _ => {}
            }
        }
        assert!(kept.is_some());
    }
}

#[test]
fn nobody_votes_before_a_quorum_has_told_its_tips() {
    let mut net = Net::new();
    net.up = vec![true, true, false, false];
    net.pass(60_000);
    assert!(!net.nodes[0].votes());
    assert_eq!(
        net.nodes[0].standing(),
        &Standing::Recovering([net.keys[1].peer().operator].into())
    );
    net.up[2] = true;
    net.pass(30_000);
    assert!(net.nodes[..3].iter().all(Node::votes));
}

#[test]
fn an_invented_tip_neither_counts_nor_stops_recovery() {
    let mut net = Net::new();
    net.up = vec![true, true, false, false];
    let view = View {
        height: 1_000,
        tip: EntryHash([1; 32]),
        ..net.nodes[0].view()
    };
    let from = net.keys[3].peer();
    let bytes = message(&Message::View(view));
    net.give(0, Event::Message { from, bytes });
    net.pass(10_000);
    assert!(matches!(net.nodes[0].standing(), Standing::Recovering(told) if told.len() == 1));
    net.up[2] = true;
    net.pass(30_000);
    assert_eq!(net.nodes[0].standing(), &Standing::Ready);
}

#[test]
fn old_bytes_are_brought_up_to_date_before_a_vote() {
    let mut net = Net::voting();
    for (at, text) in [(0, "a:1"), (1, "b:1"), (2, "c:1")] {
        net.wish(at, text);
        net.pass(10_000);
    }
    assert_eq!(net.heights(), [3; 4]);
    let old = net.lines(3)[..1].to_vec();
    net.keys[3] = keys(3, 9);
    net.nodes[3] = start(&net.keys[3], None, &old, net.now_ms);
    net.duties[3].clear();
    assert_eq!(net.nodes[3].state().height(), 1);
    let first = anchor(&genesis(4, 1).succession, 0);
    net.give(3, Event::Anchor(first));
    net.pass(30_000);
    assert_eq!(net.heights(), [3; 4]);
    assert!(net.nodes[3].votes());
    net.wish(3, "d:1");
    net.pass(10_000);
    let heights = net.votes(3).into_iter().map(|ballot| ballot.height);
    assert_eq!(heights.collect::<BTreeSet<_>>(), BTreeSet::from([4]));
}

#[test]
fn a_restart_with_what_was_kept_keeps_the_lock() {
    let mut net = Net::voting();
    net.up = vec![true, true, true, false];
    // All prepare, and nobody hears the others' commits.
    net.wish(0, "a:1");
    net.pass(10_000);
    let kept = net.kept(0).unwrap();
    let again = start(&keys(0, 9), Some(&kept), &[], net.now_ms);
    let kept = decode::<crate::Kept>(&kept).unwrap().message;
    assert_eq!(kept.height, 1);
    assert!(kept.lock.is_some() && kept.committed);
    let view = again.memory();
    assert_eq!((view.round, view.committed), (kept.round, true));
    let lock = view.lock.as_ref().unwrap();
    assert_eq!(Some(lock.certificate().entry()), kept.prepared);
}

#[test]
fn who_voted_where_its_log_has_not_come_yet_waits() {
    let mut net = Net::voting();
    net.wish(0, "a:1");
    net.pass(10_000);
    net.wish(1, "b:1");
    net.pass(10_000);
    let kept = net.kept(3).unwrap();
    // The host gives back the votes and none of the log.
    net.keys[3] = keys(3, 9);
    net.nodes[3] = start(&net.keys[3], Some(&kept), &[], net.now_ms);
    assert!(!net.nodes[3].is_current());
    net.give(3, Event::Anchor(anchor(&genesis(4, 1).succession, 0)));
    net.pass(30_000);
    assert!(net.nodes[3].is_current() && net.nodes[3].votes());
}

#[test]
fn the_nft_decides_what_is_accepted() {
    let mut net = Net::voting();
    let next = succession(1, &pairs(b's', 5)[1..], 3);
    let rotation = handover(1, next.clone(), 9);
    let executed = Body::Executed(rotation.clone());
    net.give(0, Event::Wish(executed.clone()));
    net.pass(20_000);
    assert_eq!(net.heights(), [0; 4], "Bitcoin has not handed over");
    // Another transaction, another roster, another governance or other parameters than the NFT's.
    let mut others = vec![anchor(&next, 8)];
    others.push(anchor(&succession(1, &pairs(b's', 4), 3), 9));
    let mut governance = anchor(&next, 9);
    governance.governance = [1; 32];
    others.push(governance);
    let mut params = anchor(&next, 9);
    params.params = ParamsHash([1; 32]);
    others.push(params);
    for other in others {
        for at in 0..4 {
            net.give(at, Event::Anchor(other.clone()));
        }
        net.pass(10_000);
        assert_eq!(net.heights(), [0; 4]);
        assert!(matches!(net.nodes[0].anchoring(), Anchoring::HandsOver(_)));
    }
    for at in 0..4 {
        net.give(at, Event::Anchor(anchor(&next, 9)));
    }
    net.wish(1, "b:1");
    net.pass(30_000);
    assert_eq!(net.nodes[0].state().epoch(), Epoch(1));
    assert_eq!(net.nodes[0].anchoring(), Anchoring::Same);
    assert!(net.alarms(0).is_empty());
}

#[test]
fn a_log_that_differs_from_the_nft_stops_and_alarms_once() {
    let mut net = Net::voting();
    let mut other = anchor(&genesis(4, 1).succession, 0);
    other.governance = [1; 32];
    for _ in 0..2 {
        net.give(0, Event::Anchor(other.clone()));
    }
    assert_eq!(net.nodes[0].anchoring(), Anchoring::Disputed);
    assert!(!net.nodes[0].votes());
    assert_eq!(net.alarms(0), [Alarm::Anchor]);
    let later = anchor(&succession(2, &pairs(b's', 4), 3), 7);
    net.give(0, Event::Anchor(later));
    assert_eq!(net.nodes[0].anchoring(), Anchoring::Apart);
    // A host that shows an earlier epoch again is not believed.
    net.give(0, Event::Anchor(anchor(&genesis(4, 1).succession, 0)));
    assert_eq!(net.nodes[0].anchoring(), Anchoring::Apart);
    assert!(!net.nodes[0].votes());
}

#[test]
fn newcomers_are_attested_and_transcripts_seen_before_a_vote() {
    let mut net = Net::voting();
    let signers = pairs(b's', 5);
    let next = succession(1, &signers, 3);
    net.give(
        0,
        Event::Wish(Body::Announced(handover(1, next.clone(), 9))),
    );
    net.pass(10_000);
    assert_eq!(net.heights(), [0; 4]);
    for (at, member) in (0..3).flat_map(|at| next.members.iter().map(move |it| (at, it))) {
        let fact = Fact::Attested(member.operator, member.evidence);
        net.give(at, Event::Fact(fact));
    }
    net.pass(40_000);
    assert_eq!(net.heights(), [1; 4]);
    let transcript = [3; 32];
    net.give(0, Event::Wish(Body::GroupKey { transcript }));
    net.pass(10_000);
    assert_eq!(net.heights(), [1; 4]);
    for at in 0..3 {
        net.give(at, Event::Fact(Fact::Transcript(transcript)));
    }
    net.pass(40_000);
    assert_eq!(net.heights(), [2; 4]);
}

/// A line of height 1 that says `body`, with the votes of these members.
fn line(log: &LogState, body: Body, voters: &[usize]) -> Counted {
    let entry = valid(log, body);
    let votes = voters.iter().map(|at| {
        let ballot = ballot(log, 0, Phase::Commit, &entry);
        keys(*at, 1).vote(log.log(), ballot)
    });
    Counted {
        entry: entry.named().entry().clone(),
        votes: Votes(BoundedVec::new(votes.collect()).unwrap()),
    }
}

#[test]
fn a_fork_is_found_kept_sent_on_and_stops_votes() {
    let mut net = Net::voting();
    let log = net.nodes[0].state().clone();
    let one = line(&log, images(2, 3), &[0, 1, 2]);
    let other = line(&log, images(2, 4), &[1, 2, 3]);
    // Three have one entry, the last another.
    for at in 0..4 {
        let lines = [if at == 3 { &other } else { &one }];
        let lines = lines.map(|line| encode(Epoch(0), line).unwrap());
        net.nodes[at] = start(&net.keys[at], None, &lines, net.now_ms);
        net.duties[at].clear();
        assert_eq!(net.nodes[at].state().height(), 1);
        net.give(at, Event::Anchor(anchor(&genesis(4, 1).succession, 0)));
    }
    net.pass(10_000);
    for at in 0..4 {
        assert_eq!(net.nodes[at].standing(), &Standing::Forked);
        assert_eq!(net.alarms(at), [Alarm::Fork(1)]);
        assert!(net.nodes[at].fork().is_some());
        let kept = |duty: &Duty| matches!(duty, Duty::KeepProof(_));
        assert_eq!(net.duties[at].iter().filter(|duty| kept(duty)).count(), 1);
    }
    // After a restart it is shown again, and stops again.
    let proof = Message::Fork(Box::new(net.nodes[0].fork().unwrap().clone()));
    let lines = [encode(Epoch(0), &one).unwrap()];
    let mut again = start(&net.keys[0], None, &lines, 0);
    let event = Event::Message {
        from: net.keys[0].peer(),
        bytes: message(&proof),
    };
    let _ = again.handle(&net.keys[0], event);
    assert_eq!(again.standing(), &Standing::Forked);
}

#[test]
fn one_entry_twice_or_too_few_votes_are_no_fork() {
    let mut net = Net::voting();
    let log = net.nodes[0].state().clone();
    let one = line(&log, images(2, 3), &[0, 1, 2]);
    let lines = [encode(Epoch(0), &one).unwrap()];
    net.nodes[0] = start(&net.keys[0], None, &lines, net.now_ms);
    let few = line(&log, images(2, 4), &[1, 2]);
    for other in [line(&log, images(2, 3), &[1, 2, 3]), few] {
        let fork = Fork {
            one: one.clone(),
            other,
        };
        let event = Event::Message {
            from: net.keys[1].peer(),
            bytes: message(&Message::Fork(Box::new(fork))),
        };
        let duties = net.nodes[0].handle(&net.keys[0], event);
        assert!(duties.iter().any(|duty| matches!(duty, Duty::Fault { .. })));
        assert_ne!(net.nodes[0].standing(), &Standing::Forked);
    }
}

#[test]
fn an_instance_that_contradicts_itself_is_told_of_and_still_counted() {
    let mut net = Net::voting();
    let log = net.nodes[0].state().clone();
    let votes = [images(2, 3), images(2, 4)].map(|body| {
        let entry = valid(&log, body);
        net.keys[3].vote(log.log(), ballot(&log, 0, Phase::Prepare, &entry))
    });
    let culprit = net.keys[3].peer();
    let quorum = *log.quorum();
    for _ in 0..2 {
        for vote in votes {
            let bytes = message(&Message::Vote(vote));
            net.give(
                0,
                Event::Message {
                    from: culprit,
                    bytes,
                },
            );
        }
    }
    for at in 0..3 {
        assert_eq!(net.alarms(at), [Alarm::Equivocation(culprit)]);
        assert_eq!(net.nodes[at].proofs().len(), 1);
        assert_eq!(net.nodes[at].state().quorum(), &quorum);
        assert!(net.nodes[at].votes());
    }
    net.wish(0, "a:1");
    net.pass(20_000);
    assert_eq!(net.heights(), [1; 4]);
}

#[test]
fn what_is_not_a_message_or_was_not_asked_for_changes_nothing() {
    let mut net = Net::voting();
    let from = net.keys[1].peer();
    let bytes = vec![0; 3];
    net.give(0, Event::Message { from, bytes });
    let fault = PeerFault::Wire(WireError::Truncated(3));
    let peer = from;
    assert!(net.duties[0].contains(&Duty::Fault { peer, fault }));
    let log = net.nodes[0].state().clone();
    let lines = vec![line(&log, images(2, 3), &[0, 1, 2])];
    let lines = Message::Entries(BoundedVec::new(lines).unwrap());
    let bytes = message(&lines);
    net.give(0, Event::Message { from, bytes });
    assert_eq!(net.nodes[0].state().height(), 0);
}

#[test]
fn another_instance_takes_over_from_a_silent_one() {
    let mut net = Net::voting();
    net.keys.push(keys(0, 9));
    let clone = start(&net.keys[4], None, &[], net.now_ms);
    net.nodes.push(clone);
    net.up.push(true);
    net.duties.push(Vec::new());
    net.give(4, Event::Anchor(anchor(&genesis(4, 1).succession, 0)));
    net.pass(60_000);
    assert!(net.nodes[0].votes() && !net.nodes[4].votes());
    net.up[0] = false;
    net.pass(40_000);
    assert!(net.nodes[4].votes());
    // The one that was away hears that it has lost.
    net.up[0] = true;
    net.pass(STEP_MS);
    assert!(!net.nodes[0].votes());
    net.pass(60_000);
    assert!(!net.nodes[0].votes() && net.nodes[4].votes());
}

#[test]
fn one_reporter_says_nothing_about_the_network() {
    let log = LogState::genesis(&genesis(4, 1)).unwrap();
    let mut health = Health::default();
    let view = |height| View {
        height,
        tip: EntryHash([u8::try_from(height % 200).unwrap(); 32]),
        epoch: Epoch(height),
        uptime_s: 5,
        images: height,
        settlement: Some(txid(u8::try_from(height % 200).unwrap())),
        votes: true,
    };
    let summary = |health: &Health, now_ms| health.summary(log.quorum(), now_ms);
    health.hear(&keys(0, 1).peer(), view(1_000), 0);
    assert_eq!(summary(&health, 0).height, None);
    health.hear(&keys(1, 2).peer(), view(3), 0);
    health.hear(&keys(2, 3).peer(), view(3), 0);
    // Two instances of one operator have one voice.
    health.hear(&keys(0, 4).peer(), view(1_000), 0);
    let expected = Summary {
        heard: 3,
        voting: 3,
        height: Some(3),
        epoch: Some(Epoch(3)),
        images: Some(3),
        settlement: Some(txid(3)),
        disputed: Vec::new(),
    };
    assert_eq!(summary(&health, 14_999), expected);
    assert_eq!(summary(&health, 15_000), Summary::default());
    let forged = View {
        tip: EntryHash([9; 32]),
        ..view(3)
    };
    health.hear(&keys(3, 5).peer(), forged, 0);
    assert_eq!(summary(&health, 0).disputed, [3]);
    // No operator fills the table.
    for number in 10..40 {
        health.hear(&keys(0, number).peer(), view(3), number.into());
    }
    assert_eq!(health.of(&keys(0, 1).peer().operator).count(), 8);
}
