//! How the network fares, by what each instance says of itself.
//!
//! No single reporter is believed: what is told of the whole is what so many operators say that one
//! of them at least has not been rolled back.

use std::collections::BTreeMap;

use bitcoin::{Txid, XOnlyPublicKey};
use grail_types::Epoch;

use crate::{EntryHash, Peer, Quorum, SLOTS_MAX, View};

/// Without a word for so long, an instance counts as silent.
pub const SILENT_MS: u64 = 15_000;

/// A view, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the instance says.
    pub view: View,
    /// When, on the clock of whoever heard it.
    pub heard_ms: u64,
}

/// The newest view of every instance heard.
#[derive(Clone, Debug, Default)]
pub struct Health {
    reports: BTreeMap<XOnlyPublicKey, BTreeMap<XOnlyPublicKey, Report>>,
}

/// What holds for the network, whoever lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Operators of whom an instance was heard lately.
    pub heard: usize,
    /// Operators one of whose instances says that it votes.
    pub voting: usize,
    /// The highest tip that enough operators have reached.
    pub height: Option<u64>,
    /// The latest epoch that enough operators are in.
    pub epoch: Option<Epoch>,
    /// The highest counter of images that enough operators go by.
    pub images: Option<u64>,
    /// A settlement that enough operators saw last.
    pub settlement: Option<Txid>,
    /// Heights at which operators name different tips.
    pub disputed: Vec<u64>,
}

impl Health {
    /// Takes the view of an instance. Beyond an operator's slots, the one that was silent for
    /// longest makes room.
    pub fn hear(&mut self, peer: &Peer, view: View, heard_ms: u64) {
        let instances = self.reports.entry(peer.operator).or_default();
        instances.insert(peer.instance, Report { view, heard_ms });
        if instances.len() > usize::from(SLOTS_MAX) {
            let oldest = instances.iter().min_by_key(|(_, report)| report.heard_ms);
            if let Some(oldest) = oldest.map(|(instance, _)| *instance) {
                instances.remove(&oldest);
            }
        }
    }

    /// Forgets operators that are no members any more.
    pub fn retain(&mut self, is_member: impl Fn(&XOnlyPublicKey) -> bool) {
        self.reports.retain(|operator, _| is_member(operator));
    }

    /// Every report of an operator, by instance.
    pub fn of(
        &self,
        operator: &XOnlyPublicKey,
    ) -> impl Iterator<Item = (&XOnlyPublicKey, &Report)> {
        self.reports.get(operator).into_iter().flatten()
    }

    /// What holds for the network now.
    pub fn summary(&self, quorum: &Quorum, now_ms: u64) -> Summary {
        let lately = |report: &&Report| now_ms < report.heard_ms.saturating_add(SILENT_MS);
        // One voice for each operator: that of its voting instance, or else the newest.
        let voices = self.reports.values().filter_map(|instances| {
            let lately = instances.values().filter(lately);
            lately.max_by_key(|report| (report.view.votes, report.heard_ms))
        });
        let voices: Vec<View> = voices.map(|report| report.view).collect();
        let enough = quorum.some_sound();
        let mut tips: BTreeMap<u64, EntryHash> = BTreeMap::new();
        let mut disputed: Vec<u64> = Vec::new();
        for view in &voices {
            if *tips.entry(view.height).or_insert(view.tip) != view.tip {
                disputed.push(view.height);
            }
        }
        disputed.dedup();
        Summary {
            heard: voices.len(),
            voting: voices.iter().filter(|view| view.votes).count(),
            height: reached(voices.iter().map(|view| view.height), enough),
            epoch: reached(voices.iter().map(|view| view.epoch), enough),
            images: reached(voices.iter().map(|view| view.images), enough),
            settlement: shared(voices.iter().filter_map(|view| view.settlement), enough),
            disputed,
        }
    }
}

/// The highest value that `enough` are at or beyond.
fn reached<T: Ord + Copy>(values: impl Iterator<Item = T>, enough: usize) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable_by(|one, other| other.cmp(one));
    values.get(enough.saturating_sub(1)).copied()
}

/// The value that most name, if `enough` do.
fn shared<T: Ord + Copy>(values: impl Iterator<Item = T>, enough: usize) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        let count = counts.entry(value).or_default();
        *count = count.saturating_add(1);
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| *count >= enough)
        .map(|(value, _)| value)
}
