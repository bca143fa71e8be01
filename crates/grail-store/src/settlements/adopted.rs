//! Settlements that blocks hold and that these rows did not make: read from the chain (ADR 14).

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint, Transaction, consensus::encode};
use grail_flow::{SettlementId, SettlementStage, SettlementState};
use grail_types::{Epoch, RequestId};

use super::{SETTLEMENT_ITEMS_MAX, SettlementItem, bodies::Body, without_witnesses};
use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, listed, sat},
    db::sql,
    form::write_json,
};

/// A settlement as a block tells it.
#[derive(Clone, Copy, Debug)]
pub struct AdoptedSettlement<'a> {
    /// The epoch of the roster that held the NFT.
    pub epoch: Epoch,
    /// The transaction with its witnesses: after a reorg it is published again.
    pub transaction: &'a Transaction,
    /// The NFT's output that it spends.
    pub nft_input: OutPoint,
    /// Which of its outputs is the NFT.
    pub nft_vout: u32,
    /// Its fee.
    pub fee: Amount,
    /// What it pays, in order, whether or not the requests are known.
    pub items: &'a [SettlementItem],
    /// The time, unix seconds.
    pub now: u64,
}

impl Reader {
    /// What live adopted settlements pay to a request that was in no row when they were adopted.
    pub async fn unclaimed_items(
        &mut self,
        request: &RequestId,
    ) -> Result<Vec<(SettlementId, SettlementItem)>, StoreError> {
        let rows = sqlx::query(
            "SELECT settlement, request, deposit, amount_out_sat, fee_share_sat FROM settlement_items \
             WHERE request = $1 AND request_row IS NULL AND active = 1 ORDER BY settlement, position",
        )
        .bind(request.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((row.settlement_id("settlement")?, super::item(row)?)))
            .collect()
    }

    /// Deposits of requests that are in no row which settlements in no block were to spend.
    pub async fn unclaimed_deposits(
        &mut self,
    ) -> Result<BTreeMap<OutPoint, SettlementId>, StoreError> {
        let unconfirmed = SettlementStage::those(SettlementStage::is_unconfirmed);
        let rows = sqlx::query(sql(format!(
            "SELECT i.deposit, i.settlement FROM settlements s JOIN settlement_items i ON i.settlement = s.id \
             WHERE s.state_name IN ({}) AND i.request_row IS NULL",
            listed(unconfirmed.map(SettlementStage::name))
        )))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((row.outpoint("deposit")?, row.settlement_id("settlement")?)))
            .collect()
    }

    /// What a settlement pays to requests that are in rows, in order.
    pub async fn known_items(
        &mut self,
        id: SettlementId,
    ) -> Result<Vec<SettlementItem>, StoreError> {
        let rows = sqlx::query(
            "SELECT request, deposit, amount_out_sat, fee_share_sat FROM settlement_items \
             WHERE settlement = $1 AND request_row IS NOT NULL ORDER BY position",
        )
        .bind(after(id.0))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(super::item).collect()
    }
}

impl StoreTx {
    /// Records a settlement as handed to the network; that a block holds it is for its machine to
    /// be told. Whatever it conflicts with must have ended before.
    ///
    /// # Errors
    /// [`Conflict::NftSpent`], [`Conflict::DepositUsed`], [`Conflict::TransactionTaken`] when a
    /// live settlement has them; [`Conflict::TransactionDiffers`] when the transaction does not
    /// spend the NFT or lacks its output; [`StoreError::OutOfRange`]; [`StoreError::NotFound`] when
    /// a deposit that has a row is not that of its request.
    pub async fn adopt_settlement(
        &mut self,
        new: &AdoptedSettlement<'_>,
    ) -> Result<SettlementId, StoreError> {
        at_most("number of items", new.items.len(), SETTLEMENT_ITEMS_MAX)?;
        let mut inputs = new.transaction.input.iter();
        let spends_nft = inputs.any(|input| input.previous_output == new.nft_input);
        let makes_nft =
            usize::try_from(new.nft_vout).is_ok_and(|vout| vout < new.transaction.output.len());
        if !spends_nft || !makes_nft {
            return Err(Conflict::TransactionDiffers.into());
        }
        self.refuse_spent_nft(&new.nft_input).await?;
        let number = self.next_number("settlement").await?;
        let id = u64::try_from(number)
            .map(SettlementId)
            .map_err(|error| StoreError::corrupt("counters.value", error))?;
        let txid = new.transaction.compute_txid();
        self.refuse_taken(id, &txid).await?;
        let state = SettlementState::Broadcast {};
        let weight = new.transaction.weight();
        sqlx::query(
            "INSERT INTO settlements (id, state_name, state, epoch, nft_input, nft_output, txid, fee_sat, weight, \
             vsize, adopted, stage_since, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $11, $11)",
        )
        .bind(number)
        .bind(state.name())
        .bind(write_json("settlements.state", &state)?)
        .bind(integer("epoch", new.epoch.0)?)
        .bind(new.nft_input.to_string())
        .bind(OutPoint::new(txid, new.nft_vout).to_string())
        .bind(txid.to_string())
        .bind(sat("fee", new.fee)?)
        .bind(integer("weight", weight.to_wu())?)
        .bind(integer("vsize", weight.to_vbytes_ceil())?)
        .bind(integer("now", new.now)?)
        .execute(self.connection())
        .await?;
        let unsigned = encode::serialize(&without_witnesses(new.transaction));
        self.put_body(id, Body::Unsigned, unsigned).await?;
        let signed = encode::serialize(new.transaction);
        self.put_body(id, Body::Signed, signed).await?;
        for (position, item) in (0_i64..).zip(new.items) {
            self.add_adopted_item(number, position, item).await?;
        }
        Ok(id)
    }

    async fn add_adopted_item(
        &mut self,
        settlement: i64,
        position: i64,
        item: &SettlementItem,
    ) -> Result<(), StoreError> {
        self.refuse_used_deposit(&item.deposit).await?;
        let is_known = match self.deposit(&item.deposit).await? {
            Some(row) if row.request == item.request => true,
            Some(_) => {
                return Err(StoreError::NotFound {
                    what: "deposit of the request",
                });
            }
            None => false,
        };
        let row_of = |text: String| is_known.then_some(text);
        sqlx::query(
            "INSERT INTO settlement_items (settlement, position, request, deposit, request_row, deposit_row, \
             amount_out_sat, fee_share_sat, active, adopted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1)",
        )
        .bind(settlement)
        .bind(position)
        .bind(item.request.to_string())
        .bind(item.deposit.to_string())
        .bind(row_of(item.request.to_string()))
        .bind(row_of(item.deposit.to_string()))
        .bind(sat("amount out", item.amount_out)?)
        .bind(sat("fee share", item.fee_share)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Notes that request and deposit of an item have rows now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such item without rows, or no such deposit of the
    /// request.
    pub async fn claim_item(
        &mut self,
        settlement: SettlementId,
        item: &SettlementItem,
    ) -> Result<(), StoreError> {
        let belongs = self
            .deposit(&item.deposit)
            .await?
            .is_some_and(|row| row.request == item.request);
        let changed = sqlx::query(
            "UPDATE settlement_items SET request_row = request, deposit_row = deposit \
             WHERE settlement = $1 AND request = $2 AND deposit = $3 AND request_row IS NULL AND $4 = 1",
        )
        .bind(after(settlement.0))
        .bind(item.request.to_string())
        .bind(item.deposit.to_string())
        .bind(i64::from(belongs))
        .execute(self.connection())
        .await?
        .rows_affected();
        if changed == 1 {
            Ok(())
        } else {
            Err(StoreError::NotFound {
                what: "item of a request that was unknown",
            })
        }
    }
}
