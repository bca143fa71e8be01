//! Moving vault coins, minting and burning within an epoch.

use charms_data::Data;
use grail_bridge_contract::{MAX_SUPPLY_SAT, Side, StateError, Violation};

use crate::spell::{DUST, Spell, USER, VAULT, foreign_token, nft, peg_in, script, state, token};

/// One peg-out of `amount` from a vault and supply of 5,000.
fn peg_out(amount: u64) -> Spell {
    Spell::settlement(&state(5_000), &state(5_000 - amount))
        .input(VAULT, 5_000)
        .tokens_in(amount)
        .output(VAULT, 5_000 - amount)
        .output(USER, amount)
}

#[test]
fn accepts_a_peg_in() {
    peg_in(1).accepted();
    peg_in(1_000_000).accepted();
    peg_in(1_000).judged_as(token()).accepted();
}

#[test]
fn accepts_the_first_peg_in() {
    Spell::settlement(&state(0), &state(700))
        .input(USER, 2_000)
        .output(VAULT, 700)
        .tokens_out(700)
        .accepted();
}

#[test]
fn accepts_a_peg_out() {
    peg_out(1).accepted();
    peg_out(1_000).accepted();
    peg_out(1_000).judged_as(token()).accepted();
}

#[test]
fn accepts_burning_the_whole_supply() {
    Spell::settlement(&state(5_000), &state(0))
        .input(VAULT, 5_000)
        .tokens_in(5_000)
        .output(USER, 5_000)
        .accepted();
}

#[test]
fn accepts_peg_ins_and_peg_outs_netted() {
    Spell::settlement(&state(10_000), &state(9_500))
        .input(VAULT, 6_000)
        .input(VAULT, 4_000)
        .input(USER, 1_000)
        .tokens_in(1_300)
        .tokens_in(1_200)
        .output(VAULT, 9_500)
        .tokens_out(900)
        .tokens_out(1_100)
        .output(USER, 2_500)
        .accepted();
}

#[test]
fn accepts_a_consolidation() {
    Spell::settlement(&state(5_000), &state(5_000))
        .input(VAULT, 2_000)
        .input(VAULT, 3_000)
        .input(USER, 900)
        .output(VAULT, 5_000)
        .accepted();
}

#[test]
fn accepts_a_supply_up_to_all_bitcoin_and_not_beyond() {
    let mint = |supply: u64| {
        Spell::settlement(&state(0), &state(supply))
            .output(VAULT, supply)
            .tokens_out(supply)
    };
    mint(MAX_SUPPLY_SAT).accepted();
    for got in [MAX_SUPPLY_SAT + 1, u64::MAX] {
        mint(got).refused(&Violation::State {
            side: Side::Out,
            error: StateError::Supply(got),
        });
    }
}

#[test]
fn refuses_to_mint_one_satoshi_too_many() {
    Spell::settlement(&state(5_000), &state(6_000))
        .input(VAULT, 5_000)
        .output(VAULT, 6_000)
        .tokens_out(1_001)
        .refused(&Violation::TokenDelta {
            supply: 1_000,
            tokens: 1_001,
        });
}

#[test]
fn refuses_to_mint_one_satoshi_too_few() {
    Spell::settlement(&state(5_000), &state(6_000))
        .input(VAULT, 5_000)
        .output(VAULT, 6_000)
        .tokens_out(999)
        .refused(&Violation::TokenDelta {
            supply: 1_000,
            tokens: 999,
        });
}

#[test]
fn refuses_a_vault_short_by_one() {
    Spell::settlement(&state(5_000), &state(6_000))
        .input(VAULT, 5_000)
        .output(VAULT, 5_999)
        .tokens_out(1_000)
        .refused(&Violation::VaultDelta {
            supply: 1_000,
            vault: 999,
        });
}

#[test]
fn refuses_a_vault_over_by_one() {
    Spell::settlement(&state(5_000), &state(6_000))
        .input(VAULT, 5_000)
        .output(VAULT, 6_001)
        .tokens_out(1_000)
        .refused(&Violation::VaultDelta {
            supply: 1_000,
            vault: 1_001,
        });
}

#[test]
fn refuses_a_supply_that_does_not_follow_the_mint() {
    Spell::settlement(&state(5_000), &state(5_000))
        .input(VAULT, 5_000)
        .output(VAULT, 6_000)
        .tokens_out(1_000)
        .refused(&Violation::TokenDelta {
            supply: 0,
            tokens: 1_000,
        });
}

#[test]
fn refuses_a_supply_that_grows_alone() {
    Spell::settlement(&state(5_000), &state(5_001))
        .input(VAULT, 5_000)
        .output(VAULT, 5_000)
        .refused(&Violation::TokenDelta {
            supply: 1,
            tokens: 0,
        });
}

#[test]
fn refuses_a_payout_without_a_burn() {
    Spell::settlement(&state(5_000), &state(5_000))
        .input(VAULT, 5_000)
        .output(VAULT, 4_000)
        .output(USER, 1_000)
        .refused(&Violation::VaultDelta {
            supply: 0,
            vault: -1_000,
        });
}

#[test]
fn refuses_a_donation_moved_out() {
    // 300 of the vault's coins were never pegged in; the settlement pays them to a user.
    Spell::settlement(&state(5_000), &state(4_000))
        .input(VAULT, 5_000)
        .input(VAULT, 300)
        .tokens_in(1_000)
        .output(VAULT, 4_000)
        .output(USER, 1_300)
        .refused(&Violation::VaultDelta {
            supply: -1_000,
            vault: -1_300,
        });
}

#[test]
fn refuses_zkbtc_minted_against_a_donation() {
    Spell::settlement(&state(5_000), &state(5_300))
        .input(VAULT, 5_000)
        .input(VAULT, 300)
        .output(VAULT, 5_300)
        .tokens_out(300)
        .refused(&Violation::VaultDelta {
            supply: 300,
            vault: 0,
        });
}

#[test]
fn accepts_a_donation_moved_from_vault_to_vault() {
    Spell::settlement(&state(5_000), &state(4_000))
        .input(VAULT, 5_300)
        .tokens_in(1_000)
        .output(VAULT, 4_300)
        .output(USER, 1_000)
        .accepted();
}

#[test]
fn does_not_count_the_coin_under_the_nft() {
    peg_in(1_000)
        .with(|tx| {
            tx.coin_ins.as_mut().unwrap()[0].amount = 700;
            tx.coin_outs.as_mut().unwrap()[0].amount = 330;
        })
        .accepted();
}

#[test]
fn refuses_a_vault_output_replaced_by_the_coin_under_the_nft() {
    peg_in(1_000)
        .with(|tx| {
            tx.coin_outs.as_mut().unwrap()[0].amount += 1_000;
            tx.coin_outs.as_mut().unwrap()[1].amount -= 1_000;
        })
        .refused(&Violation::VaultDelta {
            supply: 1_000,
            vault: 0,
        });
}

#[test]
fn counts_a_vault_coin_that_carries_a_foreign_charm() {
    let charm = || [(foreign_token(), Data::from(&5_u64))];
    let spell =
        || Spell::settlement(&state(5_000), &state(5_000)).input_at(script(VAULT), 5_000, charm());
    spell()
        .output(VAULT, 5_000)
        .output_at(script(USER), DUST, charm())
        .accepted();
    spell().output_at(script(VAULT), 5_000, charm()).accepted();
    spell().output(USER, 5_000).refused(&Violation::VaultDelta {
        supply: 0,
        vault: -5_000,
    });
}

#[test]
fn foreign_apps_and_references_change_nothing() {
    let (reference, charms) = (crate::spell::utxo(99), [(nft(), state(9).to_data())].into());
    peg_in(1_000)
        .input_at(
            script(USER),
            DUST,
            [(foreign_token(), Data::from(&u64::MAX))],
        )
        .output_at(
            script(USER),
            DUST,
            [(foreign_token(), Data::from(&"anything"))],
        )
        .with(|tx| {
            let shown = crate::spell::shown(&crate::spell::previous(&[script(USER)]));
            tx.prev_txs.insert(reference.0, shown);
            tx.refs.push((reference, charms));
            tx.app_public_inputs
                .insert(foreign_token(), Data::from(&"anything"));
        })
        .accepted();
}

#[test]
fn refuses_zkbtc_on_a_vault_coin() {
    peg_in(1_000)
        .input_at(script(VAULT), DUST, [(token(), Data::from(&5_u64))])
        .output(VAULT, DUST)
        .tokens_out(5)
        .refused(&Violation::TokensAtVault(Side::In));
    peg_in(1_000)
        .input(VAULT, DUST)
        .tokens_in(5)
        .output_at(script(VAULT), DUST, [(token(), Data::from(&5_u64))])
        .refused(&Violation::TokensAtVault(Side::Out));
}

#[test]
fn refuses_zkbtc_on_the_nft() {
    peg_in(1_000)
        .tokens_in(5)
        .with(|tx| _ = tx.outs[0].insert(token(), Data::from(&5_u64)))
        .refused(&Violation::TokensAtVault(Side::Out));
}
