//! `grail rescan`: reads the chain anew, and looks for addresses further ahead.

use crate::arguments;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Rescanned;
use crate::session::{Session, Settings};

/// What is looked for by who looks further: no wallet skips as many addresses.
const LOOK_AHEAD_FAR: u32 = 1_000;

/// Reads the chain anew.
pub fn rescan(
    settings: &Settings,
    asked: &arguments::Rescan,
    progress: &mut dyn Progress,
) -> Result<Rescanned, Failure> {
    let mut session = Session::open(settings.clone())?;
    // A node that cannot be asked must not cost what is known.
    session.node()?;
    let config = session.home.config();
    let from_height = asked.from_height.unwrap_or(config.birthday_height).max(1);
    let look_ahead = asked
        .look_ahead
        .unwrap_or(LOOK_AHEAD_FAR.max(config.look_ahead));
    session.home.look_anew(from_height, look_ahead)?;
    drop(session);

    let mut session = Session::open(settings.clone())?;
    session.sync(progress)?;
    let balance = session.wallet.balance();
    Ok(Rescanned {
        from_height,
        height: session.wallet.tip().height,
        address_count: session.wallet.addresses().receive,
        looked_for_count: session.wallet.horizon(),
        btc_sat: balance.btc.to_sat(),
        btc_pending_sat: balance.btc_pending.to_sat(),
        zkbtc_sat: balance.zkbtc.to_sat(),
        zkbtc_pending_sat: balance.zkbtc_pending.to_sat(),
    })
}
