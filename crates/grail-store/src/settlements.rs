//! Settlements, what they pay, and the rules that no two live ones share an NFT, a deposit or a
//! request.

use bitcoin::{Amount, OutPoint, Transaction, Txid, Weight, consensus::encode};
use grail_flow::{BlockRef, SettlementId, SettlementStage, SettlementState};
use grail_types::RequestId;

use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, is_none_of, listed, page, sat},
    db::{DbRow, sql},
    form::{is_unversioned, read_bytes, write_bytes, write_json},
    transactions::decode,
};

/// Most items of one settlement: as many as could have inputs in a standard transaction, and to
/// spare.
pub const SETTLEMENT_ITEMS_MAX: usize = 1_000;
/// Largest proposal: 200 previous transactions at a fair size each; a database is no place for
/// more.
pub const PROPOSAL_BYTES_MAX: usize = 32 << 20;
/// Largest draft: a proposal, and a spell that is far smaller.
pub const DRAFT_BYTES_MAX: usize = 40 << 20;

/// A settlement as stored, without its large columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Its number.
    pub id: SettlementId,
    /// Where it stands.
    pub state: SettlementState,
    /// The NFT's output that it spends.
    pub nft_input: OutPoint,
    /// The NFT's output that it makes.
    pub nft_output: Option<OutPoint>,
    /// Its transaction, once built.
    pub txid: Option<Txid>,
    /// Its fee, once built.
    pub fee: Option<Amount>,
    /// Its signed weight, once built.
    pub weight: Option<Weight>,
    /// Its signed size in vbytes, once built.
    pub vsize: Option<u64>,
    /// The block that holds it.
    pub block: Option<BlockRef>,
    /// When it was made, unix seconds.
    pub created_at: u64,
    /// When it last changed, unix seconds.
    pub updated_at: u64,
}

/// A request served by a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementItem {
    /// The request.
    pub request: RequestId,
    /// Its deposit, an input of the settlement.
    pub deposit: OutPoint,
    /// What it gets: zkBTC of a peg-in, BTC of a peg-out.
    pub amount_out: Amount,
    /// What it contributes to the fee.
    pub fee_share: Amount,
}

/// A settlement to create.
#[derive(Clone, Copy, Debug)]
pub struct NewSettlement<'a> {
    /// The NFT's output that it spends.
    pub nft_input: OutPoint,
    /// What is to be proven, as the caller encodes it.
    pub draft: &'a [u8],
    /// Requests served.
    pub items: &'a [SettlementItem],
    /// The time, unix seconds.
    pub now: u64,
}

/// A settlement's transaction, complete but for signatures.
#[derive(Clone, Copy, Debug)]
pub struct BuiltTransaction<'a> {
    /// The transaction.
    pub unsigned: &'a Transaction,
    /// Which of its outputs is the NFT.
    pub nft_vout: u32,
    /// Its fee.
    pub fee: Amount,
    /// Its weight once signed.
    pub weight: Weight,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, state, nft_input, nft_output, txid, fee_sat, weight, vsize, height, hash, created_at, \
             updated_at FROM settlements ",
            $rest
        )
    };
}
pub(crate) use select;

/// The condition that a settlement is live: it holds what no other live one may.
fn live(column: &str) -> String {
    is_none_of(
        column,
        SettlementStage::those(SettlementStage::is_given_up).map(SettlementStage::name),
    )
}

impl Reader {
    /// A settlement.
    pub async fn settlement(&mut self, id: SettlementId) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(select!("WHERE id = $1"))
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The settlement with this transaction: the live one, else the newest abandoned one.
    pub async fn settlement_by_txid(
        &mut self,
        txid: &Txid,
    ) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!("WHERE txid = $1 ORDER BY CASE WHEN {} THEN 0 ELSE 1 END, id DESC LIMIT 1"),
            live("state_name")
        )))
        .bind(txid.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The live settlement that spends this output of the NFT.
    pub async fn settlement_spending_nft(
        &mut self,
        nft: &OutPoint,
    ) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!("WHERE nft_input = $1 AND {}"),
            live("state_name")
        )))
        .bind(nft.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The live settlement on which the next one builds: the one whose NFT output no live
    /// settlement spends. `None` when there is no live settlement: the next one builds on the
    /// deployment. A draft counts, and has no NFT output yet; nothing can build on it.
    pub async fn settlement_tip(&mut self) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!(
                "WHERE {} AND NOT EXISTS (SELECT 1 FROM settlements later \
                 WHERE later.nft_input = settlements.nft_output AND {}) ORDER BY id DESC LIMIT 1"
            ),
            live("state_name"),
            live("later.state_name")
        )))
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// How many live settlements are in no block.
    pub async fn unconfirmed_settlement_count(&mut self) -> Result<u64, StoreError> {
        let unconfirmed = SettlementStage::those(SettlementStage::is_unconfirmed);
        let row = sqlx::query(sql(format!(
            "SELECT COUNT(*) AS total FROM settlements WHERE state_name IN ({})",
            listed(unconfirmed.map(SettlementStage::name))
        )))
        .fetch_one(self.connection())
        .await?;
        row.u64("total")
    }

    /// Settlements in order of creation, after `after_id` (0: from the start).
    pub async fn settlements(
        &mut self,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query(select!("WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after(after_id))
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Settlements in a state, in order of creation.
    pub async fn settlements_in_state(
        &mut self,
        stage: SettlementStage,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE state_name = $1 AND id > $2 ORDER BY id LIMIT $3"
        ))
        .bind(stage.name())
        .bind(after(after_id))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// What a settlement pays, in order.
    pub async fn settlement_items(
        &mut self,
        id: SettlementId,
    ) -> Result<Vec<SettlementItem>, StoreError> {
        let rows = sqlx::query(
            "SELECT request, deposit, amount_out_sat, fee_share_sat FROM settlement_items WHERE settlement = $1 \
             ORDER BY position",
        )
        .bind(after(id.0))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(SettlementItem {
                    request: row.parsed("request")?,
                    deposit: row.outpoint("deposit")?,
                    amount_out: row.amount("amount_out_sat")?,
                    fee_share: row.amount("fee_share_sat")?,
                })
            })
            .collect()
    }

    /// What is to be proven, as given by [`StoreTx::create_settlement`]; none once it is.
    pub async fn draft(&mut self, id: SettlementId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT draft, proposal, proposal_id, state_name FROM settlements WHERE id = $1",
        )
        .bind(after(id.0))
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        match row.maybe_bytes("draft")? {
            Some(draft) => read_bytes("settlements.draft", draft).map(Some),
            None => old_draft(&row),
        }
    }

    /// What operators are asked, as given by [`StoreTx::set_proposal`]; none before that.
    pub async fn proposal(&mut self, id: SettlementId) -> Result<Option<Vec<u8>>, StoreError> {
        let row =
            sqlx::query("SELECT proposal, proposal_id, state_name FROM settlements WHERE id = $1")
                .bind(after(id.0))
                .fetch_optional(self.connection())
                .await?;
        let Some(row) = row else { return Ok(None) };
        let stored = row.bytes("proposal")?;
        if stored.is_empty() || old_draft(&row)?.is_some() {
            return Ok(None);
        }
        read_bytes("settlements.proposal", stored).map(Some)
    }

    /// The newest settlement whose proposal has this name. Two have one only when the first was
    /// given up and the second was built alike.
    pub async fn settlement_by_proposal(
        &mut self,
        name: &str,
    ) -> Result<Option<SettlementId>, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM settlements WHERE proposal_id = $1 ORDER BY id DESC LIMIT 1",
        )
        .bind(name)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("id")).transpose()
    }

    /// The transaction without signatures, once built.
    pub async fn unsigned_transaction(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<Transaction>, StoreError> {
        let row = sqlx::query("SELECT unsigned_tx FROM settlements WHERE id = $1")
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        row.maybe_bytes("unsigned_tx")?
            .map(|bytes| decode("settlements.unsigned_tx", &bytes))
            .transpose()
    }

    /// The transaction with signatures, once a quorum signed.
    pub async fn signed_transaction(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<Transaction>, StoreError> {
        let row = sqlx::query("SELECT signed_tx FROM settlements WHERE id = $1")
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        row.maybe_bytes("signed_tx")?
            .map(|bytes| decode("settlements.signed_tx", &bytes))
            .transpose()
    }

    /// The live settlement that uses a deposit.
    async fn settlement_using(
        &mut self,
        deposit: &OutPoint,
    ) -> Result<Option<SettlementId>, StoreError> {
        let row = sqlx::query(
            "SELECT settlement FROM settlement_items WHERE deposit = $1 AND active = 1",
        )
        .bind(deposit.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("settlement")).transpose()
    }

    /// The live settlement that serves a request.
    async fn settlement_serving(
        &mut self,
        request: &RequestId,
    ) -> Result<Option<SettlementId>, StoreError> {
        let row = sqlx::query(
            "SELECT settlement FROM settlement_items WHERE request = $1 AND active = 1",
        )
        .bind(request.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("settlement")).transpose()
    }
}

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
        at_most("number of items", new.items.len(), SETTLEMENT_ITEMS_MAX)?;
        at_most("length of the draft", new.draft.len(), DRAFT_BYTES_MAX)?;
        let now = integer("now", new.now)?;
        self.refuse_spent_nft(&new.nft_input).await?;
        let state = SettlementState::start();
        let number = self.next_number("settlement").await?;
        sqlx::query(
            "INSERT INTO settlements (id, state_name, state, nft_input, draft, proposal, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        )
        .bind(number)
        .bind(state.name())
        .bind(write_json("settlements.state", &state)?)
        .bind(new.nft_input.to_string())
        .bind(write_bytes(new.draft))
        .bind(Vec::new())
        .bind(now)
        .execute(self.connection())
        .await?;
        for (position, item) in (0_i64..).zip(new.items) {
            self.add_item(number, position, item).await?;
        }
        u64::try_from(number)
            .map(SettlementId)
            .map_err(|error| StoreError::corrupt("counters.value", error))
    }

    async fn add_item(
        &mut self,
        settlement: i64,
        position: i64,
        item: &SettlementItem,
    ) -> Result<(), StoreError> {
        self.refuse_used(item).await?;
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
            "INSERT INTO settlement_items (settlement, position, request, deposit, amount_out_sat, fee_share_sat, \
             active) VALUES ($1, $2, $3, $4, $5, $6, 1)",
        )
        .bind(settlement)
        .bind(position)
        .bind(item.request.to_string())
        .bind(item.deposit.to_string())
        .bind(sat("amount out", item.amount_out)?)
        .bind(sat("fee share", item.fee_share)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn refuse_spent_nft(&mut self, nft: &OutPoint) -> Result<(), StoreError> {
        match self.settlement_spending_nft(nft).await? {
            Some(other) => Err(Conflict::NftSpent { by: other.id }.into()),
            None => Ok(()),
        }
    }

    async fn refuse_used(&mut self, item: &SettlementItem) -> Result<(), StoreError> {
        if let Some(by) = self.settlement_using(&item.deposit).await? {
            return Err(Conflict::DepositUsed { by }.into());
        }
        if let Some(by) = self.settlement_serving(&item.request).await? {
            return Err(Conflict::RequestServed { by }.into());
        }
        Ok(())
    }

    /// Says what operators are asked, once the proof is there, and the name by which they answer.
    /// The draft is in it, and goes.
    pub async fn set_proposal(
        &mut self,
        id: SettlementId,
        name: &str,
        proposal: &[u8],
        now: u64,
    ) -> Result<(), StoreError> {
        at_most("length of the proposal", proposal.len(), PROPOSAL_BYTES_MAX)?;
        self.live(id).await?;
        sqlx::query(
            "UPDATE settlements SET proposal = $2, proposal_id = $3, draft = NULL, updated_at = $4 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(write_bytes(proposal))
        .bind(name)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Attaches the transaction without signatures.
    ///
    /// # Errors
    /// [`Conflict::TransactionTaken`] when it is another live settlement's;
    /// [`Conflict::TransactionDiffers`] when it does not spend the settlement's NFT or lacks the
    /// NFT's output.
    pub async fn set_built(
        &mut self,
        id: SettlementId,
        built: &BuiltTransaction<'_>,
        now: u64,
    ) -> Result<Txid, StoreError> {
        let settlement = self.live(id).await?;
        let txid = built.unsigned.compute_txid();
        let spends_nft = built
            .unsigned
            .input
            .iter()
            .any(|input| input.previous_output == settlement.nft_input);
        let makes_nft =
            usize::try_from(built.nft_vout).is_ok_and(|vout| vout < built.unsigned.output.len());
        if !spends_nft || !makes_nft {
            return Err(Conflict::TransactionDiffers.into());
        }
        self.refuse_taken(id, &txid).await?;
        sqlx::query(
            "UPDATE settlements SET unsigned_tx = $2, signed_tx = NULL, txid = $3, nft_output = $4, fee_sat = $5, \
             weight = $6, vsize = $7, updated_at = $8 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(encode::serialize(built.unsigned))
        .bind(txid.to_string())
        .bind(OutPoint::new(txid, built.nft_vout).to_string())
        .bind(sat("fee", built.fee)?)
        .bind(integer("weight", built.weight.to_wu())?)
        .bind(integer("vsize", built.weight.to_vbytes_ceil())?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(txid)
    }

    /// Attaches the transaction with signatures, and its true weight.
    ///
    /// # Errors
    /// [`Conflict::TransactionDiffers`] when it is not the one built.
    pub async fn set_signed(
        &mut self,
        id: SettlementId,
        signed: &Transaction,
        now: u64,
    ) -> Result<(), StoreError> {
        let settlement = self.live(id).await?;
        if settlement.txid != Some(signed.compute_txid()) {
            return Err(Conflict::TransactionDiffers.into());
        }
        let weight = signed.weight();
        sqlx::query(
            "UPDATE settlements SET signed_tx = $2, weight = $3, vsize = $4, updated_at = $5 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(encode::serialize(signed))
        .bind(integer("weight", weight.to_wu())?)
        .bind(integer("vsize", weight.to_vbytes_ceil())?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Moves a settlement from the state that the caller read to another; its block and its hold on
    /// NFT, deposits and requests follow the state.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is in another state by now; [`StoreError::NotFound`]; on the
    /// way back from abandoned the conflicts of [`StoreTx::create_settlement`] and
    /// [`Conflict::TransactionTaken`].
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
        let was_live = from.stage().is_live();
        if to.stage().is_live() && !was_live {
            self.refuse_spent_nft(&settlement.nft_input).await?;
            if let Some(txid) = settlement.txid {
                self.refuse_taken(id, &txid).await?;
            }
            for item in self.settlement_items(id).await? {
                self.refuse_used(&item).await?;
            }
        }
        let block = to.block();
        sqlx::query(
            "UPDATE settlements SET state_name = $2, state = $3, height = $4, hash = $5, updated_at = $6 \
             WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(to.name())
        .bind(write_json("settlements.state", to)?)
        .bind(block.map(|block| i64::from(block.height)))
        .bind(block.map(|block| block.hash.to_string()))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        if to.stage().is_live() != was_live {
            sqlx::query("UPDATE settlement_items SET active = $2 WHERE settlement = $1")
                .bind(after(id.0))
                .bind(i64::from(to.stage().is_live()))
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    async fn refuse_taken(&mut self, id: SettlementId, txid: &Txid) -> Result<(), StoreError> {
        match self.settlement_by_txid(txid).await? {
            Some(other) if other.id != id && other.state.stage().is_live() => {
                Err(Conflict::TransactionTaken { by: other.id }.into())
            }
            _ => Ok(()),
        }
    }

    async fn live(&mut self, id: SettlementId) -> Result<Settlement, StoreError> {
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

/// The draft in a row of before drafts had a column of their own: it stands where the proposal
/// does, without a version, and has no proposal's name.
fn old_draft(row: &DbRow) -> Result<Option<Vec<u8>>, StoreError> {
    let stored = row.bytes("proposal")?;
    let is_draft = row.text("state_name")? == SettlementStage::Draft.name()
        && row.maybe_text("proposal_id")?.is_none();
    Ok((is_draft && is_unversioned(&stored)).then_some(stored))
}

pub(crate) fn read(row: &DbRow) -> Result<Settlement, StoreError> {
    Ok(Settlement {
        id: row.settlement_id("id")?,
        state: row.versioned("state")?,
        nft_input: row.outpoint("nft_input")?,
        nft_output: row.maybe_parsed("nft_output")?,
        txid: row.maybe_parsed("txid")?,
        fee: row.maybe_amount("fee_sat")?,
        weight: row.maybe_u64("weight")?.map(Weight::from_wu),
        vsize: row.maybe_u64("vsize")?,
        block: row.maybe_block("height", "hash")?,
        created_at: row.u64("created_at")?,
        updated_at: row.u64("updated_at")?,
    })
}
