//! Several nodes as one chain.
//!
//! Owns whose word counts ([`agree`]), and which node is followed. All are asked for their best
//! chain before anything that is said of the chain is believed; a node that lags, or is gone,
//! decides nothing, and while two chains of equal work stand against each other nobody does.
//! Transactions go to every node. Remembers the most work seen while this process lives, so that
//! those that are left when the best node goes do not undo what it knew.

mod agree;

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bitcoin::{Block, BlockHash, FeeRate, OutPoint, Transaction, Txid};

pub use agree::Best;

use crate::{
    BlockRef, BlockSource, Chain, ChainError, HeaderAt, MempoolKin, SendError, Spent, Tested,
    TxOutStatus, View,
};
use agree::{Agreement, Sent, agree, follow, merge};

/// How old the last look at all nodes may be.
const FRESH: Duration = Duration::from_secs(1);
/// For how long a node that did not answer is not asked again while another one does: one that
/// swallows calls must not hold up each look.
const REST: Duration = Duration::from_secs(10);

/// A node that says how much work its chain has.
pub trait Node: Chain {
    /// Its best chain, if it is on the network of this name.
    fn best(&self, network: &str) -> Result<Best, ChainError>;
}

/// Several nodes, one of which is followed.
#[derive(Debug)]
pub struct Nodes<N> {
    all: Vec<Arc<N>>,
    network: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked_at: Option<Instant>,
    agreement: Agreement,
    /// Why nobody answers.
    silence: Option<ChainError>,
    followed: usize,
    /// The chain with most work so far.
    seen: Option<Best>,
    resting: Vec<Option<Instant>>,
}

impl<N: Node> Nodes<N> {
    /// These nodes of a network, by Bitcoin Core's name for it; the first preferred where several
    /// are as good.
    pub fn new(network: impl Into<String>, all: Vec<Arc<N>>) -> Self {
        let state = State {
            looked_at: None,
            agreement: Agreement::Nobody,
            silence: None,
            followed: 0,
            seen: None,
            resting: vec![None; all.len()],
        };
        Self {
            all,
            network: network.into(),
            state: Mutex::new(state),
        }
    }

    /// Asks all nodes anew, unless that was done a moment ago, and sees what follows.
    fn with<T>(&self, age_max: Duration, see: impl FnOnce(&State) -> T) -> T {
        // Held while they are asked: others want the same answers.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = state.looked_at.is_some_and(|at| at.elapsed() < age_max);
        if !is_fresh {
            self.look(&mut state);
        }
        see(&state)
    }

    fn look(&self, state: &mut State) {
        let now = Instant::now();
        let is_awake = |rest: &Option<Instant>| rest.is_none_or(|until| until <= now);
        let (awake, resting): (Vec<_>, Vec<_>) =
            (0..self.all.len()).partition(|index| state.resting.get(*index).is_none_or(is_awake));
        let mut bests = vec![None; self.all.len()];
        state.silence = None;
        self.ask(&awake, &mut bests, state);
        // Who rests may be the one that is missing.
        if !matches!(agree(&bests, state.seen), Agreement::On { .. }) {
            self.ask(&resting, &mut bests, state);
        }
        state.agreement = agree(&bests, state.seen);
        if let Agreement::On { best, .. } = state.agreement {
            state.seen = Some(best);
        }
        // Where nobody's word about the chain counts, somebody is still asked about the rest.
        let leaders = state.agreement.leaders();
        let there: Vec<_> = (0..)
            .zip(&bests)
            .filter_map(|(index, best)| best.map(|_| index))
            .collect();
        let among = if leaders.is_empty() { &there } else { leaders };
        state.followed = follow(among, state.followed);
        state.looked_at = Some(Instant::now());
    }

    /// Asks some of the nodes, side by side.
    fn ask(&self, which: &[usize], bests: &mut [Option<Best>], state: &mut State) {
        let answers: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> = which
                .iter()
                .filter_map(|index| Some((*index, self.all.get(*index)?)))
                .map(|(index, node)| (index, scope.spawn(|| node.best(&self.network))))
                .collect();
            let answers = asking.into_iter();
            // One that panics has said nothing.
            let answers = answers.filter_map(|(index, it)| Some((index, it.join().ok()?)));
            answers.collect()
        });
        for (index, answer) in answers {
            let (Some(best), Some(rest)) = (bests.get_mut(index), state.resting.get_mut(index))
            else {
                continue;
            };
            *rest = match answer {
                Ok(answer) => {
                    *best = Some(answer);
                    None
                }
                Err(error) => {
                    state.silence.get_or_insert(error);
                    Instant::now().checked_add(REST)
                }
            };
        }
    }

    /// The node to ask about the chain, if there is one whose word counts.
    fn chain(&self) -> Result<&N, ChainError> {
        self.with(FRESH, |state| self.agreed(state).map(|(node, _)| node))
    }

    fn agreed(&self, state: &State) -> Result<(&N, Best), ChainError> {
        match &state.agreement {
            Agreement::On { best, .. } => Ok((self.of(state)?, *best)),
            Agreement::Rivals { tips, .. } => Err(ChainError::NodesDisagree { tips: named(tips) }),
            Agreement::Behind { best } => Err(ChainError::NodesBehind {
                tip: named(&[best.tip]),
            }),
            Agreement::Nobody => Err(silent(state)),
        }
    }

    /// The node to ask about anything that ends nothing.
    fn any(&self) -> Result<&N, ChainError> {
        self.with(FRESH, |state| match &state.agreement {
            Agreement::Nobody => Err(silent(state)),
            _ => self.of(state),
        })
    }

    fn of(&self, state: &State) -> Result<&N, ChainError> {
        let followed = self.all.get(state.followed).map(Arc::as_ref);
        followed.ok_or_else(|| silent(state))
    }

    /// Hands something to every node, and takes the answers together.
    fn to_all(
        &self,
        hand: impl Fn(&N) -> Result<Txid, SendError> + Sync,
    ) -> Result<Txid, SendError> {
        let hand = &hand;
        let (leaders, resting) = self.with(FRESH, |state| {
            (state.agreement.leaders().to_vec(), state.resting.clone())
        });
        let asked = (0..).zip(self.all.iter().zip(resting));
        let answers = thread::scope(|scope| {
            let sending: Vec<_> = asked
                // Whoever did not answer a moment ago gets it with the next rebroadcast.
                .filter(|(index, (_, rest))| rest.is_none() || leaders.contains(index))
                .map(|(index, (node, _))| {
                    (leaders.contains(&index), scope.spawn(move || hand(node)))
                })
                .collect();
            let sent = sending.into_iter().filter_map(|(leads, it)| {
                let outcome = it.join().ok()?;
                Some(Sent { leads, outcome })
            });
            sent.collect()
        });
        merge(answers).unwrap_or_else(|| Err(self.with(FRESH, silent).into()))
    }

    /// Passes an answer on; a node that does not give one is looked at again.
    fn heard<T>(&self, answer: Result<T, ChainError>) -> Result<T, ChainError> {
        if matches!(answer, Err(ChainError::Unreachable { .. })) {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.looked_at = None;
        }
        answer
    }
}

fn named(tips: &[BlockRef]) -> String {
    let all: Vec<_> = tips
        .iter()
        .map(|tip| format!("{} at {}", tip.hash, tip.height))
        .collect();
    all.join(", ")
}

fn silent(state: &State) -> ChainError {
    state.silence.clone().unwrap_or(ChainError::Busy {
        detail: "no node answers".to_owned(),
    })
}

impl<N: Node> BlockSource for Nodes<N> {
    /// Always asked anew, of all.
    fn tip(&self) -> Result<BlockRef, ChainError> {
        let agreed = self.with(Duration::ZERO, |state| {
            self.agreed(state).map(|(_, best)| best)
        });
        Ok(agreed?.tip)
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        self.heard(self.chain()?.block_hash(height))
    }

    fn block(&self, hash: &BlockHash) -> Result<Option<Block>, ChainError> {
        self.heard(self.chain()?.block(hash))
    }
}

impl<N: Node> Chain for Nodes<N> {
    fn header(&self, hash: &BlockHash) -> Result<Option<HeaderAt>, ChainError> {
        self.heard(self.chain()?.header(hash))
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, ChainError> {
        self.heard(self.any()?.mempool_txids())
    }

    fn mempool_tx(&self, txid: &Txid) -> Result<Option<Transaction>, ChainError> {
        self.heard(self.any()?.mempool_tx(txid))
    }

    fn mempool_kin(&self, txid: &Txid) -> Result<Option<MempoolKin>, ChainError> {
        self.heard(self.any()?.mempool_kin(txid))
    }

    fn tx_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Transaction>, ChainError> {
        self.heard(self.chain()?.tx_in_block(txid, block))
    }

    fn spent_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Vec<Spent>>, ChainError> {
        self.heard(self.chain()?.spent_in_block(txid, block))
    }

    fn tx_out(&self, outpoint: &OutPoint, view: View) -> Result<Option<TxOutStatus>, ChainError> {
        self.heard(self.chain()?.tx_out(outpoint, view))
    }

    fn test_mempool_accept(&self, transactions: &[Transaction]) -> Result<Vec<Tested>, ChainError> {
        self.heard(self.any()?.test_mempool_accept(transactions))
    }

    /// To every node: the more have it, the likelier it is mined.
    fn send(&self, transaction: &Transaction) -> Result<Txid, SendError> {
        self.to_all(|node| node.send(transaction))
    }

    /// To every node, as what is sent alone.
    fn send_package(&self, parent: &Transaction, child: &Transaction) -> Result<Txid, SendError> {
        self.to_all(|node| node.send_package(parent, child))
    }

    fn estimate_fee_rate(&self, target_blocks: u16) -> Result<Option<FeeRate>, ChainError> {
        self.heard(self.any()?.estimate_fee_rate(target_blocks))
    }

    fn mempool_min_fee_rate(&self) -> Result<FeeRate, ChainError> {
        self.heard(self.any()?.mempool_min_fee_rate())
    }
}
