//! zkBTC: conserved, or accounted for by a settlement.

use charms_data::{Data, is_simple_transfer};
use grail_bridge_contract::{Action, MAX_SUPPLY_SAT, Side, Violation};

use crate::spell::{DUST, Spell, USER, VAULT, foreign_token, nft, script, state, token};

fn zkbtc() -> Spell {
    Spell::new(token())
}

/// A mint of 5 that carries the NFT and asks for a settlement.
fn mint() -> Spell {
    Spell::settlement(&state(0), &state(5))
        .output(VAULT, 5)
        .tokens_out(5)
        .judged_as(token())
}

#[test]
fn accepts_a_transfer() {
    zkbtc().tokens_in(5).tokens_out(5).accepted();
    zkbtc()
        .tokens_in(5)
        .tokens_in(7)
        .tokens_out(4)
        .tokens_out(8)
        .accepted();
    zkbtc().tokens_in(u64::MAX).tokens_out(u64::MAX).accepted();
    zkbtc().accepted();
}

#[test]
fn zkbtc_is_never_a_plain_transfer() {
    // Charms would move a token of tag `t` without this contract, and so without a look at where it
    // comes from.
    let transfer = zkbtc().tokens_in(5).tokens_out(5);
    assert!(!is_simple_transfer(&token(), &transfer.tx));
}

#[test]
fn accepts_a_transfer_without_coins() {
    // Conservation needs no amounts of bitcoin.
    zkbtc()
        .tokens_in(5)
        .tokens_out(5)
        .with(|tx| (tx.coin_ins, tx.coin_outs) = (None, None))
        .accepted();
}

#[test]
fn accepts_a_mint_within_a_settlement() {
    mint().accepted();
}

#[test]
fn refuses_a_mint_without_the_nft() {
    let violation = Violation::NftCount {
        side: Side::In,
        expected: 1,
        got: 0,
    };
    zkbtc().tokens_out(1).refused(&violation);
    zkbtc().tokens_in(5).tokens_out(6).refused(&violation);
    zkbtc()
        .action(Action::Settle)
        .tokens_out(1)
        .refused(&violation);
    zkbtc().tokens_out(MAX_SUPPLY_SAT).refused(&violation);
}

#[test]
fn refuses_a_burn_without_the_nft() {
    let violation = Violation::NftCount {
        side: Side::In,
        expected: 1,
        got: 0,
    };
    zkbtc().tokens_in(1).refused(&violation);
    zkbtc()
        .action(Action::Settle)
        .tokens_in(6)
        .tokens_out(5)
        .refused(&violation);
}

#[test]
fn refuses_a_mint_with_the_nft_on_one_side_only() {
    mint()
        .with(|tx| tx.outs[0].clear())
        .refused(&Violation::NftCount {
            side: Side::Out,
            expected: 1,
            got: 0,
        });
    mint()
        .with(|tx| tx.ins[0].1.clear())
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 1,
            got: 0,
        });
}

#[test]
fn refuses_a_mint_with_two_nfts() {
    mint()
        .output_at(script(VAULT), DUST, [(nft(), state(5).to_data())])
        .refused(&Violation::NftCount {
            side: Side::Out,
            expected: 1,
            got: 2,
        });
}

#[test]
fn refuses_a_mint_or_burn_whose_nft_does_not_settle() {
    let violation = Violation::UnbalancedWithoutSettlement {
        tokens_in: 0,
        tokens_out: 5,
    };
    mint()
        .with(|tx| tx.app_public_inputs.clear())
        .refused(&violation);
    for x in [
        Data::empty(),
        Data::from(&"transfer"),
        Action::Deploy.to_data(),
    ] {
        mint()
            .with(|tx| _ = tx.app_public_inputs.insert(nft(), x))
            .refused(&violation);
    }
    Spell::settlement(&state(5), &state(0))
        .tokens_in(5)
        .with(|tx| tx.app_public_inputs.clear())
        .judged_as(token())
        .refused(&Violation::UnbalancedWithoutSettlement {
            tokens_in: 5,
            tokens_out: 0,
        });
}

#[test]
fn refuses_the_settlement_of_another_bridge() {
    let mut spell = mint();
    spell.app.identity = foreign_token().identity;
    let own = spell.app.clone();
    spell
        .output_at(script(USER), DUST, [(own, Data::from(&1_u64))])
        .refused(&Violation::NftCount {
            side: Side::In,
            expected: 1,
            got: 0,
        });
}

#[test]
fn refuses_a_public_input_for_zkbtc() {
    for x in [
        Data::from(&"settle"),
        Data::from(&""),
        Data::from(&0),
        Data::from(&[0; 0]),
    ] {
        zkbtc()
            .tokens_in(5)
            .tokens_out(5)
            .public_input(x)
            .refused(&Violation::TokenPublicInput);
    }
}

#[test]
fn refuses_amounts_that_are_no_positive_integers() {
    let amounts = [
        Data::from(&0_u64),
        Data::from(&-1_i64),
        Data::from(&(u128::from(u64::MAX) + 1)),
        Data::from(&1.0_f64),
        Data::from(&"1"),
        Data::from(&[1_u64]),
        Data::from(&true),
        Data::empty(),
    ];
    for amount in amounts {
        let charms = || [(token(), amount.clone())];
        zkbtc()
            .input_at(script(USER), DUST, charms())
            .refused(&Violation::TokenAmount(Side::In));
        zkbtc()
            .output_at(script(USER), DUST, charms())
            .refused(&Violation::TokenAmount(Side::Out));
        Spell::settlement(&state(0), &state(0))
            .output_at(script(USER), DUST, charms())
            .refused(&Violation::TokenAmount(Side::Out));
    }
}

#[test]
fn refuses_amounts_whose_sum_overflows() {
    // Wrapped around, the outputs would equal the inputs.
    zkbtc()
        .tokens_in(5)
        .tokens_out(u64::MAX)
        .tokens_out(6)
        .refused(&Violation::TokenOverflow(Side::Out));
    zkbtc()
        .tokens_in(u64::MAX)
        .tokens_in(6)
        .tokens_out(5)
        .refused(&Violation::TokenOverflow(Side::In));
    Spell::settlement(&state(0), &state(5))
        .output(VAULT, 5)
        .tokens_out(u64::MAX)
        .tokens_out(6)
        .refused(&Violation::TokenOverflow(Side::Out));
}

#[test]
fn other_tokens_do_not_count() {
    zkbtc()
        .tokens_in(5)
        .tokens_out(5)
        .output_at(script(USER), DUST, [(foreign_token(), Data::from(&9_u64))])
        .accepted();
}
