//! Deposits of a former roster: which one is shown, whose they are, who signs for them.

use bitcoin::{XOnlyPublicKey, secp256k1::Keypair};
use grail_types::{Kind, Roster, Terms};

use crate::{
    refusals,
    support::{
        Draft, FORMER, Former, LATER, Peg, World, code, keypair, later_world, peg_in, peg_out,
        public,
        steps::{SPONSORED, succession},
    },
};

/// A settlement of these pegs, those marked of the former roster.
fn settling(world: &World, pegs: &[(Peg, bool)]) -> Draft {
    let (pegs, of_former): (Vec<_>, Vec<_>) = pegs.iter().cloned().unzip();
    let terms = (1..).zip(&pegs).zip(of_former);
    let terms = terms.map(|((nonce, peg), is_former)| {
        if is_former {
            world.former_terms(peg, nonce)
        } else {
            world.terms(peg, nonce)
        }
    });
    let deposits = world.deposits_for(&pegs, terms.collect());
    world.case_of(deposits, &|_| {}).draft
}

/// A peg-in and a peg-out of each roster: inputs 2 and 4 are the former one's.
fn mixed() -> Draft {
    let draft = settling(
        later_world(),
        &[
            (peg_in(1_000_000), true),
            (peg_out(700_000), false),
            (peg_out(600_000), true),
            (peg_in(2_000_000), false),
        ],
    );
    assert_eq!(draft.refusal(later_world()), "approved");
    draft
}

/// A settlement of the former roster's deposits alone.
fn of_former() -> Draft {
    let pegs = [(peg_in(1_000_000), true), (peg_out(700_000), true)];
    let draft = settling(later_world(), &pegs);
    assert_eq!(draft.refusal(later_world()), "approved");
    draft
}

fn changed(mut draft: Draft, change: impl FnOnce(&World, &mut Draft)) -> &'static str {
    change(later_world(), &mut draft);
    draft.refusal(later_world())
}

/// The settlement of the former roster's deposits, and the mixed one, changed.
fn old(change: impl FnOnce(&World, &mut Draft)) -> &'static str {
    changed(of_former(), change)
}

fn mix(change: impl FnOnce(&World, &mut Draft)) -> &'static str {
    changed(mixed(), change)
}

/// A former roster of this epoch and these keys.
fn roster(epoch: u64, keys: impl Iterator<Item = u16>) -> Roster {
    Former::new(epoch, keys.map(keypair), 3).roster
}

fn made_up() -> Roster {
    roster(FORMER, 950..954)
}

/// A peg-in to the former roster whose terms were changed before the deposit was made.
fn peg_in_for(change: impl Fn(&mut Terms)) -> &'static str {
    let world = later_world();
    let peg = peg_in(100_000);
    let mut terms = world.former_terms(&peg, 1);
    change(&mut terms);
    let deposits = world.deposits_for(&[peg], vec![terms]);
    world.case_of(deposits, &|_| {}).draft.refusal(world)
}

/// What this signer says of a settlement, and which inputs are its own.
fn signs(draft: &Draft, key: &XOnlyPublicKey) -> (&'static str, Vec<usize>) {
    let world = later_world();
    let outcome = world.approve_for(&draft.propose(world), key);
    let inputs = outcome.as_ref().map_or_else(
        |_| Vec::new(),
        |approved| approved.get().signing().inputs_of(key).collect(),
    );
    (code(&outcome), inputs)
}

fn number(number: u16) -> XOnlyPublicKey {
    public(&keypair(number))
}

#[test]
fn each_signs_the_inputs_of_the_rosters_that_it_is_in() {
    let draft = mixed();
    // Of both; of now's alone; of the former one alone; of neither.
    let all = vec![0, 1, 2, 3, 4, 5];
    assert_eq!(signs(&draft, &number(2)), ("approved", all));
    assert_eq!(signs(&draft, &number(9)), ("approved", vec![0, 1, 3, 5]));
    assert_eq!(signs(&draft, &number(802)), ("approved", vec![2, 4]));
    assert_eq!(signs(&draft, &number(17)), ("not-in-roster", vec![]));
    // Where nothing is theirs the former ones are not asked for.
    let own = settling(later_world(), &[(peg_in(100_000), false)]);
    assert_eq!(own.former, None);
    assert_eq!(signs(&own, &number(802)), ("not-in-roster", vec![]));
}

/// Attack 9: a roster of the attacker's own, with honest keys among it. What it opens is what he
/// paid there, and that mints no more than it holds.
#[test]
fn a_made_up_roster_opens_its_inventors_coin_and_nothing_else() {
    let honest: Vec<Keypair> = vec![keypair(9), keypair(802)];
    let keys = honest.iter().copied().chain((960..963).map(keypair));
    let invented = Former::new(2, keys, 4);
    let world = later_world().on(later_world().genesis.clone(), later_world().state.clone());
    let world = World {
        former: Some(invented),
        ..world
    };
    let pegs = [(peg_in(1_000_000), true), (peg_in(500_000), false)];
    let draft = settling(&world, &pegs);
    let proposal = draft.propose(&world);
    let approved = world.approve_for(&proposal, &number(9)).unwrap();
    let settlement = approved.get().as_settlement().unwrap();
    let coin = settlement.signing.prevouts[2].value.to_sat();
    let minted = settlement.items[0].minted;
    assert!(minted < coin);
    assert_eq!(
        settlement.after.supply,
        settlement.before.supply + minted + settlement.items[1].minted
    );
    // Honest signers whom it does not name sign nothing of it.
    let inputs: Vec<_> = settlement.signing.inputs_of(&number(1)).collect();
    assert_eq!(inputs, [0, 1, 3]);
    // Nor does it open a coin of the true roster.
    let stolen = changed(of_former(), |_, draft| draft.former = Some(made_up()));
    assert_eq!(stolen, "deposit-mismatch");
}

#[test]
fn the_two_rosters_weigh_what_their_own_quorums_do() {
    let world = later_world();
    let proposal = mixed().propose(world);
    let judged = world.judge(&proposal).unwrap();
    let expected = crate::support::model::signed_weight(world, &proposal);
    assert_eq!(judged.get().signing().weight.to_wu(), expected);
}

refusals! {
    refuses_a_former_roster_that_nobody_needs => "former-roster": {
        let draft = settling(later_world(), &[(peg_in(100_000), false)]);
        changed(draft, |_, draft| draft.former = Some(made_up()))
    };
    refuses_a_former_roster_of_another_epoch => "former-roster": old(|_, draft| {
        draft.former = Some(roster(FORMER + 1, 950..954));
    });
    refuses_a_former_roster_of_the_epoch_of_now => "former-roster": mix(|_, draft| {
        draft.former = Some(roster(LATER, 950..954));
    });
    refuses_a_former_roster_of_an_epoch_to_come => "former-roster": mix(|_, draft| {
        draft.former = Some(roster(LATER + 1, 950..954));
    });
    refuses_a_deposit_whose_former_roster_is_not_shown => "terms-unfit": old(|_, draft| {
        draft.former = None;
    });
    refuses_deposits_of_a_second_former_epoch => "terms-unfit": mix(|_, draft| {
        draft.requests[0].epoch.0 += 1;
    });
    refuses_a_deposit_of_an_epoch_to_come => "terms-unfit": mix(|_, draft| {
        draft.requests[1].epoch.0 += 1;
    });
    refuses_another_former_roster_than_the_deposits => "deposit-mismatch": old(|_, draft| {
        draft.former = Some(made_up());
    });
    refuses_one_signer_less_among_the_former => "deposit-mismatch": old(|_, draft| {
        let kept = (1..=3).chain(801..=803);
        draft.former = Some(Former::new(FORMER, kept.map(keypair), 5).roster);
    });
    refuses_a_lower_threshold_of_the_former => "deposit-mismatch": old(|world, draft| {
        let keys = world.former.as_ref().unwrap().keys.iter().copied();
        draft.former = Some(Former::new(FORMER, keys, 4).roster);
    });
    refuses_todays_terms_for_a_former_deposit => "deposit-mismatch": mix(|_, draft| {
        draft.requests[0].epoch.0 = LATER;
    });
    refuses_former_terms_for_a_deposit_of_today => "deposit-mismatch": mix(|_, draft| {
        draft.requests[3].epoch.0 = FORMER;
    });
    refuses_a_former_deposit_whose_delay_is_of_other_params => "terms-unfit": peg_in_for(|terms| {
        terms.reclaim_delay = 9_000;
    });
    refuses_a_sponsor_of_a_former_roster => "terms-unfit": {
        let world = later_world();
        let peg = Peg {
            kind: Kind::SponsorAnnounce,
            amount: SPONSORED,
            fee_cap: SPONSORED,
            ..peg_in(SPONSORED)
        };
        let terms = world.former_terms(&peg, 1);
        let deposit = world.deposits_for(&[peg], vec![terms]).remove(0);
        let step = world.announcement(&succession(world));
        world.step_paid_by(step, deposit).refusal(world)
    };
    refuses_a_former_sponsor_in_a_settlement => "terms-unfit": old(|_, draft| {
        draft.requests[0].kind = Kind::SponsorExecute;
    });
}
