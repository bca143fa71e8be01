//! Commands that ask the API: peg-in, peg-out, status, roster, reserves.

use std::time::Duration;

use bitcoin::{Amount, FeeRate, OutPoint};
use grail_api::client::{Client, ClientError};
use grail_api::{
    CheckedReceipt, CreatePegIn, CreatePegOut, IdempotencyKey, Kind, ProblemCode, Request,
    RequestStatus, Reserves, Wish,
};
use grail_types::{Params, RequestId, Roster};

use crate::amount::parse_address;
use crate::args;
use crate::commands::{Paid, can_pay_btc, can_pay_zkbtc, first_output, pay_btc, pay_zkbtc};
use crate::failure::Failure;
use crate::home::StoredReceipt;
use crate::peg::check_answer;
use crate::progress::Progress;
use crate::report::{
    Pegged, ReservesReport, ReservesView, RosterReport, SignerReport, StatusReport,
};
use crate::reserves::{ChainReserves, chain_reserves};
use crate::roster::{check_evidence, check_nft, checked_roster, printable, trust_anchor};
use crate::seed::{RECLAIM_KEYS_MAX, Seed};
use crate::session::{Session, now};
use crate::spell::prover;

/// Lowest fee cap offered by default: about what a settlement of one request costs at 3 sat/vB.
const FEE_CAP_DEFAULT_MIN: Amount = Amount::from_sat(10_000);
/// Virtual size that a request may have to pay for alone: a settlement of one request, with a margin.
const FEE_CAP_VBYTES: u64 = 4_000;
/// Between two looks when the event stream is not to be had.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Failed looks in a row before watching ends.
const WATCH_FAILURES_MAX: u32 = 15;

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
    peg: &args::Peg,
    progress: &mut dyn Progress,
) -> Result<Pegged, Failure> {
    let made = make(session, peg, Kind::PegIn, progress)?;
    let script = made.receipt.script_pubkey().clone();
    let paid = pay_btc(session, script, peg.amount, made.fee_rate)?;
    deposit(session, peg, &made, &paid)
}

/// zkBTC to BTC: asks, checks, saves the receipt, then pays with a transfer spell.
pub fn peg_out(
    session: &mut Session,
    peg: &args::Peg,
    progress: &mut dyn Progress,
) -> Result<Pegged, Failure> {
    let made = make(session, peg, Kind::PegOut, progress)?;
    let script = made.receipt.script_pubkey().clone();
    let paid = pay_zkbtc(session, script, peg.amount, made.fee_rate)?;
    deposit(session, peg, &made, &paid)
}

/// Everything before the payment. Whatever is wrong shows here, before anything is paid.
fn make(
    session: &mut Session,
    peg: &args::Peg,
    kind: Kind,
    progress: &mut dyn Progress,
) -> Result<Made, Failure> {
    if kind == Kind::PegOut {
        prover(session.network())?;
    }
    if let Some(to) = &peg.to {
        parse_address(to, session.network())?;
    }
    let params = session.agreed_params()?;
    session.sync(progress)?;
    let (roster, _nft) = session.believed_roster(&params)?;
    let fee_rate = session.fee_rate(peg.fee_rate)?;
    // A request that cannot be paid is not asked for.
    match kind {
        Kind::PegIn => can_pay_btc(session, peg.amount, fee_rate)?,
        Kind::PegOut => can_pay_zkbtc(session, peg.amount, fee_rate)?,
    }

    let index = session.home.next_reclaim_key_index()?;
    if index >= RECLAIM_KEYS_MAX {
        return Err(Failure::new(
            "reclaim-keys-used-up",
            format!("this wallet has made {RECLAIM_KEYS_MAX} requests: make a new one"),
        ));
    }
    let seed = session.home.seed()?;
    let to = match &peg.to {
        Some(to) => to.clone(),
        None => session.wallet.fresh_address()?.to_string(),
    };
    let wish = Asking {
        to: &to,
        reclaim_public_key: reclaim_public_key(session, &seed, index),
        fee_cap: peg
            .fee_cap
            .unwrap_or_else(|| default_fee_cap(peg.amount, fee_rate)),
        reclaim_delay: peg.reclaim_delay,
        amount: peg.amount,
    };
    let (parsed, answer) = wish.ask(&session.api()?, kind, &params, &roster)?;
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
    /// Parses the wish as the server will, then asks.
    fn ask(
        &self,
        client: &Client,
        kind: Kind,
        params: &Params,
        roster: &Roster,
    ) -> Result<(Wish, Request), Failure> {
        let key = fresh_idempotency_key()?;
        match kind {
            Kind::PegIn => {
                let create = CreatePegIn {
                    recipient_address: self.to.to_owned(),
                    reclaim_public_key: self.reclaim_public_key.clone(),
                    fee_cap_sat: self.fee_cap.to_sat(),
                    reclaim_delay: self.reclaim_delay,
                    amount_sat: Some(self.amount.to_sat()),
                };
                let wish = create.parse(params, roster)?;
                Ok((wish, client.create_peg_in(&create, &key)?))
            }
            Kind::PegOut => {
                let create = CreatePegOut {
                    payout_address: self.to.to_owned(),
                    reclaim_public_key: self.reclaim_public_key.clone(),
                    fee_cap_sat: self.fee_cap.to_sat(),
                    reclaim_delay: self.reclaim_delay,
                    amount_sat: Some(self.amount.to_sat()),
                };
                let wish = create.parse(params, roster)?;
                Ok((wish, client.create_peg_out(&create, &key)?))
            }
        }
    }
}

fn deposit(
    session: &mut Session,
    peg: &args::Peg,
    made: &Made,
    paid: &Paid,
) -> Result<Pegged, Failure> {
    session.broadcast(&paid.transaction)?;
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

fn reclaim_public_key(session: &Session, seed: &Seed, index: u32) -> String {
    let key = seed.reclaim_key(&session.secp, index);
    key.x_only_public_key().0.to_string()
}

/// Enough for a settlement of this request alone, and never more than half of what is at stake.
fn default_fee_cap(amount: Amount, fee_rate: FeeRate) -> Amount {
    let alone = fee_rate.fee_vb(FEE_CAP_VBYTES).unwrap_or(Amount::MAX_MONEY);
    alone.max(FEE_CAP_DEFAULT_MIN).min(amount / 2)
}

fn fresh_idempotency_key() -> Result<IdempotencyKey, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new("no-randomness", error.to_string()))?;
    Ok(IdempotencyKey::parse(Some(hex::encode(bytes).as_bytes()))?)
}

/// Where a request stands.
pub fn status(session: &Session, id: &RequestId) -> Result<StatusReport, Failure> {
    Ok(StatusReport(look(session, id)?))
}

/// Calls `seen` with every change of a request until it has ended.
pub fn watch(
    session: &Session,
    id: &RequestId,
    mut seen: impl FnMut(StatusReport),
) -> Result<(), Failure> {
    let client = session.api()?;
    let mut last: Option<RequestStatus> = None;
    let mut failures = 0_u32;
    loop {
        // The stream is opened before looking, so that no change falls between.
        let events = client.events(Some(id));
        match look(session, id) {
            Ok(status) => {
                failures = 0;
                let is_terminal = status.state.is_terminal();
                if last.as_ref() != Some(&status) {
                    seen(StatusReport(status.clone()));
                    last = Some(status);
                }
                if is_terminal {
                    return Ok(());
                }
            }
            Err(failure) => {
                failures = failures.saturating_add(1);
                if last.is_none() || failures > WATCH_FAILURES_MAX {
                    return Err(failure);
                }
            }
        }
        // Any event, or the end of the stream, is a reason to look again.
        let hint = events.ok().and_then(|mut events| events.next());
        if !matches!(hint, Some(Ok(_))) {
            std::thread::sleep(WATCH_INTERVAL);
        }
    }
}

/// Asks for the request by its kind; where no receipt tells it, tries both.
fn look(session: &Session, id: &RequestId) -> Result<RequestStatus, Failure> {
    let client = session.api()?;
    let kinds = match session.home.receipt(id) {
        Ok(stored) => vec![stored.receipt.kind],
        Err(_) => vec![Kind::PegIn, Kind::PegOut],
    };
    let mut not_found = None;
    for kind in kinds {
        match client.request(kind, id) {
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => {
                not_found = Some(problem);
            }
            other => return Ok(other?),
        }
    }
    Err(not_found.map_or_else(
        || Failure::new("not-found", "no such request"),
        |problem| (*problem).into(),
    ))
}

/// The signers, and whether their evidence verifies.
pub fn roster(session: &mut Session) -> Result<RosterReport, Failure> {
    let params = session.params()?;
    let answer = session.api()?.roster()?;
    let roster = checked_roster(&answer, &params)?;
    let nft = if session.has_node() {
        match check_nft(session.node()?, answer.nft_outpoint, &roster, &params) {
            Ok(_) => "verified".to_owned(),
            Err(error) => error.code().to_owned(),
        }
    } else {
        "not-checked".to_owned()
    };
    let signers = check_evidence(&answer, &params, now())
        .into_iter()
        .map(|signer| {
            let (attested, reason) = match signer.verdict {
                Ok(attested) => (Some(attested), None),
                Err(reason) => (None, Some(reason)),
            };
            SignerReport {
                index: signer.index,
                name: signer.name,
                public_key: signer.public_key,
                is_attested: attested.is_some(),
                attested_at: attested.as_ref().map(|attested| attested.at),
                pcr0: attested.map(|attested| attested.pcr0),
                reason,
            }
        })
        .collect();
    Ok(RosterReport {
        epoch: roster.epoch().0,
        threshold: roster.threshold().0,
        address: printable(&answer.address),
        trust_anchor: trust_anchor(params.network).name().to_owned(),
        signers,
        nft_outpoint: answer.nft_outpoint.to_string(),
        nft,
    })
}

/// What is locked against what exists.
pub fn reserves(
    session: &mut Session,
    progress: &mut dyn Progress,
) -> Result<ReservesReport, Failure> {
    let params = session.params()?;
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
    let roster = checked_roster(&client.roster()?, &params)?;
    progress.step("scanning the node's unspent outputs", 0, 0);
    let found = chain_reserves(
        &session.patient_node()?,
        &roster,
        &params,
        Some(said.nft_outpoint),
    );
    progress.end();
    let found = found?;
    Ok(ReservesReport {
        is_backed: Some(found.donations().is_some()),
        agrees: (found.block_hash == said.block_hash).then(|| same(&said, &found)),
        api: view_of_api(&said),
        chain: Some(view_of_chain(&found)),
    })
}

fn same(said: &Reserves, found: &ChainReserves) -> bool {
    let mut said_outputs: Vec<(OutPoint, u64)> = said
        .outpoints
        .iter()
        .map(|output| (output.outpoint, output.amount_sat))
        .collect();
    let mut found_outputs: Vec<(OutPoint, u64)> = found
        .outputs
        .iter()
        .map(|(outpoint, amount)| (*outpoint, amount.to_sat()))
        .collect();
    said_outputs.sort_unstable();
    found_outputs.sort_unstable();
    said.supply_sat == found.supply.to_sat()
        && said.nft_outpoint == found.nft_outpoint
        && said_outputs == found_outputs
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
