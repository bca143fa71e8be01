//! What holds for every deposit, whatever it was made for.

use bitcoin::secp256k1::{Secp256k1, Verification};
use grail_script::{DepositTree, InternalKey};
use grail_types::{Bridge, Params, RequestId, Roster, Terms};

use crate::{outline::Spent, refusal::Refusal};

/// Terms of this bridge and roster that are for the action: `serves`. What the deposit address
/// commits to is compared here; what only the backend can know (deadlines, margins before the
/// reclaim) is not.
pub(crate) fn check_terms(
    terms: &Terms,
    request: RequestId,
    bridge: &Bridge,
    params: &Params,
    roster: &Roster,
    serves: bool,
) -> Result<(), Refusal> {
    let delays = params.reclaim_delay_min..=params.reclaim_delay_max;
    let is_served = delays.contains(&terms.reclaim_delay);
    check_rules(
        request,
        [
            (serves, "it pays for another action"),
            (terms.network == bridge.network, "another network"),
            (terms.bridge == bridge.app, "another bridge"),
            (terms.epoch == roster.epoch(), "another epoch"),
            (is_served, "reclaim delay out of range"),
        ],
    )
}

/// The first rule about a request's terms that does not hold.
pub(crate) fn check_rules<const COUNT: usize>(
    request: RequestId,
    rules: [(bool, &'static str); COUNT],
) -> Result<(), Refusal> {
    match rules.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, reason)) => Err(Refusal::TermsUnfit { request, reason }),
    }
}

/// Derives the deposit output of `terms` and compares: a deposit can serve only the request that it
/// was made for.
pub(crate) fn check_address<C: Verification>(
    secp: &Secp256k1<C>,
    terms: &Terms,
    roster: &Roster,
    input_index: usize,
    spent: &Spent,
) -> Result<DepositTree, Refusal> {
    let tree = DepositTree::new(secp, InternalKey::Nums, terms, roster);
    if tree.script_pubkey == spent.output.script_pubkey {
        Ok(tree)
    } else {
        Err(Refusal::DepositMismatch {
            input_index,
            request: tree.request,
        })
    }
}
