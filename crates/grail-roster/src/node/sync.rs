//! Entries that others have: asking, serving, verifying, and finding out that the log has forked.

use grail_types::BoundedVec;

use super::{AGAIN_MS, Alarm, Duty, Node, Peer, PeerFault, Phase, Standing, To};
use crate::{Counted, ENTRIES_MAX, Fork, Message, NamedEntry, View};

impl Node {
    /// Hears how another instance sees the network.
    pub(super) fn hear(&mut self, from: &Peer, view: View) {
        if self.state.member(&from.operator).is_none() {
            return;
        }
        self.health.hear(from, view, self.now_ms);
        let (height, tip) = (self.state.height(), self.state.tip());
        if view.height > height {
            self.want(from, self.state.next_height());
        } else if view.height == height && view.tip != tip {
            self.want(from, height);
        } else if let Some(recent) = self.at_height(view.height)
            && recent.hash != view.tip
        {
            self.want(from, view.height);
        } else if *from != self.me
            && let Standing::Recovering(told) = &mut self.standing
        {
            // A tip counts once it is here: an invented one stops nobody.
            told.insert(from.operator);
        }
    }

    /// Ends recovery when a quorum, this operator among it, has told its tips.
    pub(super) fn settle_standing(&mut self) {
        let Standing::Recovering(told) = &self.standing else {
            return;
        };
        let members = told
            .iter()
            .filter(|operator| **operator != self.me.operator);
        let members = members.filter(|operator| self.state.roster().position(operator).is_some());
        if members.count().saturating_add(1) >= self.state.quorum().needed() {
            self.standing = Standing::Ready;
        }
    }

    fn want(&mut self, from: &Peer, height: u64) {
        let asked = self.asked.get(&from.operator);
        if asked.is_none_or(|asked| self.now_ms >= asked.saturating_add(AGAIN_MS)) {
            self.asked.insert(from.operator, self.now_ms);
            self.send(To::One(*from), &Message::Want { from: height });
        }
    }

    /// Shows entries from a height on: the machine's own, or those that its host keeps.
    pub(super) fn serve(&mut self, to: &Peer, from: u64) {
        if from == 0 || from > self.state.height() {
            return;
        }
        let first = self
            .recent
            .front()
            .map(|recent| recent.counted.entry.height);
        let skip = first.and_then(|first| from.checked_sub(first));
        let Some(skip) = skip.and_then(|skip| usize::try_from(skip).ok()) else {
            self.duties.push(Duty::Serve { to: *to, from });
            return;
        };
        // Large entries go alone, so that an answer is never larger than a message may be.
        let mut room = crate::COUNTED_MAX_BYTES;
        let mut lines = Vec::new();
        for recent in self.recent.iter().skip(skip).take(ENTRIES_MAX) {
            let bytes = grail_wire::encode(recent.counted.entry.epoch, &recent.counted);
            let bytes = bytes.map_or(usize::MAX, |bytes| bytes.len());
            let Some(rest) = room.checked_sub(bytes) else {
                break;
            };
            room = rest;
            lines.push(recent.counted.clone());
        }
        if let Ok(lines) = BoundedVec::new(lines) {
            self.send(To::One(*to), &Message::Entries(lines));
        }
    }

    /// Takes the entries that a peer was asked for.
    pub(super) fn take_lines(&mut self, from: &Peer, lines: Vec<Counted>) -> Result<(), PeerFault> {
        // Whoever was not asked says nothing: verifying is dear.
        if self.asked.remove(&from.operator).is_none() {
            return Ok(());
        }
        for line in lines {
            let height = line.entry.height;
            if height <= self.state.height() {
                self.compare(line)?;
            } else if height == self.state.next_height() && line.entry.previous != self.state.tip()
            {
                // Another past: the entry that is instead of the tip shows it.
                self.want(from, self.state.height());
                return Ok(());
            } else if height > self.state.next_height() {
                // The answer to a question from before a restart: it begins further on.
                return Ok(());
            } else {
                self.take(line)?;
            }
        }
        let reports = self.health.of(&from.operator);
        let mut theirs = reports.filter(|(instance, _)| **instance == from.instance);
        let is_further = theirs.any(|(_, report)| report.view.height > self.state.height());
        drop(theirs);
        if is_further {
            self.want(from, self.state.next_height());
        }
        Ok(())
    }

    /// The entry that counts here at a height, if the machine still has it.
    fn at_height(&self, height: u64) -> Option<&super::Recent> {
        let mut recent = self.recent.iter();
        recent.find(|recent| recent.counted.entry.height == height)
    }

    /// Takes the next entry, with the votes that count it.
    pub(super) fn take(&mut self, line: Counted) -> Result<(), PeerFault> {
        let entry = self.valid(line.entry)?;
        let hash = entry.named().hash();
        let roster = (self.state.log(), self.state.roster(), self.state.quorum());
        let height = self.state.next_height();
        let certificate = line
            .votes
            .verify(&self.secp, roster, height, Phase::Commit, hash)?;
        self.count(&entry, &certificate);
        Ok(())
    }

    /// Compares a line with the one of the same height that counts here.
    fn compare(&mut self, line: Counted) -> Result<(), PeerFault> {
        let height = line.entry.height;
        let Some(ours) = self.at_height(height) else {
            return Ok(());
        };
        if NamedEntry::new(line.entry.clone())?.hash() == ours.hash {
            return Ok(());
        }
        let one = ours.counted.clone();
        self.see_fork(Fork { one, other: line })
    }

    /// Takes a proof that the log has forked.
    pub(super) fn see_fork(&mut self, fork: Fork) -> Result<(), PeerFault> {
        if self.fork.is_some() {
            return Ok(());
        }
        let height = fork.one.entry.height;
        let Some(ours) = self.at_height(height) else {
            return Ok(());
        };
        let (roster, quorum) = &*ours.voters;
        let roster = (self.state.log(), roster, quorum);
        let mut hashes = Vec::new();
        for line in [&fork.one, &fork.other] {
            let hash = NamedEntry::new(line.entry.clone())?.hash();
            let votes = line.votes.clone();
            votes.verify(&self.secp, roster, height, Phase::Commit, hash)?;
            hashes.push(hash);
        }
        if hashes.first() == hashes.last() {
            return Err(PeerFault::NoFork);
        }
        self.standing = Standing::Forked;
        let message = Message::Fork(Box::new(fork.clone()));
        self.spread(Alarm::Fork(height), &message);
        self.fork = Some(fork);
        Ok(())
    }
}
