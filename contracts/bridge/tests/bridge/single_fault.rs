//! One test per rule of `docs/spec/bridge-contract.md`, named by its number: a spell that is
//! accepted, and the same spell with one fault, refused by that rule's code.

use charms_data::{App, B32, Data};
use ciborium::Value;
use grail_bridge_contract::{Action, MAX_SUPPLY_SAT, RosterState, Side, StateError, Violation};

use crate::spell::{
    DUST, NEXT_VAULT, Spell, USER, VAULT, foreign_token, nft, peg_in, previous, rotated, script,
    shown, spell_output, state, token, utxo,
};

/// `honest` passes; with `fault` it does not, for this reason.
pub fn only(honest: impl Fn() -> Spell, fault: impl FnOnce(Spell) -> Spell, violation: &Violation) {
    honest().accepted();
    fault(honest()).refused(violation);
}

/// The same, where the fault is one in the transaction.
pub fn only_with(
    honest: impl Fn() -> Spell,
    fault: impl FnOnce(&mut charms_data::Transaction),
    violation: &Violation,
) {
    only(honest, |spell| spell.with(fault), violation);
}

fn transfer() -> Spell {
    Spell::new(token()).tokens_in(5).tokens_out(5)
}

pub fn deployment() -> Spell {
    Spell::new(nft())
        .action(Action::Deploy)
        .input(USER, 10_000)
        .output_at(script(VAULT), DUST, [(nft(), first().to_data())])
        .output(USER, 9_000)
}

pub fn first() -> RosterState {
    RosterState {
        epoch: 0,
        serial: 0,
        ..state(0)
    }
}

/// A settlement that keeps a vault of 5,000.
pub fn quiet() -> Spell {
    Spell::settlement(&state(5_000), &state(5_000))
        .input(VAULT, 5_000)
        .output(VAULT, 5_000)
}

fn rotation() -> Spell {
    Spell::execution(&state(5_000), &rotated(5_000))
        .input(VAULT, 5_000)
        .output(NEXT_VAULT, 5_000)
}

/// The mint of [`peg_in`], judged by zkBTC's rules.
fn mint() -> Spell {
    peg_in(1_000).judged_as(token())
}

/// Puts `state` on the NFT's output of a quiet settlement.
pub fn with_new_state(new: Data) -> impl FnOnce(&mut charms_data::Transaction) {
    move |tx| _ = tx.outs[0].insert(nft(), new)
}

/// The state that a quiet settlement ends in.
pub fn next() -> RosterState {
    RosterState {
        serial: 9,
        ..state(5_000)
    }
}

pub fn bad_state(new: Data, error: StateError) {
    let side = Side::Out;
    only_with(
        quiet,
        with_new_state(new),
        &Violation::State { side, error },
    );
}

fn items(change: impl FnOnce(&mut Vec<Value>)) -> Data {
    let Value::Array(mut items) = next().to_data().value().unwrap() else {
        panic!("a state is an array");
    };
    change(&mut items);
    Data::from(&Value::Array(items))
}

fn nft_count(side: Side, expected: usize, got: usize) -> Violation {
    Violation::NftCount {
        side,
        expected,
        got,
    }
}

#[test]
fn r1_a_tag_that_the_bridge_has_not() {
    let retag = |mut spell: Spell| {
        spell.app.tag = 't';
        spell
    };
    only(transfer, retag, &Violation::Tag('t'));
}

#[test]
fn r2_a_private_input() {
    let whisper = |mut spell: Spell| {
        spell.w = Data::from(&0);
        spell
    };
    only(transfer, whisper, &Violation::PrivateInput);
    only(quiet, whisper, &Violation::PrivateInput);
}

#[test]
fn r3_a_public_input_for_zkbtc() {
    let ask = |spell: Spell| spell.public_input(Data::from(&"settle"));
    only(transfer, ask, &Violation::TokenPublicInput);
}

#[test]
fn r4_an_action_that_is_none() {
    let ask = |spell: Spell| spell.public_input(Data::from(&"Settle"));
    only(quiet, ask, &Violation::UnknownAction);
}

#[test]
fn r5_no_coins() {
    only_with(
        quiet,
        |tx| tx.coin_ins = None,
        &Violation::CoinsMissing(Side::In),
    );
    only_with(
        quiet,
        |tx| tx.coin_outs = None,
        &Violation::CoinsMissing(Side::Out),
    );
}

#[test]
fn r6_a_coin_too_few() {
    let count = |side| Violation::CoinCount {
        side,
        expected: 3,
        got: 2,
    };
    // The last coin is one that no sum counts.
    let spell = || quiet().input(USER, 700).output(USER, 600);
    only_with(
        spell,
        |tx| _ = tx.coin_ins.as_mut().unwrap().pop(),
        &count(Side::In),
    );
    only_with(
        spell,
        |tx| _ = tx.coin_outs.as_mut().unwrap().pop(),
        &count(Side::Out),
    );
}

#[test]
fn r7_a_coin_of_another_ledger() {
    only_with(
        quiet,
        |tx| tx.coin_ins.as_mut().unwrap()[1].content = Some(Data::from(&1)),
        &Violation::ForeignCoin(Side::In),
    );
}

#[test]
fn r8_vault_coins_beyond_counting() {
    let full = || {
        Spell::settlement(&state(5_000), &state(5_000))
            .input(VAULT, u64::MAX)
            .output(VAULT, u64::MAX)
    };
    only(
        full,
        |spell| spell.input(VAULT, 1),
        &Violation::CoinOverflow(Side::In),
    );
    only(
        full,
        |spell| spell.output(VAULT, 1),
        &Violation::CoinOverflow(Side::Out),
    );
}

#[test]
fn r9_an_amount_of_zero() {
    let nothing = || [(token(), Data::from(&0_u64))];
    only(
        transfer,
        |spell| spell.output_at(script(USER), DUST, nothing()),
        &Violation::TokenAmount(Side::Out),
    );
    only(
        transfer,
        |spell| spell.input_at(script(USER), DUST, nothing()),
        &Violation::TokenAmount(Side::In),
    );
}

#[test]
fn r10_amounts_beyond_counting() {
    let full = || Spell::new(token()).tokens_in(u64::MAX).tokens_out(u64::MAX);
    only(
        full,
        |spell| spell.tokens_out(1),
        &Violation::TokenOverflow(Side::Out),
    );
    only(
        full,
        |spell| spell.tokens_in(1),
        &Violation::TokenOverflow(Side::In),
    );
}

#[test]
fn r11_a_state_that_is_no_array() {
    bad_state(Data::from(&7), StateError::NotAnArray);
}

#[test]
fn r12_a_state_of_fifteen_items() {
    bad_state(
        items(|items| items.push(Value::Null)),
        StateError::Length(15),
    );
}

#[test]
fn r13_a_state_of_another_format() {
    bad_state(
        items(|items| items[0] = Value::from(1)),
        StateError::Format(1),
    );
}

#[test]
fn r14_an_item_of_another_type() {
    let error = StateError::Field {
        field: "serial",
        expected: "an unsigned 64-bit integer",
    };
    bad_state(items(|items| items[2] = Value::Text("9".into())), error);
}

/// A rotation to a roster that keeps the vault's script, and the same to a roster that is none.
fn bad_roster(change: impl FnOnce(&mut RosterState), error: StateError) {
    let old = state(5_000);
    let mut new = RosterState {
        epoch: 4,
        ..old.clone()
    };
    let rotation = |new: &RosterState| {
        Spell::execution(&old, new)
            .input(VAULT, 5_000)
            .output(VAULT, 5_000)
    };
    rotation(&new).accepted();
    // Announced as well: only that it is no roster is wrong with it.
    change(&mut new);
    let side = Side::Out;
    rotation(&new).refused(&Violation::State { side, error });
}

#[test]
fn r15_a_roster_of_three() {
    bad_roster(
        |new| {
            new.signers.truncate(3);
            new.threshold = 3;
        },
        StateError::SignerCount(3),
    );
}

#[test]
fn r16_a_signer_twice() {
    bad_roster(
        |new| new.signers[1] = new.signers[0],
        StateError::SignersNotAscending,
    );
}

#[test]
fn r17_a_threshold_of_half() {
    let error = StateError::Threshold {
        threshold: 8,
        signers: 16,
    };
    bad_roster(|new| new.threshold = 8, error);
}

#[test]
fn r18_a_vault_that_is_not_taproot() {
    // The NFT and the vault's coins go along to the script that is none.
    let other = [&[0x52, 0x20][..], &[NEXT_VAULT; 32]].concat();
    let new = RosterState {
        vault_script: other.clone(),
        ..rotated(5_000)
    };
    rotation().accepted();
    Spell::execution(&state(5_000), &new)
        .input(VAULT, 5_000)
        .output_at(other, 5_000, [])
        .refused(&Violation::State {
            side: Side::Out,
            error: StateError::VaultScript,
        });
}

#[test]
fn r19_more_zkbtc_than_bitcoin() {
    let mint_all = || {
        Spell::settlement(&state(0), &state(MAX_SUPPLY_SAT))
            .output(VAULT, MAX_SUPPLY_SAT)
            .tokens_out(MAX_SUPPLY_SAT)
    };
    let got = MAX_SUPPLY_SAT + 1;
    let one_more = RosterState {
        supply: got,
        ..next()
    };
    only_with(
        mint_all,
        |tx| {
            tx.outs[0].insert(nft(), one_more.to_data());
            tx.coin_outs.as_mut().unwrap()[1].amount = got;
            tx.outs[2].insert(token(), Data::from(&got));
        },
        &Violation::State {
            side: Side::Out,
            error: StateError::Supply(got),
        },
    );
}

#[test]
fn r20_a_deployment_out_of_nothing() {
    only_with(
        deployment,
        |tx| {
            tx.ins.clear();
            tx.coin_ins.as_mut().unwrap().clear();
            tx.prev_txs.clear();
        },
        &Violation::NoInput,
    );
}

#[test]
fn r21_a_deployment_from_another_input() {
    only_with(deployment, |tx| tx.ins[0].0.1 += 1, &Violation::Identity);
}

#[test]
fn r22_a_deployment_that_spends_an_nft() {
    only(
        deployment,
        |spell| spell.input_at(script(VAULT), DUST, [(nft(), first().to_data())]),
        &nft_count(Side::In, 0, 1),
    );
}

#[test]
fn r23_a_deployment_of_two_nfts() {
    only_with(
        deployment,
        |tx| {
            tx.outs[1].insert(nft(), first().to_data());
            tx.coin_outs.as_mut().unwrap()[1].dest = script(VAULT);
        },
        &nft_count(Side::Out, 1, 2),
    );
}

#[test]
fn r24_a_deployment_to_the_second_output() {
    only_with(
        deployment,
        |tx| {
            tx.outs.swap(0, 1);
            tx.coin_outs.as_mut().unwrap().swap(0, 1);
        },
        &Violation::NftIndex(1),
    );
}

#[test]
fn r25_a_deployment_away_from_its_vault() {
    only_with(
        deployment,
        |tx| tx.coin_outs.as_mut().unwrap()[0].dest = script(USER),
        &Violation::NftNotAtVault(Side::Out),
    );
}

fn deployed_with(change: impl FnOnce(&mut RosterState), violation: &Violation) {
    let mut other = first();
    change(&mut other);
    only_with(deployment, with_new_state(other.to_data()), violation);
}

#[test]
fn r26_a_deployment_at_epoch_one() {
    deployed_with(|state| state.epoch = 1, &Violation::DeployEpoch(1));
}

#[test]
fn r27_a_deployment_at_serial_one() {
    deployed_with(|state| state.serial = 1, &Violation::DeploySerial(1));
}

#[test]
fn r28_a_deployment_with_supply() {
    deployed_with(|state| state.supply = 1, &Violation::DeploySupply(1));
}

#[test]
fn r29_a_deployment_that_mints() {
    only(
        deployment,
        |spell| spell.tokens_out(1),
        &Violation::DeployTokens,
    );
}

#[test]
fn r30_a_settlement_with_two_nfts() {
    only(
        quiet,
        |spell| spell.output_at(script(VAULT), DUST, [(nft(), next().to_data())]),
        &nft_count(Side::Out, 1, 2),
    );
    only_with(quiet, |tx| tx.outs[0].clear(), &nft_count(Side::Out, 1, 0));
    only_with(quiet, |tx| tx.ins[0].1.clear(), &nft_count(Side::In, 1, 0));
}

#[test]
fn r31_an_nft_away_from_its_vault() {
    only_with(
        quiet,
        |tx| tx.coin_outs.as_mut().unwrap()[0].dest = script(USER),
        &Violation::NftNotAtVault(Side::Out),
    );
    only_with(
        quiet,
        |tx| tx.coin_ins.as_mut().unwrap()[0].dest = script(USER),
        &Violation::NftNotAtVault(Side::In),
    );
}

#[test]
fn r32_a_serial_that_stays() {
    only_with(
        quiet,
        with_new_state(state(5_000).to_data()),
        &Violation::Serial { from: 8, to: 8 },
    );
}

#[test]
fn r33_an_epoch_that_is_skipped() {
    for to in [2, 4, 5] {
        let other = RosterState {
            epoch: to,
            ..next()
        };
        only_with(
            quiet,
            with_new_state(other.to_data()),
            &Violation::Epoch { from: 3, to },
        );
    }
}

#[test]
fn r34_a_roster_changed_within_the_epoch() {
    let changed = RosterState {
        threshold: 13,
        ..next()
    };
    only_with(
        quiet,
        with_new_state(changed.to_data()),
        &Violation::Changed,
    );
}

#[test]
fn r35_a_satoshi_minted_too_many() {
    only_with(
        || peg_in(1_000),
        |tx| _ = tx.outs[2].insert(token(), Data::from(&1_001_u64)),
        &Violation::TokenDelta {
            supply: 1_000,
            tokens: 1_001,
        },
    );
}

#[test]
fn r36_a_satoshi_short_in_the_vault() {
    only_with(
        || peg_in(1_000),
        |tx| tx.coin_outs.as_mut().unwrap()[1].amount -= 1,
        &Violation::VaultDelta {
            supply: 1_000,
            vault: 999,
        },
    );
}

#[test]
fn r37_zkbtc_at_the_vault() {
    let with_tokens = || quiet().tokens_in(5).tokens_out(5);
    only_with(
        with_tokens,
        |tx| {
            // Exchanges the user's script with one of the vault's, so that no sum changes but of
            // the coins under charms.
            tx.coin_outs.as_mut().unwrap()[2].dest = script(VAULT);
            tx.coin_outs.as_mut().unwrap()[1].amount -= DUST;
        },
        &Violation::TokensAtVault(Side::Out),
    );
    only_with(
        with_tokens,
        |tx| {
            tx.coin_ins.as_mut().unwrap()[2].dest = script(VAULT);
            tx.coin_ins.as_mut().unwrap()[1].amount -= DUST;
        },
        &Violation::TokensAtVault(Side::In),
    );
}

#[test]
fn r38_a_vault_output_under_the_nft() {
    only_with(
        || peg_in(1_000),
        |tx| {
            let coins = tx.coin_outs.as_mut().unwrap();
            coins[0].amount += 1_000;
            coins[1].amount -= 1_000;
        },
        &Violation::VaultDelta {
            supply: 1_000,
            vault: 0,
        },
    );
}

#[test]
fn r39_a_vault_coin_hidden_under_a_foreign_charm() {
    let charm = || [(foreign_token(), Data::from(&5_u64))];
    let kept = || {
        Spell::settlement(&state(5_000), &state(5_000))
            .input_at(script(VAULT), 5_000, charm())
            .output_at(script(VAULT), 5_000, charm())
    };
    only_with(
        kept,
        |tx| tx.coin_outs.as_mut().unwrap()[1].dest = script(USER),
        &Violation::VaultDelta {
            supply: 0,
            vault: -5_000,
        },
    );
}

#[test]
fn r40_a_rotation_that_spends_from_the_next_vault() {
    only(
        rotation,
        |spell| spell.input(NEXT_VAULT, 300),
        &Violation::RotationSpendsNewVault,
    );
}

#[test]
fn r41_a_rotation_that_pays_the_former_vault() {
    only(
        rotation,
        |spell| spell.output(VAULT, 300),
        &Violation::RotationPaysOldVault,
    );
}

#[test]
fn r42_a_rotation_that_leaves_a_satoshi_behind() {
    only_with(
        rotation,
        |tx| {
            tx.coin_ins.as_mut().unwrap()[1].amount -= 1;
            tx.coin_outs.as_mut().unwrap()[1].amount -= 1;
        },
        &Violation::RotationUnbacked {
            vault: 4_999,
            supply: 5_000,
        },
    );
}

#[test]
fn r43_zkbtc_out_of_nothing_and_into_nothing() {
    only_with(mint, |tx| tx.outs[0].clear(), &nft_count(Side::Out, 1, 0));
    // What has no NFT at all does not settle either (R44).
    only(
        transfer,
        |spell| spell.tokens_out(1),
        &nft_count(Side::In, 1, 0),
    );
    only(
        transfer,
        |spell| spell.tokens_in(1),
        &nft_count(Side::In, 1, 0),
    );
}

#[test]
fn r44_a_mint_beside_an_nft_that_does_not_settle() {
    only_with(
        mint,
        |tx| _ = tx.app_public_inputs.insert(nft(), Data::empty()),
        &Violation::UnbalancedWithoutSettlement {
            tokens_in: 0,
            tokens_out: 1_000,
        },
    );
}

/// Both kinds of spell that look at their history, and the transaction behind their charm replaced.
fn only_with_previous(change: impl Fn(Data) -> Data, violation: &Violation) {
    for honest in [transfer, quiet] {
        only_with(
            honest,
            |tx| {
                let shown = tx.prev_txs.get_mut(&tx.ins[0].0.0).unwrap();
                *shown = change(shown.clone());
            },
            violation,
        );
    }
}

#[test]
fn r45_a_previous_transaction_too_many_or_too_few() {
    for honest in [transfer, quiet] {
        only_with(
            honest,
            |tx| {
                let other = tx.prev_txs.values().next().unwrap().clone();
                tx.prev_txs.insert(utxo(77).0, other);
            },
            &Violation::PrevTxSet,
        );
        only_with(
            honest,
            |tx| _ = tx.prev_txs.remove(&tx.ins[0].0.0).unwrap(),
            &Violation::PrevTxSet,
        );
    }
}

#[test]
fn r46_a_previous_transaction_of_another_ledger() {
    let foreign = |shown: Data| {
        let Value::Map(mut entries) = shown.value().unwrap() else {
            panic!("a map");
        };
        entries[0].0 = Value::Text("cardano".into());
        Data::from(&Value::Map(entries))
    };
    only_with_previous(foreign, &Violation::PrevTxForm);
}

#[test]
fn r47_a_previous_transaction_with_its_witness() {
    let plain = previous(&[script(USER), spell_output(15)]);
    let (version, rest) = plain.split_at(8);
    let (body, locktime) = rest.split_at(rest.len() - 8);
    let with_witness = format!("{version}0001{body}0101ff{locktime}");
    // After a coin that brings nothing; after one that does, whoever reads on finds no spell (R48).
    only_with(
        || transfer().input(USER, 1_000),
        |tx| {
            let txid = tx.ins[1].0.0;
            tx.prev_txs.insert(txid, shown(&with_witness)).unwrap();
        },
        &Violation::PrevTxWitness,
    );
    only_with_previous(|_| shown(&with_witness), &Violation::PrevTxWitness);
}

#[test]
fn r48_a_previous_transaction_with_two_spells_or_none() {
    let two = previous(&[spell_output(15), spell_output(15)]);
    only_with_previous(|_| shown(&two), &Violation::PrevSpell);
    let none = previous(&[script(USER)]);
    only_with_previous(|_| shown(&none), &Violation::PrevSpell);
}

#[test]
fn r49_a_previous_spell_from_before_the_bridge() {
    let old = previous(&[script(USER), spell_output(14)]);
    only_with_previous(|_| shown(&old), &Violation::PrevSpellVersion(14));
}

#[test]
fn the_nft_of_another_bridge_is_none() {
    let other = App {
        identity: B32([5; 32]),
        ..nft()
    };
    only_with(
        quiet,
        |tx| {
            let state = tx.ins[0].1.remove(&nft()).unwrap();
            tx.ins[0].1.insert(other, state);
        },
        &nft_count(Side::In, 1, 0),
    );
}
