//! Steps of a rotation, each broken in one place.

use grail_wire::{Action, Announcement, Consents, Sponsors, Succession};

use crate::support::{StepDraft, World, steps::succession, world};

mod announce;
mod cancel;
mod execute;
mod sponsors;

pub(crate) fn codes() -> Vec<&'static str> {
    [
        announce::CODES,
        cancel::CODES,
        execute::CODES,
        sponsors::CODES,
    ]
    .concat()
}

/// The usual announcement, which is approved as it is.
fn announcement() -> StepDraft {
    let step = world().announcing(&succession(world()));
    assert_eq!(step.refusal(world()), "approved");
    step
}

/// The usual world with the usual rotation announced.
fn announced() -> World {
    world().after(&announcement())
}

/// The usual announcement, changed before its spell is proven.
fn announcing(change: impl FnOnce(&World, &mut StepDraft)) -> &'static str {
    let mut step = announcement();
    change(world(), &mut step);
    step.refusal(world())
}

/// An announcement of a changed roster to come.
fn announcing_other(change: impl FnOnce(&mut Succession)) -> &'static str {
    let mut succession = succession(world());
    change(&mut succession);
    world().announcing(&succession).refusal(world())
}

fn announced_of(step: &mut StepDraft) -> &mut Announcement {
    match &mut step.action {
        Action::Announcement(it) => it,
        other => panic!("expected an announcement, got a {}", other.kind()),
    }
}

fn consents_of(step: &mut StepDraft) -> &mut Consents {
    match &mut step.action {
        Action::Announcement(it) => &mut it.consents,
        Action::Cancellation(it) => &mut it.consents,
        other => panic!("a {} has no consents", other.kind()),
    }
}

fn sponsors_of(step: &mut StepDraft) -> &mut Sponsors {
    match &mut step.action {
        Action::Announcement(it) => &mut it.sponsors,
        Action::Cancellation(it) => &mut it.sponsors,
        Action::Execution(it) => &mut it.sponsors,
        Action::Merge(it) => &mut it.sponsors,
        other => panic!("a {} has no sponsors", other.kind()),
    }
}
