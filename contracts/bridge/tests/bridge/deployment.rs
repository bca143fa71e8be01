//! Creating the NFT.

use charms_data::{App, B32, Data};
use grail_bridge_contract::{Action, RosterState, Side, StateError, Violation, identity_of};

use crate::spell::{DUST, Spell, USER, VAULT, announced, nft, rotated, script, state, token, utxo};

fn first_state() -> RosterState {
    RosterState {
        epoch: 0,
        serial: 0,
        ..state(0)
    }
}

fn deployment(state: &RosterState) -> Spell {
    Spell::new(nft())
        .action(Action::Deploy)
        .input(USER, 10_000)
        .output_at(script(VAULT), DUST, [(nft(), state.to_data())])
}

#[test]
fn accepts_a_deployment() {
    deployment(&first_state()).accepted();
    deployment(&first_state())
        .input(USER, 5)
        .output(USER, 9_000)
        .accepted();
}

#[test]
fn identity_is_the_sha256_of_txid_and_little_endian_index() {
    let expected = "ec2fd806701a3f55808cbec3922c38dafaa3070c48c803e9043ee3642c660b46";
    let got = hex::encode(identity_of(&utxo(1)).0);
    assert_eq!(got, expected);
}

#[test]
fn refuses_an_identity_of_another_input() {
    // The right input is spent, but second.
    let spell = Spell::new(App {
        identity: identity_of(&utxo(1)),
        ..nft()
    });
    let app = spell.app.clone();
    spell
        .action(Action::Deploy)
        .input(USER, 10_000)
        .input(USER, 10_000)
        .output_at(script(VAULT), DUST, [(app, first_state().to_data())])
        .refused(&Violation::Identity);
}

#[test]
fn refuses_an_invented_identity() {
    let mut spell = deployment(&first_state());
    spell.app.identity = B32([9; 32]);
    spell.refused(&Violation::Identity);
}

#[test]
fn refuses_a_deployment_that_spends_nothing() {
    deployment(&first_state())
        .with(|tx| {
            tx.ins.clear();
            tx.coin_ins.as_mut().unwrap().clear();
        })
        .refused(&Violation::NoInput);
}

#[test]
fn refuses_a_deployment_that_spends_an_nft() {
    deployment(&first_state())
        .input_at(script(VAULT), DUST, [(nft(), first_state().to_data())])
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 0,
            got: 1,
        });
}

#[test]
fn refuses_a_deployment_of_no_nft_and_of_two() {
    let none = deployment(&first_state()).with(|tx| tx.outs[0].clear());
    none.refused(&Violation::NftCount {
        side: Side::Out,
        expected: 1,
        got: 0,
    });
    deployment(&first_state())
        .output_at(script(VAULT), DUST, [(nft(), first_state().to_data())])
        .refused(&Violation::NftCount {
            side: Side::Out,
            expected: 1,
            got: 2,
        });
}

#[test]
fn refuses_the_nft_on_another_output_than_the_first() {
    Spell::new(nft())
        .action(Action::Deploy)
        .input(USER, 10_000)
        .output(USER, 9_000)
        .output_at(script(VAULT), DUST, [(nft(), first_state().to_data())])
        .refused(&Violation::NftIndex(1));
}

#[test]
fn refuses_the_nft_outside_the_vault() {
    deployment(&first_state())
        .with(|tx| tx.coin_outs.as_mut().unwrap()[0].dest = script(USER))
        .refused(&Violation::NftNotAtVault(Side::Out));
}

#[test]
fn refuses_a_deployment_at_a_later_epoch() {
    deployment(&RosterState {
        epoch: 1,
        ..first_state()
    })
    .refused(&Violation::DeployEpoch(1));
    deployment(&RosterState {
        epoch: u64::MAX,
        ..first_state()
    })
    .refused(&Violation::DeployEpoch(u64::MAX));
}

#[test]
fn refuses_a_deployment_that_claims_earlier_settlements() {
    for serial in [1, u64::MAX] {
        deployment(&RosterState {
            serial,
            ..first_state()
        })
        .refused(&Violation::DeploySerial(serial));
    }
}

#[test]
fn refuses_a_deployment_with_supply() {
    deployment(&RosterState {
        supply: 1,
        ..first_state()
    })
    .refused(&Violation::DeploySupply(1));
}

#[test]
fn refuses_a_deployment_with_an_announcement_or_with_outflow() {
    let changes: [fn(&mut RosterState); 2] = [|it| it.attempt = 1, |it| it.outflow = 1];
    for change in changes {
        let mut state = first_state();
        change(&mut state);
        deployment(&state).refused(&Violation::DeployLimits);
    }
    // At serial 0 no announcement can have been made.
    let announced = RosterState {
        serial: 0,
        ..announced(&state(0), &rotated(0))
    };
    let error = StateError::Next(5, 144);
    deployment(&announced).refused(&Violation::State {
        side: Side::Out,
        error,
    });
}

#[test]
fn refuses_a_deployment_that_mints_or_spends_zkbtc() {
    deployment(&first_state())
        .tokens_out(1)
        .refused(&Violation::DeployTokens);
    deployment(&first_state())
        .tokens_in(1)
        .refused(&Violation::DeployTokens);
}

#[test]
fn refuses_a_deployment_with_an_invalid_or_garbled_state() {
    deployment(&RosterState {
        threshold: 8,
        ..first_state()
    })
    .refused(&Violation::State {
        side: Side::Out,
        error: StateError::Threshold {
            threshold: 8,
            signers: 16,
        },
    });
    deployment(&first_state())
        .with(|tx| _ = tx.outs[0].insert(nft(), Data::from(&"garbage")))
        .refused(&Violation::State {
            side: Side::Out,
            error: StateError::NotAnArray,
        });
}

#[test]
fn refuses_zkbtc_minted_beside_a_deployment() {
    deployment(&first_state())
        .tokens_out(1)
        .judged_as(token())
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 1,
            got: 0,
        });
}
