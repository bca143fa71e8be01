//! Who pays the miners of a step: deposits of their own kind, whose whole coin is fee.

use std::collections::BTreeSet;

use bitcoin::{
    Amount,
    secp256k1::{Secp256k1, Verification},
};
use grail_script::{DepositTree, InternalKey, Spend};
use grail_spell::BridgeCharms;
use grail_types::{Kind, RequestId, Terms};
use grail_wire::ActionKind;

use crate::{
    bridge::{Case, Held},
    refusal::Refusal,
};

/// All inputs from `first` on, one per terms: each request, its coin, and how it is spent.
pub(super) fn check<C: Verification>(
    secp: &Secp256k1<C>,
    case: &Case<'_>,
    held: &Held,
    step: ActionKind,
    sponsors: &[Terms],
    first: usize,
) -> Result<Vec<(RequestId, Amount, Spend)>, Refusal> {
    if sponsors.is_empty() {
        return Err(Refusal::Empty);
    }
    let deposits = case.outline.spent.get(first..).unwrap_or_default();
    if deposits.len() != sponsors.len() {
        return Err(Refusal::WrongCount {
            what: "deposit inputs",
            expected: sponsors.len(),
            got: deposits.len(),
        });
    }
    let mut seen = BTreeSet::new();
    let mut paid = Vec::with_capacity(sponsors.len());
    for (input_index, (terms, spent)) in (first..).zip(sponsors.iter().zip(deposits)) {
        let request = terms.id();
        if !seen.insert(request) {
            return Err(Refusal::RepeatedRequest(request));
        }
        check_terms(case, held, step, terms, request)?;
        let tree = DepositTree::new(secp, InternalKey::Nums, terms, &held.roster);
        if tree.script_pubkey != spent.output.script_pubkey {
            return Err(Refusal::DepositMismatch {
                input_index,
                request,
            });
        }
        if spent.carried != BridgeCharms::Nothing {
            return Err(Refusal::UnexpectedCharms { input_index });
        }
        let (share, cap) = (spent.output.value, terms.fee_cap);
        if share > cap {
            return Err(Refusal::FeeAboveCap {
                request,
                share,
                cap,
            });
        }
        paid.push((request, share, Spend::Leaf(tree.leaf)));
    }
    Ok(paid)
}

/// Terms that pay for this step of this bridge, in this epoch. Where they would be paid to is not
/// looked at: a sponsor gets nothing.
fn check_terms(
    case: &Case<'_>,
    held: &Held,
    step: ActionKind,
    terms: &Terms,
    request: RequestId,
) -> Result<(), Refusal> {
    let params = &case.proposal.params;
    let delays = params.reclaim_delay_min..=params.reclaim_delay_max;
    let pays = match terms.kind {
        Kind::SponsorAnnounce => step == ActionKind::Announcement,
        Kind::SponsorCancel => step == ActionKind::Cancellation,
        Kind::SponsorExecute => step == ActionKind::Execution,
        Kind::PegIn | Kind::PegOut => false,
    };
    let rules = [
        (pays, "it pays for another action"),
        (terms.network == case.bridge.network, "another network"),
        (terms.bridge == case.bridge.app, "another bridge"),
        (terms.epoch == held.roster.epoch(), "another epoch"),
        (
            delays.contains(&terms.reclaim_delay),
            "reclaim delay out of range",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, reason)) => Err(Refusal::TermsUnfit { request, reason }),
    }
}
