//! Creating settlements and moving them from state to state.

use bitcoin::{OutPoint, Txid};
use grail_flow::{SettlementId, SettlementState};

use super::{
    DRAFT_BYTES_MAX, NewSettlement, Replaces, SETTLEMENT_ITEMS_MAX, Settlement, SettlementItem,
    bodies::Body,
};
use crate::{
    Conflict, StoreError, StoreTx,
    column::{after, at_most, integer, sat},
    form::{write_bytes, write_json},
};

impl StoreTx {
    /// Creates a draft.
    ///
    /// # Errors
    /// [`Conflict::NftSpent`], [`Conflict::DepositUsed`], [`Conflict::RequestServed`] when a live
    /// settlement has them; [`StoreError::OutOfRange`]; [`StoreError::NotFound`] when a deposit
    /// is not that of its request.
    pub async fn create_settlement(
        &mut self,
        new: &NewSettlement<'_>,
    ) -> Result<SettlementId, StoreError> {
        self.refuse_spent_nft(&new.nft_input).await?;
        self.insert_draft(new, None).await
    }

    /// The row of a draft with its items, active unless it replaces others.
    pub(super) async fn insert_draft(
        &mut self,
        new: &NewSettlement<'_>,
        replaces: Option<Replaces>,
    ) -> Result<SettlementId, StoreError> {
        at_most("number of items", new.items.len(), SETTLEMENT_ITEMS_MAX)?;
        at_most("length of the draft", new.draft.len(), DRAFT_BYTES_MAX)?;
        let now = integer("now", new.now)?;
        let state = SettlementState::start();
        let number = self.next_number("settlement").await?;
        sqlx::query(
            "INSERT INTO settlements (id, state_name, state, epoch, nft_input, replaces, begun_height, \
             stage_since, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8)",
        )
        .bind(number)
        .bind(state.name())
        .bind(write_json("settlements.state", &state)?)
        .bind(integer("epoch", new.epoch.0)?)
        .bind(new.nft_input.to_string())
        .bind(replaces.map(|replaces| after(replaces.settlement.0)))
        .bind(replaces.map(|replaces| i64::from(replaces.height)))
        .bind(now)
        .execute(self.connection())
        .await?;
        let is_active = replaces.is_none();
        for (position, item) in (0_i64..).zip(new.items) {
            if is_active {
                self.refuse_used(item).await?;
            }
            self.add_item((number, position), item, i64::from(is_active))
                .await?;
        }
        let id = u64::try_from(number)
            .map(SettlementId)
            .map_err(|error| StoreError::corrupt("counters.value", error))?;
        self.put_body(id, Body::Draft, write_bytes(new.draft))
            .await?;
        Ok(id)
    }

    async fn add_item(
        &mut self,
        (settlement, position): (i64, i64),
        item: &SettlementItem,
        active: i64,
    ) -> Result<(), StoreError> {
        let belongs = self
            .deposit(&item.deposit)
            .await?
            .is_some_and(|row| row.request == item.request);
        if !belongs {
            return Err(StoreError::NotFound {
                what: "deposit of the request",
            });
        }
        sqlx::query(
            "INSERT INTO settlement_items (settlement, position, request, deposit, request_row, deposit_row, \
             amount_out_sat, fee_share_sat, active) VALUES ($1, $2, $3, $4, $3, $4, $5, $6, $7)",
        )
        .bind(settlement)
        .bind(position)
        .bind(item.request.to_string())
        .bind(item.deposit.to_string())
        .bind(sat("amount out", item.amount_out)?)
        .bind(sat("fee share", item.fee_share)?)
        .bind(active)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    pub(super) async fn refuse_spent_nft(&mut self, nft: &OutPoint) -> Result<(), StoreError> {
        match self.settlement_spending_nft(nft).await? {
            Some(other) => Err(Conflict::NftSpent { by: other.id }.into()),
            None => Ok(()),
        }
    }

    pub(super) async fn refuse_used_deposit(
        &mut self,
        deposit: &OutPoint,
    ) -> Result<(), StoreError> {
        match self.settlement_using(deposit).await? {
            Some(by) => Err(Conflict::DepositUsed { by }.into()),
            None => Ok(()),
        }
    }

    async fn refuse_used(&mut self, item: &SettlementItem) -> Result<(), StoreError> {
        self.refuse_used_deposit(&item.deposit).await?;
        if let Some(by) = self.settlement_serving(&item.request).await? {
            return Err(Conflict::RequestServed { by }.into());
        }
        Ok(())
    }

    /// Moves a settlement from the state that the caller read to another; its block and its hold on
    /// NFT, deposits and requests follow the state.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is in another state by now; [`StoreError::NotFound`]; on the
    /// way back from abandoned, and where one that stood by is published, the conflicts of
    /// [`StoreTx::create_settlement`] and [`Conflict::TransactionTaken`].
    pub async fn set_settlement_state(
        &mut self,
        id: SettlementId,
        from: &SettlementState,
        to: &SettlementState,
        now: u64,
    ) -> Result<(), StoreError> {
        let settlement = self
            .settlement(id)
            .await?
            .ok_or(StoreError::NotFound { what: "settlement" })?;
        if settlement.state != *from {
            return Err(StoreError::Stale { what: "settlement" });
        }
        let hold = settlement.hold();
        let (held, holds) = (hold.holds(from.stage()), hold.holds(to.stage()));
        if holds && !held {
            self.refuse_spent_nft(&settlement.nft_input).await?;
            if let Some(txid) = settlement.txid {
                self.refuse_taken(id, &txid).await?;
            }
            for item in self.settlement_items(id).await? {
                if settlement.adopted {
                    // The chain's word: another settlement may serve the request as well, with
                    // another deposit.
                    self.refuse_used_deposit(&item.deposit).await?;
                } else {
                    self.refuse_used(&item).await?;
                }
            }
        }
        let block = to.block();
        sqlx::query(
            "UPDATE settlements SET stage_since = CASE WHEN state_name = $2 THEN stage_since ELSE $6 END, \
             state_name = $2, state = $3, height = $4, hash = $5, updated_at = $6 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(to.name())
        .bind(write_json("settlements.state", to)?)
        .bind(block.map(|block| i64::from(block.height)))
        .bind(block.map(|block| block.hash.to_string()))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        if holds != held {
            sqlx::query("UPDATE settlement_items SET active = $2 WHERE settlement = $1")
                .bind(after(id.0))
                .bind(i64::from(holds))
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    pub(super) async fn refuse_taken(
        &mut self,
        id: SettlementId,
        txid: &Txid,
    ) -> Result<(), StoreError> {
        match self.settlement_by_txid(txid).await? {
            Some(other) if other.id != id && other.state.stage().is_live() => {
                Err(Conflict::TransactionTaken { by: other.id }.into())
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn live(&mut self, id: SettlementId) -> Result<Settlement, StoreError> {
        let settlement = self
            .settlement(id)
            .await?
            .ok_or(StoreError::NotFound { what: "settlement" })?;
        if settlement.state.stage().is_live() {
            Ok(settlement)
        } else {
            Err(Conflict::SettlementAbandoned { id }.into())
        }
    }
}
