//! `grail reserves`: what is locked against what exists.

use bitcoin::Amount;
use grail_api::Reserves;
use grail_wallet::reserves::{Agreement, ChainReserves};
use grail_wallet::roster::{checked_roster, vault_of};

use crate::failure::Failure;
use crate::node::chain_reserves;
use crate::progress::Progress;
use crate::report::{ReservesReport, ReservesView};
use crate::session::Session;

/// What is locked against what exists.
pub fn reserves(
    session: &mut Session,
    progress: &mut dyn Progress,
) -> Result<ReservesReport, Failure> {
    let client = session.api()?;
    let said = client.reserves()?;
    if !session.has_node() {
        return Ok(ReservesReport {
            api: view_of_api(&said),
            chain: None,
            is_backed: None,
            agrees: None,
        });
    }
    let protocol = session.protocol_of_now(progress)?;
    let roster = checked_roster(&client.roster()?, &protocol)?;
    session.remember_vault(&vault_of(&roster, &protocol));
    progress.step("scanning the node's unspent outputs", 0, 0);
    let found = chain_reserves(
        &session.patient_node()?,
        &roster,
        &protocol,
        Some(said.nft_outpoint),
        said.since_height,
    );
    progress.end();
    let found = found?;
    Ok(ReservesReport {
        is_backed: Some(found.donations().is_some()),
        agrees: found
            .compare(&said)
            .map(|agreement| agreement == Agreement::Same),
        api: view_of_api(&said),
        chain: Some(view_of_chain(&found)),
    })
}

fn view_of_api(said: &Reserves) -> ReservesView {
    ReservesView {
        vault_sat: said.vault_sat,
        supply_sat: said.supply_sat,
        donations_sat: said.donations_sat,
        nft_outpoint: said.nft_outpoint.to_string(),
        output_count: said.outpoints.len(),
        height: said.height,
    }
}

fn view_of_chain(found: &ChainReserves) -> ReservesView {
    let donations = found.donations().unwrap_or(Amount::ZERO);
    ReservesView {
        vault_sat: found
            .at_vault
            .checked_sub(donations)
            .unwrap_or(Amount::ZERO)
            .to_sat(),
        supply_sat: found.supply.to_sat(),
        donations_sat: donations.to_sat(),
        nft_outpoint: found.nft_outpoint.to_string(),
        output_count: found.outputs.len(),
        height: found.height,
    }
}
