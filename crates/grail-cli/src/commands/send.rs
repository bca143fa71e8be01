//! `grail send`, `grail send-zkbtc`.

use bitcoin::{Amount, Txid};

use crate::arguments;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Sent;
use crate::session::Session;
use crate::session::pay::{pay_btc, pay_zkbtc};

/// Sends BTC.
pub fn send(
    session: &mut Session,
    send: &arguments::Send,
    progress: &mut dyn Progress,
) -> Result<Sent, Failure> {
    let script = session.recipient(&send.address)?;
    session.sync_to_pay(progress)?;
    let fee_rate = session.fee_rate(send.fee_rate, progress)?;
    let paid = pay_btc(session, script, send.amount, fee_rate)?;
    let txid = session.broadcast(&paid.transaction, progress)?;
    Ok(sent(txid, send, "btc", paid.fee))
}

/// Sends zkBTC.
pub fn send_zkbtc(
    session: &mut Session,
    send: &arguments::Send,
    progress: &mut dyn Progress,
) -> Result<Sent, Failure> {
    let script = session.recipient(&send.address)?;
    session.protocol()?;
    session.must_relay_spells()?;
    session.sync_to_pay(progress)?;
    let fee_rate = session.fee_rate(send.fee_rate, progress)?;
    let paid = pay_zkbtc(session, script, send.amount, fee_rate)?;
    let txid = session.broadcast(&paid.transaction, progress)?;
    Ok(sent(txid, send, "zkbtc", paid.fee))
}

fn sent(txid: Txid, send: &arguments::Send, asset: &'static str, fee: Amount) -> Sent {
    Sent {
        txid: txid.to_string(),
        amount_sat: send.amount.to_sat(),
        asset,
        to: send.address.clone(),
        fee_sat: fee.to_sat(),
    }
}
