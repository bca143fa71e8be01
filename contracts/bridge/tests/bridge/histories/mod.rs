//! Random histories of a ledger, each step judged by the contract and by the reference model.
//!
//! Every honest proposal must be accepted by both; of each, hostile variants are judged too, and
//! where all agree that such a variant may pass, it is what gets published. After every transaction
//! the whole ledger is audited. Cases and seed come from `GRAIL_HISTORY_CASES` and
//! `GRAIL_HISTORY_SEED`, so that a run can be longer, or another.

mod hostile;
mod plan;
mod render;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    env, fmt,
};

use charms_data::{App as CharmsApp, Data, Transaction, is_simple_transfer};
use grail_bridge_contract::{Violation, check};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

use crate::{
    model::{App, Ledger, Proposal, Published, SpellPlace},
    spec::codes,
    spell::Spell,
};
use hostile::{Hostile, hostile};
use plan::{Plan, plain, plan, user};
use render::Renderer;

/// Every so many verdicts are asked of the committed wasm too.
const WASM_EVERY: usize = 499;

/// Histories of a run, unless told otherwise: enough to draw every code several times, in seconds.
const CASES: u32 = 500;

#[derive(Clone, Debug)]
struct Turn {
    plan: Plan,
    hostile: Vec<Hostile>,
    publish_hostile: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    (
        plan(),
        proptest::collection::vec(hostile(), 0..6),
        any::<bool>(),
    )
        .prop_map(|(plan, hostile, publish_hostile)| Turn {
            plan,
            hostile,
            publish_hostile,
        })
}

#[derive(Default)]
struct Statistics {
    cases: usize,
    transactions: usize,
    honest: usize,
    impossible: usize,
    variants: usize,
    variants_accepted: usize,
    variants_published: usize,
    unspendable: usize,
    unsigned: usize,
    wasm: usize,
    refusals: BTreeMap<&'static str, usize>,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} histories, {} transactions; {} honest proposals, all accepted ({} plans found nothing to do)",
            self.cases, self.transactions, self.honest, self.impossible
        )?;
        writeln!(
            f,
            "{} hostile variants: {} accepted by contract and model alike; of these {} are no transactions of the ledger \
             (the contract was lied to), {} nobody signs, {} were published in the honest one's place",
            self.variants,
            self.variants_accepted,
            self.unspendable,
            self.unsigned,
            self.variants_published
        )?;
        writeln!(f, "{} verdicts asked of the wasm too", self.wasm)?;
        for (code, count) in &self.refusals {
            writeln!(f, "{count:>8} {code}")?;
        }
        Ok(())
    }
}

/// The apps that refuse a spell, and why.
type Refusals = Vec<(CharmsApp, Violation)>;

/// The contract's verdict on a whole spell, which has to be accepted by each app that Charms runs.
fn contract(renderer: &Renderer, proposal: &Proposal, tx: &Transaction) -> Refusals {
    let refusal = |(app, x, w): (CharmsApp, Data, Data)| {
        let violation = check(&app, tx, &x, &w).err()?;
        Some((app, violation))
    };
    runs(renderer, proposal, tx)
        .into_iter()
        .filter_map(refusal)
        .collect()
}

/// The runs of the contract that Charms makes: app, public input, private input.
fn runs(
    renderer: &Renderer,
    proposal: &Proposal,
    tx: &Transaction,
) -> Vec<(CharmsApp, Data, Data)> {
    let run = |app: &App| {
        let charms_app = renderer.app(*app);
        let x = tx.app_public_inputs[&charms_app].clone();
        let w = if proposal.private.contains(app) {
            Data::from(&1)
        } else {
            Data::empty()
        };
        let skipped = x.is_empty() && w.is_empty() && is_simple_transfer(&charms_app, tx);
        (!skipped).then_some((charms_app, x, w))
    };
    let own = proposal.asks.keys().filter(|app| app.bridge().is_some());
    own.filter_map(run).collect()
}

/// A ledger in play.
struct Play<'a> {
    ledger: Ledger,
    renderer: Renderer,
    statistics: &'a mut Statistics,
}

impl Play<'_> {
    fn turn(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        if let Plan::Arrive { sats, foreign } = turn.plan {
            self.arrive(sats, foreign);
            return Ok(());
        }
        let Some(honest) = turn.plan.proposal(&self.ledger) else {
            self.statistics.impossible += 1;
            return Ok(());
        };
        let mut next = honest.clone();
        for hostile in &turn.hostile {
            let Some(variant) = hostile.of(&honest, &self.ledger) else {
                continue;
            };
            self.statistics.variants += 1;
            if !self.agreed(&variant, &format!("{hostile:?}"))?.is_empty() {
                continue;
            }
            self.statistics.variants_accepted += 1;
            if self.ledger.spendable(&variant).is_err() {
                self.statistics.unspendable += 1;
            } else if self.ledger.signed(&variant).is_err() {
                self.statistics.unsigned += 1;
            } else if turn.publish_hostile {
                next = variant;
            }
        }
        self.statistics.honest += 1;
        let refusals = self.agreed(&honest, "honest")?;
        prop_assert!(refusals.is_empty(), "an honest proposal: {honest:?}");
        if next != honest {
            self.statistics.variants_published += 1;
        }
        self.publish(&next)
    }

    /// Both opinions on a spell, which must be one.
    fn agreed(&mut self, proposal: &Proposal, what: &str) -> Result<Refusals, TestCaseError> {
        let tx = self.renderer.transaction(&self.ledger, proposal);
        let refusals = contract(&self.renderer, proposal, &tx);
        let model = self.ledger.lawful(proposal);
        prop_assert_eq!(
            refusals.is_empty(),
            model.is_ok(),
            "{}: the contract says {:?}, the model says {:?} of {:?}",
            what,
            refusals,
            model,
            proposal
        );
        let judged = self.statistics.variants + self.statistics.honest;
        let mut by_wasm = judged.is_multiple_of(WASM_EVERY);
        let codes: BTreeSet<_> = refusals
            .iter()
            .map(|(_, violation)| violation.code())
            .collect();
        for code in codes {
            let count = self.statistics.refusals.entry(code).or_default();
            by_wasm |= *count == 0;
            *count += 1;
        }
        if by_wasm {
            self.statistics.wasm += 1;
            self.wasm_agrees(proposal, &tx);
        }
        Ok(refusals)
    }

    fn wasm_agrees(&self, proposal: &Proposal, tx: &Transaction) {
        for (app, x, w) in runs(&self.renderer, proposal, tx) {
            let spell = Spell {
                tx: tx.clone(),
                app,
                x,
                w,
            };
            // Asserts that wasm and native code agree.
            let _verdict = spell.judge();
        }
    }

    fn publish(&mut self, proposal: &Proposal) -> Result<(), TestCaseError> {
        if self.ledger.spendable(proposal).is_err() || self.ledger.signed(proposal).is_err() {
            return Ok(());
        }
        self.ledger.publish(proposal);
        self.statistics.transactions += 1;
        if let Err(what) = self.ledger.audit() {
            return Err(TestCaseError::fail(format!("{what} after {proposal:?}")));
        }
        Ok(())
    }

    fn arrive(&mut self, sats: u64, foreign: bool) {
        let mut coin = plain(user(0), sats);
        let spell = if foreign {
            coin.charms
                .insert(App::Foreign, crate::model::Charm::Amount(9));
            SpellPlace::Output { version: 12 }
        } else {
            SpellPlace::Nowhere
        };
        self.ledger.enter(Published {
            ins: vec![],
            outs: vec![coin],
            spell,
        });
    }
}

fn history(turns: &[Turn], statistics: &mut Statistics) -> Result<(), TestCaseError> {
    let mut play = Play {
        ledger: Ledger::default(),
        renderer: Renderer::default(),
        statistics,
    };
    for sats in [40_000, 7_000, 90_000] {
        play.arrive(sats, false);
    }
    for turn in turns {
        play.turn(turn)?;
    }
    play.statistics.cases += 1;
    Ok(())
}

fn setting(name: &str, default: u32) -> u32 {
    env::var(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {value}"))
    })
}

#[test]
fn contract_and_model_agree_on_random_histories_and_the_books_always_balance() {
    let cases = setting("GRAIL_HISTORY_CASES", CASES);
    let mut seed = [0x47; 32];
    seed[..4].copy_from_slice(&setting("GRAIL_HISTORY_SEED", 1).to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let statistics = RefCell::new(Statistics::default());
    // A bridge first: without one there is nothing to try.
    let deployment = (
        hostile_deployment(),
        proptest::collection::vec(turn(), 1..32),
    );
    let turns = deployment.prop_map(|(first, rest)| [vec![first], rest].concat());
    let outcome = runner.run(&turns, |turns| {
        history(&turns, &mut statistics.borrow_mut())
    });
    let statistics = statistics.into_inner();
    println!("{statistics}");
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, turns)) => panic!("{why}\nafter {}", listed(&turns)),
        Err(why) => panic!("{why}"),
    }
    if cases < CASES {
        return;
    }
    // Enough was tried to tell whether it tried anything.
    let unseen: Vec<String> = codes()
        .into_iter()
        .filter(|code| !statistics.refusals.contains_key(code.as_str()))
        .collect();
    assert!(unseen.is_empty(), "no history drew {unseen:?}");
    let honest_share = statistics.honest * 100 / (statistics.honest + statistics.impossible);
    assert!(
        honest_share >= 50,
        "only {honest_share} % of the plans led to a proposal"
    );
    let accepted_share = statistics.variants_accepted * 100 / statistics.variants;
    assert!(
        (5..=50).contains(&accepted_share),
        "{accepted_share} % of the hostile variants pass: they should mostly be hostile, and not always"
    );
}

fn hostile_deployment() -> impl Strategy<Value = Turn> {
    proptest::collection::vec(hostile(), 0..12).prop_map(|hostile| Turn {
        plan: Plan::Deploy(plan::Pick(0)),
        hostile,
        publish_hostile: false,
    })
}

fn listed(turns: &[Turn]) -> String {
    let lines: Vec<String> = turns.iter().map(|turn| format!("{turn:?}")).collect();
    lines.join("\n")
}
