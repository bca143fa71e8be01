//! The NFT in a settlement: one on each side, in its place, within its epoch; and what the spell
//! may ask for.

use charms_data::{App, B32, Data, is_simple_transfer};
use grail_bridge_contract::{Action, MAX_SUPPLY_SAT, RosterState, Side, StateError, Violation};

use crate::spell::{
    DUST, NEXT_VAULT, Spell, USER, VAULT, announced, nft, peg_in, rotated, script, state, token,
};

#[test]
fn refuses_a_settlement_without_the_nft() {
    let no_input = peg_in(1_000).with(|tx| tx.ins[0].1.clear());
    no_input.refused(&Violation::NftCount {
        side: Side::In,
        expected: 1,
        got: 0,
    });
    let no_output = peg_in(1_000).with(|tx| tx.outs[0].clear());
    no_output.refused(&Violation::NftCount {
        side: Side::Out,
        expected: 1,
        got: 0,
    });
}

#[test]
fn refuses_two_nfts() {
    peg_in(1_000)
        .output_at(script(VAULT), DUST, [(nft(), state(6_000).to_data())])
        .refused(&Violation::NftCount {
            side: Side::Out,
            expected: 1,
            got: 2,
        });
    peg_in(1_000)
        .input_at(script(VAULT), DUST, [(nft(), state(5_000).to_data())])
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 1,
            got: 2,
        });
}

#[test]
fn refuses_the_nft_of_another_bridge() {
    let other = App {
        identity: B32([5; 32]),
        ..nft()
    };
    Spell::settlement(&state(0), &state(0))
        .with(|tx| {
            tx.ins[0].1 = [(other, state(0).to_data())].into();
        })
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 1,
            got: 0,
        });
}

#[test]
fn refuses_the_nft_on_another_script() {
    peg_in(1_000)
        .with(|tx| tx.coin_outs.as_mut().unwrap()[0].dest = script(USER))
        .refused(&Violation::NftNotAtVault(Side::Out));
    peg_in(1_000)
        .with(|tx| tx.coin_ins.as_mut().unwrap()[0].dest = script(USER))
        .refused(&Violation::NftNotAtVault(Side::In));
}

#[test]
fn refuses_a_roster_changed_in_the_same_epoch() {
    let other = rotated(0);
    let changes: [fn(&mut RosterState, &RosterState); 9] = [
        |it, other| it.signers.clone_from(&other.signers),
        |it, _| it.threshold = 13,
        |it, other| it.vault_script.clone_from(&other.vault_script),
        |it, other| it.params_hash = other.params_hash,
        |it, other| it.governance = other.governance,
        |it, _| it.attempt += 1,
        |it, other| it.next = announced(it, other).next,
        |it, _| (it.spell_min, it.spell_max) = (16, 16),
        |it, _| it.spell_max = 16,
    ];
    for change in changes {
        let mut new = state(0);
        change(&mut new, &other);
        Spell::settlement(&state(0), &new).refused(&Violation::Changed);
    }
    // Nor is an announcement taken back on the way.
    let silent = RosterState {
        next: None,
        ..announced(&state(0), &other)
    };
    Spell::settlement(&announced(&state(0), &other), &silent).refused(&Violation::Changed);
}

#[test]
fn a_settlement_may_leave_any_outflow_and_keeps_an_announcement() {
    let old = announced(&state(5_000), &rotated(5_000));
    for outflow in [0, 1, MAX_SUPPLY_SAT] {
        let new = RosterState {
            outflow,
            ..old.clone()
        };
        Spell::settlement(&old, &new).accepted();
        Spell::settlement(&new, &old).accepted();
    }
}

/// A settlement and a rotation, each netted, from serial `from` to serial `to`.
fn from_serial_to(from: u64, to: u64) -> [Spell; 2] {
    let old = RosterState {
        serial: from,
        ..state(5_000)
    };
    let announced = announced(&old, &rotated(5_000));
    let executed = RosterState {
        attempt: announced.attempt,
        ..rotated(5_000)
    };
    [
        (Action::Settle, old, state(5_000), VAULT),
        (Action::Execute, announced, executed, NEXT_VAULT),
    ]
    .map(|(action, old, new, vault)| {
        Spell::step(action, &old, &RosterState { serial: to, ..new })
            .input(VAULT, 5_000)
            .tokens_in(700)
            .output(vault, 5_000)
            .tokens_out(700)
    })
}

#[test]
fn accepts_the_next_serial() {
    for from in [1, 8, u64::MAX - 1] {
        for spell in from_serial_to(from, from + 1) {
            spell.accepted();
        }
    }
}

#[test]
fn refuses_a_serial_that_stays() {
    for serial in [1, 8] {
        let violation = Violation::Serial {
            from: serial,
            to: serial,
        };
        for spell in from_serial_to(serial, serial) {
            spell.refused(&violation);
        }
    }
}

#[test]
fn refuses_a_serial_that_is_skipped_or_falls() {
    for to in [0, 7, 10, u64::MAX] {
        for spell in from_serial_to(8, to) {
            spell.refused(&Violation::Serial { from: 8, to });
        }
    }
}

#[test]
fn refuses_to_wrap_the_serial() {
    let from = u64::MAX;
    for to in [0, u64::MAX] {
        for spell in from_serial_to(from, to) {
            spell.refused(&Violation::Serial { from, to });
        }
    }
}

#[test]
fn the_nft_is_never_a_plain_transfer() {
    // Charms would move an NFT of tag `n` without this contract, as long as its state stays.
    for to in [8, 9] {
        let [netted, _] = from_serial_to(8, to);
        assert!(!is_simple_transfer(&nft(), &netted.tx));
        assert_eq!(netted.judge().is_ok(), to == 9);
    }
}

#[test]
fn refuses_a_garbled_state_on_either_side() {
    let error = StateError::NotAnArray;
    Spell::settlement(&state(0), &state(0))
        .with(|tx| _ = tx.ins[0].1.insert(nft(), Data::from(&7)))
        .refused(&Violation::State {
            side: Side::In,
            error: error.clone(),
        });
    Spell::settlement(&state(0), &state(0))
        .with(|tx| _ = tx.outs[0].insert(nft(), Data::empty()))
        .refused(&Violation::State {
            side: Side::Out,
            error,
        });
}

#[test]
fn refuses_every_public_input_but_the_exact_action() {
    let inputs = [
        Data::empty(),
        Data::from(&""),
        Data::from(&"Settle"),
        Data::from(&"settle "),
        Data::from(&"rotate"),
        Data::from(&b"settle".as_slice()),
        Data::from(&["settle"]),
        Data::from(&0),
        Data::from(&true),
    ];
    for x in inputs {
        peg_in(1_000)
            .public_input(x)
            .refused(&Violation::UnknownAction);
    }
}

#[test]
fn refuses_a_settlement_that_calls_itself_a_deployment() {
    peg_in(1_000)
        .action(Action::Deploy)
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 0,
            got: 1,
        });
}

#[test]
fn refuses_a_private_input() {
    let mut spell = peg_in(1_000);
    spell.w = Data::from(&0);
    spell.refused(&Violation::PrivateInput);
    let mut spell = peg_in(1_000).judged_as(token());
    spell.w = Data::from(&"");
    spell.refused(&Violation::PrivateInput);
}

#[test]
fn refuses_other_tags() {
    for tag in ['s', 'x', 'N', '\0'] {
        let mut spell = peg_in(1_000);
        spell.app.tag = tag;
        spell.refused(&Violation::Tag(tag));
    }
}
