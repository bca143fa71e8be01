//! What the settlements under a new one pay too little to be mined soon (ADR 25), by the rows and
//! the node. Who pays it, if anybody, the plan says.

use bitcoin::{Amount, FeeRate};
use grail_flow::{replacement::Lane, surcharge};
use grail_store::Settlement;

use super::{chain_nft, replace};
use crate::{backend::Backend, clock, roles::lane};

/// What those that wait for a block lack to be mined at `rate`: those that are built, of which the
/// fee is known. What is planned meets published ones alone.
///
/// # Errors
/// What rows and node answer.
pub(crate) async fn deficit(backend: &Backend, rate: FeeRate) -> anyhow::Result<Amount> {
    let mut reader = backend.store.read().await?;
    let nft = chain_nft(backend, &mut reader).await?;
    let mut holders = lane::holders(&mut reader, nft).await?;
    let is_built = |holder: &Settlement| holder.fee.is_some() && holder.vsize.is_some();
    let built = holders.iter().take_while(|holder| is_built(holder)).count();
    holders.truncate(built);
    if holders.is_empty() {
        return Ok(Amount::ZERO);
    }
    let height = reader.last_block().await?.map_or(0, |block| block.height);
    let as_of = (height, clock::now());
    let waiting = replace::waiting(backend, &mut reader, &holders, as_of).await?;
    drop(reader);
    let Some(strangers) = replace::strangers(backend, &holders).await? else {
        return Ok(Amount::ZERO);
    };
    let lane = Lane {
        waiting: &waiting,
        is_dropped: false,
        strangers: strangers.of_others,
        rivals: &[],
        begun: 0,
        begun_at: None,
    };
    Ok(surcharge::deficit(&lane, rate))
}
