//! How much zkBTC may leave and exist, and which spells are the bridge's: the fields of format 2.

use bitcoin::{Amount, Sequence};
use grail_bridge_contract::{Action, Next, RosterState};
use grail_spell::nft_app;
use grail_types::ParamsValues;

use crate::{
    refusals,
    support::{Draft, Peg, Setup, World, model::judge, peg_in, peg_out, world},
    usual,
};

const CAP: u64 = 600_000_000;
const RATE: u64 = 10_000;
/// What is pegged out in most of these.
const BURNED: u64 = 100_000_000;

fn limits(params: &mut ParamsValues) {
    params.deposit_max = Amount::from_sat(CAP);
    params.outflow_cap = Amount::from_sat(CAP);
    params.outflow_rate = Amount::from_sat(RATE);
    params.supply_max = Amount::from_sat(65_535 * RATE);
}

/// A world whose NFT carries a state that was changed before it is settled from.
fn world_with(change: &dyn Fn(&mut RosterState), params: &dyn Fn(&mut ParamsValues)) -> World {
    let mut world = World::new(Setup {
        params,
        genesis: &|world, draft| {
            let mut state = draft.state(world);
            change(&mut state);
            draft.set_state(world, &state);
        },
        ..Setup::default()
    });
    change(&mut world.state);
    world
}

fn at_level(level: u64) -> World {
    world_with(&|state| state.outflow = level, &limits)
}

/// A settlement of one peg that claims `age` by the sequence of its first input and leaves the
/// level at `outflow`, whatever the builder would do.
fn settled(world: &World, peg: &Peg, sequence: u32, outflow: u64) -> Draft {
    let deposits = world.deposits(1, std::slice::from_ref(peg));
    let mut draft = lenient(world).case_of(deposits, &|_| {}).draft;
    draft.params = world.params.clone();
    draft.transaction.input[0].sequence = Sequence::from_consensus(sequence);
    let mut state = draft.state(world);
    state.outflow = outflow;
    draft.set_state(world, &state);
    draft
}

/// The same world to a builder that knows no limits.
fn lenient(world: &World) -> World {
    let without = |params: &mut ParamsValues| {
        params.outflow_cap = Amount::from_sat(2_100_000_000_000_000);
        params.outflow_rate = Amount::from_sat(1_000_000_000_000);
        params.supply_max = Amount::from_sat(2_100_000_000_000_000);
    };
    World {
        secp: world.secp.clone(),
        wasm: world.wasm,
        bridge: world.bridge,
        images: world.images.clone(),
        params: world.params.with(without).unwrap(),
        governance: world.governance.clone(),
        keys: world.keys.clone(),
        roster: world.roster.clone(),
        former: None,
        vault: world.vault.clone(),
        deployment: world.deployment.clone(),
        genesis: world.genesis.clone(),
        state: RosterState {
            outflow: 0,
            ..world.state.clone()
        },
    }
}

const NO_AGE: u32 = 0xffff_fffd;

/// The verdict on a peg-out of [`BURNED`] at `level` that claims `sequence`, and leaves `outflow`.
fn leaving(level: u64, sequence: u32, outflow: u64) -> &'static str {
    let world = at_level(level);
    let draft = settled(&world, &peg_out(BURNED), sequence, outflow);
    let code = draft.refusal(&world);
    // The other opinion is the same.
    let other = judge(&world, &draft.propose(&world));
    assert_eq!(other.is_ok(), code == "approved", "{other:?}");
    code
}

#[test]
fn what_leaves_is_added_and_the_cap_itself_passes() {
    assert_eq!(leaving(0, NO_AGE, BURNED), "approved");
    assert_eq!(leaving(CAP - BURNED, NO_AGE, CAP), "approved");
}

#[test]
fn the_age_of_the_nfts_coin_takes_the_level_down_and_not_below_nothing() {
    let level = CAP - BURNED;
    assert_eq!(leaving(level, 1, CAP - RATE), "approved");
    assert_eq!(leaving(CAP, 10_000, CAP), "approved");
    assert_eq!(leaving(5 * RATE, 65_535, BURNED), "approved");
}

#[test]
fn what_nets_in_passes_at_any_level_and_takes_it_down() {
    let world = at_level(10 * CAP);
    let minted = |peg: &Peg| {
        let draft = settled(&world, peg, NO_AGE, 0);
        draft.state(&world).supply - world.state.supply
    };
    let peg = peg_in(1_000_000);
    let after = 10 * CAP - minted(&peg);
    assert_eq!(
        settled(&world, &peg, NO_AGE, after).refusal(&world),
        "approved"
    );
    let after = after - 7 * RATE;
    assert_eq!(settled(&world, &peg, 7, after).refusal(&world), "approved");
}

#[test]
fn the_largest_supply_itself_may_exist() {
    assert_eq!(with_supply_max(0), "approved");
}

/// A mint to `short` satoshis above the largest supply.
fn with_supply_max(short: u64) -> &'static str {
    let world = at_level(0);
    let draft = settled(&world, &peg_in(1_000_000), NO_AGE, 0);
    let supply = draft.state(&world).supply;
    let world = world_with(&|_| {}, &|params| {
        limits(params);
        params.supply_max = Amount::from_sat(supply - short);
    });
    let draft = settled(&world, &peg_in(1_000_000), NO_AGE, 0);
    assert_eq!(draft.state(&world).supply, supply);
    draft.refusal(&world)
}

#[test]
fn zkbtc_leaves_while_there_is_more_than_may_exist() {
    // As after a rotation to parameters that allow less.
    let strict = |params: &mut ParamsValues| params.supply_max = Amount::from_sat(1_000);
    let mut world = world_with(&|_| {}, &limits);
    let params = world.params.with(strict).unwrap();
    let hash = params.hash(&world.bridge).0;
    world = world_with(&|state| state.params_hash = hash, &limits);
    world.params = params;
    assert!(world.state.supply > 1_000);
    let leaving = settled(&world, &peg_out(BURNED), NO_AGE, BURNED);
    assert_eq!(leaving.refusal(&world), "approved");
    let coming = settled(&world, &peg_in(1_000_000), NO_AGE, 0);
    assert_eq!(coming.refusal(&world), "supply-above-max");
}

/// The usual settlement in a world of these spell versions.
fn with_spells(min: u32, max: u32) -> &'static str {
    let world = world_with(
        &|state| (state.spell_min, state.spell_max) = (min, max),
        &|_| {},
    );
    world.usual().draft.refusal(&world)
}

#[test]
fn the_bridges_own_spells_are_of_the_versions_that_its_state_names() {
    for (min, max) in [(15, 15), (15, 16), (15, u32::MAX)] {
        assert_eq!(with_spells(min, max), "approved");
    }
}

/// The usual settlement in a world where a rotation is announced, leaving another state.
fn announced(change: fn(&mut RosterState)) -> &'static str {
    let waiting = |state: &mut RosterState| {
        state.attempt = 3;
        state.next = Some(Next {
            hash: [7; 32],
            serial: 1,
            wait: 9,
        });
    };
    let world = world_with(&waiting, &|_| {});
    let mut draft = world.usual().draft;
    let mut state = draft.state(&world);
    change(&mut state);
    draft.set_state(&world, &state);
    draft.refusal(&world)
}

#[test]
fn settlements_go_on_while_a_rotation_waits() {
    assert_eq!(announced(|_| {}), "approved");
}

/// The usual settlement, calling itself another step of the NFT: its contract would judge another.
fn called(action: Action) -> &'static str {
    let mut draft = usual();
    let nft = nft_app(&world().bridge.app);
    let inputs = &mut draft.spell.app_public_inputs;
    inputs.insert(nft, action.to_data()).unwrap();
    draft.refusal(world())
}

refusals! {
    refuses_to_announce => "wrong-apps": called(Action::Announce);
    refuses_to_cancel => "wrong-apps": called(Action::Cancel);
    refuses_to_execute => "wrong-apps": called(Action::Execute);
    refuses_one_satoshi_above_the_cap => "outflow-above-cap": leaving(CAP - BURNED + 1, NO_AGE, CAP + 1);
    refuses_what_one_block_more_would_let_pass => "outflow-above-cap":
        leaving(CAP - BURNED + RATE + 1, 1, CAP + 1);
    refuses_a_level_that_is_one_too_low => "outflow-mismatch": leaving(0, NO_AGE, BURNED - 1);
    refuses_a_level_that_is_one_too_high => "outflow-mismatch": leaving(0, NO_AGE, BURNED + 1);
    refuses_a_decay_that_nothing_claims => "outflow-mismatch": leaving(RATE, NO_AGE, BURNED);
    refuses_a_decay_of_one_block_more_than_is_claimed => "outflow-mismatch":
        leaving(9 * RATE, 3, 5 * RATE + BURNED);
    refuses_a_decay_of_one_block_less_than_is_claimed => "outflow-mismatch":
        leaving(9 * RATE, 3, 7 * RATE + BURNED);
    refuses_an_age_by_time => "malformed-transaction": leaving(RATE, 1 << 22 | 1, BURNED);
    refuses_an_age_that_is_switched_off => "malformed-transaction": leaving(RATE, 1 << 31 | 1, BURNED);
    refuses_an_age_of_no_blocks_in_another_form => "malformed-transaction": leaving(0, 0, BURNED);
    refuses_an_age_with_further_bits => "malformed-transaction": leaving(RATE, 1 << 16 | 1, BURNED);
    refuses_to_mint_one_satoshi_above_the_largest_supply => "supply-above-max": with_supply_max(1);
    refuses_a_spell_below_what_the_state_allows => "spell-version": with_spells(16, 16);
    refuses_to_announce_in_a_settlement => "roster-changed": announced(|state| {
        state.attempt += 1;
        state.next.as_mut().unwrap().hash = [8; 32];
    });
    refuses_to_forget_an_announcement => "roster-changed": announced(|state| state.next = None);
    refuses_to_shorten_a_wait => "roster-changed": announced(|state| {
        state.next.as_mut().unwrap().wait -= 1;
    });
    refuses_to_count_an_attempt => "roster-changed": announced(|state| state.attempt += 1);
    refuses_other_administrators => "roster-changed": announced(|state| state.governance[0] ^= 1);
    refuses_other_spell_versions => "roster-changed": announced(|state| state.spell_max += 1);
    refuses_a_higher_least_spell_version => "roster-changed": announced(|state| {
        (state.spell_min, state.spell_max) = (16, 16);
    });
}
