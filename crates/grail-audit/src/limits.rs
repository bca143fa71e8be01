//! The limits, reckoned anew: how much may leave and exist, from blocks and the parameters that the
//! state names by their hash (ADR 24).
//!
//! Believes no state: the level after a settlement follows from the one before, from the zkBTC that
//! the transaction destroys and makes, and from the age that the NFT's input claims, to which
//! consensus holds it. Whoever was not told the parameters can say less, and says so.

use std::collections::BTreeMap;

use bitcoin::transaction::Version;
use bitcoin::{Amount, Transaction};
use grail_bridge_contract::RosterState;
use grail_types::{Age, Bridge, OutflowLimit, Params, ParamsHash};

use crate::finding::Finding;

/// Parameters that the auditor was told, for the bridge that it found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pinned(BTreeMap<ParamsHash, Params>);

/// A settlement as the limits see it.
pub(crate) struct Moved<'a> {
    pub old: &'a RosterState,
    pub new: &'a RosterState,
    /// zkBTC made, satoshis.
    pub minted: u64,
    /// zkBTC destroyed, satoshis.
    pub burned: u64,
    /// The age that the NFT's input claims; none where it claims none that consensus holds it to.
    pub age: Option<Age>,
}

/// How far limits could be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// With the parameters.
    Wholly,
    /// Without.
    InPart,
}

impl Pinned {
    pub(crate) fn new(params: Vec<Params>, bridge: &Bridge) -> Self {
        let known = params.into_iter().map(|it| (it.hash(bridge), it));
        Self(known.collect())
    }

    /// Whether the auditor was told none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their hashes.
    pub(crate) fn hashes(&self) -> Vec<String> {
        self.0.keys().map(ToString::to_string).collect()
    }

    /// The parameters that a state names, where they are among these: of others nothing is known.
    pub(crate) fn named_by(&self, state: &RosterState) -> Option<&Params> {
        self.0.get(&ParamsHash(state.params_hash))
    }
}

/// The age that an input claims, in the one form. Before version 2 consensus does not look at it
/// (BIP 68).
pub(crate) fn claimed_age(transaction: &Transaction, input_index: usize) -> Option<Age> {
    let input = transaction.input.get(input_index)?;
    let age = Age::from_sequence(input.sequence)?;
    (age == Age(0) || transaction.version >= Version::TWO).then_some(age)
}

/// Whether the limits bound this move: announcement, cancel and execution change neither supply
/// nor level, which is their own rule.
pub(crate) fn is_settlement(old: &RosterState, new: &RosterState) -> bool {
    old.epoch == new.epoch && old.next == new.next
}

/// Holds a settlement to the limits. Without the parameters the level is held to what any rate
/// would explain, cap and largest supply to nothing.
#[must_use]
pub(crate) fn check_limits(
    pinned: &Pinned,
    moved: &Moved<'_>,
    findings: &mut Vec<Finding>,
) -> Checked {
    let Moved {
        old,
        new,
        minted,
        burned,
        age,
    } = *moved;
    if age.is_none() {
        findings.push(Finding::OutflowAge);
    }
    let age = age.unwrap_or_default();
    let params = pinned.named_by(old);
    // Without the rate: as if one block emptied any level, and as if none let anything go.
    let unknown = [Amount::MAX, Amount::ZERO];
    let rates = params.map_or(unknown, |params| [params.outflow_rate; 2]);
    let [at_least, at_most] = rates.map(|rate| {
        let cap = Amount::ZERO;
        OutflowLimit { cap, rate }.after(old.outflow, age, minted, burned)
    });
    let got = new.outflow;
    if !(at_least..=at_most).contains(&got) {
        findings.push(Finding::OutflowLevel {
            at_least,
            at_most,
            got,
        });
    }
    let Some(params) = params else {
        return Checked::InPart;
    };
    // What the level is, whatever the state says that it is.
    if let Err(above) = params.outflow_limit().check(at_most, minted, burned) {
        findings.push(Finding::OutflowAboveCap {
            cap: above.cap.to_sat(),
            got: above.got,
        });
    }
    let supply_max = params.supply_max.to_sat();
    if minted > burned && new.supply > supply_max {
        findings.push(Finding::SupplyAboveMax {
            expected: supply_max,
            got: new.supply,
        });
    }
    Checked::Wholly
}
