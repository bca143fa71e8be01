//! Amounts and scripts: present, one per input and output, of Bitcoin.

use charms_data::{Data, Transaction};
use grail_bridge_contract::{Action, RosterState, Side, Violation};

use crate::spell::{DUST, Spell, USER, VAULT, coin, nft, script, state};

/// A settlement and a deployment, each with the same fault.
fn refused_everywhere(fault: impl Fn(&mut Transaction), violation: &Violation) {
    let first = RosterState {
        epoch: 0,
        serial: 0,
        ..state(0)
    };
    Spell::settlement(&state(5_000), &state(5_000))
        .input(VAULT, 5_000)
        .output(VAULT, 5_000)
        .with(&fault)
        .refused(violation);
    Spell::new(nft())
        .action(Action::Deploy)
        .input(USER, 10_000)
        .input(USER, 10_000)
        .output_at(script(VAULT), DUST, [(nft(), first.to_data())])
        .output(USER, 10_000)
        .with(&fault)
        .refused(violation);
}

#[test]
fn refuses_missing_coins() {
    refused_everywhere(|tx| tx.coin_ins = None, &Violation::CoinsMissing(Side::In));
    refused_everywhere(
        |tx| tx.coin_outs = None,
        &Violation::CoinsMissing(Side::Out),
    );
}

#[test]
fn refuses_fewer_coins_than_inputs_or_outputs() {
    refused_everywhere(
        |tx| _ = tx.coin_ins.as_mut().unwrap().pop(),
        &Violation::CoinCount {
            side: Side::In,
            expected: 2,
            got: 1,
        },
    );
    refused_everywhere(
        |tx| _ = tx.coin_outs.as_mut().unwrap().pop(),
        &Violation::CoinCount {
            side: Side::Out,
            expected: 2,
            got: 1,
        },
    );
}

#[test]
fn refuses_more_coins_than_inputs_or_outputs() {
    let extra = || coin(script(VAULT), 1_000);
    refused_everywhere(
        |tx| tx.coin_ins.as_mut().unwrap().push(extra()),
        &Violation::CoinCount {
            side: Side::In,
            expected: 2,
            got: 3,
        },
    );
    refused_everywhere(
        |tx| tx.coin_outs.as_mut().unwrap().push(extra()),
        &Violation::CoinCount {
            side: Side::Out,
            expected: 2,
            got: 3,
        },
    );
}

#[test]
fn refuses_coins_of_another_ledger() {
    refused_everywhere(
        |tx| tx.coin_ins.as_mut().unwrap()[1].content = Some(Data::from(&"")),
        &Violation::ForeignCoin(Side::In),
    );
    refused_everywhere(
        |tx| tx.coin_outs.as_mut().unwrap()[1].content = Some(Data::from(&1)),
        &Violation::ForeignCoin(Side::Out),
    );
}

#[test]
fn refuses_vault_coins_whose_sum_overflows() {
    let spell = || Spell::settlement(&state(5_000), &state(5_000));
    spell()
        .input(VAULT, u64::MAX)
        .input(VAULT, 1)
        .refused(&Violation::CoinOverflow(Side::In));
    spell()
        .output(VAULT, u64::MAX)
        .output(VAULT, 1)
        .refused(&Violation::CoinOverflow(Side::Out));
    spell()
        .input(VAULT, u64::MAX)
        .output(VAULT, u64::MAX)
        .accepted();
}

#[test]
fn judges_the_widest_differences() {
    Spell::settlement(&state(0), &state(0))
        .input(VAULT, u64::MAX)
        .refused(&Violation::VaultDelta {
            supply: 0,
            vault: -i128::from(u64::MAX),
        });
    Spell::settlement(&state(0), &state(0))
        .output(VAULT, u64::MAX)
        .refused(&Violation::VaultDelta {
            supply: 0,
            vault: u64::MAX.into(),
        });
    Spell::settlement(&state(0), &state(0))
        .tokens_out(u64::MAX)
        .refused(&Violation::TokenDelta {
            supply: 0,
            tokens: u64::MAX.into(),
        });
}
