//! The steps of a rotation, and the single faults of format 2's rules, which `single_fault` has of
//! the others.

use charms_data::{App, B32, Data};
use grail_bridge_contract::{
    Action, MAX_SUPPLY_SAT, Next, RosterState, Side, StateError, Violation,
};

use crate::{
    single_fault::{bad_state, deployment, first, next, only, only_with, with_new_state},
    spell::{DUST, NEXT_VAULT, Spell, USER, VAULT, announced, nft, rotated, script, state, token},
};

/// The state that announces the rotation to `rotated`, from `state`.
fn announcing() -> RosterState {
    let hash = rotated(5_000).next_hash();
    RosterState {
        serial: 9,
        attempt: 1,
        next: Some(Next {
            hash,
            serial: 9,
            wait: 144,
        }),
        ..state(5_000)
    }
}

/// One of each action that stays in its epoch, with the states before and after.
pub fn moves() -> [(Action, RosterState, RosterState); 3] {
    let waiting = announced(&state(5_000), &rotated(5_000));
    let cancelled = RosterState {
        serial: 9,
        next: None,
        ..waiting.clone()
    };
    [
        (Action::Settle, state(5_000), next()),
        (Action::Announce, state(5_000), announcing()),
        (Action::Cancel, waiting, cancelled),
    ]
}

fn announcement() -> Spell {
    let [_, (action, old, new), _] = moves();
    Spell::step(action, &old, &new)
}

fn cancellation() -> Spell {
    let [_, _, (action, old, new)] = moves();
    Spell::step(action, &old, &new)
}

fn execution() -> Spell {
    Spell::execution(&state(5_000), &rotated(5_000))
        .input(VAULT, 5_000)
        .output(NEXT_VAULT, 5_000)
}

/// The state that `execution` ends in.
fn executed() -> RosterState {
    RosterState {
        serial: 9,
        attempt: 1,
        ..rotated(5_000)
    }
}

/// `honest`, which leaves `new`, passes; leaving what `change` makes of it, it does not.
fn only_leaving(
    honest: impl Fn() -> Spell,
    new: RosterState,
    change: impl FnOnce(&mut RosterState),
    violation: &Violation,
) {
    let mut other = new;
    change(&mut other);
    only_with(honest, with_new_state(other.to_data()), violation);
}

/// A state changed in one field.
type Change = fn(&mut RosterState);

const CHANGES: [Change; 9] = [
    |it| it.signers[15] = [0x99; 32],
    |it| it.threshold = 13,
    |it| it.supply += 1,
    |it| it.params_hash[0] ^= 1,
    |it| it.governance[0] ^= 1,
    |it| it.attempt += 1,
    |it| it.outflow += 1,
    |it| {
        it.spell_min += 1;
        it.spell_max = 99;
    },
    |it| it.spell_max += 1,
];

#[test]
fn r50_an_announcement_that_none_can_be() {
    let with = |serial, wait| {
        let hash = [1; 32];
        let next = Some(Next { hash, serial, wait });
        RosterState {
            next,
            ..announcing()
        }
        .to_data()
    };
    let old = || RosterState {
        next: Some(Next {
            hash: [1; 32],
            serial: 1,
            wait: 1,
        }),
        ..state(5_000)
    };
    let honest = || {
        let new = RosterState { serial: 9, ..old() };
        Spell::succession(&old(), &new)
    };
    for (serial, wait) in [(0, 1), (10, 1), (1, 0)] {
        let error = StateError::Next(serial, wait);
        let side = Side::Out;
        let violation = Violation::State { side, error };
        only_with(honest, with_new_state(with(serial, wait)), &violation);
    }
}

#[test]
fn r51_more_outflow_than_bitcoin() {
    let most = || {
        let outflow = MAX_SUPPLY_SAT;
        Spell::succession(&state(5_000), &RosterState { outflow, ..next() })
    };
    most().accepted();
    let outflow = MAX_SUPPLY_SAT + 1;
    let new = RosterState { outflow, ..next() };
    bad_state(new.to_data(), StateError::Outflow(outflow));
}

#[test]
fn r52_spell_versions_from_before_the_bridge() {
    let new = RosterState {
        spell_min: 14,
        ..next()
    };
    bad_state(new.to_data(), StateError::SpellVersions(14, 15));
}

#[test]
fn r53_a_deployment_with_an_attempt_or_with_outflow() {
    let changes: [fn(&mut RosterState); 2] = [|it| it.attempt = 1, |it| it.outflow = 1];
    for change in changes {
        only_leaving(deployment, first(), change, &Violation::DeployLimits);
    }
}

#[test]
fn r54_an_announcement_over_another_or_of_another_serial_or_of_nothing() {
    let announcement_at = |old: &RosterState| {
        let mut new = announcing();
        new.attempt = old.attempt + 1;
        Spell::step(Action::Announce, old, &new)
    };
    let violation = Violation::Announcement;
    announcement_at(&state(5_000)).accepted();
    announcement_at(&announced(&state(5_000), &rotated(5_000))).refused(&violation);
    for serial in [1, 8] {
        let stale = |it: &mut RosterState| it.next.as_mut().unwrap().serial = serial;
        only_leaving(announcement, announcing(), stale, &violation);
    }
    only_leaving(announcement, announcing(), |it| it.next = None, &violation);
}

#[test]
fn r55_an_announcement_that_changes_more_or_does_not_count() {
    for change in CHANGES {
        let violation = Violation::Changed;
        only_leaving(announcement, announcing(), change, &violation);
    }
    let uncounted = |it: &mut RosterState| it.attempt = 0;
    let violation = Violation::Changed;
    only_leaving(announcement, announcing(), uncounted, &violation);
}

#[test]
fn r56_a_cancel_of_nothing() {
    cancellation().accepted();
    Spell::step(Action::Cancel, &state(5_000), &next()).refused(&Violation::NotAnnounced);
}

#[test]
fn r57_a_cancel_that_changes_more_or_nothing() {
    let [_, _, (_, old, new)] = moves();
    for change in CHANGES {
        let violation = Violation::Changed;
        only_leaving(cancellation, new.clone(), change, &violation);
    }
    let kept = |it: &mut RosterState| it.next.clone_from(&old.next);
    let violation = Violation::Changed;
    only_leaving(cancellation, new, kept, &violation);
}

#[test]
fn r58_an_execution_of_nothing() {
    execution().accepted();
    let mut old = announced(&state(5_000), &rotated(5_000));
    old.next = None;
    only_with(
        execution,
        |tx| _ = tx.ins[0].1.insert(nft(), old.to_data()),
        &Violation::NotAnnounced,
    );
}

#[test]
fn r59_an_execution_of_another_roster() {
    let covered: [fn(&mut RosterState); 6] = [
        |it| it.signers[15] = [0x99; 32],
        |it| it.threshold = 13,
        |it| it.params_hash[0] ^= 1,
        |it| it.governance[0] ^= 1,
        |it| {
            it.spell_min = 16;
            it.spell_max = 16;
        },
        |it| it.spell_max = 99,
    ];
    for change in covered {
        only_leaving(execution, executed(), change, &Violation::AnotherRoster);
    }
    // To another vault of the same people, along with all that lies in this one.
    let elsewhere = RosterState {
        vault_script: script(USER),
        ..executed()
    };
    only_with(
        execution,
        |tx| {
            tx.outs[0].insert(nft(), elsewhere.to_data());
            for coin in tx.coin_outs.as_mut().unwrap() {
                coin.dest = script(USER);
            }
        },
        &Violation::AnotherRoster,
    );
}

#[test]
fn r60_an_execution_that_changes_more() {
    let changes: [Change; 4] = [
        |it| it.supply += 1,
        |it| it.attempt = 0,
        |it| it.outflow += 1,
        |it| it.next = announced(it, it).next,
    ];
    for change in changes {
        let violation = Violation::Changed;
        only_leaving(execution, executed(), change, &violation);
    }
}

#[test]
fn the_last_attempt_is_not_announced_over() {
    let old = RosterState {
        attempt: u64::MAX,
        ..state(5_000)
    };
    let wrapped = RosterState {
        attempt: 0,
        ..announcing()
    };
    Spell::step(Action::Announce, &old, &wrapped).refused(&Violation::Announcement);
    let stays = RosterState {
        attempt: u64::MAX,
        ..announcing()
    };
    Spell::step(Action::Announce, &old, &stays).refused(&Violation::Announcement);
}

fn announce(it: &mut RosterState) {
    it.attempt += 1;
    it.next = Some(Next {
        hash: rotated(0).next_hash(),
        serial: it.serial,
        wait: 9,
    });
}

#[test]
fn announced_cancelled_announced_again_and_executed() {
    let start = RosterState {
        attempt: 3,
        outflow: 77,
        ..state(5_000)
    };
    let mut now = start.clone();
    let mut step = |action, change: fn(&mut RosterState)| {
        let mut new = RosterState {
            serial: now.serial + 1,
            ..now.clone()
        };
        change(&mut new);
        Spell::step(action, &now, &new)
            .input_at(now.vault_script.clone(), 5_000, [])
            .output_at(new.vault_script.clone(), 5_000, [])
            .accepted();
        now = new;
    };
    step(Action::Announce, announce);
    step(Action::Settle, |it| it.outflow = 80);
    step(Action::Cancel, |it| it.next = None);
    step(Action::Announce, announce);
    for _ in 0..3 {
        step(Action::Settle, |_| {});
    }
    step(Action::Execute, |it| {
        *it = RosterState {
            serial: it.serial,
            supply: it.supply,
            attempt: it.attempt,
            outflow: it.outflow,
            ..rotated(0)
        };
    });
    step(Action::Announce, announce);
    assert_eq!((now.epoch, now.attempt, now.outflow), (4, 6, 80));
    assert_eq!(now.serial, start.serial + 9);
}

#[test]
fn no_step_but_a_settlement_moves_what_the_books_count() {
    for honest in [announcement, cancellation] {
        let with_vault = || honest().input(VAULT, 5_000).output(VAULT, 5_000);
        let vault = |vault| Violation::VaultDelta { supply: 0, vault };
        with_vault().accepted();
        for (sats, delta) in [(4_999, -1), (5_001, 1)] {
            only_with(
                with_vault,
                |tx| tx.coin_outs.as_mut().unwrap()[1].amount = sats,
                &vault(delta),
            );
        }
        only(with_vault, |spell| spell.output(VAULT, 330), &vault(330));
        let tokens = |tokens| Violation::TokenDelta { supply: 0, tokens };
        only(with_vault, |spell| spell.tokens_out(7), &tokens(7));
        only(with_vault, |spell| spell.tokens_in(7), &tokens(-7));
        // Nor by zkBTC's own rules, beside an NFT that does not settle.
        let balanced = || honest().tokens_in(7).tokens_out(7).judged_as(token());
        only(
            balanced,
            |spell| spell.tokens_out(1),
            &Violation::UnbalancedWithoutSettlement {
                tokens_in: 7,
                tokens_out: 8,
            },
        );
    }
    only(
        || execution().tokens_in(7).tokens_out(7).judged_as(token()),
        |spell| spell.tokens_in(1),
        &Violation::UnbalancedWithoutSettlement {
            tokens_in: 8,
            tokens_out: 7,
        },
    );
}

#[test]
fn one_action_never_passes_for_another() {
    for (action, old, new) in moves() {
        for called in Action::ALL {
            let verdict = Spell::step(called, &old, &new).judge();
            assert_eq!(verdict.is_ok(), called == action, "{called:?}: {verdict:?}");
        }
    }
    for called in Action::ALL {
        let verdict = execution().action(called).judge();
        assert_eq!(verdict.is_ok(), called == Action::Execute, "{called:?}");
    }
}

#[test]
fn every_action_is_silent_about_coins_and_charms_of_foreign_apps() {
    // Homes, cells, orders and tokens of apps: any tag, any charm, any amount, in and out, whether
    // or not they balance, and with an input that the app's own contract reads.
    let app = |tag, seed| App {
        tag,
        identity: B32([seed; 32]),
        vk: B32([0xef; 32]),
    };
    let spells = moves().map(|(action, old, new)| Spell::step(action, &old, &new));
    for spell in spells.into_iter().chain([execution(), deployment()]) {
        let mut crowded = spell;
        for (seed, tag) in (1..).zip(['t', 'n', 's', 'a', 'f', 'r', 'z']) {
            let app = app(tag, seed);
            let state = Data::from(&("state", u64::from(seed), vec![seed; 40]));
            crowded = crowded
                .input_at(script(seed), 7_000, [(app.clone(), state)])
                .output_at(
                    script(seed + 32),
                    u64::MAX,
                    [(app.clone(), Data::from(&"left"))],
                )
                .output_at(script(USER), DUST, [(app.clone(), Data::from(&u64::MAX))])
                .with(|tx| {
                    let facts = Data::from(&(1, [seed; 32]));
                    tx.app_public_inputs.insert(app, facts);
                });
        }
        crowded.accepted();
    }
}
