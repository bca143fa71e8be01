//! `grail receipts send`: hands receipts to a server that lost its requests.
//!
//! The server believes a receipt only as far as the chain shows its deposit, so each goes with the
//! deposit that this wallet knows. Handing in what the server has already changes nothing.

use bitcoin::OutPoint;
use grail_api::client::{Client, ClientError, Restored};
use grail_api::{CheckedReceipt, ProblemCode, RestoreRequest};

use super::follow;
use crate::arguments::SendReceipts;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::{HandedIn, HandedInReceipts};
use crate::session::Session;

/// A receipt with the deposits that it is tried with, the likeliest first.
struct Candidate {
    receipt: CheckedReceipt,
    deposits: Vec<OutPoint>,
}

/// Hands in the receipts that are named, or all of which an unspent deposit is known.
pub fn send_receipts(
    session: &mut Session,
    asked: &SendReceipts,
    progress: &mut dyn Progress,
) -> Result<HandedInReceipts, Failure> {
    let client = session.api()?;
    follow(session, progress)?;
    let (candidates, left_out) = if asked.receipts.is_empty() {
        open(session, progress)?
    } else {
        (named(session, asked)?, 0)
    };
    let mut receipts = Vec::with_capacity(candidates.len());
    for (done, candidate) in (0..).zip(&candidates) {
        progress.step("handing in receipts", done, candidates.len() as u64);
        let answer = hand_in(&client, candidate);
        let is_over = answer.as_ref().is_err_and(is_of_all);
        receipts.push(HandedIn::new(&candidate.receipt, answer));
        if is_over {
            break;
        }
    }
    progress.end();
    Ok(HandedInReceipts {
        not_tried: candidates.len().saturating_sub(receipts.len()),
        left_out,
        receipts,
    })
}

/// Receipts of requests made here that have an unspent deposit, and how many have none.
fn open(
    session: &Session,
    progress: &mut dyn Progress,
) -> Result<(Vec<Candidate>, usize), Failure> {
    let found = session.home.receipts()?;
    for stray in &found.strays {
        progress.note(stray.note());
    }
    let count = found.receipts.len();
    let open: Vec<Candidate> = found
        .receipts
        .into_iter()
        .map(|(_, receipt)| with_deposits(session, receipt))
        .filter(|candidate| !candidate.deposits.is_empty())
        .collect();
    let left_out = count.saturating_sub(open.len());
    Ok((open, left_out))
}

fn named(session: &Session, asked: &SendReceipts) -> Result<Vec<Candidate>, Failure> {
    if asked.outpoint.is_some() && asked.receipts.len() != 1 {
        return Err(Failure::new(
            "outpoint-of-one",
            "expected one receipt beside --outpoint: a deposit is of one request",
        ));
    }
    let receipts = asked.receipts.iter();
    receipts
        .map(|name| {
            let receipt = session.home.named_receipt(name)?;
            Ok(match asked.outpoint {
                Some(outpoint) => Candidate {
                    receipt,
                    deposits: vec![outpoint],
                },
                None => with_deposits(session, receipt),
            })
        })
        .collect()
}

fn with_deposits(session: &Session, receipt: CheckedReceipt) -> Candidate {
    let deposits = session.wallet.unspent_at(receipt.script_pubkey());
    Candidate { receipt, deposits }
}

/// With each deposit in turn, until one is taken: of several, some may be in no block. Without any,
/// the server can still know one that it has settled.
fn hand_in(client: &Client, candidate: &Candidate) -> Result<Restored, ClientError> {
    let restore = |deposit| {
        client.restore(&RestoreRequest {
            receipt: candidate.receipt.receipt().clone(),
            deposit,
        })
    };
    let (first, others) = match candidate.deposits.split_first() {
        Some((first, others)) => (Some(*first), others),
        None => (None, &[][..]),
    };
    others.iter().fold(restore(first), |answer, deposit| {
        if answer.as_ref().is_err_and(is_unknown_deposit) {
            restore(Some(*deposit))
        } else {
            answer
        }
    })
}

fn is_unknown_deposit(error: &ClientError) -> bool {
    matches!(error, ClientError::Problem(problem) if problem.code == ProblemCode::DepositNotFound)
}

/// Whether the next receipt would meet the same: a server that is away would let each wait for its
/// time limit.
fn is_of_all(error: &ClientError) -> bool {
    match error {
        ClientError::Problem(problem) => {
            matches!(
                problem.code,
                ProblemCode::RateLimited | ProblemCode::NotFound | ProblemCode::MethodNotAllowed
            )
        }
        ClientError::Unreachable { .. } | ClientError::Answer { .. } => true,
    }
}
