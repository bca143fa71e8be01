//! What a voter asks of an entry that no quorum has prepared: does Bitcoin, and does what this
//! instance knows, agree with it?

use super::{Alarm, FACTS_MAX, Fact, Node};
use crate::{Anchor, Body, Handover, ValidEntry, state::roster_of};

/// The log against the NFT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchoring {
    /// Nobody said what the NFT says.
    Unknown,
    /// Both are of one epoch, and say the same.
    Same,
    /// Both are of one epoch, and the NFT says something else.
    Disputed,
    /// The NFT has handed over, and the log is to say so.
    HandsOver(Box<Anchor>),
    /// The NFT is further than the log can say at once, or the log is ahead of the NFT.
    Apart,
}

impl Node {
    /// The log against the NFT.
    pub fn anchoring(&self) -> Anchoring {
        let Some(anchor) = &self.anchor else {
            return Anchoring::Unknown;
        };
        let (log, nft) = (self.state.epoch().0, anchor.roster.epoch().0);
        if log == nft {
            if self.state.matches(anchor) {
                Anchoring::Same
            } else {
                Anchoring::Disputed
            }
        } else if log.checked_add(1) == Some(nft) {
            Anchoring::HandsOver(Box::new(anchor.clone()))
        } else {
            Anchoring::Apart
        }
    }

    /// Takes what the NFT says, unless a later epoch is known. The same epoch may come again with
    /// something else: after a reorganisation.
    pub(super) fn see_anchor(&mut self, anchor: Anchor) {
        let known = self.anchor.as_ref().map(|known| known.roster.epoch());
        if known.is_none_or(|known| known <= anchor.roster.epoch()) {
            self.anchor = Some(anchor);
        }
        self.compare_anchor();
    }

    /// Tells people when log and NFT begin to differ.
    pub(super) fn compare_anchor(&mut self) {
        let disputed = self.anchoring() == Anchoring::Disputed;
        if disputed && !self.anchor_disputed {
            self.alarm(Alarm::Anchor);
        }
        self.anchor_disputed = disputed;
    }

    pub(super) fn see_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Attested(operator, evidence) if self.attested.len() < FACTS_MAX => {
                self.attested.insert((operator, evidence));
            }
            Fact::Transcript(transcript) if self.transcripts.len() < FACTS_MAX => {
                self.transcripts.insert(transcript);
            }
            Fact::Attested(..) | Fact::Transcript(_) => {}
            Fact::Settlement(txid) => self.settlement = Some(txid),
        }
    }

    /// Whether this instance would vote for `entry` by itself.
    pub(super) fn accepts(&self, anchoring: &Anchoring, entry: &ValidEntry) -> bool {
        let body = &entry.named().entry().body;
        match anchoring {
            Anchoring::Unknown | Anchoring::Disputed | Anchoring::Apart => false,
            Anchoring::HandsOver(anchor) => match body {
                Body::Executed(handover) => follows(handover, anchor),
                _ => false,
            },
            Anchoring::Same => match body {
                Body::Executed(_) => false,
                Body::Announced(handover) => self.newcomers_are_attested(handover),
                Body::GroupKey { transcript } => self.transcripts.contains(transcript),
                Body::Addresses { .. }
                | Body::Images { .. }
                | Body::Cancelled { .. }
                | Body::Clone { .. } => true,
            },
        }
    }

    fn newcomers_are_attested(&self, handover: &Handover) -> bool {
        let mut members = handover.succession.members.iter();
        members.all(|member| {
            let stays = self.state.member(&member.operator);
            stays.is_some_and(|stays| stays.evidence == member.evidence)
                || self.attested.contains(&(member.operator, member.evidence))
        })
    }
}

/// Whether an execution is the one that Bitcoin holds.
fn follows(handover: &Handover, anchor: &Anchor) -> bool {
    let succession = &handover.succession;
    roster_of(succession).as_ref() == Ok(&anchor.roster)
        && succession.governance.hash() == anchor.governance
        && succession.params == anchor.params
        && handover.txid == anchor.txid
}
