//! Settlements that stand by to take the place of those that wait for a block (ADR 17).

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use grail_flow::{
    AbandonCode, SettlementId, SettlementStage, SettlementState, replacement::Bundle,
};

use super::{NewSettlement, Settlement, holds, live, read, select};
use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, listed},
    db::sql,
};

/// In whose place a settlement is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The oldest of them: it spends the same NFT.
    pub settlement: SettlementId,
    /// Height of the newest block when it was begun.
    pub height: u32,
}

/// What was tried in the place of those that spend one output of the NFT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Replacements begun.
    pub count: u32,
    /// The height at which the newest of them was.
    pub newest_height: Option<u32>,
    /// Whether one of them could not be proven, or was refused.
    pub has_failed: bool,
}

impl Reader {
    /// The settlement that stands by to spend this output of the NFT.
    pub async fn replacement_of(
        &mut self,
        nft: &OutPoint,
    ) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!("WHERE nft_input = $1 AND {} AND NOT {}"),
            live("settlements"),
            holds("settlements")
        )))
        .bind(nft.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The settlement that stands by to spend this deposit.
    pub async fn replacement_using(
        &mut self,
        deposit: &OutPoint,
    ) -> Result<Option<SettlementId>, StoreError> {
        // By their states, of which the database has few settlements, whatever there ever was.
        let waiting = SettlementStage::those(|stage| stage.is_live() && !stage.is_published());
        let row = sqlx::query(sql(format!(
            "SELECT s.id AS id FROM settlements s WHERE s.state_name IN ({}) AND s.replaces IS NOT NULL \
             AND EXISTS (SELECT 1 FROM settlement_items i WHERE i.settlement = s.id AND i.deposit = $1)",
            listed(waiting.map(SettlementStage::name))
        )))
        .bind(deposit.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("id")).transpose()
    }

    /// Height of the oldest block that holds a deposit of a settlement, if any does.
    pub async fn oldest_deposit_height(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query(
            "SELECT MIN(d.height) AS height FROM settlement_items i \
             JOIN deposits d ON d.outpoint = i.deposit WHERE i.settlement = $1",
        )
        .bind(after(id.0))
        .fetch_one(self.connection())
        .await?;
        row.maybe_u64("height")?
            .map(u32::try_from)
            .transpose()
            .map_err(|error| StoreError::corrupt("deposits.height", error))
    }

    /// What was tried in the place of those that spend this output of the NFT.
    pub async fn replacements_tried(&mut self, nft: &OutPoint) -> Result<Tried, StoreError> {
        let rows = sqlx::query(
            "SELECT state, begun_height FROM settlements WHERE nft_input = $1 AND replaces IS NOT NULL",
        )
        .bind(nft.to_string())
        .fetch_all(self.connection())
        .await?;
        let mut tried = Tried::default();
        for row in &rows {
            let height = u32::try_from(row.u64("begun_height")?)
                .map_err(|error| StoreError::corrupt("settlements.begun_height", error))?;
            let state: SettlementState = row.versioned("state")?;
            tried.count = tried.count.saturating_add(1);
            tried.newest_height = tried.newest_height.max(Some(height));
            tried.has_failed |= has_failed(&state);
        }
        Ok(tried)
    }

    /// What signed settlements pay that spend this output of the NFT and were replaced, or stand
    /// by: a node may have any of them.
    pub async fn signed_rivals(&mut self, nft: &OutPoint) -> Result<Vec<Bundle>, StoreError> {
        let rows = sqlx::query(sql(format!(
            select!(
                "WHERE nft_input = $1 AND NOT {} AND EXISTS (SELECT 1 FROM settlement_bodies b \
                 WHERE b.settlement = settlements.id AND b.kind = 'signed')"
            ),
            holds("settlements")
        )))
        .bind(nft.to_string())
        .fetch_all(self.connection())
        .await?;
        let mut rivals = Vec::new();
        for row in &rows {
            let settlement = read(row)?;
            let replaced = SettlementState::Abandoned {
                code: AbandonCode::Replaced,
            };
            if settlement.state != replaced && !settlement.stands_by() {
                continue;
            }
            if let (Some(fee), Some(vsize)) = (settlement.fee, settlement.vsize) {
                rivals.push(Bundle { fee, vsize });
            }
        }
        Ok(rivals)
    }
}

/// Whether a replacement ended for something that is in it.
const fn has_failed(state: &SettlementState) -> bool {
    match state {
        SettlementState::Abandoned { code } => match code {
            AbandonCode::ProvingFailed
            | AbandonCode::DryRunRefused
            | AbandonCode::QuorumRefused
            | AbandonCode::NodeRejected
            | AbandonCode::ProverRefused => true,
            AbandonCode::InputsSpent
            | AbandonCode::ParentAbandoned
            | AbandonCode::Replaced
            | AbandonCode::Cancelled
            | AbandonCode::Overdue => false,
        },
        SettlementState::Draft {}
        | SettlementState::Proven {}
        | SettlementState::Asked { .. }
        | SettlementState::Signed {}
        | SettlementState::Broadcast {}
        | SettlementState::Confirmed { .. }
        | SettlementState::Final { .. } => false,
    }
}

impl StoreTx {
    /// Creates the draft of a settlement that is to take the place of others. It holds nothing:
    /// what it pays may be others' to pay until it is published.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the one that it replaces does not hold that NFT;
    /// [`Conflict::NftSpent`] when another one stands by; [`Conflict::RequestServed`] when it
    /// serves a request twice; [`StoreError::OutOfRange`]; [`StoreError::NotFound`] when a deposit
    /// is not that of its request.
    pub async fn create_replacement(
        &mut self,
        new: &NewSettlement<'_>,
        replaces: Replaces,
    ) -> Result<SettlementId, StoreError> {
        let holder = self.settlement_spending_nft(&new.nft_input).await?;
        if holder.is_none_or(|holder| holder.id != replaces.settlement) {
            return Err(StoreError::Stale {
                what: "the settlement to be replaced",
            });
        }
        if let Some(other) = self.replacement_of(&new.nft_input).await? {
            return Err(Conflict::NftSpent { by: other.id }.into());
        }
        let requests: BTreeSet<_> = new.items.iter().map(|item| item.request).collect();
        if requests.len() < new.items.len() {
            let by = replaces.settlement;
            return Err(Conflict::RequestServed { by }.into());
        }
        self.insert_draft(new, Some(replaces)).await
    }
}
