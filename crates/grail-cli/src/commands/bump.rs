//! `grail bump`: pays again for a payment that waits for a block, with a higher fee.

use bitcoin::{Amount, FeeRate, Txid, Weight};
use grail_wallet::sign::sign;

use crate::arguments;
use crate::failure::Failure;
use crate::progress::{Note, Progress};
use crate::report::BumpedPayment;
use crate::session::{Session, now};

/// Replaces a payment by itself at a higher fee. Both spend the same coins: a block takes one.
pub fn bump(
    session: &mut Session,
    asked: &arguments::Bump,
    progress: &mut dyn Progress,
) -> Result<BumpedPayment, Failure> {
    let replaced: Txid = asked.txid;
    session.sync(progress)?;
    let transaction = session.wallet.waiting_payment(&replaced)?;
    let fee_rate = session.fee_rate(asked.fee_rate, progress)?;
    // A node that does not say asks for no more than others.
    let incremental = session.node()?.incremental_fee_rate().unwrap_or(None);
    let waiting = session.wallet.waiting(&transaction);
    let old_fee = waiting.fee()?;
    let least = least_in_place_of(old_fee, transaction.weight(), incremental);
    let funded = waiting.bump(fee_rate.max(least))?;
    let seed = session.home.seed()?;
    let signed = sign(
        &session.secp,
        &seed,
        funded.transaction,
        &[],
        &funded.inputs,
    )?;
    let txid = session.broadcast(&signed, progress)?;
    // The next sync finds the same out from the mempool.
    if let Err(error) = session.wallet.note_replaced(replaced, now()) {
        progress.note(Note::new(error.code(), error.to_string()));
    }
    Ok(BumpedPayment {
        txid: txid.to_string(),
        replaced: replaced.to_string(),
        fee_sat: funded.fee.to_sat(),
        old_fee_sat: old_fee.to_sat(),
    })
}

/// The rate from which on the node takes a transaction in place of one that paid `fee`, where it
/// says how much more that must be.
fn least_in_place_of(fee: Amount, weight: Weight, incremental: Option<FeeRate>) -> FeeRate {
    let old = fee
        .to_sat()
        .saturating_mul(1_000)
        .div_ceil(weight.to_wu().max(1));
    let more = incremental.map_or(0, FeeRate::to_sat_per_kwu);
    FeeRate::from_sat_per_kwu(old.saturating_add(more))
}
