//! Announcements.

use bitcoin::{Amount, Sequence};
use grail_policy::{Refusal, check_succession, wait_of};
use grail_spell::token_app;
use grail_types::{BoundedVec, Consent, ConsentStep, Network};

use super::{announced, announced_of, announcement, announcing, announcing_other, consents_of};
use crate::{
    refusals,
    support::{
        Setup, World,
        steps::{administrators, administrators_to_come, consents, governance_of, succession},
        world,
    },
};

refusals! {
    refuses_to_announce_over_another => "rotation-state": {
        let world = announced();
        world.announcing(&succession(&world)).refusal(&world)
    };
    refuses_a_roster_of_a_later_epoch => "succession-unfit": announcing_other(|it| {
        let signers = it.roster.signers().to_vec();
        let epoch = grail_types::Epoch(2);
        it.roster = grail_types::Roster::new(epoch, signers, it.roster.threshold()).unwrap();
    });
    refuses_another_carrier_of_the_nft => "succession-unfit": announcing_other(|it| {
        it.params = it.params.with(|values| values.nft_carrier += Amount::ONE_SAT).unwrap();
    });
    refuses_spells_that_nobody_can_hand_over_by => "succession-unfit": announcing_other(|it| {
        it.spell_min = world().state.spell_max + 1;
    });
    refuses_a_smaller_share_of_administrators => "succession-share": announcing_other(|it| {
        it.governance = governance_of(&administrators_to_come(), 3);
    });
    refuses_two_consents_of_three => "consent": consented(&[0, 2], |_| {});
    refuses_an_administrator_who_signs_twice => "consent": consented(&[0, 1, 1], |_| {});
    refuses_consents_out_of_order => "consent": consented(&[3, 1, 0], |_| {});
    refuses_consent_to_another_attempt => "consent": consented(&[0, 1, 3], |it| it.attempt += 1);
    refuses_consent_of_another_epoch => "consent": consented(&[0, 1, 3], |it| it.epoch.0 += 1);
    refuses_consent_to_another_roster => "consent": consented(&[0, 1, 3], |it| it.next[0] ^= 1);
    refuses_consent_by_other_evidence => "consent": consented(&[0, 1, 3], |it| {
        it.step = ConsentStep::Announce { evidence: [8; 32] };
    });
    refuses_consent_to_a_cancellation => "consent": consented(&[0, 1, 3], |it| {
        it.step = ConsentStep::Cancel;
    });
    refuses_consent_for_another_bridge => "consent": consented(&[0, 1, 3], |it| {
        it.bridge.app.identity[0] ^= 1;
    });
    refuses_the_consent_of_strangers => "consent": announcing(|world, step| {
        let consent = world.announcement_consent(&succession(world));
        *consents_of(step) = consents(&world.keys, &[0, 1, 3], &consent);
    });
    refuses_a_consent_of_nobody => "consent": announcing(|world, step| {
        let consent = world.announcement_consent(&succession(world));
        let mut signed = consents(&administrators(), &[0, 1, 3], &consent).into_inner();
        signed[2].administrator = 4;
        *consents_of(step) = BoundedVec::new(signed).unwrap();
    });
    refuses_a_newcomer_who_does_not_sign => "newcomer-silent": announcing(|_, step| {
        announced_of(step).newcomers = BoundedVec::default();
    });
    refuses_one_of_today_among_the_newcomers => "newcomer-silent": announcing(|world, step| {
        let consent = world.announcement_consent(&succession(world));
        announced_of(step).newcomers = consents(&administrators_to_come(), &[0, 1, 2, 3, 4], &consent);
    });
    refuses_a_newcomer_signed_for_by_another => "consent": announcing(|_, step| {
        let it = announced_of(step);
        let mut signed = it.newcomers.to_vec();
        signed[0].signature = it.consents[0].signature;
        it.newcomers = BoundedVec::new(signed).unwrap();
    });
    refuses_another_hash_than_the_rosters => "next-mismatch": announcing(|world, step| {
        step.set_state(world, |state| state.next.as_mut().unwrap().hash[0] ^= 1);
    });
    refuses_a_shorter_wait => "next-mismatch": announcing(|world, step| {
        step.set_state(world, |state| state.next.as_mut().unwrap().wait -= 1);
    });
    refuses_an_announcement_of_nothing => "next-mismatch": announcing(|world, step| {
        step.set_state(world, |state| state.next = None);
    });
    refuses_an_attempt_that_is_not_counted => "roster-changed": announcing(|world, step| {
        step.set_state(world, |state| state.attempt -= 1);
    });
    refuses_to_mint_in_an_announcement => "roster-changed": announcing(|world, step| {
        step.set_state(world, |state| state.supply += 1);
    });
    refuses_to_rest_the_outflow => "roster-changed": announcing(|world, step| {
        step.set_state(world, |state| state.outflow += 1);
    });
    refuses_more_zkbtc_than_can_leave_in_time => "wait-too-long": {
        let world = World::new(Setup {
            params: &|values| {
                values.deposit_max = Amount::from_sat(600_000_000);
                values.outflow_cap = Amount::from_sat(600_000_000);
                values.outflow_rate = Amount::from_sat(10_000);
                values.supply_max = Amount::from_sat(65_535 * 10_000);
            },
            genesis: &|world, draft| {
                let mut state = draft.state(world);
                state.supply = 65_535 * 10_000 + 1;
                draft.set_state(world, &state);
            },
            ..Setup::default()
        });
        // Planned by the state before that, whose supply could leave in time.
        world.announcing(&succession(&world)).refusal(&world)
    };
    refuses_a_notice_coin_at_another_script => "notice-coin": announcing(|world, step| {
        step.draft.transaction.output[2].script_pubkey = world.vault.script_pubkey.clone();
    });
    refuses_a_notice_coin_of_another_amount => "notice-coin": announcing(|_, step| {
        step.draft.raise(2, 1);
    });
    refuses_zkbtc_on_the_notice_coin => "notice-coin": announcing(|world, step| {
        let token = token_app(&world.bridge.app);
        step.draft.put_charm(2, &token, charms_data::Data::from(&1_u64));
    });
    refuses_an_announcement_without_its_coin => "vault-mismatch": announcing(|_, step| {
        step.draft.transaction.output.pop();
        step.draft.spell.tx.outs.pop();
    });
    refuses_a_satoshi_of_the_vault_for_the_miners => "vault-mismatch": announcing(|_, step| {
        step.draft.lower(1, 1);
    });
    refuses_to_leave_the_vaults_coin => "vault-not-spent": announcing(|_, step| {
        step.draft.transaction.input.remove(1);
    });
    refuses_an_age_of_the_nft_in_a_step => "malformed-transaction": announcing(|_, step| {
        step.draft.transaction.input[0].sequence = Sequence::from_height(1);
    });
    refuses_other_administrators_than_the_nft_names => "nft-governance": announcing(|_, step| {
        step.draft.governance = governance_of(&administrators_to_come(), 4);
    });
    refuses_a_step_of_another_epoch => "wrong-epoch": announcing(|_, step| {
        step.draft.epoch.0 += 1;
    });
    refuses_an_announcement_called_a_cancellation => "wrong-apps": announcing(|_, step| {
        let it = announced_of(step).clone();
        step.action = grail_wire::Action::Cancellation(grail_wire::Cancellation {
            consents: it.consents,
            sponsors: it.sponsors,
        });
    });
    refuses_a_step_that_pays_a_prover => "prover-fee": {
        let world = World::new(Setup {
            params: &|values| values.prover_fee_max = Amount::from_sat(10_000),
            ..Setup::default()
        });
        let mut step = world.announcing(&succession(&world));
        assert_eq!(step.refusal(&world), "approved");
        let output = crate::support::output(1_000, crate::support::p2wpkh(9));
        step.draft.uncommitted.push(output);
        step.refusal(&world)
    };
}

/// The usual announcement, consented to by these to something else.
fn consented(positions: &[u16], change: impl FnOnce(&mut Consent)) -> &'static str {
    announcing(|world, step| {
        let mut consent = world.announcement_consent(&succession(world));
        change(&mut consent);
        *consents_of(step) = consents(&administrators(), positions, &consent);
    })
}

#[test]
fn all_administrators_may_consent() {
    let mut step = announcement();
    let consent = world().announcement_consent(&succession(world()));
    *consents_of(&mut step) = consents(&administrators(), &[0, 1, 2, 3], &consent);
    assert_eq!(step.refusal(world()), "approved");
}

#[test]
fn the_wait_is_the_longest_of_notice_floor_and_exit() {
    let params = world()
        .params
        .with(|values| {
            values.outflow_rate = Amount::from_sat(1_000_000_000);
            values.notice = 40;
        })
        .unwrap();
    let wait = |network, supply| wait_of(network, &params, supply).unwrap();
    assert_eq!(wait(Network::Regtest, 0), 40);
    assert_eq!(wait(Network::Regtest, 40_000_000_000), 40);
    // One satoshi more takes a block more.
    assert_eq!(wait(Network::Regtest, 40_000_000_001), 41);
    assert_eq!(wait(Network::Mainnet, 40_000_000_001), 1_008);
    assert_eq!(wait(Network::Signet, 0), 40);
    assert_eq!(wait(Network::Regtest, 65_535_000_000_000), 65_535);
    assert!(wait_of(Network::Regtest, &params, 65_535_000_000_001).is_err());
}

#[test]
fn a_roster_to_come_keeps_the_networks_least_notice() {
    let mut succession = succession(world());
    let check = |network, succession: &_| {
        check_succession(network, &world().state, &world().params, succession)
    };
    let unfit = Refusal::SuccessionUnfit("its notice is below what the network demands");
    for (network, least) in [(Network::Signet, 36), (Network::Mainnet, 1_008)] {
        let mut with = |notice| {
            let params = succession.params.with(|values| values.notice = notice);
            succession.params = params.unwrap();
            check(network, &succession)
        };
        assert_eq!(with(least), Ok(()));
        assert_eq!(with(least - 1), Err(unfit.clone()));
    }
}
