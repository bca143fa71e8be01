//! What holds for every deposit, whatever it was made for.

use std::sync::Arc;

use bitcoin::secp256k1::{Secp256k1, Verification};
use grail_script::{DepositTree, InternalKey};
use grail_types::{Bridge, Params, RequestId, Roster, Terms};

use crate::{outline::Spent, refusal::Refusal};

/// Who may hold the deposits of a settlement: the roster of now, and one of a former epoch.
pub(crate) struct Holders {
    now: Arc<Roster>,
    former: Option<Arc<Roster>>,
}

impl Holders {
    /// The former one is a hint: an address is derived with it and compared with the coin's, so
    /// that a made-up one opens what its inventor paid there and nothing else. It is shown where a
    /// request is of its epoch and nowhere else, so that a proposal has one form.
    pub(crate) fn new(
        now: &Arc<Roster>,
        shown: Option<&Roster>,
        requests: &[Terms],
    ) -> Result<Self, Refusal> {
        if let Some(former) = shown {
            let epoch = former.epoch();
            if epoch >= now.epoch() {
                return Err(Refusal::FormerRoster("its epoch is not over"));
            }
            if requests.iter().all(|terms| terms.epoch != epoch) {
                return Err(Refusal::FormerRoster("no request is of its epoch"));
            }
        }
        Ok(Self {
            now: Arc::clone(now),
            former: shown.cloned().map(Arc::new),
        })
    }

    /// The one of the terms' epoch.
    pub(crate) fn of(&self, terms: &Terms) -> Result<&Arc<Roster>, Refusal> {
        let mut all = std::iter::once(&self.now).chain(&self.former);
        let found = all.find(|roster| roster.epoch() == terms.epoch);
        found.ok_or_else(|| Refusal::TermsUnfit {
            request: terms.id(),
            reason: "another epoch",
        })
    }
}

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
