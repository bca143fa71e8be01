//! Moving to the next roster.

use charms_data::Data;
use grail_bridge_contract::{RosterState, Side, StateError, Violation};

use crate::{
    spell::{DUST, NEXT_VAULT, Spell, USER, VAULT, rotated, script, state, token},
    steps::moves,
};

/// A rotation that brings along a vault worth `vault`, of which `supply` is zkBTC.
fn rotation(supply: u64, vault: u64) -> Spell {
    Spell::execution(&state(supply), &rotated(supply))
        .input(VAULT, vault)
        .output(NEXT_VAULT, vault)
}

#[test]
fn accepts_a_rotation_that_moves_the_whole_vault() {
    rotation(5_000, 5_000).accepted();
    rotation(5_000, 5_300).accepted();
}

#[test]
fn accepts_a_rotation_of_an_empty_bridge() {
    Spell::execution(&state(0), &rotated(0)).accepted();
}

#[test]
fn refuses_a_rotation_that_mints_or_burns() {
    Spell::execution(&state(5_000), &rotated(5_500))
        .input(VAULT, 5_000)
        .input(USER, 2_000)
        .output(NEXT_VAULT, 5_500)
        .tokens_out(500)
        .refused(&Violation::Changed);
    // Nor under the same supply, where nobody's books would show it.
    rotation(5_000, 5_000)
        .tokens_out(500)
        .refused(&Violation::TokenDelta {
            supply: 0,
            tokens: 500,
        });
    rotation(5_000, 5_000)
        .tokens_out(500)
        .judged_as(token())
        .refused(&Violation::UnbalancedWithoutSettlement {
            tokens_in: 0,
            tokens_out: 500,
        });
    rotation(5_000, 5_000).tokens_in(5).tokens_out(5).accepted();
}

#[test]
fn accepts_new_params_for_the_same_roster_without_moving_the_vault() {
    let new = RosterState {
        epoch: 4,
        params_hash: [1; 32],
        ..state(5_000)
    };
    Spell::execution(&state(5_000), &new).accepted();
    Spell::execution(&state(5_000), &new)
        .input(VAULT, 100)
        .output(VAULT, 100)
        .accepted();
}

#[test]
fn refuses_a_rotation_that_leaves_backing_behind() {
    Spell::execution(&state(5_000), &rotated(5_000)).refused(&Violation::RotationUnbacked {
        vault: 0,
        supply: 5_000,
    });
    rotation(5_000, 4_999).refused(&Violation::RotationUnbacked {
        vault: 4_999,
        supply: 5_000,
    });
}

#[test]
fn refuses_a_rotation_that_spends_a_coin_of_the_new_vault() {
    rotation(5_000, 5_000)
        .input(NEXT_VAULT, 300)
        .refused(&Violation::RotationSpendsNewVault);
}

#[test]
fn refuses_a_rotation_that_pays_the_old_vault() {
    rotation(5_000, 5_000)
        .output(VAULT, 300)
        .refused(&Violation::RotationPaysOldVault);
}

#[test]
fn refuses_a_rotation_that_loses_a_satoshi() {
    Spell::execution(&state(5_000), &rotated(5_000))
        .input(VAULT, 5_001)
        .output(NEXT_VAULT, 5_000)
        .refused(&Violation::VaultDelta {
            supply: 0,
            vault: -1,
        });
}

#[test]
fn refuses_a_rotation_whose_nft_stays_at_the_old_vault() {
    rotation(5_000, 5_000)
        .with(|tx| tx.coin_outs.as_mut().unwrap()[0].dest = state(0).vault_script)
        .refused(&Violation::NftNotAtVault(Side::Out));
}

#[test]
fn refuses_an_epoch_that_is_skipped_or_falls() {
    for to in [0, 2, 3, 5, u64::MAX] {
        let new = RosterState {
            epoch: to,
            ..state(0)
        };
        Spell::execution(&state(0), &new).refused(&Violation::Epoch { from: 3, to });
    }
    // Every other action stays in its epoch, or it would be an execution without its rules.
    for (action, old, new) in moves() {
        let new = RosterState { epoch: 4, ..new };
        Spell::step(action, &old, &new).refused(&Violation::Epoch { from: 3, to: 4 });
    }
}

#[test]
fn refuses_to_wrap_the_epoch() {
    let last = RosterState {
        epoch: u64::MAX,
        ..state(0)
    };
    Spell::settlement(&last, &last).accepted();
    let wrapped = RosterState {
        epoch: 0,
        ..state(0)
    };
    Spell::execution(&last, &wrapped).refused(&Violation::Epoch {
        from: u64::MAX,
        to: 0,
    });
}

#[test]
fn refuses_a_rotation_to_an_invalid_roster() {
    let mut twice = rotated(0);
    twice.signers[1] = twice.signers[0];
    let few = RosterState {
        signers: rotated(0).signers[..3].to_vec(),
        threshold: 3,
        ..rotated(0)
    };
    let split = RosterState {
        threshold: 8,
        ..rotated(0)
    };
    let cases = [
        (twice, StateError::SignersNotAscending),
        (few, StateError::SignerCount(3)),
        (
            split,
            StateError::Threshold {
                threshold: 8,
                signers: 16,
            },
        ),
    ];
    for (new, error) in cases {
        Spell::execution(&state(0), &new).refused(&Violation::State {
            side: Side::Out,
            error,
        });
    }
}

#[test]
fn refuses_zkbtc_at_either_vault_during_a_rotation() {
    let zkbtc = || [(token(), Data::from(&5_u64))];
    for vault in [VAULT, NEXT_VAULT] {
        rotation(5_000, 5_000)
            .input_at(script(vault), DUST, zkbtc())
            .tokens_out(5)
            .refused(&Violation::TokensAtVault(Side::In));
        rotation(5_000, 5_000)
            .tokens_in(5)
            .output_at(script(vault), DUST, zkbtc())
            .refused(&Violation::TokensAtVault(Side::Out));
    }
}
