//! Who pays, in each of the steps.

use bitcoin::Transaction;
use grail_txbuild::Deposit;
use grail_types::{BoundedVec, Kind, Network, Terms};

use super::{announced, announcing, sponsors_of};
use crate::{
    refusals,
    support::{
        Peg, StepDraft, World, code, input, p2tr, peg_in, peg_out,
        steps::{SPONSORED, succession},
        world,
    },
};

refusals! {
    refuses_a_step_that_nobody_pays => "empty": announcing(|_, step| {
        *sponsors_of(step) = BoundedVec::default();
    });
    refuses_a_deposit_that_nobody_explains => "wrong-count": announcing(|world, step| {
        let (deposit, made) = world.sponsor(Kind::SponsorAnnounce, 2, SPONSORED);
        step.draft.transaction.input.push(input(deposit.coin.outpoint));
        step.draft.previous.push(made);
    });
    refuses_a_sponsor_of_another_step => "terms-unfit": paid_by(|it| it.kind = Kind::SponsorCancel);
    refuses_a_peg_in_as_a_sponsor => "terms-unfit": paid_by(|it| it.kind = Kind::PegIn);
    refuses_a_sponsor_of_another_epoch => "terms-unfit": paid_by(|it| it.epoch.0 += 1);
    refuses_a_sponsor_of_another_network => "terms-unfit": paid_by(|it| it.network = Network::Signet);
    refuses_a_sponsor_of_another_bridge => "terms-unfit": paid_by(|it| it.bridge.vk[0] ^= 1);
    refuses_a_sponsor_whose_reclaim_is_near => "terms-unfit": paid_by(|it| it.reclaim_delay = 1);
    refuses_a_sponsor_above_its_cap => "fee-above-cap": paid_by(|it| {
        it.fee_cap -= bitcoin::Amount::ONE_SAT;
    });
    refuses_a_sponsor_by_other_terms => "deposit-mismatch": announcing(|_, step| {
        let mut terms = sponsors_of(step).to_vec();
        terms[0].nonce[0] ^= 1;
        *sponsors_of(step) = BoundedVec::new(terms).unwrap();
    });
    refuses_a_sponsor_named_twice => "repeated-request": announcing(|_, step| {
        let mut terms = sponsors_of(step).to_vec();
        terms.push(terms[0].clone());
        *sponsors_of(step) = BoundedVec::new(terms).unwrap();
        // Two coins at the address of one request.
        let inputs = &mut step.draft.transaction.input;
        let first = inputs.last_mut().unwrap();
        let txid = first.previous_output.txid;
        let is_made = |made: &&mut Transaction| made.compute_txid() == txid;
        let made = step.draft.previous.iter_mut().find(is_made).unwrap();
        made.output.push(made.output[0].clone());
        first.previous_output.txid = made.compute_txid();
        let mut second = first.clone();
        second.previous_output.vout = 1;
        inputs.push(second);
    });
    refuses_zkbtc_of_a_sponsor => "unexpected-charms": {
        let peg = Peg { kind: Kind::PegOut, ..peg_out(700_000) };
        let mut terms = world().terms(&peg, 1);
        terms.kind = Kind::SponsorAnnounce;
        let (deposit, made) = world().deposits_for(&[peg], vec![terms]).remove(0);
        let step = announcing_paid(world(), deposit, made);
        step.refusal(world())
    };
    refuses_a_sponsor_in_a_settlement => "terms-unfit": {
        let mut case = world().case(&[peg_in(1_000_000)]);
        let (deposit, made) = world().sponsor(Kind::SponsorExecute, 5, SPONSORED);
        case.draft.transaction.input.push(input(deposit.coin.outpoint));
        case.draft.previous.push(made);
        case.draft.requests.push(deposit.terms);
        case.draft.refusal(world())
    };
}

/// The usual announcement, paid by a deposit of changed terms.
fn paid_by(change: impl Fn(&mut Terms)) -> &'static str {
    let peg = Peg {
        kind: Kind::SponsorAnnounce,
        amount: SPONSORED,
        fee_cap: SPONSORED,
        destination: p2tr(9),
    };
    let mut terms = world().terms(&peg, 1);
    change(&mut terms);
    let (deposit, made) = world().deposits_for(&[peg], vec![terms]).remove(0);
    announcing_paid(world(), deposit, made).refusal(world())
}

fn announcing_paid(world: &World, deposit: Deposit, made: Transaction) -> StepDraft {
    let mut step = world.announcing(&succession(world));
    let input = step.draft.transaction.input.last_mut().unwrap();
    input.previous_output = deposit.coin.outpoint;
    *sponsors_of(&mut step) = BoundedVec::new(vec![deposit.terms]).unwrap();
    step.draft.previous.push(made);
    step.draft.tidy_previous();
    step
}

#[test]
fn sponsors_of_one_step_pay_for_no_other() {
    let announced = announced();
    let steps = [
        (world(), world().announcing(&succession(world()))),
        (&announced, announced.cancelling()),
        (&announced, announced.executing(&succession(world()))),
        (world(), world().merging(&[5_000])),
    ];
    let kinds = [
        Kind::SponsorAnnounce,
        Kind::SponsorCancel,
        Kind::SponsorExecute,
        Kind::SponsorMerge,
    ];
    for (index, (world, step)) in steps.iter().enumerate() {
        for (other, kind) in kinds.into_iter().enumerate() {
            let (deposit, made) = world.sponsor(kind, 3, SPONSORED);
            let mut step = step.clone();
            let input = step.draft.transaction.input.last_mut().unwrap();
            input.previous_output = deposit.coin.outpoint;
            *sponsors_of(&mut step) = BoundedVec::new(vec![deposit.terms]).unwrap();
            step.draft.previous.push(made);
            step.draft.tidy_previous();
            let expected = if index == other {
                "approved"
            } else {
                "terms-unfit"
            };
            assert_eq!(code(&step.approve(world)), expected, "{index} by {kind:?}");
        }
    }
}
