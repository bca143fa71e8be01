//! The prover's fee: the one output that no proof commits to.

use std::sync::OnceLock;

use bitcoin::{Amount, ScriptBuf, TxOut};

use crate::{
    refusals,
    support::{Draft, Setup, World, output, p2tr, p2wpkh, peg_in, peg_out, world},
};

/// Most that the prover may get in [`paying`].
const MOST: u64 = 10_000;

/// A world that pays provers.
fn paying() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        World::new(Setup {
            params: &|params| params.prover_fee_max = Amount::from_sat(MOST),
            ..Setup::default()
        })
    })
}

/// A settlement whose requests pay for a prover's fee of at most [`MOST`], with these outputs that
/// nothing commits to.
fn with(uncommitted: Vec<TxOut>) -> Draft {
    let world = paying();
    let deposits = world.deposits(1, &[peg_in(1_000_000), peg_out(700_000)]);
    let mut case = world.case_of(deposits, &|request| {
        request.prover_fee = Some(output(MOST, p2tr(9)));
    });
    case.draft.uncommitted = uncommitted;
    case.draft
}

fn refusal(uncommitted: Vec<TxOut>) -> &'static str {
    with(uncommitted).refusal(paying())
}

#[test]
fn a_fee_up_to_the_most_and_down_to_dust_is_approved() {
    for fee in [
        output(MOST, p2tr(9)),
        output(330, p2tr(9)),
        output(294, p2wpkh(9)),
    ] {
        assert_eq!(refusal(vec![fee.clone()]), "approved", "{fee:?}");
    }
    assert_eq!(refusal(Vec::new()), "approved");
}

#[test]
fn the_requests_bear_the_provers_fee_and_the_miners() {
    let world = paying();
    for fee in [Vec::new(), vec![output(MOST, p2tr(9))]] {
        let paid: Amount = fee.iter().map(|output| output.value).sum();
        let approved = world.approve(&with(fee).propose(world)).unwrap();
        let settlement = approved.get().as_settlement().unwrap();
        let shares: Amount = settlement.items.iter().map(|item| item.fee_share).sum();
        assert_eq!(settlement.prover_fee, paid);
        assert_eq!(settlement.signing.fee, shares - paid);
    }
}

#[test]
fn a_settlement_without_vault_pays_a_prover_too() {
    let world = paying();
    let everything = peg_out(world.circulating());
    let mut case = world.case_of(world.deposits(1, &[everything]), &|request| {
        request.prover_fee = Some(output(MOST, p2tr(9)));
    });
    assert_eq!(case.draft.transaction.output.len(), 2);
    case.draft.uncommitted = vec![output(MOST, p2tr(9))];
    assert_eq!(case.draft.refusal(world), "approved");
}

/// The settlement after its spell was made to speak of one output less: the last payout is
/// committed to by nothing.
fn silent_about_the_last_payout() -> &'static str {
    let mut draft = with(Vec::new());
    let last = draft.transaction.output.pop().unwrap();
    draft.spell.tx.outs.pop();
    // Within what a prover may get, so that only its being a payout speaks against it.
    draft.uncommitted = vec![output(MOST, last.script_pubkey)];
    draft.refusal(paying())
}

refusals! {
    refuses_one_satoshi_more_than_the_prover_may_get => "prover-fee": refusal(vec![output(MOST + 1, p2tr(9))]);
    refuses_dust_to_the_prover => "prover-fee": refusal(vec![output(329, p2tr(9))]);
    refuses_dust_to_the_prover_of_another_type => "prover-fee": refusal(vec![output(293, p2wpkh(9))]);
    refuses_a_fee_to_no_address => "prover-fee":
        refusal(vec![output(MOST, ScriptBuf::from_bytes(vec![0x51]))]);
    refuses_a_second_op_return_as_fee => "prover-fee": refusal(vec![output(0, ScriptBuf::new_op_return([1]))]);
    refuses_a_fee_to_the_vault => "prover-fee":
        refusal(vec![output(MOST, paying().vault.script_pubkey.clone())]);
    refuses_more_to_the_prover_than_the_requests_pay => "prover-fee": {
        let world = World::new(Setup {
            params: &|params| params.prover_fee_max = Amount::from_sat(10_000_000),
            ..Setup::default()
        });
        let mut draft = world.usual().draft;
        let approved = world.approve(&draft.propose(&world)).unwrap();
        draft.uncommitted = vec![output(approved.get().signing().fee.to_sat() + 1, p2tr(9))];
        draft.refusal(&world)
    };
    refuses_two_outputs_that_nothing_commits_to => "spell-invalid":
        refusal(vec![output(MOST, p2tr(9)), output(MOST, p2tr(9))]);
    refuses_a_fee_where_the_parameters_allow_none => "wrong-count": {
        let mut draft = world().usual().draft;
        draft.uncommitted = vec![output(1_000, p2tr(9))];
        draft.refusal(world())
    };
    refuses_a_fee_that_the_spell_commits_to => "wrong-count": {
        let mut draft = with(Vec::new());
        draft.transaction.output.push(output(MOST, p2tr(9)));
        draft.spell.tx.outs.push(std::collections::BTreeMap::new());
        draft.refusal(paying())
    };
    refuses_a_fee_behind_the_spell => "malformed-transaction": {
        let mut draft = with(Vec::new());
        draft.after_spell = vec![output(MOST, p2tr(9))];
        draft.refusal(paying())
    };
    refuses_a_payout_in_the_place_of_the_fee => "wrong-destination": silent_about_the_last_payout();
    refuses_a_fee_that_leaves_the_miners_too_little => "fee-rate-too-low": {
        let world = World::new(Setup {
            params: &|params| params.prover_fee_max = Amount::from_sat(10_000_000),
            ..Setup::default()
        });
        let mut draft = world.usual().draft;
        let approved = world.approve(&draft.propose(&world)).unwrap();
        draft.uncommitted = vec![output(approved.get().signing().fee.to_sat() - 1_000, p2tr(9))];
        draft.refusal(&world)
    };
}
