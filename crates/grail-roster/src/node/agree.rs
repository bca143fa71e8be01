//! The height to come: proposals, votes, rounds, and the entry that counts in the end.

use bitcoin::XOnlyPublicKey;
use grail_wire::encode;

use super::{
    AGAIN_MS, Alarm, Anchoring, Duty, Node, PeerFault, Phase, RECENT_MAX, ROUND_MAX_MS, ROUND_MS,
    Recent, Standing, To, height_of,
};
use crate::{
    Body, Certificate, Counted, Entry, Equivocation, Kept, Lock, Memory, Message, Proposal,
    ShownLock, SignedVote, ValidEntry, VoteSigner, Votes,
};

impl Node {
    pub(super) fn see_proposal(
        &mut self,
        member: usize,
        round: u32,
        entry: Entry,
        votes: Option<Votes>,
    ) -> Result<(), PeerFault> {
        // Of another height: late, or of one who is ahead, and then its view says so.
        if entry.height != self.state.next_height() || entry.previous != self.state.tip() {
            return Ok(());
        }
        if !self.agreement.wants(member, round) {
            return Ok(());
        }
        let entry = self.valid(entry)?;
        let lock = votes
            .map(|votes| self.verify_lock(votes, &entry))
            .transpose()?;
        let proposal = Proposal { round, entry, lock };
        self.agreement.see_proposal(member, proposal);
        Ok(())
    }

    pub(super) fn see_vote(&mut self, vote: &SignedVote) -> Result<(), PeerFault> {
        let ballot = &vote.ballot;
        let here = (self.state.epoch(), self.state.next_height());
        let member = self.state.roster().position(&vote.voter.operator);
        let Some(member) = member.filter(|_| (ballot.epoch, ballot.height) == here) else {
            return Ok(());
        };
        if self.agreement.knows(member.0.into(), ballot) {
            return Ok(());
        }
        let vote = vote.verify(&self.secp, self.state.log(), self.state.roster())?;
        if let Some(proof) = self.agreement.see_vote(vote) {
            self.keep_proof(proof);
        }
        Ok(())
    }

    pub(super) fn see_round(
        &mut self,
        member: usize,
        (height, round): (u64, u32),
        lock: Option<ShownLock>,
    ) -> Result<(), PeerFault> {
        if height != self.state.next_height() {
            return Ok(());
        }
        self.agreement.see_round(member, round);
        let held = self.agreement.memory().lock.as_ref();
        let held = held.map(|lock| lock.certificate().round());
        let Some(shown) = lock.filter(|lock| {
            let shown = lock.votes.0.first().map(|vote| vote.ballot.round);
            lock.entry.previous == self.state.tip() && shown > held
        }) else {
            return Ok(());
        };
        let entry = self.valid(shown.entry)?;
        let lock = self.verify_lock(shown.votes, &entry)?;
        self.agreement.see_lock(lock);
        Ok(())
    }

    pub(super) fn see_proof(&mut self, proof: Equivocation) -> Result<(), PeerFault> {
        if self.proofs.contains_key(&proof.culprit().operator) {
            return Ok(());
        }
        proof.verify(&self.secp, self.state.log())?;
        if self.state.member(&proof.culprit().operator).is_some() {
            self.keep_proof(proof);
        }
        Ok(())
    }

    /// The first proof of an operator is kept, sent on and told; `n` stays as it is.
    fn keep_proof(&mut self, proof: Equivocation) {
        let culprit = *proof.culprit();
        if self.proofs.contains_key(&culprit.operator) {
            return;
        }
        let message = Message::Equivocation(proof.clone());
        self.spread(Alarm::Equivocation(culprit), &message);
        self.proofs.insert(culprit.operator, proof);
    }

    fn verify_lock(&self, votes: Votes, entry: &ValidEntry) -> Result<Lock, PeerFault> {
        let roster = (self.state.log(), self.state.roster(), self.state.quorum());
        let height = self.state.next_height();
        let hash = entry.named().hash();
        let certificate = votes.verify(&self.secp, roster, height, Phase::Prepare, hash)?;
        Lock::new(certificate, entry.clone()).ok_or(PeerFault::OtherEntry)
    }

    /// Takes up what was kept of the votes, once the log is where they were given.
    pub(super) fn recall(&mut self) {
        let next = self.state.next_height();
        let Some(kept) = self.remembered.take_if(|kept| kept.height <= next) else {
            return;
        };
        if kept.height < next {
            return;
        }
        let lock = kept.lock.and_then(|shown| {
            let entry = self.valid(shown.entry).ok()?;
            self.verify_lock(shown.votes, &entry).ok()
        });
        let memory = Memory {
            round: kept.round,
            prepared: kept.prepared,
            committed: kept.committed,
            lock,
        };
        self.agreement = height_of(&self.state, &self.me).remembering(memory);
    }

    /// Follows the rules until they say nothing more.
    pub(super) fn run(&mut self, keys: &dyn VoteSigner) {
        loop {
            let votes = self.votes();
            let anchoring = self.anchoring();
            if votes {
                self.propose(&anchoring);
            }
            let mut agreement = self.agreement.clone();
            let outcome = agreement.advance(votes, &|entry| self.accepts(&anchoring, entry));
            self.agreement = agreement;
            self.note_round();
            if let Some((entry, certificate)) = outcome.counted {
                self.count(&entry, &certificate);
                continue;
            }
            if outcome.ballots.is_empty() {
                return;
            }
            self.keep_memory();
            for ballot in &outcome.ballots {
                let vote = SignedVote {
                    voter: self.me,
                    ballot: *ballot,
                    signatures: keys.sign(self.state.log(), ballot),
                };
                self.say(&vote);
            }
        }
    }

    /// Says a vote, and hears it like everybody else's.
    fn say(&mut self, vote: &SignedVote) {
        self.said.push(*vote);
        self.send(To::All, &Message::Vote(*vote));
        if self.see_vote(vote).is_err() {
            self.alarm(Alarm::Bug("an own vote that is not good"));
        }
    }

    /// Proposes, if it is this member's turn and there is something to propose.
    fn propose(&mut self, anchoring: &Anchoring) {
        let mut agreement = self.agreement.clone();
        let proposal = agreement.propose(|| self.wish(anchoring));
        self.agreement = agreement;
        let Some(proposal) = proposal else {
            return;
        };
        let said = Some((proposal.round, proposal.entry.named().hash()));
        if self.proposed == said {
            return;
        }
        self.proposed = said;
        let votes = proposal.lock.as_ref();
        let message = Message::Propose {
            round: proposal.round,
            entry: proposal.entry.named().entry().clone(),
            votes: votes.map(|lock| lock.certificate().votes().clone()),
        };
        self.send(To::All, &message);
    }

    /// Takes what a member would like to be next. Whether it may be, is found out once.
    pub(super) fn see_wish(&mut self, operator: XOnlyPublicKey, body: Body) -> bool {
        let known = self.wishes.get(&operator);
        if known.is_some_and(|known| known.named().entry().body == body) {
            return true;
        }
        let valid = self.valid(self.state.next(body)).ok();
        let is_valid = valid.is_some();
        self.wishes.extend(valid.map(|entry| (operator, entry)));
        is_valid
    }

    /// Says what this operator would like.
    pub(super) fn say_wish(&mut self) {
        if let Some(body) = self.own_wish.clone() {
            self.see_wish(self.me.operator, body.clone());
            self.send(To::All, &Message::Wish(body));
        }
    }

    /// The wish that this member would propose: a handover before all else, then by members' turns.
    fn wish(&self, anchoring: &Anchoring) -> Option<ValidEntry> {
        let turn = self.agreement.proposer();
        let roster = self.state.roster();
        let place = |operator: &XOnlyPublicKey| {
            let position = roster.position(operator).map_or(0, |it| usize::from(it.0));
            let members = roster.signers().len();
            let behind = position.saturating_add(members).saturating_sub(turn);
            behind.checked_rem(members)
        };
        let is_handover = |entry: &ValidEntry| {
            let body = &entry.named().entry().body;
            matches!(body, Body::Executed(_))
        };
        let accepted = self.wishes.iter();
        let accepted = accepted.filter(|(_, entry)| self.accepts(anchoring, entry));
        accepted
            .min_by_key(|(operator, entry)| (!is_handover(entry), place(operator)))
            .map(|(_, entry)| entry.clone())
    }

    /// Keeps what must outlive a restart.
    fn keep_memory(&mut self) {
        let memory = self.agreement.memory();
        let lock = memory.lock.as_ref().map(|lock| ShownLock {
            entry: lock.entry().named().entry().clone(),
            votes: lock.certificate().votes().clone(),
        });
        let kept = Kept {
            log: *self.state.log(),
            height: self.state.next_height(),
            round: memory.round,
            prepared: memory.prepared,
            committed: memory.committed,
            lock,
        };
        match encode(self.state.epoch(), &kept) {
            Ok(bytes) => self.duties.push(Duty::Keep(bytes)),
            Err(_) => self.alarm(Alarm::Bug("a memory that cannot be encoded")),
        }
    }

    /// Takes an entry that counts.
    pub(super) fn count(&mut self, entry: &ValidEntry, certificate: &Certificate) {
        let named = entry.named().clone();
        let counted = Counted {
            entry: named.entry().clone(),
            votes: certificate.votes().clone(),
        };
        let bytes = encode(self.state.epoch(), &counted);
        let (Ok(bytes), Ok(())) = (bytes, self.state.apply(entry)) else {
            self.standing = Standing::Forked;
            self.agreement = height_of(&self.state, &self.me);
            self.alarm(Alarm::Bug("an entry that counts and does not fit"));
            return;
        };
        let height = named.entry().height;
        self.duties.push(Duty::KeepEntry { height, bytes });
        self.recent.push_back(Recent {
            hash: named.hash(),
            counted,
            voters: self.voters.clone(),
        });
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        self.voters = (self.state.roster().clone(), *self.state.quorum()).into();
        self.agreement = height_of(&self.state, &self.me);
        self.said.clear();
        self.recall();
        self.note_round();
        self.drop_what_is_over(named.entry());
        self.duties.push(Duty::Counted(named));
        self.compare_anchor();
        self.say_view();
    }

    /// Forgets wishes that came true or cannot any more, and who has left.
    fn drop_what_is_over(&mut self, entry: &Entry) {
        let wishes = std::mem::take(&mut self.wishes);
        for (operator, wish) in wishes {
            let body = &wish.named().entry().body;
            if *body != entry.body && self.state.roster().position(&operator).is_some() {
                self.see_wish(operator, body.clone());
            }
        }
        // Who is behind cannot tell yet whether its wish may still come true.
        let own = self.own_wish.as_ref();
        let over = own.is_some_and(|own| {
            *own == entry.body
                || self.standing == Standing::Ready
                    && self.valid(self.state.next(own.clone())).is_err()
        });
        self.own_wish.take_if(|_| over);
        let state = &self.state;
        let is_member = |operator: &XOnlyPublicKey| state.member(operator).is_some();
        self.health.retain(is_member);
        self.grants.retain(is_member);
        self.asked.retain(|operator, _| is_member(operator));
        if let Body::Executed(_) = entry.body {
            self.attested.clear();
            self.transcripts.clear();
        }
    }

    /// Starts the clock of a round when it is entered.
    fn note_round(&mut self) {
        let seen = (self.state.next_height(), self.agreement.round());
        if seen != self.round_seen {
            self.round_seen = seen;
            self.round_ms = self.now_ms;
            self.said.retain(|vote| vote.ballot.round == seen.1);
        }
    }

    /// Ends a round that takes too long, and says again what was said. Only votes are worth a
    /// round: where nothing is to come, time stands still.
    pub(super) fn keep_time(&mut self) {
        let anchoring = self.anchoring();
        let busy = self.agreement.has_begun() || self.wish(&anchoring).is_some();
        if !busy || !self.votes() {
            self.round_ms = self.now_ms;
            return;
        }
        let round = self.agreement.round();
        let wait = ROUND_MS.saturating_mul(u64::from(round).saturating_add(1));
        if self.now_ms >= self.round_ms.saturating_add(wait.min(ROUND_MAX_MS)) {
            self.agreement.time_out();
            self.note_round();
            self.say_round();
        } else if self.now_ms >= self.again_ms.saturating_add(AGAIN_MS) {
            self.proposed = None;
            for vote in self.said.clone() {
                self.send(To::All, &Message::Vote(vote));
            }
            self.say_round();
        }
    }

    fn say_round(&mut self) {
        self.again_ms = self.now_ms;
        let lock = self.agreement.memory().lock.as_ref();
        let lock = lock.map(|lock| ShownLock {
            entry: lock.entry().named().entry().clone(),
            votes: lock.certificate().votes().clone(),
        });
        let (height, round) = (self.state.next_height(), self.agreement.round());
        let message = Message::Round {
            height,
            round,
            lock,
        };
        self.send(To::All, &message);
    }
}
