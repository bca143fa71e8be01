//! `grail balance`.

use super::refresh;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::BalanceReport;
use crate::session::Session;

/// BTC and zkBTC, apart.
pub fn balance(
    session: &mut Session,
    progress: &mut dyn Progress,
) -> Result<BalanceReport, Failure> {
    refresh(session, progress)?;
    let balance = session.wallet.balance();
    Ok(BalanceReport {
        btc_sat: balance.btc.to_sat(),
        btc_pending_sat: balance.btc_pending.to_sat(),
        zkbtc_sat: balance.zkbtc.to_sat(),
        zkbtc_pending_sat: balance.zkbtc_pending.to_sat(),
        carriers_sat: balance.carriers.to_sat(),
        set_aside_sat: balance.set_aside.to_sat(),
        knows_zkbtc: session.pinned_protocol().is_some(),
        height: session.wallet.tip().height,
    })
}
