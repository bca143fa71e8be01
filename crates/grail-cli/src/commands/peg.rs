//! `grail peg-in`, `grail peg-out`: asks, checks, saves the receipt, then pays.

use bitcoin::{Amount, FeeRate};
use grail_api::client::Client;
use grail_api::{
    CheckedReceipt, CreatePegIn, CreatePegOut, IdempotencyKey, Kind, ParsedRequest, Request,
};
use grail_attest::Protocol;
use grail_types::Roster;
use grail_wallet::peg::{check_answer, default_fee_cap};
use grail_wallet::receipt::{StoredReceipt, next_reclaim_key_index as first_free_index};
use grail_wallet::seed::{RECLAIM_KEYS_MAX, Seed};

use crate::arguments;
use crate::commands::bridge::must_serve;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::prover::prover;
use crate::report::Pegged;
use crate::session::pay::{Paid, can_pay_btc, can_pay_zkbtc, first_output, pay_btc, pay_zkbtc};
use crate::session::{Session, now};

/// A request made here: what is left to do is to pay its deposit.
struct Made {
    answer: Request,
    receipt: CheckedReceipt,
    receipt_file: String,
    to: String,
    fee_rate: FeeRate,
}

/// BTC to zkBTC: asks, checks, saves the receipt, then pays.
pub fn peg_in(
    session: &mut Session,
    peg: &arguments::Peg,
    progress: &mut dyn Progress,
) -> Result<Pegged, Failure> {
    let made = make(session, peg, Kind::PegIn, progress)?;
    let script = made.receipt.script_pubkey().clone();
    let paid = pay_btc(session, script, peg.amount, made.fee_rate)
        .map_err(|failure| of_request(failure.adding("nothing was sent"), &made))?;
    deposit(session, peg, &made, &paid, progress)
}

/// zkBTC to BTC: asks, checks, saves the receipt, then pays with a transfer spell.
pub fn peg_out(
    session: &mut Session,
    peg: &arguments::Peg,
    progress: &mut dyn Progress,
) -> Result<Pegged, Failure> {
    let made = make(session, peg, Kind::PegOut, progress)?;
    let script = made.receipt.script_pubkey().clone();
    let paid = pay_zkbtc(session, script, peg.amount, made.fee_rate)
        .map_err(|failure| of_request(failure.adding("nothing was sent"), &made))?;
    deposit(session, peg, &made, &paid, progress)
}

/// Everything before the payment. Whatever is wrong shows here, before anything is paid.
fn make(
    session: &mut Session,
    peg: &arguments::Peg,
    kind: Kind,
    progress: &mut dyn Progress,
) -> Result<Made, Failure> {
    if kind == Kind::PegOut {
        prover(session.network())?;
    }
    if let Some(to) = &peg.to {
        session.recipient(to)?;
    }
    if !peg.anyway {
        must_serve(&session.api()?)?;
    }
    let protocol = session.agreed_protocol()?;
    // The way back is thought of before the way there.
    if !peg.one_way {
        session.must_relay_spells()?;
    }
    session.sync_to_pay(progress)?;
    let (roster, _nft) = session.believed_roster(&protocol)?;
    let fee_rate = session.fee_rate(peg.fee_rate, progress)?;
    // A request that cannot be paid is not asked for.
    match kind {
        Kind::PegIn => can_pay_btc(session, peg.amount, fee_rate)?,
        Kind::PegOut => can_pay_zkbtc(session, peg.amount, fee_rate)?,
    }

    let index = next_reclaim_key_index(session, progress)?;
    let seed = session.home.seed()?;
    let to = match &peg.to {
        Some(to) => to.clone(),
        None => session.wallet.fresh_address()?.to_string(),
    };
    let asking = Asking {
        to: &to,
        reclaim_public_key: reclaim_public_key(session, &seed, index),
        fee_cap: peg
            .fee_cap
            .unwrap_or_else(|| default_fee_cap(peg.amount, fee_rate)),
        reclaim_delay: peg.reclaim_delay,
        amount: peg.amount,
    };
    let (parsed, answer) = asking.ask(&session.api()?, kind, &protocol, &roster)?;
    let receipt = check_answer(&parsed, &roster, &answer)?;
    let saved = session.home.save_receipt(&StoredReceipt {
        receipt: receipt.receipt().clone(),
        reclaim_key_index: index,
        stored_at: now(),
    })?;
    Ok(Made {
        answer,
        receipt,
        receipt_file: saved.display().to_string(),
        to,
        fee_rate,
    })
}

struct Asking<'a> {
    to: &'a str,
    reclaim_public_key: String,
    fee_cap: Amount,
    reclaim_delay: Option<u16>,
    amount: Amount,
}

impl Asking<'_> {
    /// Parses the request as the server will, then asks.
    fn ask(
        &self,
        client: &Client,
        kind: Kind,
        protocol: &Protocol,
        roster: &Roster,
    ) -> Result<(ParsedRequest, Request), Failure> {
        let key = fresh_idempotency_key()?;
        match kind {
            Kind::PegIn => {
                let create = CreatePegIn {
                    recipient_address: self.to.to_owned(),
                    reclaim_public_key: self.reclaim_public_key.clone(),
                    fee_cap_sat: self.fee_cap.to_sat(),
                    reclaim_delay: self.reclaim_delay,
                    amount_sat: Some(self.amount.to_sat()),
                    nonce: None,
                };
                let parsed = create.parse(protocol.bridge(), protocol.params(), roster)?;
                Ok((parsed, client.create_peg_in(&create, &key)?))
            }
            Kind::PegOut => {
                let create = CreatePegOut {
                    payout_address: self.to.to_owned(),
                    reclaim_public_key: self.reclaim_public_key.clone(),
                    fee_cap_sat: self.fee_cap.to_sat(),
                    reclaim_delay: self.reclaim_delay,
                    amount_sat: Some(self.amount.to_sat()),
                    nonce: None,
                };
                let parsed = create.parse(protocol.bridge(), protocol.params(), roster)?;
                Ok((parsed, client.create_peg_out(&create, &key)?))
            }
        }
    }
}

fn deposit(
    session: &mut Session,
    peg: &arguments::Peg,
    made: &Made,
    paid: &Paid,
    progress: &mut dyn Progress,
) -> Result<Pegged, Failure> {
    session
        .broadcast(&paid.transaction, progress)
        .map_err(|failure| of_request(failure, made))?;
    Ok(Pegged {
        id: made.answer.id.to_string(),
        kind: made.answer.kind.to_string(),
        amount_sat: peg.amount.to_sat(),
        to: made.to.clone(),
        deposit_address: made.answer.deposit_address.clone(),
        deposit_outpoint: first_output(&paid.transaction).to_string(),
        fee_sat: paid.fee.to_sat(),
        fee_cap_sat: made.receipt.terms().fee_cap.to_sat(),
        estimated_fee_share_sat: made.answer.estimated_fee_share_sat,
        receipt_file: made.receipt_file.clone(),
        deadline_height: made.answer.deadline_height,
    })
}

/// The first reclaim key that no receipt uses. What is no receipt is named: it may be one.
fn next_reclaim_key_index(session: &Session, progress: &mut dyn Progress) -> Result<u32, Failure> {
    let found = session.home.receipts()?;
    for stray in &found.strays {
        progress.note(stray.note());
    }
    let index = first_free_index(found.receipts.iter().map(|(stored, _)| stored));
    if index < RECLAIM_KEYS_MAX {
        return Ok(index);
    }
    Err(Failure::new(
        "reclaim-keys-used-up",
        format!("this wallet has made {RECLAIM_KEYS_MAX} requests: make a new one"),
    ))
}

/// The request outlives a failure to pay it: it must be found again.
fn of_request(failure: Failure, made: &Made) -> Failure {
    failure.adding(&format!(
        "this was the deposit of request {}",
        made.answer.id
    ))
}

fn reclaim_public_key(session: &Session, seed: &Seed, index: u32) -> String {
    let key = seed.reclaim_key(&session.secp, index);
    key.x_only_public_key().0.to_string()
}

fn fresh_idempotency_key() -> Result<IdempotencyKey, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new("no-randomness", error.to_string()))?;
    Ok(IdempotencyKey::parse(Some(hex::encode(bytes).as_bytes()))?)
}
