//! The limits of what leaves and exists, each broken by exactly one lie.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::transaction::Version;
use bitcoin::{OutPoint, Sequence};
use common::{CAP, Charm, Draft, RATE, SUPPLY_MAX, World, codes, params_hash, watch};
use grail_audit::{Finding, Severity, Watch};
use grail_bridge_contract::RosterState;
use grail_types::{Bridge, Network, Params, ParamsValues};

/// zkBTC that a settlement of these tests burns.
const BURNED: u64 = 30_000;
/// What it finds as the level.
const LEVEL: u64 = 50_000;
const NO_AGE: u32 = 0xffff_fffd;

/// A history in which [`LEVEL`] has left already, with zkBTC for whoever wants to leave.
fn world(watch: Watch) -> (World, OutPoint) {
    let mut world = World::empty(watch);
    assert_eq!(codes(&world.deploy(|_| {})), [""; 0]);
    let first = world.mint(LEVEL);
    let token = world.mint(BURNED);
    let (draft, _) = world.draft(0, &[first], LEVEL);
    assert_eq!(codes(&world.settle_with(draft).0), [""; 0]);
    assert_eq!(world.state.outflow, LEVEL);
    (world, token)
}

/// The codes of a settlement that burns [`BURNED`] at [`LEVEL`], claims `sequence` and leaves the
/// level at `outflow`.
fn leaving(sequence: u32, outflow: u64) -> Vec<&'static str> {
    leaving_in(world(watch()), sequence, outflow)
}

fn leaving_in(
    (mut world, token): (World, OutPoint),
    sequence: u32,
    outflow: u64,
) -> Vec<&'static str> {
    let (mut draft, next) = world.draft(0, &[token], BURNED);
    draft.inputs[0].sequence = Sequence::from_consensus(sequence);
    leave_at(&mut draft, &next, outflow);
    codes(&world.settle_with(draft).0)
}

fn leave_at(draft: &mut Draft, next: &RosterState, outflow: u64) {
    draft.outputs[0].1 = Charm::State(RosterState {
        outflow,
        ..next.clone()
    });
}

#[test]
fn the_level_rises_by_what_leaves_and_falls_with_the_claimed_age() {
    assert_eq!(leaving(NO_AGE, LEVEL + BURNED), [""; 0]);
    assert_eq!(leaving(1, LEVEL + BURNED - RATE), [""; 0]);
    assert_eq!(leaving(49, LEVEL + BURNED - 49 * RATE), [""; 0]);
    // Not below nothing.
    assert_eq!(leaving(65_535, BURNED), [""; 0]);
    // What comes in takes it down, as far as to nothing.
    let (mut world, _) = world(watch());
    world.mint(20_000);
    assert_eq!(world.state.outflow, LEVEL - 20_000);
    world.mint(100_000);
    assert_eq!(world.state.outflow, 0);
    world.is_clean();
}

#[test]
fn the_step_tells_the_level_before_and_after() {
    let (mut world, token) = world(watch());
    let (draft, _) = world.draft(0, &[token], BURNED);
    let (step, _) = world.settle_with(draft);
    assert_eq!(step.settlement().unwrap().outflow, (LEVEL, LEVEL + BURNED));
    assert!(step.to_string().contains(", outflow 50000 -> 80000"));
}

#[test]
fn refuses_a_level_that_is_off_by_one() {
    for outflow in [LEVEL + BURNED - 1, LEVEL + BURNED + 1] {
        assert_eq!(leaving(NO_AGE, outflow), ["audit-outflow-level"]);
    }
}

#[test]
fn refuses_a_decay_that_nothing_claims_or_of_another_age() {
    let after = |blocks: u64| LEVEL + BURNED - blocks * RATE;
    assert_eq!(leaving(NO_AGE, after(1)), ["audit-outflow-level"]);
    assert_eq!(leaving(3, after(2)), ["audit-outflow-level"]);
    assert_eq!(leaving(3, after(4)), ["audit-outflow-level"]);
}

/// Without decay the level is right, so that the form of the claim is all that is wrong.
#[test]
fn refuses_an_age_in_any_other_form() {
    for sequence in [
        0,
        1 << 16 | 1,
        1 << 22 | 1,
        1 << 31 | 1,
        0xffff_fffc,
        0xffff_fffe,
        0xffff_ffff,
    ] {
        let codes = leaving(sequence, LEVEL + BURNED);
        assert_eq!(codes, ["audit-outflow-age"], "{sequence:#x}");
    }
}

#[test]
fn refuses_an_age_that_consensus_does_not_look_at() {
    let versioned = |version, sequence| {
        let (mut world, token) = world(watch());
        let (mut draft, next) = world.draft(0, &[token], BURNED);
        draft.version = version;
        draft.inputs[0].sequence = Sequence::from_consensus(sequence);
        leave_at(&mut draft, &next, LEVEL + BURNED);
        codes(&world.settle_with(draft).0)
    };
    assert_eq!(versioned(Version::ONE, 1), ["audit-outflow-age"]);
    assert_eq!(versioned(Version(-1), 1), ["audit-outflow-age"]);
    assert_eq!(versioned(Version::ONE, NO_AGE), [""; 0]);
}

/// A settlement that burns `burned` where nothing has left before.
fn burning(burned: u64, change: impl FnOnce(&mut Draft, &RosterState)) -> Vec<&'static str> {
    let mut world = World::new();
    let token = world.mint(burned);
    let (mut draft, next) = world.draft(0, &[token], burned);
    change(&mut draft, &next);
    codes(&world.settle_with(draft).0)
}

#[test]
fn refuses_one_satoshi_above_the_cap() {
    assert_eq!(burning(CAP, |_, _| {}), [""; 0]);
    assert_eq!(burning(CAP + 1, |_, _| {}), ["audit-outflow-above-cap"]);
}

#[test]
fn a_state_that_hides_what_left_does_not_hide_it() {
    let hidden = burning(CAP + 1, |draft, next| leave_at(draft, next, 0));
    assert_eq!(hidden, ["audit-outflow-level", "audit-outflow-above-cap"]);
}

/// As after a rotation that lowered the cap.
#[test]
fn what_nets_in_passes_above_the_cap() {
    let mut world = World::empty(watch());
    world.state.outflow = 3 * CAP;
    assert_eq!(codes(&world.deploy(|_| {})), ["audit-deployment-state"]);
    let (token, other) = (world.mint(2_000), world.mint(2_000));
    assert_eq!(world.state.outflow, 3 * CAP - 4_000);
    // As much in as out leaves it where it is.
    let (draft, _) = world.draft(2_000, &[token], 2_000);
    assert_eq!(codes(&world.settle_with(draft).0), [""; 0]);
    let (draft, _) = world.draft(1_999, &[other], 2_000);
    assert_eq!(
        codes(&world.settle_with(draft).0),
        ["audit-outflow-above-cap"]
    );
}

#[test]
fn refuses_to_mint_one_satoshi_above_the_largest_supply() {
    let mut world = World::new();
    let token = world.mint(SUPPLY_MAX);
    let (step, _) = world.mint_with(1, |_, _| {});
    assert_eq!(codes(&step), ["audit-supply-above-max"]);
    // What leaves may leave, also where too much is there.
    let (mut draft, next) = world.draft(0, &[token], CAP);
    draft.outputs.push((
        common::coin(&common::user_script(), 330),
        Charm::Token(SUPPLY_MAX - CAP),
    ));
    leave_at(&mut draft, &next, CAP);
    assert_eq!(codes(&world.settle_with(draft).0), [""; 0]);
    let (step, _) = world.mint_with(CAP + 1, |_, _| {});
    assert_eq!(codes(&step), ["audit-supply-above-max"]);
}

/// Parameters are in no block: who was not told them cannot know the limits, and is told so.
#[test]
fn without_the_parameters_what_is_not_checked_is_said() {
    let blind = || Watch {
        params: Vec::new(),
        ..watch()
    };
    let (world, token) = world(blind());
    let verdict = world.auditor.verdict();
    assert_eq!(verdict.alarm_count, 0);
    assert_eq!(
        verdict.findings,
        [Finding::LimitsUnknown { settlements: 3 }]
    );
    assert_eq!(verdict.findings[0].code(), "audit-limits-unknown");
    assert_eq!(verdict.findings[0].severity(), Severity::Note);
    // Who claims no age has let go of nothing, at whatever rate.
    let off = leaving_in((world, token), NO_AGE, LEVEL + BURNED - 1);
    assert_eq!(off, ["audit-outflow-level"]);
    let leaving = |sequence, outflow| leaving_in(self::world(blind()), sequence, outflow);
    assert_eq!(leaving(NO_AGE, LEVEL + BURNED), [""; 0]);
    // Who claims one may have let go of all of it, and of no more.
    for outflow in [BURNED, LEVEL, LEVEL + BURNED] {
        assert_eq!(leaving(1, outflow), [""; 0]);
    }
    for outflow in [BURNED - 1, LEVEL + BURNED + 1] {
        assert_eq!(leaving(1, outflow), ["audit-outflow-level"]);
    }
    assert_eq!(leaving(1 << 22 | 1, LEVEL + BURNED), ["audit-outflow-age"]);
}

/// Of parameters that a state does not name nothing follows, whatever they say.
#[test]
fn other_parameters_than_the_states_are_not_applied() {
    let strict = |params: &Params| {
        params
            .with(|values| values.supply_max = bitcoin::Amount::from_sat(1))
            .unwrap()
    };
    let mut world = World::empty(Watch {
        params: vec![strict(&common::params())],
        ..watch()
    });
    assert_eq!(codes(&world.deploy(|_| {})), ["audit-params-hash"]);
    let (step, _) = world.mint_with(LEVEL, |_, _| {});
    assert_eq!(codes(&step), ["audit-params-hash"]);
    let unknown = Finding::LimitsUnknown { settlements: 1 };
    assert_eq!(world.auditor.verdict().findings, [unknown]);
    assert_eq!(world.state.params_hash, params_hash());
}

#[test]
fn the_steps_of_a_rotation_are_not_held_to_the_limits() {
    let (mut world, _) = world(watch());
    assert_eq!(codes(&world.rotate_with(11, |_, _| {})), [""; 0]);
    assert_eq!(world.state.outflow, LEVEL);
    world.is_clean();
}

/// A rotation brings other parameters: whoever was told both holds each epoch to its own.
#[test]
fn each_epoch_is_held_to_its_own_parameters() {
    let strict = |values: &mut ParamsValues| values.supply_max = bitcoin::Amount::from_sat(1);
    let strict = common::params().with(strict).unwrap();
    let bridge = Bridge {
        network: Network::Regtest,
        app: common::bridge(),
    };
    let hash = strict.hash(&bridge).0;
    let told = |params: Vec<Params>| {
        let mut world = World::empty(Watch { params, ..watch() });
        assert_eq!(codes(&world.deploy(|_| {})), [""; 0]);
        world.mint(LEVEL);
        let step = world.rotate_with(11, |_, state| state.params_hash = hash);
        (codes(&step), world)
    };
    let (rotation, mut world) = told(vec![common::params(), strict]);
    assert_eq!(rotation, [""; 0]);
    let (step, _) = world.mint_with(1, |_, _| {});
    assert_eq!(codes(&step), ["audit-supply-above-max"]);
    assert_eq!(world.auditor.verdict().findings, []);
    // Who was told the first ones alone knows that these are others, and no more.
    let (rotation, mut world) = told(vec![common::params()]);
    assert_eq!(rotation, ["audit-params-hash"]);
    let (step, _) = world.mint_with(1, |_, _| {});
    assert_eq!(codes(&step), ["audit-params-hash"]);
    let unknown = Finding::LimitsUnknown { settlements: 1 };
    assert_eq!(world.auditor.verdict().findings, [unknown]);
}
