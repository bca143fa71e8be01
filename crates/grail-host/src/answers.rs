//! Answers given, for proposals that are asked about again.
//!
//! Only a "yes" is kept: its signatures are facts, whoever asks and however often. A "no" counts
//! for the attempt that it was given to and for no other, or whoever carries messages could show a
//! refusal of the past until a quorum seems to have refused.

use std::collections::VecDeque;

use grail_wire::ProposalId;

/// Answers kept: more proposals than a backend has open at a time.
const ANSWERS_MAX: usize = 64;

/// The contributions to the proposals asked about last. A decision is a pure function of its
/// proposal, so that an old one is as good as a new one.
#[derive(Default)]
pub struct Answers {
    /// Most recently used last.
    entries: VecDeque<(ProposalId, Vec<u8>)>,
}

impl Answers {
    /// The encoded answer to a proposal.
    pub fn recall(&mut self, proposal: &ProposalId) -> Option<Vec<u8>> {
        let index = self
            .entries
            .iter()
            .position(|(known, _)| known == proposal)?;
        let entry = self.entries.remove(index)?;
        let answer = entry.1.clone();
        self.entries.push_back(entry);
        Some(answer)
    }

    /// Keeps an answer; forgets the one that was not asked for again for longest.
    pub fn keep(&mut self, proposal: ProposalId, answer: Vec<u8>) {
        self.entries.retain(|(known, _)| *known != proposal);
        if self.entries.len() >= ANSWERS_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((proposal, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ProposalId {
        ProposalId([number; 32])
    }

    #[test]
    fn the_answer_used_longest_ago_is_forgotten_first() {
        let mut answers = Answers::default();
        for number in 0..64 {
            answers.keep(id(number), vec![number]);
        }
        assert_eq!(answers.recall(&id(0)), Some(vec![0]));
        answers.keep(id(64), vec![64]);
        assert_eq!(answers.recall(&id(1)), None);
        assert_eq!(answers.recall(&id(0)), Some(vec![0]));
        assert_eq!(answers.recall(&id(64)), Some(vec![64]));
        assert_eq!(answers.entries.len(), ANSWERS_MAX);
    }

    #[test]
    fn a_proposal_has_one_answer() {
        let mut answers = Answers::default();
        answers.keep(id(1), vec![1]);
        answers.keep(id(1), vec![2]);
        assert_eq!(answers.recall(&id(1)), Some(vec![2]));
        assert_eq!(answers.entries.len(), 1);
    }
}
