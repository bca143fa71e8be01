//! Several provers as one: asked in order, after a failure last for a while.
//!
//! One prover's word decides nothing: what it refuses or cannot do now, the next is asked. Only
//! when each that was asked has refused is the answer a refusal. A request has the same name
//! whoever proves it, so what one made is never made again by another.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bitcoin::TxOut;

use crate::port::{ProveRequest, Proven, Prover, ProverError, ProverVerdict, TransientError};

/// Rest after the first failure; it doubles with each further one.
const REST: Duration = Duration::from_secs(5);
/// Longest rest: a prover that is back is asked again within it.
const REST_MAX: Duration = Duration::from_mins(10);
/// Refusals kept until somebody takes them.
const REFUSALS_MAX: usize = 16;

/// Provers of one kind, the first preferred.
pub struct Provers {
    all: Vec<Named>,
    kind: &'static str,
    refusals: Mutex<Vec<String>>,
}

struct Named {
    name: String,
    prover: Arc<dyn Prover>,
    rest: Mutex<Rest>,
}

/// Until when a prover is asked last.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
}

/// Why provers do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProversError {
    /// There is none.
    #[error("expected at least one prover")]
    None,
    /// Proofs of one kind never stand in for another's.
    #[error("expected provers of one kind, got {one} and {other}")]
    Kinds {
        /// The first's.
        one: &'static str,
        /// Another's.
        other: &'static str,
    },
}

impl Provers {
    /// Provers with their names for logs, in the order in which they are asked.
    pub fn new(all: Vec<(String, Arc<dyn Prover>)>) -> Result<Self, ProversError> {
        let (_, first) = all.first().ok_or(ProversError::None)?;
        let kind = first.kind();
        if let Some((_, other)) = all.iter().find(|(_, it)| it.kind() != kind) {
            let other = other.kind();
            return Err(ProversError::Kinds { one: kind, other });
        }
        let named = all.into_iter().map(|(name, prover)| Named {
            name,
            prover,
            rest: Mutex::default(),
        });
        Ok(Self {
            all: named.collect(),
            kind,
            refusals: Mutex::default(),
        })
    }

    fn order(&self) -> Vec<&Named> {
        let rests: Vec<_> = self.all.iter().map(|it| it.rest().until).collect();
        let order = order(&rests, Instant::now()).into_iter();
        order.filter_map(|index| self.all.get(index)).collect()
    }
}

impl Named {
    fn rest(&self) -> Rest {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_rest(&self, rest: Rest) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

impl Rest {
    /// After one failure more.
    fn longer(self, now: Instant) -> Self {
        let length = REST.saturating_mul(2_u32.saturating_pow(self.failures));
        Self {
            failures: self.failures.saturating_add(1),
            until: now.checked_add(length.min(REST_MAX)),
        }
    }
}

/// Who is asked, in which order: those that do not rest, in the list's order; then, should none of
/// them prove it, the others by the end of their rest. So nothing is given up before all have been
/// asked, and a single prover is always asked.
fn order(rests: &[Option<Instant>], now: Instant) -> Vec<usize> {
    let mut order: Vec<_> = (0..rests.len()).collect();
    // Stable: what is equal stays in the list's order.
    order.sort_by_key(|index| rests.get(*index).copied().flatten().filter(|it| *it > now));
    order
}

impl Prover for Provers {
    fn kind(&self) -> &'static str {
        self.kind
    }

    /// The longest: whoever proves, there is room for it.
    fn proof_bytes(&self) -> usize {
        let all = self.all.iter().map(|it| it.prover.proof_bytes());
        all.max().unwrap_or_default()
    }

    /// The dearest and the longest: whoever proves, there is room and money for it.
    fn fee_output_max(&self) -> Option<TxOut> {
        let all = self.all.iter().filter_map(|it| it.prover.fee_output_max());
        all.reduce(|one, other| TxOut {
            value: one.value.max(other.value),
            script_pubkey: if one.script_pubkey.len() >= other.script_pubkey.len() {
                one.script_pubkey
            } else {
                other.script_pubkey
            },
        })
    }

    fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError> {
        let (mut refusal, mut away) = (None, Vec::new());
        for named in self.order() {
            let error = match named.prover.prove(request) {
                Ok(proven) => {
                    named.set_rest(Rest::default());
                    return Ok(proven);
                }
                Err(error) => error,
            };
            let words = format!("{}: {}: {error}", named.name, error.code());
            match error.verdict() {
                // Nobody is to be asked at all.
                ProverVerdict::Ours => return Err(error),
                ProverVerdict::Provers => {
                    let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
                    if refusals.len() < REFUSALS_MAX {
                        refusals.push(words);
                    }
                    refusal.get_or_insert(error);
                }
                ProverVerdict::None => away.push(words),
            }
            named.set_rest(named.rest().longer(Instant::now()));
        }
        match refusal {
            Some(error) if away.is_empty() => {
                // The answer itself says so.
                self.take_refusals();
                Err(error)
            }
            // Whoever is away may prove it: one refusal is not all of them.
            Some(_) | None => Err(TransientError {
                reason: away.join("; "),
            }
            .into()),
        }
    }

    fn take_refusals(&self) -> Vec<String> {
        std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{collections::BTreeMap, sync::Mutex};

    use bitcoin::{Amount, ScriptBuf};
    use grail_spell::{NormalizedSpell, Proof};

    use super::*;

    /// What a prover of these tests does.
    #[derive(Clone, Copy)]
    enum Does {
        Proves,
        Refuses,
        IsAway,
        FindsItWrong,
    }

    struct Fake {
        does: Mutex<Does>,
        asked: Mutex<u32>,
        fee: Option<TxOut>,
        kind: &'static str,
    }

    impl Fake {
        fn that(does: Does) -> Arc<Self> {
            Arc::new(Self {
                does: Mutex::new(does),
                asked: Mutex::new(0),
                fee: None,
                kind: "fake",
            })
        }

        fn now(&self, does: Does) {
            *self.does.lock().unwrap() = does;
        }

        fn asked(&self) -> u32 {
            *self.asked.lock().unwrap()
        }
    }

    impl Prover for Fake {
        fn kind(&self) -> &'static str {
            self.kind
        }

        fn fee_output_max(&self) -> Option<TxOut> {
            self.fee.clone()
        }

        fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError> {
            *self.asked.lock().unwrap() += 1;
            match *self.does.lock().unwrap() {
                Does::Proves => Ok(Proven {
                    spell_wire: request.spell.to_wire(),
                    proof: Proof::from(Vec::new()),
                    op_return: ScriptBuf::new(),
                    fuel: 0,
                    fee_output: None,
                }),
                Does::Refuses => Err(ProverError::Refused {
                    status: 401,
                    reason: "who are you".to_owned(),
                }),
                Does::IsAway => Err(TransientError {
                    reason: "nobody there".to_owned(),
                }
                .into()),
                Does::FindsItWrong => Err(ProverError::Rejected(crate::CheckError::NoInputs)),
            }
        }
    }

    fn request() -> ProveRequest {
        ProveRequest {
            spell: NormalizedSpell::default(),
            prev_txs: Vec::new(),
            app_binaries: BTreeMap::new(),
            app_private_inputs: BTreeMap::new(),
        }
    }

    fn of(all: &[&Arc<Fake>]) -> Provers {
        let all = all.iter().zip(1..);
        let named = all.map(|(it, n)| (format!("prover {n}"), Arc::clone(it) as Arc<dyn Prover>));
        Provers::new(named.collect()).unwrap()
    }

    #[test]
    fn who_rests_is_asked_last() {
        let now = Instant::now();
        let later = |seconds| Some(now + Duration::from_secs(seconds));
        for (rests, asked) in [
            (vec![None, None], vec![0, 1]),
            (vec![later(1), None], vec![1, 0]),
            (vec![later(0), None], vec![0, 1]),
            (vec![later(2), None, later(1), None], vec![1, 3, 2, 0]),
            (vec![later(2), later(1), later(3)], vec![1, 0, 2]),
            (vec![later(5)], vec![0]),
            (vec![], vec![]),
        ] {
            assert_eq!(order(&rests, now), asked, "{rests:?}");
        }
    }

    #[test]
    fn a_rest_doubles_up_to_a_bound() {
        let now = Instant::now();
        let mut rest = Rest::default();
        for seconds in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            rest = rest.longer(now);
            assert_eq!(rest.until, Some(now + Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn the_second_proves_what_the_first_refuses_or_is_not_there_for() {
        for fault in [Does::Refuses, Does::IsAway] {
            let (first, second) = (Fake::that(fault), Fake::that(Does::Proves));
            let provers = of(&[&first, &second]);
            provers.prove(&request()).unwrap();
            // It rests now; once back and awake it is the preferred one again.
            provers.prove(&request()).unwrap();
            assert_eq!((first.asked(), second.asked()), (1, 2));
            let is_refusal = matches!(fault, Does::Refuses);
            assert_eq!(provers.take_refusals().len(), usize::from(is_refusal));
            assert!(provers.take_refusals().is_empty());
            first.now(Does::Proves);
            provers.all[0].set_rest(Rest::default());
            provers.prove(&request()).unwrap();
            assert_eq!((first.asked(), second.asked()), (2, 2));
        }
    }

    #[test]
    fn one_that_refuses_decides_nothing_while_another_is_away() {
        let (first, second) = (Fake::that(Does::Refuses), Fake::that(Does::IsAway));
        let error = of(&[&first, &second]).prove(&request()).unwrap_err();
        assert_eq!(error.verdict(), ProverVerdict::None);
        second.now(Does::Refuses);
        let error = of(&[&first, &second]).prove(&request()).unwrap_err();
        assert_eq!(error.verdict(), ProverVerdict::Provers);
    }

    #[test]
    fn what_our_own_check_finds_wrong_is_put_to_nobody_else() {
        let (first, second) = (Fake::that(Does::FindsItWrong), Fake::that(Does::Proves));
        let provers = of(&[&first, &second]);
        let error = provers.prove(&request()).unwrap_err();
        assert_eq!(error.verdict(), ProverVerdict::Ours);
        assert_eq!((first.asked(), second.asked()), (1, 0));
    }

    #[test]
    fn there_is_room_for_the_dearest_and_the_longest_fee_output() {
        let with = |sat, bytes: usize| {
            Arc::new(Fake {
                does: Mutex::new(Does::Proves),
                asked: Mutex::new(0),
                fee: Some(TxOut {
                    value: Amount::from_sat(sat),
                    script_pubkey: ScriptBuf::from_bytes(vec![0x51; bytes]),
                }),
                kind: "fake",
            })
        };
        let fee = of(&[
            &with(1_000, 34),
            &Fake::that(Does::Proves),
            &with(2_000, 22),
        ]);
        let fee = fee.fee_output_max().unwrap();
        assert_eq!((fee.value.to_sat(), fee.script_pubkey.len()), (2_000, 34));
    }

    #[test]
    fn provers_of_two_kinds_do_not_go_together() {
        let other = Arc::new(Fake {
            kind: "other",
            does: Mutex::new(Does::Proves),
            asked: Mutex::new(0),
            fee: None,
        });
        let all: Vec<(String, Arc<dyn Prover>)> = vec![
            ("one".to_owned(), Fake::that(Does::Proves)),
            ("two".to_owned(), other),
        ];
        let error = Provers::new(all).err().unwrap();
        let (one, other) = ("fake", "other");
        assert_eq!(error, ProversError::Kinds { one, other });
        assert_eq!(Provers::new(Vec::new()).err(), Some(ProversError::None));
    }
}
