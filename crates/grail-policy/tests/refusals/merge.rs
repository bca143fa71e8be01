//! Merges of donations, each broken in one place.

use bitcoin::{Amount, ScriptBuf, opcodes::all::OP_RETURN, script::Builder};
use grail_types::{BoundedVec, Kind};
use grail_wire::{Action, Merge};

use crate::{
    refusals,
    support::{
        Draft, Setup, StepDraft, World, coin, funding, input, output, p2tr, peg_in, peg_out,
        steps::SPONSORED, world,
    },
};

/// What the usual merge takes up.
const GIVEN: [u64; 2] = [5_000, 330];

refusals! {
    refuses_to_merge_nothing => "empty": merging(|_, step| {
        remove_input(&mut step.draft, 2);
        remove_input(&mut step.draft, 2);
        step.draft.transaction.output[1].value -= Amount::from_sat(5_330);
    });
    refuses_to_merge_a_coin_of_nothing => "vault-dust": world().merging(&[0]).refusal(world());
    refuses_to_merge_less_than_an_output_may_have => "vault-dust": {
        assert_eq!(world().merging(&[330]).refusal(world()), "approved");
        world().merging(&[328, 1]).refusal(world())
    };
    refuses_a_coin_of_somebody_else_as_a_donation => "unknown-template": merging(|_, step| {
        let made = funding(78, vec![output(5_000, p2tr(4))]);
        put_donation(step, made);
    });
    refuses_zkbtc_among_the_donations => "unexpected-charms": merging(|world, step| {
        let script = world.vault.script_pubkey.clone();
        put_donation(step, world.transfer(&[(script, 700_000)]));
    });
    refuses_a_donation_of_an_unknown_spell => "unexpected-charms": merging(|world, step| {
        let given = output(5_000, world.vault.script_pubkey.clone());
        put_donation(step, funding(79, vec![given, output(0, unreadable_spell())]));
    });
    refuses_a_satoshi_of_the_donations_for_the_miners => "vault-mismatch": merging(|_, step| {
        step.draft.transaction.output[1].value -= Amount::ONE_SAT;
    });
    refuses_a_satoshi_of_the_sponsors_for_the_vault => "vault-mismatch": merging(|_, step| {
        step.draft.transaction.output[1].value += Amount::ONE_SAT;
    });
    refuses_donations_in_place_of_the_vault => "vault-not-spent": merging(|_, step| {
        step.draft.transaction.input.swap(1, 2);
    });
    refuses_a_merge_that_mints => "roster-changed": merging(|world, step| {
        step.set_state(world, |state| state.supply += 5_330);
    });
    refuses_a_merge_that_rests_the_outflow => "roster-changed": merging(|world, step| {
        step.set_state(world, |state| state.outflow += 1);
    });
    refuses_a_merge_that_names_other_signers => "roster-changed": merging(|world, step| {
        step.set_state(world, |state| state.threshold += 1);
    });
    refuses_a_merge_that_claims_an_age => "malformed-transaction": merging(|_, step| {
        step.draft.transaction.input[0].sequence = bitcoin::Sequence::from_height(1);
    });
    refuses_a_merge_that_pays_a_prover => "prover-fee": {
        let world = World::new(Setup {
            params: &|values| values.prover_fee_max = Amount::from_sat(10_000),
            ..Setup::default()
        });
        let mut step = world.merging(&GIVEN);
        assert_eq!(step.refusal(&world), "approved");
        step.draft.uncommitted.push(output(2_000, p2tr(3)));
        step.refusal(&world)
    };
    refuses_an_output_of_a_merge_for_somebody => "wrong-count": merging(|_, step| {
        step.draft.transaction.output.push(output(1_000, p2tr(3)));
        step.draft.spell.tx.outs.push(std::collections::BTreeMap::default());
    });
    refuses_a_merge_that_nobody_pays => "empty": merging(|_, step| {
        let last = step.draft.transaction.input.len() - 1;
        remove_input(&mut step.draft, last);
        step.action = Action::Merge(Merge { sponsors: BoundedVec::default() });
    });
    refuses_a_sponsor_of_a_rotation_in_a_merge => "terms-unfit": {
        let mut step = world().merging(&GIVEN);
        let (deposit, made) = world().sponsor(Kind::SponsorExecute, 3, SPONSORED);
        let input = step.draft.transaction.input.last_mut().unwrap();
        input.previous_output = deposit.coin.outpoint;
        step.action = Action::Merge(Merge {
            sponsors: BoundedVec::new(vec![deposit.terms]).unwrap(),
        });
        step.draft.previous.push(made);
        step.draft.tidy_previous();
        step.refusal(world())
    };
    refuses_a_sponsor_of_a_merge_in_a_settlement => "terms-unfit": {
        let mut case = world().case(&[peg_in(1_000_000)]);
        let (deposit, made) = world().sponsor(Kind::SponsorMerge, 5, SPONSORED);
        case.draft.transaction.input.push(input(deposit.coin.outpoint));
        case.draft.previous.push(made);
        case.draft.requests.push(deposit.terms);
        case.draft.refusal(world())
    };
    refuses_a_settlement_that_calls_itself_a_merge => "unknown-template": {
        let case = world().case(&[peg_out(700_000)]);
        let action = Action::Merge(Merge { sponsors: BoundedVec::default() });
        let (draft, state) = (case.draft, case.plan.state);
        let mut step = StepDraft { draft, action, state };
        let before = world().state.clone();
        step.set_state(world(), |state| {
            (state.supply, state.outflow) = (before.supply, before.outflow);
        });
        step.refusal(world())
    };
}

/// The output of a spell that nobody can read, so that nobody knows what the other outputs carry.
pub fn unreadable_spell() -> ScriptBuf {
    Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice([0xff; 8])
        .into_script()
}

/// The usual merge, changed before its spell is proven.
fn merging(change: impl FnOnce(&World, &mut StepDraft)) -> &'static str {
    let mut step = world().merging(&GIVEN);
    assert_eq!(step.refusal(world()), "approved");
    change(world(), &mut step);
    step.draft.tidy_previous();
    step.refusal(world())
}

fn remove_input(draft: &mut Draft, index: usize) {
    draft.transaction.input.remove(index);
    draft.tidy_previous();
}

/// In place of the first donation output 0 of `made`, whose amount goes to the vault.
fn put_donation(step: &mut StepDraft, made: bitcoin::Transaction) {
    let coin = coin(&made, 0);
    step.draft.transaction.input[2].previous_output = coin.outpoint;
    let vault = &mut step.draft.transaction.output[1].value;
    *vault = *vault - Amount::from_sat(GIVEN[0]) + coin.output.value;
    step.draft.previous.push(made);
}
