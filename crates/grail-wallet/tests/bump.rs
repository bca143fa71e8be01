//! A payment paid again with more fee: edges of rate, change and inputs.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Amount, FeeRate, Transaction};
use common::{conjurer, output, plain, sat};
use grail_wallet::bump::{BumpError, Waiting};
use grail_wallet::fund::{FEE_RATE_MAX, FundError, Funded, Wanted};

/// 20,000 sat paid from a coin at 1 sat/vB: 154 vB with change, so the rest is `coin - 20,154`.
fn paid(coin: u64) -> Funded {
    let coins = plain(&[coin]);
    let wanted = Wanted {
        outputs: vec![output(20_000)],
        inputs: Vec::new(),
        foreign: None,
        plain: &coins,
        fee_rate: FeeRate::BROADCAST_MIN,
        change_script: conjurer(),
    };
    wanted.fund().unwrap()
}

fn waiting(funded: &Funded) -> Waiting<'_> {
    Waiting {
        transaction: &funded.transaction,
        coins: funded.inputs.clone(),
        has_change: funded.transaction.output.len() == 2,
    }
}

fn rate(sat_per_vb: u64) -> FeeRate {
    FeeRate::from_sat_per_vb(sat_per_vb).unwrap()
}

fn paid_out(transaction: &Transaction) -> Amount {
    transaction.output.iter().map(|output| output.value).sum()
}

#[test]
fn the_difference_comes_from_the_change_and_from_nothing_else() {
    let funded = paid(50_000);
    assert_eq!(waiting(&funded).fee().unwrap(), sat(154));
    let bumped = waiting(&funded).bump(rate(10)).unwrap();
    assert_eq!(bumped.fee, sat(1_540));
    assert_eq!(bumped.inputs, funded.inputs);
    assert_eq!(bumped.transaction.input, funded.transaction.input);
    assert_eq!(bumped.transaction.output[0], funded.transaction.output[0]);
    assert_eq!(paid_out(&bumped.transaction) + bumped.fee, sat(50_000));
}

#[test]
fn a_low_rate_becomes_the_least_that_replaces() {
    let funded = paid(50_000);
    // The old fee, and one satoshi for each of the 154 vbytes.
    for low in [1, 2] {
        let bumped = waiting(&funded).bump(rate(low)).unwrap();
        assert_eq!(bumped.fee, sat(308), "{low}");
    }
    assert_eq!(waiting(&funded).bump(rate(3)).unwrap().fee, sat(462));
}

#[test]
fn change_below_dust_is_fee_and_what_is_less_is_refused() {
    // The change is 846 sat: at 4 sat/vB it is 384, at 5 it would be 230, below the dust of 330.
    let funded = paid(21_000);
    assert_eq!(waiting(&funded).bump(rate(4)).unwrap().fee, sat(616));
    // Without the change there are 111 vB, and 1,000 sat for them.
    let bumped = waiting(&funded).bump(rate(5)).unwrap();
    assert_eq!(
        (bumped.fee, bumped.transaction.output.len()),
        (sat(1_000), 1)
    );
    assert_eq!(waiting(&funded).bump(rate(9)).unwrap().fee, sat(1_000));
    assert!(matches!(
        waiting(&funded).bump(rate(10)),
        Err(BumpError::ChangeTooSmall { got, .. }) if got == sat(846)
    ));
}

#[test]
fn without_change_or_with_a_foreign_input_there_is_nothing_to_pay_from() {
    let funded = paid(50_000);
    let mut without = waiting(&funded);
    without.has_change = false;
    assert_eq!(without.bump(rate(5)), Err(BumpError::NoChange));
    let mut foreign = waiting(&funded);
    foreign.coins.clear();
    assert_eq!(foreign.bump(rate(5)), Err(BumpError::ForeignInput));
    let other = paid(60_000);
    let mut other_coin = waiting(&funded);
    other_coin.coins.clone_from(&other.inputs);
    assert_eq!(other_coin.bump(rate(5)), Err(BumpError::ForeignInput));
}

#[test]
fn a_rate_out_of_all_reason_is_refused() {
    let funded = paid(50_000);
    let above = FeeRate::from_sat_per_kwu(FEE_RATE_MAX.to_sat_per_kwu() + 1);
    assert_eq!(
        waiting(&funded).bump(above),
        Err(BumpError::Fund(FundError::FeeRate(above)))
    );
}
