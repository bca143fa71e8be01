//! Charms are never spent as BTC: what an output carries decides, and only plain coins pay.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use common::{Charm, bridge, coin, conjure, conjurer, funding, output, plain, reader, sat};
use grail_types::Network;
use grail_wallet::charms::{Carried, CharmReader};
use grail_wallet::fund::{FundError, Wanted};
use grail_wallet::holdings::{Balance, Holding, PlainCoin, classify};
use grail_wallet::seed::Branch;

fn mixed() -> Transaction {
    conjure(
        &funding(1_000_000),
        0,
        &[
            (output(330), Charm::Token(50_000)),
            (output(330), Charm::OtherToken(7)),
            (output(900_000), Charm::Nothing),
        ],
    )
}

fn wanted(outputs: Vec<TxOut>, plain: &[PlainCoin]) -> Wanted<'_> {
    Wanted {
        outputs,
        inputs: Vec::new(),
        foreign: None,
        plain,
        fee_rate: FeeRate::BROADCAST_MIN,
        change_script: conjurer(),
    }
}

#[test]
fn outputs_are_sorted_by_what_their_spell_puts_on_them() {
    let transaction = mixed();
    let carried = |vout| reader().carried(&transaction, vout);
    assert_eq!(carried(0).zkbtc(), Some(sat(50_000)));
    assert_eq!(carried(1).code(), "other-charms");
    assert_eq!(carried(2).code(), "spell-silent");
    assert_eq!(reader().carried(&funding(5), 0).code(), "no-spell");
}

#[test]
fn without_a_bridge_no_token_is_zkbtc_and_none_is_plain() {
    let mut reader = CharmReader::new(Network::Regtest, None);
    let carried = reader.carried(&mixed(), 0);
    assert!(matches!(carried, Carried::Other(_)));
    assert_eq!(carried.code(), "bridge-unknown");
}

#[test]
fn a_mock_spell_outside_regtest_is_never_zkbtc_nor_plain_btc() {
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let mut reader = CharmReader::new(network, Some(&bridge().app));
        for vout in 0..3 {
            let transaction = mixed();
            let carried = reader.carried(&transaction, vout);
            assert!(matches!(carried, Carried::Unverified(_)));
            assert_eq!(carried.code(), "spell-mock-refused", "{network} {vout}");
            let holding = classify(&mut reader, coin(&transaction, vout, 6), &transaction);
            let balance = Balance::of([&holding]);
            assert_eq!((balance.zkbtc, balance.btc), (Amount::ZERO, Amount::ZERO));
            assert_eq!(holding.carried(), carried);
        }
    }
}

#[test]
fn a_spell_that_does_not_verify_spoils_all_outputs_of_its_transaction() {
    // The proof binds values of the outputs: this one no longer holds.
    let mut forged = mixed();
    forged.output[0].value += Amount::ONE_SAT;
    for vout in 0..3 {
        let carried = reader().carried(&forged, vout);
        assert!(matches!(carried, Carried::Unverified(_)));
        assert_eq!(carried.code(), "spell-proof-invalid");
    }
}

#[test]
fn a_claim_in_a_witness_keeps_outputs_from_being_plain() {
    use bitcoin::opcodes::all::{OP_ENDIF, OP_IF};
    // Charms before version 9 put spells there; this one is unreadable.
    let script = bitcoin::script::Builder::new()
        .push_slice([])
        .push_opcode(OP_IF)
        .push_slice(b"spell")
        .push_slice([0xff])
        .push_opcode(OP_ENDIF)
        .into_script();
    let mut transaction = funding(5_000);
    transaction.input.push(TxIn {
        witness: Witness::from_slice(&[&[0; 64][..], script.as_bytes(), &[0xc0; 33]]),
        ..TxIn::default()
    });
    let carried = reader().carried(&transaction, 0);
    assert!(matches!(carried, Carried::Unverified(_)));
    assert_eq!(carried.code(), "spell-unreadable");
}

#[test]
fn only_outputs_that_carry_nothing_become_plain_coins() {
    let transaction = mixed();
    let holding = |vout| classify(&mut reader(), coin(&transaction, vout, 1), &transaction);
    assert!(matches!(holding(0), Holding::ZkBtc(_)));
    assert!(matches!(holding(1), Holding::Other(..)));
    assert!(matches!(holding(2), Holding::Plain(_)));
}

#[test]
fn balances_keep_btc_and_zkbtc_apart() {
    let transaction = mixed();
    let mut holdings: Vec<Holding> = (0..3)
        .map(|vout| classify(&mut reader(), coin(&transaction, vout, 1), &transaction))
        .collect();
    let unconfirmed = funding(777);
    holdings.push(classify(
        &mut reader(),
        coin(&unconfirmed, 0, 0),
        &unconfirmed,
    ));
    assert_eq!(
        Balance::of(&holdings),
        Balance {
            btc: sat(900_000),
            btc_pending: sat(777),
            zkbtc: sat(50_000),
            zkbtc_pending: Amount::ZERO,
            carriers: sat(330),
            set_aside: sat(330),
        }
    );
}

#[test]
fn coins_are_spendable_confirmed_as_own_change_or_mature() {
    let transaction = funding(5_000);
    let mut coin = coin(&transaction, 0, 0);
    assert!(!coin.is_spendable());
    coin.branch = Branch::Change;
    assert!(coin.is_spendable());
    coin.branch = Branch::Receive;
    coin.confirmations = 1;
    assert!(coin.is_spendable());
    coin.is_coinbase = true;
    coin.confirmations = 99;
    assert!(!coin.is_spendable());
    coin.confirmations = 100;
    assert!(coin.is_spendable());
}

#[test]
fn pays_from_plain_coins_with_change() {
    let coins = plain(&[10_000, 50_000, 20_000]);
    let funded = wanted(vec![output(40_000)], &coins).fund().unwrap();
    assert_eq!(funded.inputs.len(), 1);
    assert_eq!(funded.inputs[0].output.value, sat(50_000));
    let [payment, change] = &funded.transaction.output[..] else {
        panic!("{funded:?}")
    };
    assert_eq!(payment.value, sat(40_000));
    // One input of 57.5 vB, two outputs of 43 vB, 10.5 vB around them.
    assert_eq!(funded.fee, sat(154));
    assert_eq!(change.value, sat(50_000 - 40_000 - 154));
}

#[test]
fn change_below_dust_goes_to_the_fee_and_at_dust_comes_back() {
    // Fee without change 111, with change 154.
    let spend = |amount: u64| {
        let coins = plain(&[50_000]);
        wanted(vec![output(amount)], &coins).fund().unwrap()
    };
    let dust = 330;
    let at_dust = spend(50_000 - 154 - dust);
    assert_eq!(at_dust.transaction.output.len(), 2);
    assert_eq!(at_dust.transaction.output[1].value, sat(dust));
    let below = spend(50_000 - 154 - dust + 1);
    assert_eq!(below.transaction.output.len(), 1);
    assert_eq!(below.fee, sat(154 + dust - 1));
}

#[test]
fn refuses_what_plain_coins_cannot_pay() {
    let coins = plain(&[10_000, 20_000]);
    let refused = |amount| wanted(vec![output(amount)], &coins).fund().unwrap_err();
    assert!(wanted(vec![output(30_000 - 169)], &coins).fund().is_ok());
    assert_eq!(
        refused(30_000 - 168),
        FundError::NotEnoughBtc {
            needed: sat(30_001),
            got: sat(30_000)
        }
    );
    assert!(matches!(refused(u64::MAX), FundError::Overflow));
    assert!(matches!(
        wanted(vec![output(1_000)], &[]).fund(),
        Err(FundError::NotEnoughBtc { .. })
    ));
}

#[test]
fn refuses_dust_and_absurd_fee_rates() {
    let coins = plain(&[50_000]);
    assert!(wanted(vec![output(330)], &coins).fund().is_ok());
    assert!(matches!(
        wanted(vec![output(329)], &coins).fund(),
        Err(FundError::Dust { .. })
    ));
    let mut greedy = wanted(vec![output(1_000)], &coins);
    greedy.fee_rate = FeeRate::from_sat_per_vb(1_001).unwrap();
    assert!(matches!(greedy.fund(), Err(FundError::FeeRate(_))));
}

#[test]
fn refuses_more_inputs_than_a_transaction_should_have() {
    let coins = plain(&[1_000; 520]);
    // What 501 coins bring, less the fee of 57.5 sat each and a little more.
    let amount = 501 * 1_000 - 501 * 58 - 200;
    assert!(matches!(
        wanted(vec![output(amount)], &coins).fund(),
        Err(FundError::TooManyInputs)
    ));
    let amount = 499 * 1_000 - 499 * 58 - 200;
    assert!(wanted(vec![output(amount)], &coins).fund().is_ok());
}

#[test]
fn nothing_is_spent_that_was_not_asked_for() {
    let coins = plain(&[50_000]);
    let op_return = TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new_op_return([]),
    };
    let funded = wanted(vec![op_return], &coins).fund().unwrap();
    assert_eq!(funded.inputs.len(), 1, "a transaction spends something");
}
