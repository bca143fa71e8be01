//! `grail operator sponsor`: pays the miners of a step of a rotation.

use grail_api::CreateSponsor;
use grail_wallet::peg::check_answer;
use grail_wallet::receipt::StoredReceipt;

use crate::arguments::Sponsor;
use crate::commands::bridge::must_serve;
use crate::commands::peg::{fresh_idempotency_key, needs_receipt, next_reclaim_key_index};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Pegged;
use crate::session::pay::{can_pay_btc, first_output, pay_btc};
use crate::session::{Session, now};

/// Asks, checks, saves the receipt, then pays, as for a peg-in.
pub fn sponsor(
    session: &mut Session,
    asked: &Sponsor,
    progress: &mut dyn Progress,
) -> Result<Pegged, Failure> {
    if !asked.anyway {
        must_serve(&session.api()?)?;
    }
    let protocol = session.protocol_of_now(progress)?;
    session.sync_to_pay(progress)?;
    let (roster, _nft) = session.believed_roster(&protocol)?;
    let fee_rate = session.fee_rate(asked.fee_rate, progress)?;
    can_pay_btc(session, asked.amount, fee_rate)?;

    let index = next_reclaim_key_index(session, progress)?;
    let key = session.home.seed()?.reclaim_key(&session.secp, index);
    let create = CreateSponsor {
        kind: asked.step.kind(),
        reclaim_public_key: key.x_only_public_key().0.to_string(),
        // The whole coin is fee: a cap below it would leave the coin to be taken back.
        fee_cap_sat: asked.amount.to_sat(),
        reclaim_delay: asked.reclaim_delay,
        amount_sat: Some(asked.amount.to_sat()),
        nonce: None,
    };
    let parsed = create.parse(protocol.bridge(), protocol.params(), &roster)?;
    let answer = session
        .api()?
        .create_sponsor(&create, &fresh_idempotency_key()?)?;
    let receipt = check_answer(&parsed, &roster, &answer)?;
    progress.note(needs_receipt(&["it pays the miners for others".to_owned()]));
    let saved = session.home.save_receipt(&StoredReceipt {
        receipt: receipt.receipt().clone(),
        slot: None,
        reclaim_key_index: Some(index),
        stored_at: now(),
    })?;
    let of_request = |failure: Failure| {
        failure.adding(&format!("this was the deposit of request {}", answer.id))
    };
    let script = receipt.script_pubkey().clone();
    let paid = pay_btc(session, script, asked.amount, fee_rate)
        .map_err(|failure| of_request(failure.adding("nothing was sent")))?;
    session
        .broadcast(&paid.transaction, progress)
        .map_err(of_request)?;
    Ok(Pegged {
        id: answer.id.to_string(),
        kind: answer.kind.to_string(),
        amount_sat: asked.amount.to_sat(),
        to: "the miners".to_owned(),
        deposit_address: answer.deposit_address.clone(),
        deposit_outpoint: first_output(&paid.transaction).to_string(),
        fee_sat: paid.fee.to_sat(),
        fee_cap_sat: asked.amount.to_sat(),
        estimated_fee_share_sat: answer.estimated_fee_share_sat,
        receipt_file: saved.display().to_string(),
        is_found_by_words: false,
        deadline_height: answer.deadline_height,
    })
}
