//! Cancellations.

use grail_types::{Consent, ConsentStep, Epoch};

use super::{announced, announced_of, announcement, consents_of};
use crate::{
    refusals,
    support::{
        StepDraft, World,
        steps::{administrators, consents, succession},
        world,
    },
};

refusals! {
    refuses_to_cancel_nothing => "rotation-state": {
        // Planned where something is announced, asked where nothing is.
        let mut step = announced().cancelling();
        step.draft.transaction = announcement().draft.transaction;
        step.draft.transaction.output.truncate(2);
        step.draft.spell.tx.outs.truncate(2);
        step.draft.previous = announcement().draft.previous;
        step.refusal(world())
    };
    refuses_one_consent_of_two_to_cancel => "consent": cancelling(|world, step| {
        *consents_of(step) = consents(&administrators(), &[2], &consent(world));
    });
    refuses_to_cancel_by_consent_to_the_announcement => "consent": cancelling(|_, step| {
        *consents_of(step) = announced_of(&mut announcement()).consents.clone();
    });
    refuses_to_cancel_by_consent_to_an_earlier_cancellation => "consent": cancelling(|world, step| {
        let mut consent = consent(world);
        consent.attempt -= 1;
        *consents_of(step) = consents(&administrators(), &[1, 2], &consent);
    });
    refuses_a_cancellation_that_leaves_the_announcement => "next-mismatch": cancelling(|world, step| {
        let next = world.state.next.clone();
        step.set_state(world, |state| state.next = next);
    });
    refuses_a_cancellation_that_forgets_the_attempt => "roster-changed": cancelling(|world, step| {
        step.set_state(world, |state| state.attempt -= 1);
    });
    refuses_to_announce_again_by_the_same_signatures => "consent": {
        let world = announced();
        let cancelled = world.after(&world.cancelling());
        let mut again = cancelled.announcing(&succession(&cancelled));
        assert_eq!(again.refusal(&cancelled), "approved");
        *consents_of(&mut again) = announced_of(&mut announcement()).consents.clone();
        again.refusal(&cancelled)
    };
}

/// The usual cancellation, changed before its spell is proven.
fn cancelling(change: impl FnOnce(&World, &mut StepDraft)) -> &'static str {
    let world = announced();
    let mut step = world.cancelling();
    assert_eq!(step.refusal(&world), "approved");
    change(&world, &mut step);
    step.refusal(&world)
}

fn consent(world: &World) -> Consent {
    Consent {
        step: ConsentStep::Cancel,
        bridge: world.bridge,
        epoch: Epoch(world.state.epoch),
        attempt: world.state.attempt,
        next: world.state.next.as_ref().unwrap().hash,
    }
}
