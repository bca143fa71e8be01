//! `grail bump`: pays again for a payment that waits for a block, with a higher fee.

use bitcoin::Txid;
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
    let waiting = session.wallet.waiting(&transaction);
    let (old_fee, funded) = (waiting.fee()?, waiting.bump(fee_rate)?);
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
