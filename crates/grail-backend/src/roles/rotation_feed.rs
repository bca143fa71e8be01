//! Role *rotation feed*: tells the feed of events when a rotation stands elsewhere than it was last
//! told of.
//!
//! Where a rotation stands follows from the NFT's state and from rows, and is no row of its own. So
//! it is worked out after every step and compared with the newest event about it. Owns nothing
//! else: an event that is lost or doubled is a hint that is, and changes nothing.

use std::time::Duration;

use grail_api::{Event, RotationStatus};
use grail_store::{NewEvent, Reader, StoreError, Subject};
use serde_json::{Value, json};

use crate::{backend::Backend, clock, rotations};

/// Rotations that are looked at, the newest: of those before them nothing can change but by a reorg
/// below their end.
const WATCHED_MAX: u32 = 3;
/// Longest wait for a hint before the rows are looked at again. A block without anything of ours
/// leaves no hint, and counts all the same.
const POLL: Duration = Duration::from_secs(5);
/// The kind of these events in the rows.
const KIND: &str = "stands";

/// Tells of rotations until the database fails or the backend stops.
pub async fn run(backend: &Backend) -> anyhow::Result<()> {
    while !backend.is_stopping() {
        // Made before rows are read, so that no commit in between goes unnoticed.
        let hint = backend.hints.feed.notified();
        tell(backend).await?;
        tokio::select! {
            _ = tokio::time::timeout(POLL, hint) => {}
            () = backend.stopping() => {}
        }
    }
    Ok(())
}

/// Looks once, and appends an event for each rotation that stands elsewhere than was told last. How
/// many.
pub async fn tell(backend: &Backend) -> anyhow::Result<usize> {
    let mut reader = backend.store.read().await?;
    let rows = reader.signed_rotations(WATCHED_MAX).await?;
    // Nobody asked for a rotation: that is how it is most of the time.
    if rows.is_empty() {
        return Ok(0);
    }
    let rosters = backend.rosters(&mut reader).await?;
    let nft = rotations::chain_nft(backend, &mut reader).await?;
    let mut changed = Vec::new();
    // Oldest first, as it happened.
    for row in rows.into_iter().rev() {
        let Some(known) = rotations::readable(backend, row) else {
            continue;
        };
        let status = rotations::status(backend, &mut reader, &rosters, &nft, &known).await?;
        let (subject, body) = (Subject::Rotation(status.attempt), body(&status));
        if !is_told(&mut reader, subject, &body).await? {
            changed.push((subject, body));
        }
    }
    drop(reader);
    if changed.is_empty() {
        return Ok(0);
    }
    let mut tx = backend.store.begin().await?;
    for (subject, body) in &changed {
        let event = NewEvent {
            subject: *subject,
            kind: KIND,
            body,
            now: tx.now(clock::now()),
        };
        tx.append_event(&event).await?;
    }
    tx.commit().await?;
    backend.hints.feed.notify_waiters();
    Ok(changed.len())
}

async fn is_told(reader: &mut Reader, subject: Subject, body: &Value) -> Result<bool, StoreError> {
    let told = reader.newest_event_about(subject).await?;
    Ok(told.is_some_and(|told| told.body == *body))
}

fn body(status: &RotationStatus) -> Value {
    json!({
        "to": status.stage.name(),
        "epoch": status.epoch,
        "blocks_left": status.blocks_left,
    })
}

/// A stored event in the API's words; none of a form that this release does not know.
pub(crate) fn read(attempt: u64, body: &Value) -> Option<Event> {
    let blocks_left = match body.get("blocks_left") {
        None | Some(Value::Null) => None,
        Some(left) => Some(u32::try_from(left.as_u64()?).ok()?),
    };
    Some(Event::Rotation {
        attempt,
        epoch: body.get("epoch")?.as_u64()?,
        stage: body.get("to")?.as_str()?.parse().ok()?,
        blocks_left,
    })
}
