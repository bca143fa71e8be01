//! `grail operator status`: what a document says, and where its rotation stands.

use std::time::Duration;

use bitcoin::secp256k1::Secp256k1;
use grail_api::client::Client;
use grail_api::{CheckedRotation, Event};

use super::{api, read_document};
use crate::arguments::OperatorStatus;
use crate::failure::Failure;
use crate::report::RotationReport;
use crate::session::Settings;

/// Between two looks when the event stream is not to be had.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Failed looks in a row before watching ends. A backend that takes other parameters starts anew,
/// which is over in seconds.
const WATCH_FAILURES_MAX: u32 = 30;

/// Reads a document, and with the API the chain's side.
pub fn status(settings: &Settings, asked: &OperatorStatus) -> Result<RotationReport, Failure> {
    let rotation = read_document(&asked.file, &Secp256k1::new())?;
    if asked.backend {
        look(&api(settings)?, &rotation)
    } else {
        Ok(RotationReport::of(&rotation))
    }
}

/// Calls `seen` with every change of the rotation until it is over.
pub fn watch(
    settings: &Settings,
    asked: &OperatorStatus,
    mut seen: impl FnMut(RotationReport) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let rotation = read_document(&asked.file, &Secp256k1::new())?;
    let client = api(settings)?;
    // What was shown last: that the API does not know it is worth showing too.
    let mut last = None;
    let mut failures = 0_u32;
    loop {
        // The stream is opened before looking, so that no change falls between.
        let events = client.rotation_events();
        match look(&client, &rotation) {
            Ok(report) => {
                failures = 0;
                let standing = report.standing.clone();
                let is_over = standing.as_ref().is_some_and(|it| it.stage.is_over());
                if last.as_ref() != Some(&standing) {
                    seen(report)?;
                    last = Some(standing);
                }
                if is_over {
                    return Ok(());
                }
            }
            Err(failure) => {
                failures = failures.saturating_add(1);
                if last.is_none() || failures > WATCH_FAILURES_MAX {
                    return Err(failure);
                }
            }
        }
        // Any event but a tip, or the end of the stream, is a reason to look again.
        let hint = events
            .ok()
            .and_then(|mut events| events.find(|event| !matches!(event, Ok(Event::Tip { .. }))));
        if !matches!(hint, Some(Ok(_))) {
            std::thread::sleep(WATCH_INTERVAL);
        }
    }
}

fn look(client: &Client, rotation: &CheckedRotation) -> Result<RotationReport, Failure> {
    let told = client.rotations()?;
    rotation.check_bridge(&told.basis.bridge)?;
    let mut known = told.rotations.into_iter();
    let known =
        known.find(|it| it.attempt == rotation.document().attempt && it.next == rotation.next());
    Ok(RotationReport::of(rotation)
        .compared_with(&told.basis.params)
        .standing(known))
}
