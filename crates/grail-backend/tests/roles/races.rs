//! What changes between a role's look and its step.

use std::{sync::Arc, time::Duration};

use grail_backend::{roles::build, step::Step};
use grail_flow::RequestEvent;

use super::world::World;

/// Long enough for a plan; a plan that takes longer is made from the changed rows, and that is fine
/// too.
const PLANNING: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_request_no_longer_ready_when_planned_is_not_in_the_settlement() {
    let w = World::new().await;
    let ready = w.ready_peg_ins(2).await;
    let (old, deposit) = &ready[0];
    // The one writer is held, so that the plan is made and its step waits.
    let mut step = Step::begin(&w.backend).await.unwrap();
    let backend = Arc::clone(&w.backend);
    let mut building = tokio::spawn(async move { build::build_once(&backend).await.unwrap() });
    assert!(
        tokio::time::timeout(PLANNING, &mut building).await.is_err(),
        "drafted without the writer"
    );
    let event = RequestEvent::TooCloseToReclaim { deposit: *deposit };
    step.tell_request(old.id, event).await.unwrap();
    step.commit().await.unwrap();
    building.await.unwrap();

    w.settle_all().await;
    assert_eq!(w.alarms().await, [""; 0]);
    assert_eq!(
        w.standing(old).await,
        ("reclaimable", Some("too-close-to-reclaim"))
    );
    assert_eq!(w.standing(&ready[1].0).await, ("settling", None));
}
