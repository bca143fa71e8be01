//! How near a vault's coins are to their administrators' leaf.
//!
//! Each settlement makes the NFT's coin and the vault's anew, in one transaction, so that both are
//! of the age of the first. What is at half of the leaf's age is told to a person and to users, who
//! have as long again to leave (ADR 26).

use grail_flow::{Alarm, AlarmCode, AlarmSubject, confirmations};
use grail_script::LAST_RESORT_AGE;
use grail_store::StoreError;

use crate::{backend::Backend, step::Step};

/// Blocks of age from which the last resort is near: half a year.
pub const NEAR: u32 = LAST_RESORT_AGE as u32 / 2;

/// Tells a person when the NFT's coin is `near` blocks old, and that it is over when a settlement
/// has made it anew.
pub async fn watch(backend: &Backend, near: u32) -> Result<(), StoreError> {
    let (code, subject) = (AlarmCode::LastResortNear, AlarmSubject::Bridge);
    let mut reader = backend.store.read().await?;
    let (made, tip) = (reader.nft_block().await?, reader.last_block().await?);
    let open = reader.open_alarm(code, &subject).await?;
    drop(reader);
    let age = made
        .zip(tip)
        .map_or(0, |(made, tip)| confirmations(tip.height, made.height));
    match (age >= near, open) {
        (true, None) => {
            let mut step = Step::begin(backend).await?;
            let alarm = Alarm::LastResortNear {
                age,
                opens_at: LAST_RESORT_AGE.into(),
            };
            step.raise(&alarm).await?;
            step.commit().await
        }
        (false, Some(alarm)) => {
            tracing::info!(age, "the vault was made anew: the last resort is far again");
            let mut step = Step::begin(backend).await?;
            let now = step.now();
            step.tx.acknowledge_alarm(alarm, now).await?;
            step.commit().await
        }
        (true, Some(_)) | (false, None) => Ok(()),
    }
}
