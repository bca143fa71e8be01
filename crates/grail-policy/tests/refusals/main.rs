//! Every refusal, produced by a settlement that breaks exactly its rule.
//!
//! Each case starts from a settlement that is approved, changes one thing, and proves the spell
//! again when the change touches what the proof commits to; the contract of these tests agrees to
//! everything, so that only the policy stands in the way.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

mod books;
mod clearing;
mod former;
mod limits;
mod merge;
mod nft;
mod outline;
mod probe;
mod prover;
mod requests;
mod rotation;

use std::collections::BTreeSet;

use grail_wire::RefusalCode;
use support::{Draft, Proposal, World, world};

/// The usual settlement, which is approved as it is.
fn usual() -> Draft {
    let draft = world().usual().draft;
    assert_eq!(draft.refusal(world()), "approved");
    draft
}

/// The usual settlement, changed before its spell is proven.
fn drafted(change: fn(&World, &mut Draft)) -> &'static str {
    let mut draft = usual();
    change(world(), &mut draft);
    draft.refusal(world())
}

/// The usual settlement, changed after its spell is proven.
fn proposed(change: fn(&World, &mut Proposal)) -> &'static str {
    let mut proposal = usual().propose(world());
    change(world(), &mut proposal);
    world().refusal(&proposal)
}

/// One test per line: its name, the code that it must produce, how.
macro_rules! refusals {
    ($($name:ident => $code:literal: $produce:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let code: &str = $produce;
                assert_eq!(code, $code);
            }
        )*

        pub const CODES: &[&str] = &[$($code),*];
    };
}
use refusals;

#[test]
fn every_code_is_produced_by_a_test() {
    let produced: BTreeSet<_> = [
        outline::CODES,
        nft::CODES,
        requests::CODES,
        books::CODES,
        clearing::CODES,
        limits::CODES,
        merge::CODES,
        prover::CODES,
        former::CODES,
        probe::CODES,
        &rotation::codes(),
    ]
    .concat()
    .into_iter()
    .collect();
    let all = RefusalCode::ALL.iter().map(RefusalCode::as_str).collect();
    assert_eq!(produced, all);
}
