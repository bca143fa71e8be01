//! `grail address`.

use crate::failure::Failure;
use crate::report::FreshAddress;
use crate::session::Session;

/// A fresh address. Asks nobody.
pub fn address(session: &mut Session) -> Result<FreshAddress, Failure> {
    Ok(FreshAddress {
        address: session.wallet.fresh_address()?.to_string(),
    })
}
