//! Which coins pay: edges of choosing plain coins, zkBTC, rates and caps.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Amount, FeeRate, OutPoint, Sequence, TxIn, Weight};
use common::{coin, conjurer, funding, output, plain, sat, tokens};
use grail_wallet::fee_cap::{FEE_CAP_RUNGS, default_fee_cap, rungs_beside};
use grail_wallet::fund::{
    FEE_RATE_MAX, FEE_RATE_MIN, Foreign, FundError, Wanted, believed_fee_rate,
};
use grail_wallet::holdings::PlainCoin;
use grail_wallet::transfer::choose_tokens;

fn wanted(amount: u64, plain: &[PlainCoin]) -> Wanted<'_> {
    Wanted {
        outputs: vec![output(amount)],
        inputs: Vec::new(),
        foreign: None,
        plain,
        fee_rate: FeeRate::BROADCAST_MIN,
        change_script: conjurer(),
    }
}

fn rate(sat_per_vb: u64) -> FeeRate {
    FeeRate::from_sat_per_vb(sat_per_vb).unwrap()
}

#[test]
fn the_largest_coins_pay_and_no_more_of_them_than_needed() {
    let coins = plain(&[3_000, 9_000, 1_000, 5_000]);
    let values = |amount| -> Vec<u64> {
        let funded = wanted(amount, &coins).fund().unwrap();
        let spent = funded.inputs.iter();
        spent.map(|coin| coin.output.value.to_sat()).collect()
    };
    assert_eq!(values(8_000), [9_000]);
    // One input and one output cost 111 sat: exactly enough, and one satoshi too little.
    assert_eq!(values(9_000 - 111), [9_000]);
    assert_eq!(values(9_000 - 110), [9_000, 5_000]);
    assert_eq!(values(16_000), [9_000, 5_000, 3_000]);
}

#[test]
fn fee_payments_and_change_are_what_goes_in() {
    let coins = plain(&[20_000, 30_000]);
    for amount in [330, 10_000, 29_889, 29_890, 49_000] {
        let funded = wanted(amount, &coins).fund().unwrap();
        let spent = funded.inputs.iter();
        let spent: Amount = spent.map(|coin| coin.output.value).sum();
        let out: Amount = funded
            .transaction
            .output
            .iter()
            .map(|output| output.value)
            .sum();
        assert_eq!(spent, out + funded.fee, "{amount}");
    }
}

#[test]
fn inputs_that_must_be_spent_come_first_and_are_counted() {
    let coins = plain(&[50_000]);
    let must = coin(&funding(700), 0, 1);
    let mut wanted = wanted(400, &coins);
    wanted.inputs = vec![must.clone()];
    let funded = wanted.fund().unwrap();
    assert_eq!(
        funded.inputs,
        std::slice::from_ref(&must),
        "it suffices alone"
    );
    wanted.outputs = vec![output(40_000)];
    let funded = wanted.fund().unwrap();
    assert_eq!(funded.inputs, [must, coins[0].coin().clone()]);
    // A shortfall is told in plain BTC: what the fixed input brings is not asked for again.
    wanted.outputs = vec![output(60_000)];
    assert!(matches!(
        wanted.fund(),
        Err(FundError::NotEnoughBtc { needed, got })
            if got == sat(50_000) && needed > sat(59_300) && needed < sat(60_000)
    ));
}

#[test]
fn a_foreign_input_pays_its_own_weight() {
    let foreign = |witness_weight| Foreign {
        input: TxIn {
            previous_output: OutPoint::null(),
            sequence: Sequence::from_height(24),
            ..TxIn::default()
        },
        value: sat(10_000),
        witness_weight,
    };
    let fee = |weight| {
        let mut wanted = wanted(5_000, &[]);
        wanted.foreign = Some(foreign(Weight::from_wu(weight)));
        let funded = wanted.fund().unwrap();
        assert!(funded.inputs.is_empty());
        assert_eq!(
            funded.transaction.input[0].sequence,
            Sequence::from_height(24)
        );
        funded.fee.to_sat()
    };
    assert_eq!(fee(400) - fee(0), 100);
}

#[test]
fn the_fewest_largest_zkbtc_coins_are_chosen() {
    let coins = tokens(&[10, 40, 20]);
    let chosen = |amount| {
        let (chosen, excess) = choose_tokens(coins.clone(), sat(amount)).unwrap();
        (chosen.len(), excess.to_sat())
    };
    assert_eq!(chosen(1), (1, 39));
    assert_eq!(chosen(40), (1, 0));
    assert_eq!(chosen(41), (2, 19));
    assert_eq!(chosen(60), (2, 0));
    assert_eq!(chosen(70), (3, 0));
    let (largest, _) = choose_tokens(coins.clone(), sat(40)).unwrap();
    assert_eq!(largest[0], *coins[1].coin());
}

#[test]
fn each_amount_of_a_refusal_has_its_own_unit() {
    let (needed, got) = (sat(50_000), sat(330));
    assert_eq!(
        FundError::NotEnoughZkBtc { needed, got }.to_string(),
        "expected 0.0005 zkBTC to be spendable, got 0.0000033 zkBTC"
    );
    assert_eq!(
        FundError::NotEnoughBtc { needed, got }.to_string(),
        "expected 0.00050000 BTC in plain coins to be spendable, got 0.00000330 BTC"
    );
    let rate = FeeRate::from_sat_per_vb_u32(1_001);
    assert_eq!(
        FundError::FeeRate(rate).to_string(),
        "expected a fee rate of at most 1000 sat/vB, got 1001 sat/vB"
    );
}

#[test]
fn refuses_more_zkbtc_than_the_coins_hold() {
    let refused = |amounts: &[u64], amount| choose_tokens(tokens(amounts), sat(amount)).err();
    assert_eq!(
        refused(&[10, 40], 51),
        Some(FundError::NotEnoughZkBtc {
            needed: sat(51),
            got: sat(50)
        })
    );
    assert_eq!(
        choose_tokens(Vec::new(), sat(1)).err(),
        Some(FundError::NotEnoughZkBtc {
            needed: sat(1),
            got: sat(0)
        })
    );
    assert_eq!(refused(&[u64::MAX, 1], 1), None);
    let all = tokens(&[u64::MAX - 1, 2]);
    assert_eq!(
        choose_tokens(all, Amount::MAX).err(),
        Some(FundError::Overflow),
        "regtest's mock spells claim any number"
    );
}

#[test]
fn a_nodes_estimate_is_believed_within_reason() {
    assert_eq!(believed_fee_rate(Some(rate(7)), rate(1)), rate(7));
    assert_eq!(believed_fee_rate(None, rate(2)), rate(2));
    assert_eq!(believed_fee_rate(Some(rate(1)), rate(2)), rate(2));
    assert_eq!(believed_fee_rate(Some(rate(301)), rate(1)), rate(300));
    // A mempool that takes nothing below is obeyed all the same: the payment would not relay.
    assert_eq!(believed_fee_rate(Some(rate(9)), rate(400)), rate(400));
    let free = FeeRate::from_sat_per_kwu(25);
    assert_eq!(believed_fee_rate(Some(free), free), FEE_RATE_MIN);
    assert!(rate(400) < FEE_RATE_MAX);
}

#[test]
fn the_default_fee_cap_is_a_rung_and_never_more_than_half() {
    let cap = |amount, sat_per_vb| default_fee_cap(sat(amount), rate(sat_per_vb)).to_sat();
    assert_eq!(cap(1_000_000, 1), 10_000);
    assert_eq!(cap(1_000_000, 2), 10_000);
    assert_eq!(cap(1_000_000, 3), 20_000);
    assert_eq!(cap(1_000_000, 5), 20_000);
    assert_eq!(cap(1_000_000, 6), 50_000);
    assert_eq!(cap(20_000, 100), 10_000);
    assert_eq!(cap(19_999, 100), 4_000);
    assert_eq!(cap(2_000, 1), 1_000);
    // Below two of the lowest rung there is none: this takes the receipt.
    assert_eq!(cap(1_999, 1), 999);
    assert_eq!(cap(10_000_000, 300), 1_200_000);
    assert_eq!(
        default_fee_cap(Amount::MAX_MONEY, FeeRate::MAX),
        FEE_CAP_RUNGS[7]
    );
}

#[test]
fn a_cap_that_is_no_rung_has_rungs_beside_it() {
    for rung in FEE_CAP_RUNGS {
        assert_eq!(rungs_beside(rung), None);
    }
    let beside = |cap| rungs_beside(sat(cap)).unwrap();
    assert_eq!(beside(999), (None, Some(sat(1_000))));
    assert_eq!(beside(12_000), (Some(sat(10_000)), Some(sat(20_000))));
    assert_eq!(beside(1_200_001), (Some(sat(1_200_000)), None));
}
