//! Who pays the miners of a step: deposits of their own kind, whose whole coin is fee.

use std::collections::BTreeSet;

use bitcoin::{
    Amount,
    secp256k1::{Secp256k1, Verification},
};
use grail_script::Spend;
use grail_spell::BridgeCharms;
use grail_types::{Kind, RequestId, Terms};
use grail_wire::ActionKind;

use crate::{
    bridge::{
        Case, Held,
        deposit::{check_address, check_terms},
    },
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
        // Where they would be paid to is not looked at: a sponsor gets nothing.
        let (bridge, params) = (case.bridge, &case.proposal.params);
        let pays = pays_for(terms.kind) == Some(step);
        check_terms(terms, request, bridge, params, &held.roster, pays)?;
        let tree = check_address(secp, terms, &held.roster, input_index, spent)?;
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

/// The one step that a sponsor pays for.
fn pays_for(kind: Kind) -> Option<ActionKind> {
    match kind {
        Kind::SponsorAnnounce => Some(ActionKind::Announcement),
        Kind::SponsorCancel => Some(ActionKind::Cancellation),
        Kind::SponsorExecute => Some(ActionKind::Execution),
        Kind::PegIn | Kind::PegOut => None,
    }
}
