//! How much may leave by now, by the newest settlement that is published: for `/v1/status`, for a
//! new peg-out, and for one that waits.

use bitcoin::Amount;
use grail_api::{LimitCode, Outflow, OutflowWait, StatusCode, StatusReason};
use grail_flow::confirmations;
use grail_store::Reader;
use grail_txbuild::limits::OutflowRoom;
use grail_types::{Epoch, OutflowLimit, Params};

use super::{answer::Answer, view::tip_height};
use crate::{backend::Backend, roles::build::published_nft, rotations::state_at};

/// What may leave, and what that follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// By the parameters.
    pub limit: OutflowLimit,
    /// In the newest NFT's state, satoshis.
    pub level: u64,
    /// Of its coin, by the newest block taken.
    pub nft_confirmations: u32,
    /// Of its state: deposits of this roster and of those before are settled.
    pub epoch: Epoch,
}

/// By the newest NFT that is published; none where rows do not have it in a form that tells.
pub(super) async fn leaving(backend: &Backend, reader: &mut Reader) -> Answer<Option<Leaving>> {
    let nft = published_nft(backend, reader).await?;
    let Some(transaction) = reader.transaction(&nft.txid).await? else {
        return Ok(None);
    };
    let Ok(state) = state_at(backend, nft, &transaction) else {
        return Ok(None);
    };
    // Its parameters are then not known here, and nothing is built either.
    if state.params_hash != backend.protocol().hash().0 {
        return Ok(None);
    }
    let block = reader.vault_output_block(&nft).await?;
    let tip = tip_height(backend, reader).await?;
    Ok(Some(Leaving {
        limit: backend.params().outflow_limit(),
        level: state.outflow,
        nft_confirmations: block.map_or(0, |block| confirmations(tip, block.height)),
        epoch: Epoch(state.epoch),
    }))
}

impl Leaving {
    fn room(&self) -> OutflowRoom {
        OutflowRoom::new(self.limit, self.level, self.nft_confirmations)
    }

    /// As `/v1/status` shows it.
    pub(super) fn shown(&self) -> Outflow {
        let room = self.room();
        Outflow {
            may_leave_sat: room.may_leave().to_sat(),
            cap_sat: self.limit.cap.to_sat(),
            rate_sat_per_block: self.limit.rate.to_sat(),
            level_sat: self.level,
            nft_confirmations: self.nft_confirmations,
            blocks_until_more: room.blocks_until_more(),
            blocks_until_empty: room.blocks_until_empty(),
        }
    }

    /// Why every peg-out waits, if even the smallest does.
    pub(super) fn is_shut(&self, params: &Params) -> Option<StatusReason> {
        warning(&self.shown(), params.deposit_min)
    }

    /// What a peg-out of so much waits for, if it does.
    pub(super) fn wait(&self, amount: Amount) -> Option<OutflowWait> {
        let room = self.room();
        let may_leave = room.may_leave();
        (amount > may_leave).then(|| OutflowWait {
            code: LimitCode::OutflowLimit,
            may_leave_sat: may_leave.to_sat(),
            blocks: room.blocks_until(amount),
        })
    }
}

/// What is said of a peg-out that is more than may leave by now, before it is paid.
pub(super) fn warning(outflow: &Outflow, amount: Amount) -> Option<StatusReason> {
    let (cap, rate) = (outflow.cap_sat, outflow.rate_sat_per_block);
    let limit = OutflowLimit {
        cap: Amount::from_sat(cap),
        rate: Amount::from_sat(rate),
    };
    let room = OutflowRoom::new(limit, outflow.level_sat, outflow.nft_confirmations);
    let (may_leave, asked) = (room.may_leave(), amount.to_sat());
    (amount > may_leave).then(|| {
        let when = room.blocks_until(amount).map_or_else(
            || format!("no more than {cap} sat at once, unless others come in"),
            |blocks| format!("{asked} sat in {blocks} blocks at the earliest"),
        );
        let now = may_leave.to_sat();
        StatusReason::new(
            StatusCode::OutflowLimit,
            format!("{now} sat may leave by now, {when}"),
        )
    })
}
