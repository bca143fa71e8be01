//! Executions.

use bitcoin::{Sequence, Transaction, TxOut};
use grail_policy::{NOTICE_COIN, notice_tree};
use grail_types::ParamsValues;
use grail_wire::Action;

use super::{announced, announcement};
use crate::{
    refusals,
    support::{
        Peg, Setup, StepDraft, World, coin, funding, output, p2tr, peg_in, peg_out,
        steps::succession, world,
    },
};

refusals! {
    refuses_to_execute_what_was_never_announced => "rotation-state": {
        // Planned where it is announced, asked where it is not.
        let world = announced();
        let mut step = world.executing(&succession(&world));
        let nowhere = self::world();
        step.draft.transaction.input[0].previous_output = nowhere.nft().outpoint;
        step.draft.transaction.input[1].previous_output = nowhere.vault_coin().outpoint;
        step.draft.previous.push(nowhere.genesis.clone());
        step.draft.tidy_previous();
        step.refusal(nowhere)
    };
    refuses_another_roster_than_the_announced => "next-mismatch": executing(|_, step| {
        let Action::Execution(it) = &mut step.action else { unreachable!() };
        let change = |values: &mut ParamsValues| values.settlement_confirmations += 1;
        it.succession.params = it.succession.params.with(change).unwrap();
    });
    refuses_an_attackers_vault_under_the_genuine_roster => "nft-output": executing(|world, step| {
        step.set_state(world, |state| state.vault_script = p2tr(66).into_bytes());
        step.draft.transaction.output[0].script_pubkey = p2tr(66);
        step.draft.transaction.output[1].script_pubkey = p2tr(66);
    });
    refuses_a_state_that_names_another_vault => "roster-changed": executing(|world, step| {
        step.set_state(world, |state| state.vault_script = p2tr(66).into_bytes());
    });
    refuses_to_leave_the_vault_behind => "vault-missing": executing(|world, step| {
        step.draft.transaction.output[1].script_pubkey = world.vault.script_pubkey.clone();
    });
    refuses_an_execution_that_stays_announced => "next-mismatch": executing(|world, step| {
        let next = world.state.next.clone();
        step.set_state(world, |state| state.next = next);
    });
    refuses_an_execution_in_the_same_epoch => "roster-changed": executing(|world, step| {
        step.set_state(world, |state| state.epoch -= 1);
    });
    refuses_an_execution_that_rests_the_outflow => "roster-changed": executing(|world, step| {
        step.set_state(world, |state| state.outflow += 1);
    });
    refuses_a_block_too_early => "notice-age": aged(|wait| Sequence::from_height(wait - 1));
    refuses_a_block_more_than_announced => "notice-age": aged(|wait| Sequence::from_height(wait + 1));
    refuses_no_age_at_all => "notice-age": aged(|_| Sequence::ENABLE_RBF_NO_LOCKTIME);
    refuses_a_wait_in_seconds => "malformed-transaction": aged(|wait| {
        Sequence::from_consensus(u32::from(wait) | 1 << 22)
    });
    refuses_a_wait_that_is_switched_off => "malformed-transaction": aged(|wait| {
        Sequence::from_consensus(u32::from(wait) | 1 << 31)
    });
    refuses_an_age_of_the_nft_in_an_execution => "malformed-transaction": executing(|_, step| {
        step.draft.transaction.input[0].sequence = Sequence::from_height(1);
    });
    refuses_an_age_of_a_sponsor => "malformed-transaction": executing(|_, step| {
        step.draft.transaction.input[3].sequence = Sequence::from_height(1);
    });
    refuses_an_execution_without_the_coin => "notice-coin": executing(|_, step| {
        step.draft.transaction.input.remove(2);
    });
    refuses_a_coin_that_was_made_before => "notice-coin": executing(|world, step| {
        // The address can be known beforehand, and whoever likes pays to it.
        let made = funding(77, vec![output(330, notice_script(world))]);
        spend_notice(step, &made, 0);
    });
    refuses_a_coin_that_a_settlement_made => "notice-coin": {
        // A payout to the coin's address, in a transaction whose NFT announces the same: of a later
        // serial.
        let world = announced();
        let peg = Peg { destination: notice_script(&world), ..peg_out(5_000_000) };
        let mut case = world.case(&[peg]);
        let is_coin = |it: &TxOut| it.script_pubkey == notice_script(&world);
        let at = case.draft.transaction.output.iter().position(is_coin).unwrap();
        case.draft.transaction.output[at].value = NOTICE_COIN;
        let settlement = case.draft.propose(&world).transaction;
        let moved = world.on(settlement.clone(), case.plan.state);
        let mut step = moved.executing_by(&succession(&world), &world.genesis);
        assert_eq!(step.refusal(&moved), "approved");
        spend_notice(&mut step, &settlement, u32::try_from(at).unwrap());
        step.refusal(&moved)
    };
    refuses_the_coin_of_a_cancelled_attempt => "notice-coin": {
        let first = announced();
        let cancelled = first.after(&first.cancelling());
        let second = cancelled.after(&cancelled.announcing(&succession(&cancelled)));
        let mut step = second.executing(&succession(&second));
        assert_eq!(step.refusal(&second), "approved");
        spend_notice(&mut step, &first.genesis, 2);
        step.refusal(&second)
    };
    refuses_a_coin_of_another_amount => "notice-coin": {
        let mut step = announcement();
        step.draft.raise(2, 1);
        let world = world().after(&step);
        world.executing(&succession(&world)).refusal(&world)
    };
    refuses_an_execution_by_too_old_a_spell => "spell-version": {
        let world = World::new(Setup {
            genesis: &|world, draft| {
                let mut state = draft.state(world);
                state.spell_max += 1;
                draft.set_state(world, &state);
            },
            ..Setup::default()
        });
        let mut state = world.state.clone();
        state.spell_max += 1;
        let world = world.on(world.genesis.clone(), state);
        let mut newer = succession(&world);
        newer.spell_min += 1;
        let step = world.announcing(&newer);
        assert_eq!(step.refusal(&world), "approved");
        let world = world.after(&step);
        world.executing(&newer).refusal(&world)
    };
}

/// The usual execution, changed before its spell is proven.
fn executing(change: impl FnOnce(&World, &mut StepDraft)) -> &'static str {
    let world = announced();
    let mut step = world.executing(&succession(&world));
    assert_eq!(step.refusal(&world), "approved");
    change(&world, &mut step);
    step.refusal(&world)
}

/// The usual execution, whose notice coin claims this age.
fn aged(sequence: impl FnOnce(u16) -> Sequence) -> &'static str {
    executing(|world, step| {
        let wait = world.state.next.as_ref().unwrap().wait;
        step.draft.transaction.input[2].sequence = sequence(wait);
    })
}

fn notice_script(world: &World) -> bitcoin::ScriptBuf {
    let next = world.state.next.as_ref().unwrap();
    notice_tree(&world.secp, &world.bridge, &world.roster, next).script_pubkey
}

/// Has the step spend another coin as the notice coin.
fn spend_notice(step: &mut StepDraft, made: &Transaction, vout: u32) {
    step.draft.transaction.input[2].previous_output = coin(made, vout).outpoint;
    step.draft.previous.push(made.clone());
    step.draft.tidy_previous();
}

#[test]
fn settlements_between_announcement_and_execution_change_nothing() {
    let first = announced();
    let mut world = first.on(first.genesis.clone(), first.state.clone());
    for _ in 0..3 {
        let case = world.case(&[peg_in(1_000_000)]);
        assert_eq!(case.draft.refusal(&world), "approved");
        world = world.on(case.draft.propose(&world).transaction, case.plan.state);
    }
    let step = world.executing_by(&succession(&first), &first.genesis);
    let approved = step.approve(&world).unwrap();
    assert_eq!(approved.get().signing().inputs.len(), 4);
}
