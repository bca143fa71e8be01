//! The NFT in a settlement: one on each side, in its place, within its epoch; and what the spell
//! may ask for.

use charms_data::{App, B32, Data, is_simple_transfer};
use grail_bridge_contract::{Action, RosterState, Side, StateError, Violation};

use crate::spell::{
    DUST, NEXT_VAULT, Spell, USER, VAULT, nft, peg_in, rotated, script, state, token,
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
    let changes: [(&str, RosterState); 4] = [
        (
            "signers",
            RosterState {
                signers: other.signers,
                ..state(0)
            },
        ),
        (
            "threshold",
            RosterState {
                threshold: 13,
                ..state(0)
            },
        ),
        (
            "vault_script",
            RosterState {
                vault_script: other.vault_script,
                ..state(0)
            },
        ),
        (
            "params_hash",
            RosterState {
                params_hash: other.params_hash,
                ..state(0)
            },
        ),
    ];
    for (field, new) in changes {
        Spell::settlement(&state(0), &new).refused(&Violation::ChangedInEpoch { field });
    }
}

/// A settlement and a rotation, each netted, from serial `from` to serial `to`.
fn from_serial_to(from: u64, to: u64) -> [Spell; 2] {
    [(state(5_000), VAULT), (rotated(5_000), NEXT_VAULT)].map(|(new, vault)| {
        let old = RosterState {
            serial: from,
            ..state(5_000)
        };
        Spell::succession(&old, &RosterState { serial: to, ..new })
            .input(VAULT, 5_000)
            .tokens_in(700)
            .output(vault, 5_000)
            .tokens_out(700)
    })
}

#[test]
fn accepts_the_next_serial() {
    for from in [0, 8, u64::MAX - 1] {
        for spell in from_serial_to(from, from + 1) {
            spell.accepted();
        }
    }
}

#[test]
fn refuses_a_serial_that_stays() {
    for serial in [0, 8] {
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
