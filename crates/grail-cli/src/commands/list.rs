//! `grail list`.

use bitcoin::Amount;
use grail_wallet::holdings::Holding;

use super::refresh;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::{ListedOutput, Listing};
use crate::session::Session;

/// Unspent outputs and what they carry.
pub fn list(session: &mut Session, progress: &mut dyn Progress) -> Result<Listing, Failure> {
    refresh(session, progress)?;
    let mut outputs: Vec<ListedOutput> = session.wallet.holdings().iter().map(listed).collect();
    outputs.sort_by_key(|output| std::cmp::Reverse(output.confirmations));
    Ok(Listing { outputs })
}

fn listed(holding: &Holding) -> ListedOutput {
    let code = Some(holding.carried().code());
    let (carries, token, code) = match holding {
        Holding::Plain(_) => ("nothing", None, None),
        Holding::ZkBtc(token) => ("zkbtc", Some(token.amount()), None),
        Holding::Other(..) => ("other-charms", None, code),
        Holding::Unverified(..) => ("unverified-spell", None, code),
    };
    let coin = holding.coin();
    ListedOutput {
        outpoint: coin.outpoint.to_string(),
        amount_sat: coin.output.value.to_sat(),
        carries,
        token_sat: token.map(Amount::to_sat),
        code,
        confirmations: coin.confirmations,
        is_spendable: coin.is_spendable(),
    }
}
