//! Who pays the miners of a transaction that serves no request: deposits of their own kinds, whose
//! whole coin is fee.

use std::{collections::BTreeSet, sync::Arc};

use bitcoin::{
    Amount,
    secp256k1::{Secp256k1, Verification},
};
use grail_script::Spend;
use grail_spell::BridgeCharms;
use grail_types::{Kind, RequestId, Terms};
use grail_wire::ActionKind;

use super::{
    Case, Held,
    deposit::{check_address, check_terms},
};
use crate::{approve::SigningInput, refusal::Refusal};

/// What sponsors bring.
pub(crate) struct Sponsored {
    /// Each with what it pays, in the order of the inputs.
    pub shares: Vec<(RequestId, Amount)>,
    /// All of it.
    pub total: Amount,
    /// How their coins are spent.
    pub inputs: Vec<SigningInput>,
}

/// All inputs from `first` on are deposits of sponsors of this action, one per terms.
pub(crate) fn check<C: Verification>(
    secp: &Secp256k1<C>,
    case: &Case<'_>,
    held: &Held,
    sponsors: &[Terms],
    first: usize,
) -> Result<Sponsored, Refusal> {
    // A sponsor pays the miners and nobody else: the prover's output is the one that no proof
    // commits to.
    if let Some(got) = case.framed.prover_fee {
        let reason = "sponsors pay no prover";
        return Err(Refusal::ProverFee { got, reason });
    }
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
    let action = case.proposal.action.kind();
    let mut seen = BTreeSet::new();
    let mut sponsored = Sponsored {
        shares: Vec::with_capacity(sponsors.len()),
        total: Amount::ZERO,
        inputs: Vec::with_capacity(sponsors.len()),
    };
    for (input_index, (terms, spent)) in (first..).zip(sponsors.iter().zip(deposits)) {
        let request = terms.id();
        if !seen.insert(request) {
            return Err(Refusal::RepeatedRequest(request));
        }
        // Where they would be paid to is not looked at: a sponsor gets nothing.
        let (bridge, params) = (case.bridge, &case.proposal.params);
        let pays = pays_for(terms.kind) == Some(action);
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
        let total = sponsored.total.checked_add(share);
        sponsored.total = total.ok_or(Refusal::Overflow)?;
        sponsored.shares.push((request, share));
        sponsored.inputs.push(SigningInput {
            spend: Spend::Leaf(tree.leaf),
            roster: Arc::clone(&held.roster),
        });
    }
    Ok(sponsored)
}

/// The one action that a sponsor pays for.
fn pays_for(kind: Kind) -> Option<ActionKind> {
    match kind {
        Kind::SponsorAnnounce => Some(ActionKind::Announcement),
        Kind::SponsorCancel => Some(ActionKind::Cancellation),
        Kind::SponsorExecute => Some(ActionKind::Execution),
        Kind::SponsorMerge => Some(ActionKind::Merge),
        Kind::PegIn | Kind::PegOut => None,
    }
}
