//! What several nodes say, taken together. Pure: answers in, a verdict out.
//!
//! The chain is the one with most work, by the word of those that answer. A node with less work
//! lags or is on a branch that has lost, and decides nothing. Two chains of equal work decide
//! nothing either: the next block does.

use bitcoin::{Txid, Work};

use crate::{BlockRef, SendError};

/// A node's best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Best {
    /// Its newest block.
    pub tip: BlockRef,
    /// Its work, from the first block on.
    pub work: Work,
}

/// What the nodes' answers come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Nobody answers.
    Nobody,
    /// All with most work have the same newest block.
    On {
        /// Their chain.
        best: Best,
        /// Which they are.
        leaders: Vec<usize>,
    },
    /// Several chains of equal work.
    Rivals {
        /// Their newest blocks, each once.
        tips: Vec<BlockRef>,
        /// Who has one of them.
        leaders: Vec<usize>,
    },
    /// Less work than was seen before, or another block of equal work: who had it is gone, or has
    /// turned back.
    Behind {
        /// The best of those that answer.
        best: Best,
    },
}

impl Agreement {
    /// Who may say something about the chain.
    pub(super) fn leaders(&self) -> &[usize] {
        match self {
            Self::On { leaders, .. } | Self::Rivals { leaders, .. } => leaders,
            Self::Nobody | Self::Behind { .. } => &[],
        }
    }
}

/// Takes the answers together; one that is missing is a node that does not answer.
pub(super) fn agree(answers: &[Option<Best>], seen: Option<Best>) -> Agreement {
    let there = || {
        (0..)
            .zip(answers)
            .filter_map(|(index, it)| Some((index, (*it)?)))
    };
    let Some((_, best)) = there().max_by_key(|(_, best)| best.work) else {
        return Agreement::Nobody;
    };
    let most = || there().filter(|(_, it)| it.work == best.work);
    let leaders = most().map(|(index, _)| index).collect();
    let mut tips: Vec<BlockRef> = Vec::new();
    for (_, leader) in most() {
        if !tips.contains(&leader.tip) {
            tips.push(leader.tip);
        }
    }
    let has_more = |seen: Best| best.work > seen.work;
    let has_it = |seen: Best| best.work == seen.work && tips.contains(&seen.tip);
    if seen.is_some_and(|seen| !has_more(seen) && !has_it(seen)) {
        return Agreement::Behind { best };
    }
    match tips.as_slice() {
        [tip] => Agreement::On {
            best: Best { tip: *tip, ..best },
            leaders,
        },
        _ => Agreement::Rivals { tips, leaders },
    }
}

/// Whom to follow: whoever was followed, while it may be; else the first that may be.
pub(super) fn follow(leaders: &[usize], followed: usize) -> usize {
    if leaders.contains(&followed) {
        return followed;
    }
    leaders.first().copied().unwrap_or(followed)
}

/// A node's answer to a transaction.
#[derive(Debug)]
pub(super) struct Sent {
    /// Whether its word about the chain counts.
    pub(super) leads: bool,
    pub(super) outcome: Result<Txid, SendError>,
}

/// What all answers to a transaction come to: it is on its way where one node takes it. A no counts
/// by those whose word counts, and the mildest of them is the answer, so that what ends something
/// is said by all of them.
pub(super) fn merge(answers: Vec<Sent>) -> Option<Result<Txid, SendError>> {
    let counts = |it: &Sent| it.leads || matches!(severity(&it.outcome), 0 | 1);
    let (counted, rest): (Vec<_>, Vec<_>) = answers.into_iter().partition(counts);
    let mildest = |all: Vec<Sent>| {
        let outcomes = all.into_iter().map(|it| it.outcome);
        outcomes.min_by_key(severity)
    };
    match mildest(counted) {
        // Nobody whose word counts could be asked; what others say of the chain is no answer.
        None => mildest(rest).map(|outcome| match outcome {
            Err(SendError::MissingInputs { reason } | SendError::ScriptInvalid { reason }) => {
                Err(SendError::Conflict { reason })
            }
            other => other,
        }),
        some => some,
    }
}

/// How much an answer ends: less is milder.
fn severity(outcome: &Result<Txid, SendError>) -> u8 {
    match outcome {
        Ok(_) => 0,
        Err(SendError::AlreadyInMempool) => 1,
        Err(SendError::AlreadyConfirmed) => 2,
        Err(SendError::FeeTooLow { .. }) => 3,
        Err(SendError::TooEarly { .. }) => 4,
        Err(SendError::Conflict { .. }) => 5,
        Err(SendError::Rejected { .. }) => 6,
        Err(SendError::MissingInputs { .. }) => 7,
        Err(SendError::ScriptInvalid { .. }) => 8,
        // Not asked at all.
        Err(SendError::Chain(_)) => 9,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{BlockHash, hashes::Hash as _};

    use super::*;
    use crate::ChainError;

    /// A chain of so much work, on a branch.
    fn best(work: u8, branch: u8) -> Best {
        let mut bytes = [0; 32];
        bytes[31] = work;
        Best {
            tip: BlockRef {
                height: work.into(),
                hash: BlockHash::from_byte_array([branch; 32]),
            },
            work: Work::from_be_bytes(bytes),
        }
    }

    fn on(best: Best, leaders: &[usize]) -> Agreement {
        let leaders = leaders.to_vec();
        Agreement::On { best, leaders }
    }

    #[test]
    fn the_chain_with_most_work_is_the_chain() {
        let (a, b) = (Some(best(10, 1)), Some(best(10, 2)));
        let (low, high) = (Some(best(9, 3)), Some(best(11, 1)));
        let rivals = |leaders: &[usize]| Agreement::Rivals {
            tips: vec![best(10, 1).tip, best(10, 2).tip],
            leaders: leaders.to_vec(),
        };
        for (answers, expected) in [
            (vec![], Agreement::Nobody),
            (vec![None, None], Agreement::Nobody),
            (vec![a], on(best(10, 1), &[0])),
            (vec![a, a], on(best(10, 1), &[0, 1])),
            // One that is gone, one that lags, one on a branch that has lost.
            (vec![None, a], on(best(10, 1), &[1])),
            (vec![low, a], on(best(10, 1), &[1])),
            (vec![high, b], on(best(11, 1), &[0])),
            // Equal work: nobody decides, however many there are on either side.
            (vec![a, b], rivals(&[0, 1])),
            (vec![a, low, b, a], rivals(&[0, 2, 3])),
            // The next block decides.
            (vec![high, b, a], on(best(11, 1), &[0])),
        ] {
            assert_eq!(agree(&answers, None), expected, "{answers:?}");
        }
    }

    #[test]
    fn what_is_left_when_the_best_node_goes_decides_nothing() {
        let seen = Some(best(10, 1));
        for (left, expected) in [
            (best(9, 2), Agreement::Behind { best: best(9, 2) }),
            // A rival of equal work is no better than what was seen.
            (best(10, 2), Agreement::Behind { best: best(10, 2) }),
            (best(10, 1), on(best(10, 1), &[1])),
            (best(11, 2), on(best(11, 2), &[1])),
        ] {
            let agreement = agree(&[None, Some(left)], seen);
            assert_eq!(agreement, expected);
            let leads = matches!(agreement, Agreement::On { .. });
            assert_eq!(agreement.leaders().is_empty(), !leads);
        }
        assert_eq!(agree(&[None], seen), Agreement::Nobody);
    }

    #[test]
    fn whoever_was_followed_is_followed_while_it_leads() {
        assert_eq!(follow(&[0, 2], 2), 2);
        assert_eq!(follow(&[0, 2], 1), 0);
        assert_eq!(follow(&[], 1), 1);
    }

    fn code(answers: Vec<(bool, Result<Txid, SendError>)>) -> &'static str {
        let answers = answers.into_iter();
        let answers = answers.map(|(leads, outcome)| Sent { leads, outcome });
        match merge(answers.collect()) {
            None => "nobody",
            Some(Ok(_)) => "sent",
            Some(Err(error)) => error.code(),
        }
    }

    #[test]
    fn a_transaction_is_sent_where_one_takes_it_and_ended_where_all_say_so() {
        let ok = || Ok(Txid::all_zeros());
        let reason = String::new;
        let missing = || Err(SendError::MissingInputs { reason: reason() });
        let invalid = || Err(SendError::ScriptInvalid { reason: reason() });
        let low = || Err(SendError::FeeTooLow { reason: reason() });
        let conflict = || Err(SendError::Conflict { reason: reason() });
        let away = || {
            Err(SendError::Chain(ChainError::Busy {
                detail: "a test".to_owned(),
            }))
        };
        let (leads, lags) = (true, false);
        for (answers, expected) in [
            (vec![], "nobody"),
            (vec![(leads, invalid()), (leads, ok())], "sent"),
            (vec![(leads, missing()), (lags, ok())], "sent"),
            (
                vec![(leads, missing()), (leads, missing())],
                "transaction-missing-inputs",
            ),
            (
                vec![(leads, missing()), (leads, low())],
                "transaction-fee-too-low",
            ),
            (
                vec![(leads, invalid()), (leads, missing())],
                "transaction-missing-inputs",
            ),
            (
                vec![(leads, invalid()), (leads, away())],
                "transaction-script-invalid",
            ),
            // What lags does not know the parents, and what it holds for confirmed may be undone.
            (
                vec![(leads, conflict()), (lags, missing())],
                "transaction-conflict",
            ),
            (
                vec![(lags, Err(SendError::AlreadyConfirmed)), (leads, low())],
                "transaction-fee-too-low",
            ),
            (vec![(lags, missing())], "transaction-conflict"),
            (vec![(lags, invalid())], "transaction-conflict"),
            (vec![(leads, away()), (leads, away())], "node-busy"),
        ] {
            let words = format!("{answers:?}");
            assert_eq!(code(answers), expected, "{words}");
        }
    }
}
