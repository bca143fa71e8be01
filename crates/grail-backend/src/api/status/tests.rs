#![allow(clippy::unwrap_used)]
use bitcoin::{Amount, BlockHash, hashes::Hash};
use grail_chain::BlockRef;
use grail_types::{Epoch, ImagesHash, Network};

use super::*;

type Change = fn(&mut Facts, u64);

/// A bridge that is as it should be.
fn well() -> Facts {
    Facts {
        now: 1_800_000_000,
        node: Ok(NodeView {
            tip: BlockRef {
                height: 900_000,
                hash: BlockHash::all_zeros(),
            },
            fee_rate: Some(FeeRate::BROADCAST_MIN),
            deficit: Amount::ZERO,
        }),
        height: 900_000,
        paused: None,
        alarms: OpenAlarms { stop: 0, look: 0 },
        totals: VaultTotals {
            nft: None,
            supply: Amount::from_sat(1_000),
            vault: Amount::from_sat(1_000),
            donations: Amount::ZERO,
            former: Amount::ZERO,
        },
        nft_age: 1,
        issuing: Ok(()),
        epoch: 3,
        operators: 16,
        operators_heard: 16,
        threshold: 12,
        ready: (0, None),
        unconfirmed: 0,
        lane: BTreeMap::new(),
        proof_waiting_since: None,
        proof_seconds: 0,
        leaving: Some(Leaving {
            limit: params().outflow_limit(),
            level: 0,
            nft_confirmations: 0,
            epoch: Epoch(3),
        }),
    }
}

fn params() -> Params {
    Params::preset(Network::Regtest, ImagesHash([7; 32]))
}

fn codes(facts: &Facts) -> Vec<StatusCode> {
    let reasons = facts.reasons(&params());
    let known = reasons.iter().map(|reason| reason.code.text().parse());
    known.collect::<Result<_, _>>().unwrap()
}

/// What brings a code about at `n`, and not one below.
const CASES: [(StatusCode, u64, Change); 19] = [
    (StatusCode::PausedByHand, 1, by_hand),
    (StatusCode::AlarmOpen, 1, stopping),
    (StatusCode::AlarmToSee, 1, shown),
    (StatusCode::QuorumAway, 5, missing),
    (StatusCode::OperatorsAway, 1, missing),
    (StatusCode::NodeAway, 1, |facts, n| {
        facts.node = if n == 0 {
            facts.node
        } else {
            Err("node-unreachable")
        };
    }),
    (StatusCode::NoFeeRate, 1, |facts, n| {
        let node = facts.node.as_mut().unwrap();
        node.fee_rate = node.fee_rate.filter(|_| n == 0);
    }),
    (StatusCode::ScanLagging, 3, behind),
    (StatusCode::ScanBehind, 7, behind),
    (StatusCode::RosterUnsettled, 1, |facts, n| {
        facts.issuing = if n == 0 {
            Ok(())
        } else {
            Err(NotIssuing::OtherParams)
        };
    }),
    (StatusCode::ReservesShort, 1, |facts, n| {
        facts.totals.vault = facts.totals.supply - Amount::from_sat(n);
    }),
    (StatusCode::ProverSlow, PROOF_SECONDS_USUAL + 1, proving),
    (StatusCode::ProverAway, PROOF_SECONDS_MAX + 1, proving),
    (StatusCode::LaneSlow, 10 * 60 + 1, asked_for),
    (StatusCode::LaneStuck, 30 * 60 + 1, asked_for),
    (StatusCode::LaneFull, 20, unconfirmed),
    // Half of a year of blocks.
    (StatusCode::LastResortNear, 26_280, old),
    (StatusCode::QueueLong, 199, ready),
    (StatusCode::OutflowLimit, 1, |facts, n| {
        // The smallest peg-out goes, and one that is `n` larger than what is left does not.
        let leaving = facts.leaving.as_mut().unwrap();
        let room = params().deposit_min - Amount::from_sat(n);
        leaving.level = (leaving.limit.cap - room).to_sat();
    }),
];

fn by_hand(facts: &mut Facts, n: u64) {
    facts.paused = (n > 0).then(|| "moving house".to_owned());
}

fn stopping(facts: &mut Facts, n: u64) {
    facts.alarms.stop = n;
}

fn shown(facts: &mut Facts, n: u64) {
    facts.alarms.look = n;
}

fn unconfirmed(facts: &mut Facts, n: u64) {
    facts.unconfirmed = n;
}

fn old(facts: &mut Facts, n: u64) {
    facts.nft_age = u32::try_from(n).unwrap();
}

fn ready(facts: &mut Facts, n: u64) {
    facts.ready = (n, Some(1));
}

fn missing(facts: &mut Facts, n: u64) {
    facts.operators_heard = 16 - u16::try_from(n).unwrap();
}

fn behind(facts: &mut Facts, n: u64) {
    facts.height -= u32::try_from(n).unwrap();
}

fn proving(facts: &mut Facts, n: u64) {
    facts.proof_waiting_since = Some(facts.now - n);
}

fn asked_for(facts: &mut Facts, n: u64) {
    facts.lane.insert(SettlementStage::Asked, n);
}

#[test]
fn each_code_begins_where_it_says_and_not_before() {
    assert_eq!(codes(&well()), []);
    for (code, from, change) in CASES {
        let mut facts = well();
        change(&mut facts, from);
        assert_eq!(codes(&facts), [code]);
        let mut facts = well();
        change(&mut facts, from - 1);
        assert!(!codes(&facts).contains(&code), "{code}");
    }
    let cases: BTreeSet<_> = CASES.iter().map(|(code, ..)| *code).collect();
    assert_eq!(cases, StatusCode::ALL.iter().copied().collect());
}

#[test]
fn what_pauses_comes_first_and_leaves_no_expectation() {
    let mut facts = well();
    facts.alarms = OpenAlarms { stop: 1, look: 2 };
    facts.operators_heard = 13;
    facts.issuing = Err(NotIssuing::OtherParams);
    let status = facts.status(&params(), 30);
    let states = status.reasons.iter().map(|reason| reason.code.state());
    let states: Vec<_> = states.collect();
    assert!(states.is_sorted_by(|a, b| a >= b), "{states:?}");
    assert_eq!(status.pausing(), "alarm-open, roster-unsettled");
    assert_eq!(status.state, ServingState::Paused);
    assert_eq!(status.expected_wait_seconds, None);
}

#[test]
fn the_expected_wait_is_of_proofs_batches_and_blocks() {
    let wait = |facts: &Facts| facts.status(&params(), 30).expected_wait_seconds;
    let mut facts = well();
    assert_eq!(wait(&facts), Some(40));
    facts.proof_seconds = 300;
    assert_eq!(wait(&facts), Some(340));
    // Two settlements before the next one.
    facts.ready = (400, Some(1));
    assert_eq!(wait(&facts), Some(3 * 310 + 30));
    facts.unconfirmed = 20;
    assert_eq!(wait(&facts), Some(3 * 310 + 630));
}

#[test]
fn a_settlement_in_the_network_is_slow_at_its_deadline_and_never_stuck() {
    let mut facts = well();
    for (age, expected) in [(6, vec![]), (7, vec![StatusCode::LaneSlow])] {
        facts.lane.insert(SettlementStage::Broadcast, age * 60 * 60);
        assert_eq!(codes(&facts), expected);
    }
}

#[test]
fn proofs_may_take_a_few_times_what_they_took_before() {
    let mut facts = well();
    facts.proof_seconds = 3_000;
    for (age, expected) in [
        (9_000, vec![]),
        (9_001, vec![StatusCode::ProverSlow]),
        (30_000, vec![StatusCode::ProverSlow]),
        (30_001, vec![StatusCode::ProverAway]),
    ] {
        facts.proof_waiting_since = Some(facts.now - age);
        assert_eq!(codes(&facts), expected, "{age}");
    }
}

#[test]
fn what_may_leave_is_the_cap_less_what_is_left_of_the_level() {
    let mut facts = well();
    let shown = |facts: &Facts| facts.status(&params(), 30).outflow.unwrap();
    let (cap, rate) = (100_000_000_000, 700_000_000);
    let empty = shown(&facts);
    assert_eq!((empty.may_leave_sat, empty.cap_sat), (cap, cap));
    assert_eq!(
        (empty.blocks_until_more, empty.blocks_until_empty),
        (None, 0)
    );
    let leaving = facts.leaving.as_mut().unwrap();
    (leaving.level, leaving.nft_confirmations) = (3 * rate + 1, 2);
    let some = shown(&facts);
    assert_eq!(some.may_leave_sat, cap - rate - 1);
    assert_eq!((some.level_sat, some.nft_confirmations), (3 * rate + 1, 2));
    assert_eq!(some.rate_sat_per_block, rate);
    assert_eq!(
        (some.blocks_until_more, some.blocks_until_empty),
        (Some(1), 2)
    );
    facts.leaving = None;
    assert_eq!(facts.status(&params(), 30).outflow, None);
}
