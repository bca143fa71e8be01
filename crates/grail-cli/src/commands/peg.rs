//! `grail peg-in`, `grail peg-out`: asks, checks, saves the receipt, then pays.

use bitcoin::{Amount, FeeRate, XOnlyPublicKey};
use grail_api::client::Client;
use grail_api::{
    CheckedReceipt, CreatePegIn, CreatePegOut, IdempotencyKey, Kind, ParsedRequest, ProblemCode,
    Request, StatusCode,
};
use grail_attest::Protocol;
use grail_types::Roster;
use grail_wallet::fee_cap::{default_fee_cap, rungs_beside};
use grail_wallet::peg::check_answer;
use grail_wallet::receipt::{StoredReceipt, next_reclaim_key_index as first_free_index};
use grail_wallet::seed::{RECLAIM_KEYS_MAX, Seed};
use grail_wallet::slot::{Slot, SlotKeys, WINDOW_BLOCKS, WINDOW_SLOTS};

use crate::arguments;
use crate::commands::bridge::{must_serve, warning};
use crate::failure::Failure;
use crate::home::NextSlot;
use crate::progress::{Note, Progress};
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
    is_found_by_words: bool,
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
    let protocol = session.protocol_of_now(progress)?;
    // The way back is thought of before the way there.
    if !peg.one_way {
        session.must_relay_spells()?;
    }
    session.sync_to_pay(progress)?;
    let (roster, _nft) = session.believed_roster(&protocol)?;
    let fee_rate = session.fee_rate(peg.fee_rate, progress)?;
    let believed = Believed {
        protocol,
        roster,
        fee_rate,
    };
    // A request that cannot be paid is not asked for.
    match kind {
        Kind::PegIn => can_pay_btc(session, peg.amount, fee_rate)?,
        Kind::PegOut => can_pay_zkbtc(session, peg.amount, fee_rate)?,
        Kind::SponsorAnnounce | Kind::SponsorCancel | Kind::SponsorExecute => {
            return Err(no_peg(kind));
        }
    }

    let (own, parsed, answer) = ask(session, peg, kind, &believed, progress)?;
    let receipt = check_answer(&parsed, &believed.roster, &answer)?;
    if !own.needs_receipt.is_empty() {
        progress.note(needs_receipt(&own.needs_receipt));
    }
    // One for each code, if the server is honest.
    for reason in answer.warnings.iter().take(StatusCode::ALL.len()) {
        progress.note(warning(reason));
    }
    if let Some(slot) = own.slot {
        session.wallet.take_slot(slot)?;
    }
    let saved = session.home.save_receipt(&StoredReceipt {
        receipt: receipt.receipt().clone(),
        slot: own.slot,
        reclaim_key_index: own.reclaim_key_index,
        stored_at: now(),
    })?;
    Ok(Made {
        answer,
        receipt,
        receipt_file: saved.display().to_string(),
        to: own.to,
        is_found_by_words: own.needs_receipt.is_empty(),
        fee_rate,
    })
}

/// What was checked before asking.
struct Believed {
    protocol: Protocol,
    roster: Roster,
    fee_rate: FeeRate,
}

/// Asks, and again with another slot where somebody of the same words has used this one.
fn ask(
    session: &mut Session,
    peg: &arguments::Peg,
    kind: Kind,
    believed: &Believed,
    progress: &mut dyn Progress,
) -> Result<(Own, ParsedRequest, Request), Failure> {
    let fee_cap = peg
        .fee_cap
        .unwrap_or_else(|| default_fee_cap(peg.amount, believed.fee_rate));
    let delay_min = believed.protocol.params().reclaim_delay_min;
    let seed = session.home.seed()?;
    loop {
        let mut own = own(session, &seed, peg.to.as_deref(), progress)?;
        own.needs_receipt
            .extend(other_choices(peg, fee_cap, delay_min));
        let asking = Asking {
            to: &own.to,
            reclaim_public_key: own.reclaim_key.to_string(),
            fee_cap,
            reclaim_delay: peg.reclaim_delay,
            amount: peg.amount,
            nonce: own.nonce.map(hex::encode),
        };
        let asked = asking.ask(&session.api()?, kind, &believed.protocol, &believed.roster);
        match (asked, own.slot) {
            // A window has few slots: this ends.
            (Err(used), Some(slot)) if used.code == ProblemCode::IdempotencyConflict.code() => {
                session.wallet.take_slot(slot)?;
            }
            (asked, _) => {
                let (parsed, answer) = asked?;
                return Ok((own, parsed, answer));
            }
        }
    }
}

/// What makes a request this wallet's, and why the words alone will not find it, if they will not.
struct Own {
    slot: Option<Slot>,
    reclaim_key_index: Option<u32>,
    reclaim_key: XOnlyPublicKey,
    nonce: Option<[u8; 16]>,
    to: String,
    needs_receipt: Vec<String>,
}

/// From a slot, if one is free; else from a counted key and a fresh address.
fn own(
    session: &mut Session,
    seed: &Seed,
    to: Option<&str>,
    progress: &mut dyn Progress,
) -> Result<Own, Failure> {
    let mut needs_receipt = Vec::new();
    if let Some(to) = to {
        needs_receipt.push(format!("it pays to {to}"));
    }
    let why = match session.wallet.next_slot()? {
        NextSlot::Free(slot) => {
            let terms = SlotKeys::new(&session.secp, seed).terms(&session.secp, slot);
            let to = match to {
                Some(to) => to.to_owned(),
                None => session.wallet.request_address(slot)?.to_string(),
            };
            return Ok(Own {
                slot: Some(slot),
                reclaim_key_index: None,
                reclaim_key: terms.reclaim_key,
                nonce: Some(terms.nonce),
                to,
                needs_receipt,
            });
        }
        NextSlot::NotBegun { first_window } => format!(
            "this folder was made from existing words, which may have been used elsewhere: until block {} is mined it \
             uses nothing that comes from the words",
            first_window.saturating_mul(WINDOW_BLOCKS)
        ),
        NextSlot::Full => format!(
            "this wallet has made {WINDOW_SLOTS} requests in these {WINDOW_BLOCKS} blocks, and the words find no more"
        ),
    };
    needs_receipt.push(why);
    let index = next_reclaim_key_index(session, progress)?;
    let to = match to {
        Some(to) => to.to_owned(),
        None => session.wallet.fresh_address()?.to_string(),
    };
    let key = seed.reclaim_key(&session.secp, index);
    Ok(Own {
        slot: None,
        reclaim_key_index: Some(index),
        reclaim_key: key.x_only_public_key().0,
        nonce: None,
        to,
        needs_receipt,
    })
}

/// Terms that are chosen by the user and that nobody can guess from the words.
fn other_choices(
    peg: &arguments::Peg,
    fee_cap: Amount,
    delay_min: u16,
) -> impl Iterator<Item = String> {
    let cap = rungs_beside(fee_cap).map(|(below, above)| {
        let rungs = [below, above].into_iter().flatten();
        let rungs: Vec<_> = rungs.map(|rung| format!("{} sat", rung.to_sat())).collect();
        format!(
            "its fee cap is {} sat ({} would do)",
            fee_cap.to_sat(),
            rungs.join(" or ")
        )
    });
    let delay = peg
        .reclaim_delay
        .filter(|delay| *delay != delay_min)
        .map(|delay| format!("its reclaim delay is {delay} blocks ({delay_min} would do)"));
    cap.into_iter().chain(delay)
}

pub(super) fn needs_receipt(reasons: &[String]) -> Note {
    Note::new(
        "needs-receipt",
        format!(
            "the words alone will not find this deposit: {}. Keep its receipt as you keep the words",
            reasons.join("; ")
        ),
    )
}

struct Asking<'a> {
    to: &'a str,
    reclaim_public_key: String,
    fee_cap: Amount,
    reclaim_delay: Option<u16>,
    amount: Amount,
    nonce: Option<String>,
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
                    nonce: self.nonce.clone(),
                };
                let parsed = create.parse(
                    protocol.bridge(),
                    protocol.params(),
                    roster,
                    protocol.governance(),
                )?;
                Ok((parsed, client.create_peg_in(&create, &key)?))
            }
            Kind::PegOut => {
                let create = CreatePegOut {
                    payout_address: self.to.to_owned(),
                    reclaim_public_key: self.reclaim_public_key.clone(),
                    fee_cap_sat: self.fee_cap.to_sat(),
                    reclaim_delay: self.reclaim_delay,
                    amount_sat: Some(self.amount.to_sat()),
                    nonce: self.nonce.clone(),
                };
                let parsed = create.parse(
                    protocol.bridge(),
                    protocol.params(),
                    roster,
                    protocol.governance(),
                )?;
                Ok((parsed, client.create_peg_out(&create, &key)?))
            }
            Kind::SponsorAnnounce | Kind::SponsorCancel | Kind::SponsorExecute => Err(no_peg(kind)),
        }
    }
}

fn no_peg(kind: Kind) -> Failure {
    Failure::new("no-peg", format!("a {kind} is not a peg"))
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
        is_found_by_words: made.is_found_by_words,
        deadline_height: made.answer.deadline_height,
    })
}

/// The first counted reclaim key that no receipt uses. What is no receipt is named: it may be one.
pub(super) fn next_reclaim_key_index(
    session: &Session,
    progress: &mut dyn Progress,
) -> Result<u32, Failure> {
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
        format!("this wallet has made {RECLAIM_KEYS_MAX} requests without a slot: make a new one"),
    ))
}

/// The request outlives a failure to pay it: it must be found again.
fn of_request(failure: Failure, made: &Made) -> Failure {
    failure.adding(&format!(
        "this was the deposit of request {}",
        made.answer.id
    ))
}

pub(super) fn fresh_idempotency_key() -> Result<IdempotencyKey, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new("no-randomness", error.to_string()))?;
    Ok(IdempotencyKey::parse(Some(hex::encode(bytes).as_bytes()))?)
}
