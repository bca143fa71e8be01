//! What the miners get, against the weight of the transaction as it will be once signed.

use bitcoin::{Amount, FeeRate, Transaction, Weight};
use grail_script::weight;
use grail_types::Params;

use crate::{approve::SigningInput, refusal::Refusal};

/// Weight and fee rate of the signed transaction. Each input is weighed by its own roster's spend.
pub(crate) fn check_fee(
    transaction: &Transaction,
    params: &Params,
    inputs: &[SigningInput],
    fee: Amount,
) -> Result<Weight, Refusal> {
    let witnesses = inputs.iter().map(|input| input.spend.witness_weight());
    let weight = weight::signed(transaction, witnesses).map_err(|_| Refusal::Overflow)?;
    if weight > params.settlement_weight_max {
        return Err(Refusal::TooHeavy {
            allowed: params.settlement_weight_max,
            got: weight,
        });
    }
    let got = fee_rate(fee, weight).ok_or(Refusal::Overflow)?;
    if got < params.fee_rate_min {
        return Err(Refusal::FeeRateTooLow {
            allowed: params.fee_rate_min,
            got,
        });
    }
    if got > params.fee_rate_max {
        return Err(Refusal::FeeRateTooHigh {
            allowed: params.fee_rate_max,
            got,
        });
    }
    Ok(weight)
}

/// Satoshis per 1,000 weight units, rounded down.
fn fee_rate(fee: Amount, weight: Weight) -> Option<FeeRate> {
    let rate = fee
        .to_sat()
        .checked_mul(1_000)?
        .checked_div(weight.to_wu())?;
    Some(FeeRate::from_sat_per_kwu(rate))
}
